//! How few SPI bytes a TPM command takes in a driver that follows the FIFO's state machine and does each step once.
//!
//! Every access to a register is 4 header bytes and its data. A command that follows the FIFO's state machine with
//! each step done once makes these accesses:
//!
//! | access | bytes |
//! |---|---|
//! | read `ACCESS`: the locality is still ours | 4 + 1 |
//! | read `STS`: idle or ready? | 4 + 4 |
//! | write `STS`: commandReady | 4 + 1 |
//! | per piece of the command (64 bytes at most): read `STS` for the burst count, write `DATA_FIFO` | 4 + 4, 4 + n |
//! | read `STS`: valid, nothing more expected | 4 + 4 |
//! | write `STS`: go | 4 + 1 |
//! | per piece of the response (its 10 byte header, then 64 at most): read `STS`, read `DATA_FIFO` | 4 + 4, 4 + n |
//! | read `STS`: nothing left over | 4 + 4 |
//! | write `STS`: commandReady, the response is released | 4 + 1 |
//!
//! That is 44 + command + response + 12 × pieces. Polls that find the TPM busy are not in it, and neither are wait
//! states: both belong to the chip.
//!
//! The formula gives the bytes that a traced driver took for each of the seventeen commands of an enrolment (a burst
//! count of 64, no wait states) to the byte, but for TPM2_Startup, which was traced one byte lower. A test holds
//! that.
//!
//! # It is no lower bound
//!
//! A driver that keeps its locality for good reads `ACCESS` once, and one whose status read serves two purposes does
//! without some of the reads above. So a ratio below 1 is possible, and is what the firmware has.

/// Most data bytes of one access, and the burst count that the floor assumes.
pub const PIECE: u64 = 64;
/// Length of a response's header, which must be read before the rest can be asked for.
const RESPONSE_HEADER: u64 = 10;
/// An access without its data.
const HEADER: u64 = 4;
/// Reading the status and the burst count together.
const STATUS_READ: u64 = HEADER + 4;
/// Reading or writing one byte of a register.
const BYTE_ACCESS: u64 = HEADER + 1;

/// Taking the locality, once: a request and a look whether it was granted.
pub const LOCALITY: u64 = 2 * BYTE_ACCESS;

/// SPI bytes of one command, lengths in bytes.
#[must_use]
pub const fn command(command_len: u64, response_len: u64) -> u64 {
    let rest = response_len.saturating_sub(RESPONSE_HEADER);
    let pieces = command_len.div_ceil(PIECE) + 1 + rest.div_ceil(PIECE);
    let locality = BYTE_ACCESS;
    let ready = STATUS_READ + BYTE_ACCESS;
    let go = STATUS_READ + BYTE_ACCESS;
    let done = STATUS_READ + BYTE_ACCESS;
    let data = pieces * (STATUS_READ + HEADER) + command_len + response_len;
    locality + ready + go + done + data
}

/// SPI bytes of a flow that begins with a TPM whose locality is free: commands and responses by length.
#[must_use]
pub fn flow(exchanges: impl IntoIterator<Item = (u64, u64)>) -> u64 {
    LOCALITY
        + exchanges
            .into_iter()
            .map(|(sent, received)| command(sent, received))
            .sum::<u64>()
}
