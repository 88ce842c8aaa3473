//! What only a technician asks a TPM: which PCR banks it has, and to test itself in full.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::{MAX_BANKS, PcrMask};
use assay_common::tpm::properties::Capability;

use super::exchange::{HEADER, MAKING_ROOM};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Malformed, Tpm, TpmError, TpmTransport};

const GET_CAPABILITY: Op = Op::new(0x17A, DurationClass::Medium);
const SELF_TEST: Op = Op::new(0x143, DurationClass::Crypto);

const _: () = assert!(HEADER + 12 <= COMMAND_MAX - MAKING_ROOM);

/// Longest bitmap of a selection ([TPM2.0 1.85 Part 2] 10.6.1: `PCR_SELECT_MAX`).
const MAX_BITMAP: u8 = 4;

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_GetCapability` (30.2) of the PCR banks: calls `each` with the hash and the PCRs of each. A bank that the TPM
    /// could have and does not keep comes without PCRs.
    ///
    /// # Errors
    /// [`TpmError::Malformed`] for more banks than there are hashes, or for a bitmap of no known length.
    pub fn pcr_banks(&mut self, each: &mut dyn FnMut(AlgId, PcrMask)) -> Result<(), TpmError> {
        let x = self.begin(GET_CAPABILITY, &[]);
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

    /// `TPM2_SelfTest` (10.2) of everything, tested before or not. A TPM may test in the background:
    /// [`test_result`](Self::test_result) says when it is done.
    ///
    /// # Errors
    /// [`TpmError::FailureMode`] when a test fails, [`TpmError::Busy`] while the TPM tests.
    pub fn self_test_all(&mut self) -> Result<(), TpmError> {
        /// `fullTest` = YES.
        const EVERYTHING: u8 = 1;
        self.begin(SELF_TEST, &[]).put(&[EVERYTHING]);
        self.run();
        self.finish()
    }
}
