//! Sleep that a timer of the chip ends, without a handler for the timer.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

/// Runs `before`, sleeps until an interrupt is pending, and runs `after`, all with interrupts masked: one that comes
/// between `before` and the sleep ends the sleep instead of being slept through. Handlers run when this returns.
///
/// `before` arms `wake`, an interrupt that is unmasked in the NVIC, and says whether it is still to come: an alarm whose time
/// was over when it was set is raised after a whole round of its timer, and nobody sleeps for that. `after` withdraws it at its
/// source, and reads there so that it is withdrawn when it returns.
pub fn until_pending(
    wake: impl InterruptNumber,
    before: impl FnOnce() -> bool,
    after: impl FnOnce(),
) {
    cortex_m::interrupt::free(|_| {
        if before() {
            // Whatever was armed has reached its peripheral before the sleep begins.
            cortex_m::asm::dsb();
            cortex_m::asm::wfi();
        }
        after();
        // The source is off again, and has been told so; what it left pending here would run a handler that nobody needs.
        cortex_m::asm::dsb();
        NVIC::unpend(wake);
    });
}
