//! The independent watchdog: the last resort against a hang.
//!
//! It runs from its own oscillator and cannot be stopped once started.

#![expect(
    unsafe_code,
    reason = "the registers of the watchdog are written from several places"
)]

use assay_board_support::cortex_m::systick::Watchdog;
use cortex_m::peripheral::SCB;
use stm32f4xx_hal::pac::IWDG;

use crate::noise;

/// Longest time between two kicks: 1,000 periods of 32 kHz / 256, so 8 s; the oscillator
/// is between 17 and 47 kHz (data sheet, table 43), so at least 5.4 s.
///
/// Every wait kicks, for the TPM and for the link, however short. What takes time without a wait is the sending of a
/// frame, 0.2 s at 115,200 baud (`serial.rs` checks it), and the P-256 arithmetic, some 0.1 s at 168 MHz for each
/// multiplication, of which a challenge takes two. They may come one after the other: well below a second.
const RELOAD: u16 = 1_000;
/// Prescaler 256.
const PRESCALER: u8 = 6;
/// How often SR is read at most: some 40 ms at the 16 MHz on which the chip starts.
const STATUS_READS: u32 = 0x1_0000;

/// Keys of RM0090 21.4.1.
const KEY_UNLOCK: u16 = 0x5555;
const KEY_START: u16 = 0xCCCC;
const KEY_RELOAD: u16 = 0xAAAA;

fn key(key: u16) {
    // SAFETY: the key register is write-only and one store to it is the whole operation, so
    // nobody can be disturbed half-way.
    let iwdg = unsafe { &*IWDG::ptr() };
    // SAFETY: the callers below pass the three keys that the register takes.
    iwdg.kr().write(|w| unsafe { w.key().bits(key) });
}

/// Starts the countdown. From here on somebody must call [`Independent::kick`].
pub(crate) fn start() {
    key(KEY_START);
    key(KEY_UNLOCK);
    // SAFETY: called once, before any other code uses these registers.
    let iwdg = unsafe { &*IWDG::ptr() };
    // SAFETY: 6 is a prescaler of the register's table, and any reload value below 4,096 is one.
    iwdg.pr().write(|w| unsafe { w.pr().bits(PRESCALER) });
    iwdg.rlr().write(|w| w.rl().set(RELOAD));
    // The new values hold some periods of the slow oscillator later, which SR tells (RM0090 21.4.4). A reload before that
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

    /// A system reset of this chip pulls NRST low (RM0090 6.1.1), and the TPM's RST hangs on that (README.md, "Wiring").
    fn restart() {
        SCB::sys_reset()
    }

    fn noise(out: &mut [u8; 32]) -> usize {
        noise::read(out)
    }
}
