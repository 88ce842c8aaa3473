//! What systemd is told: ready, stopping, alive (sd_notify(3)). Without `NOTIFY_SOCKET` nobody is told anything.

use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a stop takes beside requests under way.
const CLOSING: Duration = Duration::from_secs(30);

/// The way to whoever started the service.
#[derive(Debug, Clone)]
pub struct Supervisor(Option<Arc<(UnixDatagram, SocketAddr)>>);

impl Supervisor {
    /// The one that the environment names.
    pub fn from_environment() -> Self {
        let connect = || {
            let address = address(&std::env::var("NOTIFY_SOCKET").ok()?)?;
            Some(Arc::new((UnixDatagram::unbound().ok()?, address)))
        };
        Self(connect())
    }

    /// All ports are open.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The service ends, which takes as long as requests under way are given, and a little for the database. A unit that has less
    /// patience is told.
    pub fn stopping(&self, drain: Duration) {
        let limit = drain.saturating_add(CLOSING).as_micros();
        self.say("STOPPING=1");
        self.say(&format!("EXTEND_TIMEOUT_USEC={limit}"));
    }

    /// Says that the service is alive, twice as often as it is asked to, until it stops. It is said from the runtime: when
    /// that hangs, so does this.
    pub fn watchdog(&self, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let variable = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let ours =
            variable("WATCHDOG_PID").is_none_or(|pid: u64| pid == u64::from(std::process::id()));
        let every = variable("WATCHDOG_USEC")
            .filter(|usec| ours && *usec > 1)
            .map(|usec: u64| Duration::from_micros(usec / 2));
        let supervisor = self.clone();
        tokio::spawn(async move {
            let Some(every) = every else { return };
            loop {
                supervisor.say("WATCHDOG=1");
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
            }
        })
    }

    fn say(&self, state: &str) {
        if let Some(way) = &self.0 {
            // A supervisor that does not listen is no reason not to serve.
            let _ = way.0.send_to_addr(state.as_bytes(), &way.1);
        }
    }
}

/// A path, or on Linux a name behind an `@`.
fn address(name: &str) -> Option<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name).ok();
    }
    SocketAddr::from_pathname(name).ok()
}
