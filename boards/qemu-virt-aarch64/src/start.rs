//! From reset to Rust: floating point, stack, zeroed variables, exception vectors.
//!
//! QEMU enters an ELF image at EL1 with the MMU and the interrupts off. Without the MMU every
//! access counts as device memory, where unaligned ones fault: the target's `strict-align`
//! keeps the compiler from making them. All exceptions end in [`crate::panic`]; interrupts stay
//! masked and only wake the processor ([`crate::timer`]).

#![expect(
    unsafe_code,
    reason = "the first instructions run before there is a stack"
)]

use core::arch::naked_asm;

/// Entry point.
///
/// # Safety
/// For the reset alone.
#[unsafe(naked)]
// SAFETY: nothing else defines this symbol; link.ld names it as the entry.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "msr daifset, #0xf",
        // CPACR_EL1.FPEN = 3: the compiler uses vector registers for copies.
        "mov x0, #0x300000",
        "msr cpacr_el1, x0",
        "adrp x0, {vectors}",
        "add x0, x0, :lo12:{vectors}",
        "msr vbar_el1, x0",
        "isb",
        "adrp x0, _stack_start",
        "add x0, x0, :lo12:_stack_start",
        "mov sp, x0",
        "adrp x0, _bss_start",
        "add x0, x0, :lo12:_bss_start",
        "adrp x1, _bss_end",
        "add x1, x1, :lo12:_bss_end",
        "0:",
        "cmp x0, x1",
        "b.hs 1f",
        "stp xzr, xzr, [x0], #16",
        "b 0b",
        "1:",
        "bl {main}",
        "brk #0",
        vectors = sym vectors,
        main = sym crate::main,
    )
}

/// The sixteen exception vectors, all alike: report and restart on a fresh stack.
///
/// # Safety
/// For the processor only.
#[unsafe(naked)]
#[unsafe(link_section = ".text.vectors")]
unsafe extern "C" fn vectors() {
    naked_asm!(
        ".balign 2048",
        ".rept 16",
        ".balign 128",
        "mrs x0, esr_el1",
        "mrs x1, elr_el1",
        "mrs x2, far_el1",
        "adrp x3, _stack_start",
        "add x3, x3, :lo12:_stack_start",
        "mov sp, x3",
        "b {report}",
        ".endr",
        report = sym crate::panic::on_exception,
    )
}
