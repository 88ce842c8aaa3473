//! The TRNG: samples of a ring oscillator, and the block's own checks of them (data sheet 12.12).
//!
//! Its checks are left on: autocorrelation, two equal blocks of 16 bits in a row, and 32 equal bits in a row, behind the von
//! Neumann balancer. The boot ROM and the C SDK bypass all of them, and hash what they get.

#![expect(
    unsafe_code,
    reason = "its registers are used from wherever a login begins, and take numbers"
)]

use assay_board_support::noise::{self, Sample};
use assay_board_support::timer::Clock;
use rp235x_pac::{RESETS, TRNG, trng};

use crate::time::Micros;

/// The oscillator's chain, and clocks between two samples of it. With these a block of 192 bits takes 2 ms on average and
/// passes the checks as a rule (data sheet 12.12.2).
const CHAIN: u32 = 0;
const SAMPLE_CLOCKS: u32 = 25;
/// For the two blocks that are needed, and for one that fails a check and is begun again.
const LONGEST_US: u64 = 10_000;
/// Bits of the status: a block is there; one of its checks failed.
const VALID: u32 = 1 << 0;
const FAILED: u32 = 0b1110;

fn generator() -> &'static trng::RegisterBlock {
    // SAFETY: nobody else uses the generator, and one thread of execution asks for noise.
    unsafe { &*TRNG::ptr() }
}

/// Fills `out`; 0 when there is no noise.
pub(crate) fn read(out: &mut [u8; 32], clock: Micros) -> usize {
    let end = clock.now_us() + LONGEST_US;
    start();
    let mut block = [0; 6];
    let mut left = 0;
    let filled = noise::fill(out, || {
        if left == 0 {
            let Some(next) = next_block(clock, end) else {
                return Sample::Fault;
            };
            block = next;
            left = block.len();
        }
        left -= 1;
        Sample::Word(block.get(left).copied().unwrap_or_default())
    });
    stop();
    filled
}

/// Resets the block, which a failed check may have stopped for good, and starts the oscillator.
fn start() {
    // SAFETY: only the block's own bit is changed, by one thread of execution.
    let resets = unsafe { &*RESETS::ptr() };
    resets.reset().modify(|_, w| w.trng().set_bit());
    resets.reset().modify(|_, w| w.trng().clear_bit());
    while resets.reset_done().read().trng().bit_is_clear() {}
    let trng = generator();
    // SAFETY: 0 to 3 are chains, and every number is a sampling period; no bypass is set in the reset's TRNG_DEBUG_CONTROL.
    unsafe {
        trng.trng_config().write(|w| w.bits(CHAIN));
        trng.sample_cnt1().write(|w| w.bits(SAMPLE_CLOCKS));
        trng.rnd_source_enable().write(|w| w.bits(1));
    }
}

fn stop() {
    // SAFETY: the oscillator's one bit.
    generator()
        .rnd_source_enable()
        .write(|w| unsafe { w.bits(0) });
}

/// The next 192 bits that passed the checks; `None` when there are none by `end`.
fn next_block(clock: Micros, end: u64) -> Option<[u32; 6]> {
    let trng = generator();
    while clock.now_us() < end {
        let status = trng.rng_isr().read().bits();
        if status & FAILED != 0 {
            start();
        } else if status & VALID != 0 {
            // SAFETY: a bit that is written clears its own.
            trng.rng_icr().write(|w| unsafe { w.bits(VALID) });
            // The last one is read last: that clears all, and the next block begins.
            return Some([
                trng.ehr_data0().read().bits(),
                trng.ehr_data1().read().bits(),
                trng.ehr_data2().read().bits(),
                trng.ehr_data3().read().bits(),
                trng.ehr_data4().read().bits(),
                trng.ehr_data5().read().bits(),
            ]);
        }
    }
    None
}
