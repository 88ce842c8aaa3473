//! `listeners`: where agents come from. What is served over HTTP is checked in [`super::api`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::api;
use super::model::Report;
use super::{Listener, SocketMode};
use crate::document::DocumentError;
use crate::transport::serial::SerialSource;

const BAUD: (u32, u32) = (1200, 4_000_000);

/// Where agents come from.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listeners {
    /// Serial ports. One that is not there yet is opened when it comes.
    #[serde(default)]
    serial: Vec<Serial>,
    /// Unix sockets.
    #[serde(default)]
    unix: Vec<Unix>,
    /// TCP ports of this machine: the line is not encrypted.
    #[serde(default)]
    tcp: Vec<Tcp>,
    /// The API, over TLS: agents' logins, operators, the trust bundle.
    #[schemars(with = "Option<api::ListenerSource>")]
    pub(super) api: Option<Spanned<api::ListenerSource>>,
    /// `/live` and `/ready`, in the clear.
    #[schemars(with = "Option<api::PlainSource>")]
    pub(super) health: Option<Spanned<api::PlainSource>>,
    /// `/metrics`, in the clear.
    #[schemars(with = "Option<api::PlainSource>")]
    pub(super) metrics: Option<Spanned<api::PlainSource>>,
}

/// A serial port: 8N1, no flow control.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Serial {
    /// The device.
    #[schemars(with = "String", length(min = 1))]
    path: Spanned<String>,
    /// Bits per second. Default 115200.
    #[schemars(with = "Option<u32>", range(min = 1200, max = 4_000_000))]
    baud: Option<Spanned<u32>>,
}

/// A Unix socket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Unix {
    /// Its path, at most 107 bytes.
    #[schemars(with = "String", length(min = 1))]
    path: Spanned<String>,
    /// Who opens it. Default `listen`.
    #[serde(default)]
    mode: SocketMode,
}

/// A TCP port.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tcp {
    /// A loopback address and a port, as in `127.0.0.1:7070`.
    #[schemars(with = "String")]
    address: Spanned<SocketAddr>,
    /// Who opens it. Default `listen`.
    #[serde(default)]
    mode: SocketMode,
}

impl Listeners {
    pub(super) fn check(
        &self,
        report: &Report<'_>,
        base: &Path,
    ) -> Result<Vec<Listener>, DocumentError> {
        let mut listeners = Vec::new();
        let mut add = |listener: Listener, place: &dyn Fn(&str) -> DocumentError| {
            if listeners.contains(&listener) {
                return Err(place("listed twice").hint("remove one of them"));
            }
            listeners.push(listener);
            Ok(())
        };
        for serial in &self.serial {
            if serial.path.value.is_empty() {
                return Err(report.at(&serial.path, "a serial port without a path"));
            }
            let baud =
                report.within(serial.baud.as_ref(), 115_200, BAUD, |baud| baud.to_string())?;
            let path = base.join(&serial.path.value).display().to_string();
            let listener = Listener::Serial(SerialSource { path, baud });
            add(listener, &|message| report.at(&serial.path, message))?;
        }
        for unix in &self.unix {
            let path: PathBuf = base.join(&unix.path.value);
            // sun_path has 108 bytes with its final zero.
            if unix.path.value.is_empty() || path.as_os_str().len() > 107 {
                return Err(report.at(&unix.path, "a socket's path has 1 to 107 bytes"));
            }
            let listener = Listener::Unix {
                path,
                mode: unix.mode,
            };
            add(listener, &|message| report.at(&unix.path, message))?;
        }
        for tcp in &self.tcp {
            let address = tcp.address.value;
            if !address.ip().is_loopback() {
                return Err(report
                    .at(&tcp.address, format!("{address} is not a loopback address"))
                    .hint("this listener is for emulators on the same machine: use 127.0.0.1 or [::1]"));
            }
            let listener = Listener::Tcp {
                address,
                mode: tcp.mode,
            };
            add(listener, &|message| report.at(&tcp.address, message))?;
        }
        Ok(listeners)
    }
}
