//! Chapter 22: platform configuration registers.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::codec::EncodeError;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{MAX_BANKS, PcrIndex, PcrMask, PcrSelection};
use assay_common::tpm::rc::TpmRc;

use super::exchange::{AUTH, AUTH_AREA, Exchange, HANDLE, HEADER, MAKING_ROOM, MAX_DIGEST};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};

const PCR_READ: Op = Op::new(0x17E, DurationClass::Medium).audited();
const PCR_EXTEND: Op = Op::new(0x182, DurationClass::Medium).authorized(1);

/// Bytes of an encoded selection of one bank.
const SELECTION: usize = 2 + 1 + 3;

const _: () = assert!(HEADER + 4 + MAX_BANKS * SELECTION <= COMMAND_MAX - MAKING_ROOM);
const _: () = assert!(HEADER + HANDLE + AUTH_AREA + AUTH + 4 + 2 + 64 <= COMMAND_MAX - MAKING_ROOM);

/// Digests that a `TPML_DIGEST` holds.
const MAX_DIGESTS: u32 = 8;
/// Times that a reading is begun again because a PCR changed in the middle.
const READINGS: u8 = 4;

/// What [`Tpm::pcr_read`] put into the caller's buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PcrRead {
    /// Bytes written.
    pub len: usize,
    /// `pcrUpdateCounter`, the same before the first and after the last value.
    pub update_counter: u32,
}

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_PCR_Read` (22.4) until all of `selections` are read: their values one after the other, by
    /// selection and ascending index, in `values`. A TPM gives at most eight at once.
    ///
    /// All values are of one moment: if the update counter moves, reading begins again.
    ///
    /// # Errors
    /// [`TpmError::NoPcr`] when the TPM doesn't have a selected PCR or bank, [`TpmError::Buffer`] when
    /// `values` is too short, [`TpmError::PcrsMoving`] when four readings were disturbed.
    pub fn pcr_read(
        &mut self,
        selections: &[PcrSelection],
        values: &mut [u8],
    ) -> Result<PcrRead, TpmError> {
        for _ in 0..READINGS {
            let mut reading = PcrRead::default();
            if self.pcr_read_undisturbed(selections, values, &mut reading)? {
                return Ok(reading);
            }
        }
        Err(self.failed(TpmError::PcrsMoving))
    }

    /// Page by page; false when a PCR changed in the middle.
    fn pcr_read_undisturbed(
        &mut self,
        selections: &[PcrSelection],
        values: &mut [u8],
        reading: &mut PcrRead,
    ) -> Result<bool, TpmError> {
        let mut is_first = true;
        for selection in selections {
            let mut ask = *selection;
            while !ask.mask.is_empty() {
                let counter = reading.update_counter;
                let read = self.pcr_read_page(ask, values, reading)?;
                if !is_first && reading.update_counter != counter {
                    return Ok(false);
                }
                is_first = false;
                ask.mask = ask.mask.without(read);
            }
        }
        Ok(true)
    }

    /// One command's worth of values, appended; which PCRs they are of.
    fn pcr_read_page(
        &mut self,
        ask: PcrSelection,
        values: &mut [u8],
        reading: &mut PcrRead,
    ) -> Result<PcrMask, TpmError> {
        put_selections(self.begin(PCR_READ, &[]), &[ask]);
        self.run();
        let x = &mut self.exchange;
        reading.update_counter = x.u32();
        // pcrSelectionOut is the selection that was asked for, with fewer bits.
        let (banks, bank, size) = (x.u32(), x.u16(), usize::from(x.u8()));
        x.demand(banks == 1 && bank == ask.bank.0 && size <= size_of::<u32>());
        let bitmap = x.bytes(size);
        let bitmap = x.part(bitmap).iter().rev();
        let listed = bitmap.fold(0, |mask, byte| mask << 8 | u32::from(*byte));
        let digests = x.u32();
        x.demand(digests <= MAX_DIGESTS && digests == bits(listed));
        // Values are taken for the lowest of those asked for; whether it was these is seen below.
        let mut left = ask.mask.0;
        let expected = ask.bank.digest_len();
        for _ in 0..digests.min(MAX_DIGESTS) {
            left &= left.wrapping_sub(1);
            let digest = x.tpm2b(MAX_DIGEST);
            x.demand(expected.is_none_or(|len| len == digest.len()));
            let free = values.get_mut(reading.len..).unwrap_or_default();
            match free.get_mut(..digest.len()) {
                Some(to) => {
                    for (to, byte) in to.iter_mut().zip(x.part(digest)) {
                        *to = *byte;
                    }
                }
                None => x.fail(TpmError::Buffer),
            }
            reading.len += digest.len();
        }
        let read = ask.mask.0 & !left;
        match self.finish() {
            // A bank whose hash the TPM doesn't know; one that it knows and doesn't keep comes back
            // empty instead.
            Err(TpmError::Rc(rc)) if rc.base() == TpmRc::HASH => Err(TpmError::NoPcr),
            Err(error) => Err(error),
            // A TPM that leaves one out doesn't have it.
            Ok(()) if read == 0 || read != listed => Err(TpmError::NoPcr),
            Ok(()) => Ok(PcrMask(read)),
        }
    }

    /// `TPM2_PCR_Extend` (22.2) of one bank by one digest, with empty authorization.
    ///
    /// Without a [session](Self::is_protected) somebody on the bus can drop or replace a measurement.
    ///
    /// # Errors
    /// [`TpmError::Rc`] when the PCR may not be extended from this locality.
    pub fn pcr_extend(
        &mut self,
        index: PcrIndex,
        bank: AlgId,
        digest: &[u8],
    ) -> Result<(), TpmError> {
        let x = self.begin(PCR_EXTEND, &[Handle::pcr(index), Handle::PW]);
        x.put_u32(1);
        x.put_u16(bank.0);
        x.put(digest);
        self.run();
        self.finish()
    }
}

/// Number of bits set. `count_ones` is three times as long on a core without an instruction for it.
fn bits(mut mask: u32) -> u32 {
    let mut bits = 0;
    while mask != 0 {
        mask &= mask - 1;
        bits += 1;
    }
    bits
}

/// Puts a `TPML_PCR_SELECTION`. A bank that comes twice is the caller's wish and the TPM's to judge.
pub(super) fn put_selections(x: &mut Exchange, selections: &[PcrSelection]) {
    x.put_u32(selections.len() as u32);
    for PcrSelection { bank, mask } in selections {
        if !mask.is_valid() {
            x.fail(TpmError::Encode(EncodeError::Value));
        }
        x.put_u16(bank.0);
        // sizeofSelect, and the three bytes of the bitmap, the lowest first.
        let [m0, m1, m2, _] = mask.0.to_le_bytes();
        x.put_u32(u32::from_be_bytes([3, m0, m1, m2]));
    }
}
