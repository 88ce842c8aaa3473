//! Time and rest by the operating system.

use std::time::{Duration, Instant};

use assay_firmware::platform::Platform;

/// The monotonic clock of the host. There is no watchdog: a supervisor restarts a host's agent.
#[derive(Debug, Clone, Copy)]
pub struct HostPlatform {
    since: Instant,
}

impl Default for HostPlatform {
    fn default() -> Self {
        Self {
            since: Instant::now(),
        }
    }
}

impl Platform for HostPlatform {
    fn now_us(&mut self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn idle(&mut self) {
        std::thread::park_timeout(Duration::from_millis(1));
    }

    fn kick_watchdog(&mut self) {}
}
