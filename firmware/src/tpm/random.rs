//! Chapter 16: random numbers.

use super::exchange::{HEADER, MAKING_ROOM};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Malformed, Tpm, TpmError, TpmTransport};

const GET_RANDOM: Op = Op::new(0x17B, DurationClass::Long)
    .audited()
    .hiding_its_response();

const _: () = assert!(HEADER + 2 <= COMMAND_MAX - MAKING_ROOM);

/// Most bytes that SLB9670 and ST33 give at once.
const CHUNK: usize = 32;
/// Answers without a single byte before the TPM counts as malformed.
const EMPTY_ANSWERS: u8 = 3;

impl<T: TpmTransport> Tpm<T> {
    /// Fills `out` by `TPM2_GetRandom` (16.1), 32 bytes at a time; the TPM may give fewer.
    ///
    /// Without a [session](Self::is_protected) somebody on the bus can see and choose these numbers. They are good for nonces
    /// then, and for keys only together with another source.
    ///
    /// # Errors
    /// [`TpmError::Malformed`] when the TPM gives more than it was asked for, or nothing three times.
    #[inline(never)]
    pub fn random(&mut self, out: &mut [u8]) -> Result<(), TpmError> {
        let mut filled = 0;
        let mut empty = 0;
        while let Some(rest @ [_, ..]) = out.get_mut(filled..) {
            let ask = rest.len().min(CHUNK);
            self.run_with_u16(GET_RANDOM, ask as u16);
            let bytes = self.exchange.tpm2b(ask);
            self.finish()?;
            let bytes = self.exchange.part(bytes);
            if bytes.is_empty() {
                empty += 1;
                if empty == EMPTY_ANSWERS {
                    return Err(Malformed::Value.into());
                }
            }
            for (to, byte) in rest.iter_mut().zip(bytes) {
                *to = *byte;
            }
            filled += bytes.len();
        }
        Ok(())
    }
}
