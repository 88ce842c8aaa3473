//! The steps on the Hazard3.
//!
//! Most of the ROM's functions are Arm code, which the ROM interprets for this core on a stack of its own (data sheet 5.4.8).

use core::arch::{asm, naked_asm};
use core::mem::offset_of;

use super::Steps;

/// Where the boot ROM has the address of its lookup, and the kind of its functions for this core (data sheet 5.4.1).
pub(super) const LOOKUP: usize = 0x7DFA;
pub(super) const FUNCTION: u32 = 0x0001;

/// The interrupts' bit of `mstatus` (RISC-V privileged architecture 3.1).
const INTERRUPTS: u32 = 1 << 3;

/// The address by which code at `address` is called.
pub(super) const fn code(address: usize) -> usize {
    address
}

/// Takes the steps, from RAM and with interrupts off.
///
/// # Safety
///
/// Each step is the address of a function outside the flash that takes its arguments, and `steps` is outside the flash.
pub(super) unsafe fn take(steps: &Steps) {
    let before: u32;
    // SAFETY: masking interrupts harms nobody. The fence lets what was copied be run.
    unsafe {
        asm!("csrrc {}, mstatus, {}", "fence.i", out(reg) before, in(reg) INTERRUPTS);
    }
    // SAFETY: the caller's.
    unsafe { call_in_turn(steps) };
    // SAFETY: they are as they were.
    unsafe { asm!("csrs mstatus, {}", in(reg) before & INTERRUPTS) };
}

/// # Safety
///
/// As for [`take`].
#[unsafe(naked)]
// SAFETY: sections of this name are copied to RAM at the start.
#[unsafe(link_section = ".data.in_ram")]
unsafe extern "C" fn call_in_turn(steps: &Steps) {
    naked_asm!(
        "addi sp, sp, -16",
        "sw ra, 12(sp)",
        "sw s0, 8(sp)",
        "mv s0, a0",
        "lw t0, {connect}(s0)",
        "jalr t0",
        "lw t0, {exit_xip}(s0)",
        "jalr t0",
        "lw a0, {arguments}(s0)",
        "lw a1, {arguments} + 4(s0)",
        "lw a2, {arguments} + 8(s0)",
        "lw a3, {arguments} + 12(s0)",
        "lw t0, {work}(s0)",
        "jalr t0",
        "lw t0, {flush_cache}(s0)",
        "jalr t0",
        "lw t0, {enter_xip}(s0)",
        "jalr t0",
        "lw ra, 12(sp)",
        "lw s0, 8(sp)",
        "addi sp, sp, 16",
        "ret",
        connect = const offset_of!(Steps, connect),
        exit_xip = const offset_of!(Steps, exit_xip),
        arguments = const offset_of!(Steps, arguments),
        work = const offset_of!(Steps, work),
        flush_cache = const offset_of!(Steps, flush_cache),
        enter_xip = const offset_of!(Steps, enter_xip),
    )
}
