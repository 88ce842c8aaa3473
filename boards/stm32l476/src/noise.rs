//! The random number generator: an analog source of noise (RM0351 chapter 27).

#![expect(
    unsafe_code,
    reason = "its registers are used from wherever a login begins"
)]

use assay_board_support::noise::{self, Sample};

use crate::pac::{RCC, RNG};

/// Fills `out`; 0 when there is no noise. A word takes 40 periods of the generator's 40 MHz, which is 80 of the core's: far
/// fewer than the polls of it.
pub(crate) fn read(out: &mut [u8; 32]) -> usize {
    // SAFETY: nobody else uses the generator, and its bit in the clock register is set and left by one thread of execution.
    let (rcc, rng) = unsafe { (&*RCC::ptr(), &*RNG::ptr()) };
    rcc.ahb2enr().modify(|_, w| w.rngen().set_bit());
    // A clock is there two cycles after it was switched on, which a read takes (RM0351 6.2.18).
    let _ = rcc.ahb2enr().read();
    rng.cr().write(|w| w.rngen().set_bit());
    let filled = noise::fill(out, || {
        let status = rng.sr().read();
        // A seed or clock error, now or since the start.
        if status.secs().bit_is_set()
            || status.cecs().bit_is_set()
            || status.seis().bit_is_set()
            || status.ceis().bit_is_set()
        {
            Sample::Fault
        } else if status.drdy().bit_is_set() {
            Sample::Word(rng.dr().read().bits())
        } else {
            Sample::Wait
        }
    });
    rng.cr().reset();
    filled
}
