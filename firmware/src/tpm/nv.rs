//! Chapter 31: non-volatile storage, where the manufacturer leaves certificates.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;

use super::exchange::{AUTH, AUTH_AREA, HANDLE, HEADER, MAKING_ROOM, MAX_DIGEST, MAX_NAME};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, RESPONSE_MAX, Tpm, TpmError, TpmTransport};

const NV_READ_PUBLIC: Op = Op::new(0x169, DurationClass::Medium);
const NV_READ: Op = Op::new(0x14E, DurationClass::Long).authorized(1);

/// Most bytes read at once: the floor that `[PTP 1.05]` sets for `TPM_PT_NV_BUFFER_MAX`. SLB9670
/// refuses 1,024, whatever its I/O buffer holds.
pub const NV_CHUNK: u16 = 512;

/// Bytes of a response to [`NV_READ`] besides the data: header, parameter size, length, one
/// authorization with a nonce and an HMAC of up to 64 bytes.
const OVERHEAD: usize = HEADER + 4 + 2 + (2 + 64 + 1 + 2 + 64);

const _: () = assert!(HEADER + 2 * HANDLE + AUTH_AREA + AUTH + 4 <= COMMAND_MAX - MAKING_ROOM);
const _: () = assert!(OVERHEAD + NV_CHUNK as usize <= RESPONSE_MAX);

/// What is needed of `TPMS_NV_PUBLIC` ([TPM2.0 1.85 Part 2] 13.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NvPublic {
    /// The index.
    pub index: Handle,
    /// Hash of its Name.
    pub name_alg: AlgId,
    /// `TPMA_NV`.
    pub attributes: u32,
    /// Bytes of data.
    pub data_size: u16,
}

impl NvPublic {
    /// `TPMA_NV_OWNERREAD`.
    const OWNER_READ: u32 = 1 << 17;
    /// `TPMA_NV_AUTHREAD`.
    const AUTH_READ: u32 = 1 << 18;
    /// `TPMA_NV_NO_DA`.
    const NO_DA: u32 = 1 << 25;

    /// Whose (empty) authorization reads this index: its own where that is allowed, since an owner
    /// may have set a password, else the owner's.
    const fn reader(&self) -> Handle {
        if self.attributes & Self::AUTH_READ == 0 && self.attributes & Self::OWNER_READ != 0 {
            Handle::OWNER
        } else {
            self.index
        }
    }

    /// Whether an attempt to read this index cannot bring the TPM nearer to its dictionary-attack lockout: its password
    /// may not be the empty one. A manufacturer's certificate is exempt ([EK Profile 2.6] 2.2.1.5), and so is the owner.
    #[must_use]
    pub const fn is_safe_to_try(&self) -> bool {
        self.attributes & Self::NO_DA != 0 || self.reader().0 == Handle::OWNER.0
    }
}

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_NV_ReadPublic` (31.6).
    ///
    /// Not through the session, whose HMAC would be over the Name that is asked for here. What is read later is: its HMAC is
    /// over the Name of exactly this public area.
    ///
    /// # Errors
    /// [`TpmError::Rc`] with base `TPM_RC_HANDLE` when there is no such index.
    pub fn nv_read_public(&mut self, index: Handle) -> Result<NvPublic, TpmError> {
        self.begin(NV_READ_PUBLIC, &[index]);
        self.run();
        let x = &mut self.exchange;
        let outside = x.enter();
        let area = x.peek();
        let returned = x.u32();
        let name_alg = AlgId(x.u16());
        let attributes = x.u32();
        x.tpm2b(MAX_DIGEST);
        let data_size = x.u16();
        x.demand(returned == index.0);
        x.leave(outside);
        x.tpm2b(MAX_NAME);
        self.finish()?;
        self.learn_name_of(index, name_alg, area);
        Ok(NvPublic {
            index,
            name_alg,
            attributes,
            data_size,
        })
    }

    /// Most bytes that [`nv_read`](Self::nv_read) moves on this TPM, 1 to [`NV_CHUNK`].
    pub fn nv_chunk(&self) -> u16 {
        let sizes = self.sizes();
        let response = sizes.response.saturating_sub(OVERHEAD as u32);
        let chunk = sizes.nv_buffer.min(response).clamp(1, u32::from(NV_CHUNK));
        // Not above NV_CHUNK, which is a u16.
        chunk as u16
    }

    /// `TPM2_NV_Read` (31.13): `len` bytes from `offset`, at most [`nv_chunk`](Self::nv_chunk).
    ///
    /// # Errors
    /// [`TpmError::Rc`] `NV_RANGE` beyond the data, `NV_UNINITIALIZED` when nothing was ever
    /// written; [`TpmError::Malformed`] when the TPM gives another number of bytes.
    pub fn nv_read(&mut self, nv: &NvPublic, offset: u16, len: u16) -> Result<&[u8], TpmError> {
        let len = len.min(self.nv_chunk());
        let x = self.begin(NV_READ, &[nv.reader(), nv.index, Handle::PW]);
        x.put_u16(len);
        x.put_u16(offset);
        self.run();
        let x = &mut self.exchange;
        let data = x.tpm2b(usize::from(len));
        x.demand(data.len() == usize::from(len));
        self.finish()?;
        Ok(self.exchange.part(data))
    }
}
