//! Last words: a panic or an exception is reported on the link as a frame, then the machine restarts.

#![expect(
    unsafe_code,
    reason = "the restart is a call into QEMU's firmware interface"
)]

use core::arch::asm;
use core::panic::PanicInfo;

use assay_board_support::last_words;
use assay_firmware::link::panic_frame;

use crate::serial::send_last_words;
use crate::timer::Timer;

/// PSCI function SYSTEM_RESET ([DEN 0022D] 5.11). Without EL2 and EL3, `virt` takes it by `hvc`.
const SYSTEM_RESET: u64 = 0x8400_0009;

/// Between the last words and the restart: a machine that panics at every start must leave the
/// line readable.
const PAUSE_US: u64 = 250_000;

#[panic_handler]
fn on_panic(info: &PanicInfo<'_>) -> ! {
    panic_frame(info, &mut send_last_words);
    restart()
}

/// Every exception vector ends here: syndrome, address of the instruction, address it accessed.
pub(crate) extern "C" fn on_exception(syndrome: usize, instruction: usize, accessed: usize) -> ! {
    let mut text =
        *b"exception 0x................ at 0x................, address 0x................";
    last_words::fill_dots::<16>(&mut text, &[syndrome, instruction, accessed]);
    last_words::send(&text, send_last_words);
    restart()
}

fn restart() -> ! {
    let timer = Timer::running();
    let end = timer.now_us() + PAUSE_US;
    while timer.now_us() < end {}
    // SAFETY: the call does not return; QEMU resets the machine and loads the image again.
    unsafe { asm!("hvc #0", "0: wfi", "b 0b", in("x0") SYSTEM_RESET, options(noreturn)) }
}
