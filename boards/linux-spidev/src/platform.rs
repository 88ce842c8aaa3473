//! Time, rest and the watchdog on Linux.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::{Duration, Instant};

use assay_firmware::platform::Platform;
use embedded_hal::delay::DelayNs;

/// A rest ends after this: what has arrived meanwhile waits no longer.
const REST: Duration = Duration::from_millis(1);
/// The service manager is told no more often than this; the agent kicks a thousand times in it.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Shorter waits spin: the scheduler would make a tenth of a millisecond of them.
const SLEEP_FROM: Duration = Duration::from_micros(50);

/// The monotonic clock, and systemd's watchdog where it is set up (`WatchdogSec=` in the unit).
///
/// The agent does one thing at a time, on one thread, so a hang anywhere in it ends the messages and the service manager
/// restarts it.
#[derive(Debug)]
pub(crate) struct Host {
    start: Instant,
    manager: Option<UnixDatagram>,
    told: Cell<Option<Instant>>,
}

impl Host {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            manager: std::env::var_os("NOTIFY_SOCKET")
                .and_then(|name| connect(name.to_str()?).ok()),
            told: Cell::new(None),
        }
    }

    fn kick(&self) {
        let Some(manager) = &self.manager else {
            return;
        };
        let now = Instant::now();
        if self.told.get().is_none_or(|told| now - told >= TOLD_EVERY) {
            // A manager that is away cannot restart anybody.
            let _ = manager.send(b"READY=1\nWATCHDOG=1");
            self.told.set(Some(now));
        }
    }
}

/// `name` as systemd gives it: a path, or a name in the abstract namespace behind an `@`.
fn connect(name: &str) -> std::io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

impl Platform for Host {
    fn now_us(&mut self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn idle(&mut self) {
        self.kick();
        thread::sleep(REST);
    }

    fn kick_watchdog(&mut self) {
        self.kick();
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        // The kernel's own generator; a system without one has no noise.
        let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(out));
        if read.is_ok() { out.len() } else { 0 }
    }
}

impl DelayNs for Host {
    fn delay_ns(&mut self, ns: u32) {
        self.kick();
        let wait = Duration::from_nanos(u64::from(ns));
        let from = Instant::now();
        if wait >= SLEEP_FROM {
            // A TPM may take a minute to make a key: the manager hears from us in between.
            while let Some(left) = wait
                .checked_sub(from.elapsed())
                .filter(|left| !left.is_zero())
            {
                thread::sleep(left.min(TOLD_EVERY));
                self.kick();
            }
        }
        while from.elapsed() < wait {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn delays_are_at_least_as_long_as_asked_and_time_goes_on() {
        let mut host = Host::start();
        for ns in [1, 40_000, 200_000, 3_000_000] {
            let (before, from) = (host.now_us(), Instant::now());
            host.delay_ns(ns);
            assert!(from.elapsed() >= Duration::from_nanos(u64::from(ns)));
            assert!(host.now_us() >= before + u64::from(ns) / 1_000);
        }
    }

    #[test]
    fn the_manager_is_told_at_once_and_then_not_at_every_kick() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        manager.set_nonblocking(true).expect("a mode");
        let mut host = Host::start();
        host.manager = connect(path.to_str().expect("a name")).ok();
        host.kick_watchdog();
        host.idle();
        host.delay_us(100);
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).expect("a message");
        assert_eq!(buffer.get(..length), Some(&b"READY=1\nWATCHDOG=1"[..]));
        assert!(manager.recv(&mut buffer).is_err(), "told twice in a second");
    }
}
