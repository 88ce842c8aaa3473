//! Last words: a panic or a fault is reported on the link as a frame, then the chip restarts.
//!
//! The frame says where, not why: a file and line, or an address and the fault status. Formatting
//! the message would cost more flash than anything else in this folder.

#![expect(
    unsafe_code,
    reason = "a fault handler reads the frame that the processor left on the stack"
)]

use core::arch::naked_asm;
use core::convert::Infallible;
use core::panic::PanicInfo;
use core::ptr::{addr_of, with_exposed_provenance};

use assay_common::protocol::{FrameKind, write_frame};
use assay_firmware::link::panic_frame;
use cortex_m::peripheral::SCB;
use cortex_m_rt::exception;

use crate::serial::send_last_words;

/// Between the last words and the restart, core cycles (a quarter of a second): a board that
/// panics at every start must leave the line readable.
const PAUSE_CYCLES: u32 = 42_000_000;
/// Bytes of the frame that the processor stacks: r0 to r3, r12, lr, pc, xPSR (ARMv7-M B1.5.7).
const FRAME_BYTES: usize = 32;
const FRAME_PC: usize = 24;

#[panic_handler]
fn on_panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    panic_frame(info, &mut send_last_words);
    restart()
}

fn restart() -> ! {
    cortex_m::asm::delay(PAUSE_CYCLES);
    // Pulls NRST low too, so a TPM wired to it restarts with the board (README.md, "Wiring").
    // Should this not work, the watchdog does it.
    SCB::sys_reset()
}

unsafe extern "C" {
    /// Lowest address of the stack, from memory.x.
    static _stack_end: u8;
    /// One past its highest.
    static _stack_start: u8;
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
    let pc = unsafe { with_exposed_provenance::<u32>(frame + FRAME_PC).read_volatile() };
    // SAFETY: a read of the fault status register, which has no effect on it.
    let status = unsafe { (*SCB::PTR).cfsr.read() };
    let mut text = *b"fault at 0x........, CFSR 0x........";
    fill_dots(&mut text, [pc, status]);
    report(&text)
}

/// An interrupt that nobody asked for.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    let mut text = *b"unexpected interrupt 0x........";
    fill_dots(&mut text, [i32::from(number) as u32]);
    report(&text)
}

fn report(text: &[u8]) -> ! {
    cortex_m::interrupt::disable();
    let Ok(()) = write_frame(FrameKind::PANIC, text, &mut |bytes| {
        send_last_words(bytes);
        Ok::<(), Infallible>(())
    });
    restart()
}

/// Replaces the dots of `text` by the hexadecimal digits of `numbers`, eight each.
fn fill_dots<const N: usize>(text: &mut [u8], numbers: [u32; N]) {
    let mut digits = numbers.iter().flat_map(|number| {
        (0..8)
            .rev()
            .map(move |place| (number >> (4 * place) & 0xF) as u8)
    });
    for slot in text.iter_mut().filter(|slot| **slot == b'.') {
        if let Some(digit) = digits.next() {
            *slot = if digit < 10 {
                b'0' + digit
            } else {
                b'A' - 10 + digit
            };
        }
    }
}
