//! Files of the host, by Arm semihosting: the processor stops at a breakpoint and QEMU does the work.
//!
//! Calls are blocking: while one waits, no instruction runs and QEMU's other devices stand still.
//! Without semihosting (`-semihosting-config enable=on`) the first call faults, and
//! [`crate::panic`] says so on the link.

#![expect(
    unsafe_code,
    reason = "a semihosting call is a breakpoint with two registers"
)]

use core::arch::asm;

/// Operations ([Arm semihosting 2023Q3] 6).
const SYS_OPEN: usize = 0x01;
const SYS_WRITE: usize = 0x05;
const SYS_READ: usize = 0x06;
const SYS_GET_CMDLINE: usize = 0x15;

/// What a failed [`SYS_OPEN`] returns.
const FAILED: usize = usize::MAX;

/// How a file is opened: the number of fopen's mode ([Arm semihosting 2023Q3] 6.9).
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// "rb".
    Read = 1,
    /// "wb".
    Write = 5,
}

/// An open file. It is never closed: a machine that restarts opens its files again, and QEMU closes them at its end.
#[derive(Clone, Copy)]
pub(crate) struct File {
    handle: usize,
}

/// # Safety
/// `block` holds what the operation asks for: addresses and lengths of memory that it may use so.
unsafe fn call(operation: usize, block: &mut [usize]) -> usize {
    let result;
    // SAFETY: the breakpoint with this number is the semihosting call of M-profile processors. It takes
    // the operation and the address of its block and changes no register but r0; the caller answers
    // for what the block points to. Without `nomem` the compiler keeps nothing of it in registers.
    unsafe {
        asm!(
            "bkpt 0xAB",
            inout("r0") operation => result,
            in("r1") block.as_mut_ptr(),
            options(nostack, preserves_flags),
        );
    }
    result
}

/// What the host passes as the machine's command line: the bytes in front of the NUL, `None` if it has no room
/// in `buffer`.
pub(crate) fn command_line(buffer: &mut [u8]) -> Option<usize> {
    let mut block = [buffer.as_mut_ptr().expose_provenance(), buffer.len()];
    // SAFETY: address and length are those of `buffer`, which is borrowed exclusively.
    let result = unsafe { call(SYS_GET_CMDLINE, &mut block) };
    let [_, length] = block;
    (result == 0 && length < buffer.len()).then_some(length)
}

impl File {
    /// Opens the file with this name, which ends in NUL; waits for the other end of a FIFO.
    pub(crate) fn open(name: &[u8], mode: Mode) -> Option<Self> {
        let [text @ .., 0] = name else {
            return None;
        };
        let mut block = [name.as_ptr().expose_provenance(), mode as usize, text.len()];
        // SAFETY: the address is that of a string that is only read, and ends in NUL after the length given.
        let handle = unsafe { call(SYS_OPEN, &mut block) };
        (handle != FAILED).then_some(Self { handle })
    }

    /// Writes everything; `false` when that was not possible.
    pub(crate) fn write(self, bytes: &[u8]) -> bool {
        let mut block = [self.handle, bytes.as_ptr().expose_provenance(), bytes.len()];
        // SAFETY: address and length are those of `bytes`, which is only read.
        let left = unsafe { call(SYS_WRITE, &mut block) };
        left == 0
    }

    /// Fills `buffer`; `false` at the end of the file, or when it cannot be read.
    pub(crate) fn read(self, mut buffer: &mut [u8]) -> bool {
        while !buffer.is_empty() {
            let room = buffer.len();
            let mut block = [self.handle, buffer.as_mut_ptr().expose_provenance(), room];
            // SAFETY: address and length are those of `buffer`, which is borrowed exclusively.
            let left = unsafe { call(SYS_READ, &mut block) };
            // A FIFO gives what it has. All of it left means that no more comes.
            let Some(rest) = room
                .checked_sub(left)
                .filter(|read| *read > 0)
                .and_then(|read| buffer.get_mut(read..))
            else {
                return false;
            };
            buffer = rest;
        }
        true
    }
}
