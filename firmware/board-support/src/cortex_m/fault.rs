//! A fault is reported on the link as a frame, then the chip restarts.
//!
//! The frame says where, not why: an address and the fault status.
//!
//! This module is the vector for every fault. A board gives it a voice:
//!
//! ```ignore
//! #[unsafe(no_mangle)]
//! fn assay_last_words(bytes: &[u8]) { /* polled, interrupts are off */ }
//! ```
//!
//! and calls [`panicked`] from its panic handler and [`unexpected_interrupt`] from its `DefaultHandler`.

#![expect(
    unsafe_code,
    reason = "a fault handler reads the frame that the processor left on the stack"
)]

use core::arch::naked_asm;
use core::panic::PanicInfo;
use core::ptr::{addr_of, with_exposed_provenance};

use assay_firmware::link::panic_frame;
use cortex_m::peripheral::SCB;

use crate::last_words;

/// Between the last words and the restart, core cycles: a board that panics at every start must leave the line
/// readable. A quarter of a second at 168 MHz, more on a slower chip.
const PAUSE_CYCLES: u32 = 42_000_000;
/// Bytes of the frame that the processor stacks: r0 to r3, r12, lr, pc, xPSR (ARMv7-M B1.5.7).
const FRAME_BYTES: usize = 32;
const FRAME_PC: usize = 24;
/// Configurable fault status (ARMv7-M B3.2.15). ARMv6-M has none; what it reads there means nothing.
const CFSR: usize = 0xE000_ED28;

unsafe extern "Rust" {
    /// The board's: sends bytes over the link by polling, or does nothing while the link is not yet on.
    safe fn assay_last_words(bytes: &[u8]);
}

unsafe extern "C" {
    /// Lowest address of the stack, from the board's memory.x.
    static _stack_end: u8;
    /// One past its highest.
    static _stack_start: u8;
}

/// Sends the panic's place and restarts.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    panic_frame(info, &mut assay_last_words);
    restart()
}

fn restart() -> ! {
    cortex_m::asm::delay(PAUSE_CYCLES);
    // May pull the reset line low too, and then a TPM wired to it restarts with the board. Should this not work, the
    // watchdog does it.
    SCB::sys_reset()
}

fn report(text: &[u8]) -> ! {
    cortex_m::interrupt::disable();
    last_words::send(text, assay_last_words);
    restart()
}

/// For an interrupt that nobody asked for.
pub fn unexpected_interrupt(number: i16) -> ! {
    let mut text = *b"unexpected interrupt 0x....";
    last_words::fill_dots::<4>(&mut text, &[usize::from(number as u16)]);
    report(&text)
}

/// The vector for every fault. After a stack overflow the stack pointer is below the RAM and the
/// first push of an ordinary function would fault again, which locks the processor up. So this
/// one moves the pointer back to the top before any Rust code runs.
///
/// # Safety
/// For the processor only.
#[unsafe(naked)]
// SAFETY: the name is the one that cortex-m-rt's vector table asks for, and nothing else defines it.
#[unsafe(no_mangle)]
unsafe extern "C" fn HardFault() -> ! {
    naked_asm!(
        "mov r0, sp",
        "ldr r1, =_stack_start",
        "mov sp, r1",
        "b {report}",
        report = sym on_fault,
    )
}

/// `frame`: the stack pointer at the time of the fault.
extern "C" fn on_fault(frame: usize) -> ! {
    let lowest = addr_of!(_stack_end).addr();
    let highest = addr_of!(_stack_start).addr();
    if frame < lowest || frame + FRAME_BYTES > highest {
        report(b"stack overflow")
    }
    // SAFETY: the processor stacked its frame at `frame`, which lies inside the stack.
    let pc = unsafe { with_exposed_provenance::<usize>(frame + FRAME_PC).read_volatile() };
    // SAFETY: a read of a register of the system control space, which has no effect on it.
    let status = unsafe { with_exposed_provenance::<usize>(CFSR).read_volatile() };
    let mut text = *b"fault at 0x........, CFSR 0x........";
    last_words::fill_dots::<8>(&mut text, &[pc, status]);
    report(&text)
}
