//! Chapter 30: what the TPM says about itself.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{MAX_BANKS, PcrMask};
use assay_common::tpm::properties::{Capability, PropertyTag};

use super::exchange::{AUTH, AUTH_AREA, HEADER, MAKING_ROOM};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Malformed, RESPONSE_MAX, Tpm, TpmError, TpmTransport};

const GET_CAPABILITY: Op = Op::new(0x17A, DurationClass::Medium);

/// The same of PCR banks, which an answer without an HMAC could take from a node.
const GET_BANKS: Op = GET_CAPABILITY.audited();

const _: () = assert!(HEADER + AUTH_AREA + AUTH + 12 <= COMMAND_MAX - MAKING_ROOM);

/// Longest bitmap of a selection ([TPM2.0 1.85 Part 2] 10.6.1: `PCR_SELECT_MAX`).
const MAX_BITMAP: u8 = 4;

/// Bytes of a response before the first list item: header, moreData, capability, count.
const OVERHEAD: usize = HEADER + 1 + 4 + 4;
/// Items that one response can hold, be they handles or, twice as long, properties.
const MAX_ITEMS: u32 = ((RESPONSE_MAX - OVERHEAD) / 8) as u32;
/// Answers that may say "there is more" before the TPM counts as malformed. A TPM has far fewer
/// handles than this many answers hold.
const MAX_ANSWERS: u8 = 16;

/// Who made the TPM, as it says itself: material for logs. The verifier believes the certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `TPM_PT_MANUFACTURER`: four ASCII characters, `0x49465800` is "IFX".
    pub manufacturer: u32,
    /// `TPM_PT_VENDOR_STRING_1` to `_4`; see [`vendor_string`](Self::vendor_string).
    pub vendor: [u32; 4],
    /// `TPM_PT_FIRMWARE_VERSION_1` and `_2`.
    pub firmware: [u32; 2],
}

impl Identity {
    /// The vendor's name for the chip, padded with zeros.
    pub fn vendor_string(&self) -> [u8; 16] {
        let mut text = [0; 16];
        for (to, from) in text.as_chunks_mut().0.iter_mut().zip(self.vendor) {
            *to = from.to_be_bytes();
        }
        text
    }

    /// Version of the firmware, as attestations carry it.
    pub fn firmware_version(&self) -> u64 {
        let [high, low] = self.firmware;
        u64::from(high) << 32 | u64::from(low)
    }
}

/// Largest pieces that the TPM moves, in bytes. See [`FLOOR`](Self::FLOOR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// `TPM_PT_MAX_COMMAND_SIZE`.
    pub command: u32,
    /// `TPM_PT_MAX_RESPONSE_SIZE`.
    pub response: u32,
    /// `TPM_PT_NV_BUFFER_MAX`.
    pub nv_buffer: u32,
}

impl Sizes {
    /// What every TPM of the profile can do.
    pub const FLOOR: Self = Self {
        command: COMMAND_MAX as u32,
        response: RESPONSE_MAX as u32,
        nv_buffer: 512,
    };
}

impl<T: TpmTransport> Tpm<T> {
    /// Calls `each` with every property from `first` to `last`, both included, that the TPM has.
    ///
    /// A TPM lists properties beginning with the first one that is not below the one asked for, so
    /// those outside the range are left out here.
    ///
    /// # Errors
    /// [`TpmError::Malformed`] when the list is longer than was asked for, or has no end.
    pub fn properties(
        &mut self,
        first: PropertyTag,
        last: PropertyTag,
        each: &mut dyn FnMut(PropertyTag, u32),
    ) -> Result<(), TpmError> {
        let each = &mut |tag, value| each(PropertyTag(tag), value);
        self.list(Capability::TPM_PROPERTIES, first.0, last.0, each)
    }

    /// Calls `each` with every handle from `first` to `last`, both included, that exists in the TPM.
    ///
    /// Loaded sessions come in the TPM's own order, since their handles are of two kinds; everything
    /// else ascends.
    ///
    /// # Errors
    /// [`TpmError::Malformed`] when the list is longer than was asked for, or has no end.
    pub fn handles(
        &mut self,
        first: Handle,
        last: Handle,
        each: &mut dyn FnMut(Handle),
    ) -> Result<(), TpmError> {
        let each = &mut |handle, _| each(Handle(handle));
        self.list(Capability::HANDLES, first.0, last.0, each)
    }

    /// `TPM2_GetCapability` (30.2) of a list, as often as the TPM says that more follows.
    pub(super) fn list(
        &mut self,
        capability: Capability,
        first: u32,
        last: u32,
        each: &mut dyn FnMut(u32, u32),
    ) -> Result<(), TpmError> {
        let has_values = capability == Capability::TPM_PROPERTIES;
        let mut next = first;
        for _ in 0..MAX_ANSWERS {
            // As many as the range can have, so that a TPM doesn't send what nobody asked for.
            let count = last.wrapping_sub(next).min(MAX_ITEMS - 1) + 1;
            let x = self.begin(GET_CAPABILITY, &[]);
            x.put_u32(capability.0);
            x.put_u32(next);
            x.put_u32(count);
            self.run();
            let x = &mut self.exchange;
            let more = x.u8() != 0;
            let kind = x.u32();
            x.demand(kind == capability.0);
            let listed = x.u32();
            if listed > count {
                x.fail(Malformed::TooLong.into());
            }
            let start = next;
            for _ in 0..listed.min(count) {
                let item = x.u32();
                let value = if has_values { x.u32() } else { 0 };
                if x.is_whole() && (first..=last).contains(&item) {
                    each(item, value);
                }
                next = next.max(item.saturating_add(1));
            }
            self.finish()?;
            if !more || next == start || next > last {
                return Ok(());
            }
        }
        Err(Malformed::TooLong.into())
    }

    /// `TPM2_GetCapability` (30.2) of the PCR banks: calls `each` with the hash and the PCRs of each. A bank that the TPM
    /// could have and does not keep comes without PCRs.
    ///
    /// Asked through the [session](Self::is_protected), where there is one: which banks a node measures into is not for
    /// somebody on the bus to say.
    ///
    /// # Errors
    /// [`TpmError::Malformed`] for more banks than there are hashes, or for a bitmap of no known length.
    pub fn pcr_banks(&mut self, each: &mut dyn FnMut(AlgId, PcrMask)) -> Result<(), TpmError> {
        let x = self.begin(GET_BANKS, &[]);
        x.put_u32(Capability::PCRS.0);
        x.put_u32(0);
        // "As many as there are": a TPM gives all of them or none.
        x.put_u32(MAX_BANKS as u32);
        self.run();
        let x = &mut self.exchange;
        let _ = x.u8();
        let kind = x.u32();
        x.demand(kind == Capability::PCRS.0);
        let banks = x.u32();
        if banks > MAX_BANKS as u32 {
            x.fail(Malformed::TooLong.into());
        }
        for _ in 0..banks.min(MAX_BANKS as u32) {
            let bank = AlgId(x.u16());
            let size = x.u8();
            x.demand(size <= MAX_BITMAP);
            let bitmap = x.bytes(usize::from(size.min(MAX_BITMAP)));
            let bitmap = x.part(bitmap).iter().rev();
            let mask = bitmap.fold(0, |mask, byte| mask << 8 | u32::from(*byte));
            if x.is_whole() {
                each(bank, PcrMask(mask));
            }
        }
        self.finish()
    }

    /// Puts the values of the properties from `first` on into `values`; one that the TPM doesn't have, or
    /// gives as 0, leaves its place as it is. Whether it has any.
    fn property_values(
        &mut self,
        first: PropertyTag,
        values: &mut [u32],
    ) -> Result<bool, TpmError> {
        let first = first.0;
        let last = first + values.len() as u32 - 1;
        let mut any = false;
        self.list(
            Capability::TPM_PROPERTIES,
            first,
            last,
            &mut |tag, value| {
                any = true;
                if let Some(to) = values.get_mut((tag - first) as usize)
                    && value != 0
                {
                    *to = value;
                }
            },
        )?;
        Ok(any)
    }

    pub(super) fn identity(&mut self) -> Result<Identity, TpmError> {
        // MANUFACTURER, VENDOR_STRING_1 to _4, VENDOR_TPM_TYPE, FIRMWARE_VERSION_1 and _2.
        let mut values = [0; 8];
        // In failure mode the list is empty instead of an error.
        if !self.property_values(PropertyTag::MANUFACTURER, &mut values)? {
            return Err(TpmError::FailureMode);
        }
        let [manufacturer, a, b, c, d, _, high, low] = values;
        Ok(Identity {
            manufacturer,
            vendor: [a, b, c, d],
            firmware: [high, low],
        })
    }

    pub(super) fn read_sizes(&mut self) -> Result<(), TpmError> {
        const FIRST: PropertyTag = PropertyTag::MAX_COMMAND_SIZE;
        const COUNT: usize = (PropertyTag::NV_BUFFER_MAX.0 - FIRST.0 + 1) as usize;
        let mut values = [0; COUNT];
        let [command, response, .., nv_buffer] = &mut values;
        *command = Sizes::FLOOR.command;
        *response = Sizes::FLOOR.response;
        *nv_buffer = Sizes::FLOOR.nv_buffer;
        self.property_values(FIRST, &mut values)?;
        let [command, response, .., nv_buffer] = values;
        self.sizes = Sizes {
            command,
            response,
            nv_buffer,
        };
        Ok(())
    }
}
