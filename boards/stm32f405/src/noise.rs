//! The random number generator: an analog source of noise (RM0090 chapter 24).
//!
//! QEMU does not model it, and reads of it give 0 there: never ready, so no noise.

#![expect(
    unsafe_code,
    reason = "its registers are used from wherever a login begins"
)]

use stm32f4xx_hal::pac::{RCC, RNG, rng as pac_rng};

/// Polls for one word. A word takes 40 periods of 48 MHz, which is 140 of the core's; each poll takes several.
const POLLS: u32 = 1_000;

/// Fills `out` with words of the generator; 0 when one does not come in time, repeats the one before, or the generator
/// finds its clock or its noise at fault.
pub(crate) fn read(out: &mut [u8; 32]) -> usize {
    // SAFETY: nobody else uses the generator, and its bit in the clock register is set and left by one thread of execution.
    let (rcc, rng) = unsafe { (&*RCC::ptr(), &*RNG::ptr()) };
    rcc.ahb2enr().modify(|_, w| w.rngen().set_bit());
    rng.cr().write(|w| w.rngen().set_bit());
    let filled = fill(rng, out);
    rng.cr().reset();
    match filled {
        Some(()) => out.len(),
        None => {
            out.fill(0);
            0
        }
    }
}

fn fill(rng: &pac_rng::RegisterBlock, out: &mut [u8; 32]) -> Option<()> {
    // The first word after the start is only for the comparison (RM0090 24.3.1, by FIPS 140-2).
    let mut last = word(rng)?;
    for chunk in out.as_chunks_mut::<4>().0 {
        let next = word(rng)?;
        if next == last {
            return None;
        }
        *chunk = next.to_le_bytes();
        last = next;
    }
    Some(())
}

fn word(rng: &pac_rng::RegisterBlock) -> Option<u32> {
    for _ in 0..POLLS {
        let status = rng.sr().read();
        // A seed or clock error, now or since the start.
        if status.secs().bit_is_set()
            || status.cecs().bit_is_set()
            || status.seis().bit_is_set()
            || status.ceis().bit_is_set()
        {
            return None;
        }
        if status.drdy().bit_is_set() {
            return Some(rng.dr().read().bits());
        }
    }
    None
}
