//! The pulse: proof that nobody keeps the processor to himself.
//!
//! The watchdog is kicked here and nowhere else. A task that waited without giving the processor away would stop the beats,
//! and in 5 s the board; how long the TPM may take the driver bounds by itself.

use core::sync::atomic::{AtomicU32, Ordering};

use assay_board_support::cortex_m::systick::Watchdog;
use embassy_time::{Duration, Ticker};

use crate::watchdog::Independent;

/// Between two beats.
const PERIOD: Duration = Duration::from_millis(10);

static BEATS: AtomicU32 = AtomicU32::new(0);

/// Beats so far; wraps after a year and a third.
pub(crate) fn beats() -> u32 {
    BEATS.load(Ordering::Relaxed)
}

/// The task.
#[embassy_executor::task]
pub(crate) async fn beat() {
    let mut ticker = Ticker::every(PERIOD);
    loop {
        Independent::kick();
        BEATS.store(beats().wrapping_add(1), Ordering::Relaxed);
        ticker.next().await;
    }
}
