//! The independent watchdog: the last resort against a hang.
//!
//! It runs from its own oscillator and cannot be stopped once started.

#![expect(
    unsafe_code,
    reason = "the registers of the watchdog are written from several places"
)]

use assay_board_support::cortex_m::systick::Watchdog;
use cortex_m::peripheral::SCB;

use crate::noise;
use crate::pac::IWDG;

/// 1,000 periods of 32 kHz / 256: 8 s between two kicks; the oscillator is within 29.5 and 34 kHz (data sheet, table 50).
///
/// Every wait kicks, for the TPM and for the link, however short. What takes time without a wait is the sending of a
/// frame, 0.2 s at 115,200 baud, and the P-256 arithmetic, some tenths of a second.
const RELOAD: u16 = 1_000;
/// Prescaler 256.
const PRESCALER: u8 = 6;
/// How often SR is read at most: some 0.2 s at the 4 MHz on which the chip starts.
const STATUS_READS: u32 = 0x1_0000;
/// What those are at the oscillator's fastest, milliseconds.
pub(crate) const LEAST_MS: u32 = RELOAD as u32 * 256 / 34;

/// Keys of RM0351 36.4.1.
const KEY_UNLOCK: u16 = 0x5555;
const KEY_START: u16 = 0xCCCC;
const KEY_RELOAD: u16 = 0xAAAA;

fn key(key: u16) {
    // SAFETY: the key register is write-only and one store to it is the whole operation, so nobody can be disturbed
    // half-way; the callers below pass the three keys that it takes.
    unsafe { (*IWDG::ptr()).kr().write(|w| w.key().bits(key)) };
}

/// Starts the countdown. From here on somebody must call [`Independent::kick`].
pub(crate) fn start() {
    key(KEY_START);
    key(KEY_UNLOCK);
    // SAFETY: called once, before any other code uses these registers.
    let iwdg = unsafe { &*IWDG::ptr() };
    // SAFETY: 6 is a prescaler of the register's table, and any reload value below 4,096 is one.
    unsafe {
        iwdg.pr().write(|w| w.pr().bits(PRESCALER));
        iwdg.rlr().write(|w| w.rl().bits(RELOAD));
    }
    // The new values hold some periods of the slow oscillator later, which SR tells (RM0351 36.4.4). A reload before that
    // loads the old count, which at the new prescaler is 33 s. Until it comes the reset values hold, 0.5 s. The wait has an
    // end, since an oscillator that does not run leaves SR as it is for ever.
    for _ in 0..STATUS_READS {
        if iwdg.sr().read().bits() == 0 {
            break;
        }
    }
    key(KEY_RELOAD);
}

/// The watchdog as the timer kicks it; harmless before [`start`].
pub(crate) struct Independent;

impl Watchdog for Independent {
    fn kick() {
        key(KEY_RELOAD);
    }

    /// A system reset of this chip pulls NRST low (RM0351 6.1.1), and the TPM's RST hangs on that (README.md, "Wiring").
    fn restart() {
        SCB::sys_reset()
    }

    fn noise(out: &mut [u8; 32]) -> usize {
        noise::read(out)
    }
}
