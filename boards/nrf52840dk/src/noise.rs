//! The random number generator: thermal noise, and the chip's own correction of its bias (data sheet, RNG).

use assay_board_support::noise::{self, Sample};
use assay_board_support::timer::Clock;
use nrf_pac::RNG;

use crate::time::Micros;

/// A corrected byte takes 120 µs as a rule, and no time is promised; 36 are needed.
const LONGEST_US: u64 = 2_000;

/// Fills `out`; 0 when there is no noise.
pub(crate) fn read(out: &mut [u8; 32], clock: Micros) -> usize {
    RNG.config().write(|w| w.set_dercen(true));
    RNG.events_valrdy().write_value(0);
    RNG.tasks_start().write_value(1);
    let filled = noise::fill(out, || match word(clock) {
        Some(word) => Sample::Word(word),
        None => Sample::Fault,
    });
    RNG.tasks_stop().write_value(1);
    filled
}

/// The next four bytes; `None` when one is not there in time.
fn word(clock: Micros) -> Option<u32> {
    let mut word = [0; 4];
    for byte in &mut word {
        let end = clock.now_us() + LONGEST_US;
        loop {
            // Before the look, so that there is one after the end: whatever held the processor up held up no noise.
            let is_late = clock.now_us() >= end;
            if RNG.events_valrdy().read() != 0 {
                break;
            }
            if is_late {
                return None;
            }
        }
        *byte = RNG.value().read().value();
        // After the byte was read: a byte that came in between is left out, where the other way round it would come twice.
        RNG.events_valrdy().write_value(0);
    }
    Some(u32::from_le_bytes(word))
}
