//! The steps on the Cortex-M33.

use core::arch::naked_asm;
use core::mem::offset_of;

use super::Steps;

/// Where the boot ROM has the address of its lookup, and the kind of its functions for this core (data sheet 5.4.1).
pub(super) const LOOKUP: usize = 0x16;
pub(super) const FUNCTION: u32 = 0x0004;

/// The address by which code at `address` is called: odd, for Thumb.
pub(super) const fn code(address: usize) -> usize {
    address | 1
}

/// Takes the steps, from RAM and with interrupts off.
///
/// # Safety
///
/// Each step is the address of a function outside the flash that takes its arguments, and `steps` is outside the flash.
pub(super) unsafe fn take(steps: &Steps) {
    cortex_m::interrupt::free(|_| {
        // What was copied to be run is in memory before it is fetched.
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
        // SAFETY: the caller's.
        unsafe { call_in_turn(steps) };
    });
}

/// # Safety
///
/// As for [`take`].
#[unsafe(naked)]
// SAFETY: sections of this name are copied to RAM at the start.
#[unsafe(link_section = ".data.in_ram")]
unsafe extern "C" fn call_in_turn(steps: &Steps) {
    naked_asm!(
        "push {{r4, lr}}",
        "mov r4, r0",
        "ldr r3, [r4, #{connect}]",
        "blx r3",
        "ldr r3, [r4, #{exit_xip}]",
        "blx r3",
        "ldr r0, [r4, #{arguments}]",
        "ldr r1, [r4, #{arguments} + 4]",
        "ldr r2, [r4, #{arguments} + 8]",
        "ldr r3, [r4, #{arguments} + 12]",
        "ldr r12, [r4, #{work}]",
        "blx r12",
        "ldr r3, [r4, #{flush_cache}]",
        "blx r3",
        "ldr r3, [r4, #{enter_xip}]",
        "blx r3",
        "pop {{r4, pc}}",
        connect = const offset_of!(Steps, connect),
        exit_xip = const offset_of!(Steps, exit_xip),
        arguments = const offset_of!(Steps, arguments),
        work = const offset_of!(Steps, work),
        flush_cache = const offset_of!(Steps, flush_cache),
        enter_xip = const offset_of!(Steps, enter_xip),
    )
}
