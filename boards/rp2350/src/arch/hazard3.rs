//! The Hazard3, a RISC-V core (RV32IMAC): start, traps, interrupts, sleep, last words.
//!
//! A runtime of its own, since it is a screenful, and since a stack overflow must be told from the rest: the trap's first
//! instructions look at the stack pointer before they store anything through it.

#![expect(
    unsafe_code,
    reason = "the first instructions run before there is a stack; registers of the core have no other access"
)]

use core::arch::{asm, naked_asm};
use core::panic::PanicInfo;
use core::ptr::addr_of;

use assay_board_support::last_words;
use assay_firmware::link::panic_frame;
use rp235x_pac::Interrupt;

use crate::{clock, serial, watchdog};

/// The folder's name.
pub(crate) const BOARD: &str = "rp2350-riscv";

/// What the image says about itself to the boot ROM (data sheet 5.9.3.1): executable, RISC-V, RP2350.
pub(crate) const IMAGE_TYPE: u16 = 0x1101;

unsafe extern "C" {
    /// One past the highest address of the stack, from link.ld.
    static _stack_start: u8;
}

/// The item of the image's definition that says where it starts (data sheet 5.9.3.4). Without one the boot ROM would
/// jump to the image's first word, which is the definition.
#[repr(C)]
pub(crate) struct EntryPoint {
    kind_and_words: u32,
    start: unsafe extern "C" fn() -> !,
    stack: *const u8,
}

// SAFETY: constants, which only the boot ROM reads.
unsafe impl Sync for EntryPoint {}

pub(crate) const ENTRY_POINT: EntryPoint = EntryPoint {
    kind_and_words: 3 << 8 | 0x44,
    start: _start,
    stack: addr_of!(_stack_start),
};

/// Bits of `mie` and `mstatus` (RISC-V privileged architecture 3.1).
const EXTERNAL: u32 = 1 << 11;
const INTERRUPTS: u32 = 1 << 3;
/// `mcause` of an external interrupt.
const CAUSE_EXTERNAL: usize = 1 << 31 | 11;
/// Bytes below which the stack pointer counts as an overflow: what a trap itself needs.
const TRAP_BYTES: usize = 512;

/// Between the last words and the restart: a board that panics at every start must leave the line readable.
const PAUSE_US: u32 = 250_000;

/// Entry point: stack, global pointer, traps, variables.
///
/// # Safety
/// For the boot ROM alone.
#[unsafe(naked)]
// SAFETY: nothing else defines this symbol; link.ld names it as the entry.
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        // The linker shortens addresses relative to gp, which must not happen before gp is set.
        ".option push",
        ".option norelax",
        "la gp, __global_pointer$",
        ".option pop",
        "csrci mstatus, 8",
        "la sp, _stack_start",
        "la t0, {trap}",
        "csrw mtvec, t0",
        "la a0, _data_start",
        "la a1, _data_end",
        "la a2, _data_load",
        "0: bgeu a0, a1, 1f",
        "lw t0, 0(a2)",
        "sw t0, 0(a0)",
        "addi a0, a0, 4",
        "addi a2, a2, 4",
        "j 0b",
        "1: la a0, _bss_start",
        "la a1, _bss_end",
        "2: bgeu a0, a1, 3f",
        "sw zero, 0(a0)",
        "addi a0, a0, 4",
        "j 2b",
        "3: j {main}",
        trap = sym trap,
        main = sym main,
    )
}

extern "C" fn main() -> ! {
    // SAFETY: the trap's vector is set, and no peripheral interrupts yet. Clears what the boot ROM may have left masked
    // or unmasked: external interrupts alone are on.
    unsafe {
        asm!("csrw mie, {}", in(reg) EXTERNAL);
        asm!("csrs mstatus, {}", in(reg) INTERRUPTS);
    }
    crate::run()
}

/// Every interrupt and every exception. Saves what a call may change; looks at the stack first, and moves to a fresh one
/// if it has overflowed.
///
/// # Safety
/// For the processor only.
#[unsafe(naked)]
unsafe extern "C" fn trap() {
    naked_asm!(
        ".balign 4",
        "csrw mscratch, t0",
        "la t0, _stack_end + {margin}",
        "bltu sp, t0, 9f",
        "addi sp, sp, -64",
        "csrr t0, mscratch",
        "sw ra, 0(sp)",
        "sw t0, 4(sp)",
        "sw t1, 8(sp)",
        "sw t2, 12(sp)",
        "sw t3, 16(sp)",
        "sw t4, 20(sp)",
        "sw t5, 24(sp)",
        "sw t6, 28(sp)",
        "sw a0, 32(sp)",
        "sw a1, 36(sp)",
        "sw a2, 40(sp)",
        "sw a3, 44(sp)",
        "sw a4, 48(sp)",
        "sw a5, 52(sp)",
        "sw a6, 56(sp)",
        "sw a7, 60(sp)",
        "csrr a0, mcause",
        "csrr a1, mepc",
        "call {on_trap}",
        "lw ra, 0(sp)",
        "lw t0, 4(sp)",
        "lw t1, 8(sp)",
        "lw t2, 12(sp)",
        "lw t3, 16(sp)",
        "lw t4, 20(sp)",
        "lw t5, 24(sp)",
        "lw t6, 28(sp)",
        "lw a0, 32(sp)",
        "lw a1, 36(sp)",
        "lw a2, 40(sp)",
        "lw a3, 44(sp)",
        "lw a4, 48(sp)",
        "lw a5, 52(sp)",
        "lw a6, 56(sp)",
        "lw a7, 60(sp)",
        "addi sp, sp, 64",
        "mret",
        "9: la sp, _stack_start",
        "j {on_overflow}",
        margin = const TRAP_BYTES,
        on_trap = sym on_trap,
        on_overflow = sym on_overflow,
    )
}

extern "C" fn on_trap(cause: usize, address: usize) {
    if cause == CAUSE_EXTERNAL {
        // The link's is the one interrupt that is taken: the timer's is only waited for.
        serial::receive();
        return;
    }
    let mut text = *b"exception 0x........ at 0x........";
    last_words::fill_dots::<8>(&mut text, &[cause, address]);
    report(&text)
}

extern "C" fn on_overflow() -> ! {
    report(b"stack overflow")
}

fn report(text: &[u8]) -> ! {
    mask();
    last_words::send(text, serial::send_last_words);
    restart()
}

#[panic_handler]
fn on_panic(info: &PanicInfo<'_>) -> ! {
    mask();
    panic_frame(info, &mut serial::send_last_words);
    restart()
}

fn mask() {
    // SAFETY: masking interrupts harms nobody.
    unsafe { asm!("csrc mstatus, {}", in(reg) INTERRUPTS) };
}

fn restart() -> ! {
    let from = cycles();
    while cycles().wrapping_sub(from) < PAUSE_US * (clock::PERIPHERAL_HZ / 1_000_000) {}
    watchdog::restart_now()
}

/// The low word of the core's cycle counter, which counts from reset on unless it is inhibited.
fn cycles() -> u32 {
    let cycles;
    // SAFETY: bit 0 of `mcountinhibit` stops the counter; cleared, it runs. Reading it has no effect.
    unsafe {
        asm!("csrci mcountinhibit, 1", "csrr {}, mcycle", out(reg) cycles, options(nomem, nostack));
    }
    cycles
}

/// Lets the UART interrupt, and the timer end a sleep.
pub(crate) fn unmask(interrupt: Interrupt) {
    let number = interrupt as u32;
    // Hazard3's own register `meiea` is a window of 16 bits: which window in the low bits, the bits in the high half
    // (data sheet 3.8.6.1).
    let window = (number / 16) | 1 << (16 + number % 16);
    // SAFETY: the handler's state is static and ready.
    unsafe { asm!("csrs 0xbe0, {}", in(reg) window) };
}

/// Runs `before`, sleeps until an interrupt is pending, and runs `after`, all with interrupts masked: one that comes
/// between `before` and the sleep ends the sleep instead of being slept through. Handlers run when this returns. There is no
/// sleep where `before` says that its time is over.
pub(crate) fn sleep(before: impl FnOnce() -> bool, after: impl FnOnce()) {
    mask();
    if before() {
        // SAFETY: a sleep. The core wakes for what is pending and enabled in `mie`, masked or not.
        unsafe { asm!("fence", "wfi") };
    }
    after();
    // SAFETY: called with interrupts unmasked, never from a handler.
    unsafe { asm!("csrs mstatus, {}", in(reg) INTERRUPTS) };
}
