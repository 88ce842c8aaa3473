//! The event stream: one JSON object per line for every step of every login, as it happens.
//!
//! Bounded and lossy: a reader that is too slow loses events (the log says how many), never delays a login.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::names;
use crate::attestor::Attribute;
use crate::login::Step;
use crate::store::SessionRecord;

/// Events that may wait for their reader.
const QUEUE: usize = 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// Which login; `None` for what belongs to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_id: Option<String>,
    /// The link it came over.
    pub link: String,
    /// Milliseconds since the login's hello arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Body {
    /// A step of a login.
    Step(Step),
    /// The login's end, when it succeeded.
    Granted(Granted),
    /// A session that goes on.
    Renewed(Renewed),
    /// The login's end, when it did not.
    Denied(Denied),
    /// Something else on the link.
    Link(LinkEvent),
}

/// A login that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Granted {
    step: &'static str,
    outcome: &'static str,
    /// The cluster.
    pub cluster: String,
    /// The policy that won.
    pub policy: String,
    /// Attributes by name; a list where there are several of one name.
    pub attributes: Map<String, Value>,
    /// The identity.
    pub spiffe_id: String,
    /// The session.
    pub session: Session,
}

/// A session that was renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renewed {
    step: &'static str,
    outcome: &'static str,
    /// The identity.
    pub spiffe_id: String,
    /// The session, with its new end.
    pub session: Session,
}

/// A session as events show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Its name.
    pub id: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A login that was refused or given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denied {
    step: &'static str,
    outcome: &'static str,
    /// The category, or `abandoned`.
    pub code: String,
    /// What the operator is told.
    pub detail: String,
}

/// Something on a link that is no login step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkEvent {
    /// `link_open`, `link_closed`, `trouble`, `panic`.
    pub step: &'static str,
    /// `ok` or `failed`.
    pub outcome: &'static str,
    /// For whoever reads along.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Body {
    /// The end of a login that succeeded.
    #[must_use]
    pub fn granted(session: &SessionRecord) -> Self {
        Self::Granted(Granted {
            step: "granted",
            outcome: "ok",
            cluster: session.cluster.clone(),
            policy: session.policy.clone(),
            attributes: by_name(&session.attributes),
            spiffe_id: session.spiffe_id.clone(),
            session: Session {
                id: session.id.to_string(),
                issued_at: session.issued_at,
                expires_at: session.expires_at,
            },
        })
    }

    /// A session that goes on.
    #[must_use]
    pub fn renewed(session: &SessionRecord) -> Self {
        Self::Renewed(Renewed {
            step: "renewed",
            outcome: "ok",
            spiffe_id: session.spiffe_id.clone(),
            session: Session {
                id: session.id.to_string(),
                issued_at: session.issued_at,
                expires_at: session.expires_at,
            },
        })
    }

    /// The end of a login that did not.
    #[must_use]
    pub fn denied(code: impl Into<String>, detail: impl Into<String>) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self::Denied(Denied {
            step: "denied",
            outcome: "failed",
            code,
            detail,
        })
    }

    /// Something else.
    #[must_use]
    pub fn link(step: &'static str, ok: bool, detail: impl Into<String>) -> Self {
        let outcome = if ok { "ok" } else { "failed" };
        Self::Link(LinkEvent {
            step,
            outcome,
            detail: detail.into(),
        })
    }
}

/// Attributes by name; several of one name become a list.
#[must_use]
pub fn by_name(attributes: &[Attribute]) -> Map<String, Value> {
    let mut map = Map::new();
    for attribute in attributes {
        let value = Value::from(attribute.value.clone());
        match map.get_mut(&*attribute.name) {
            None => {
                map.insert(attribute.name.to_string(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    map
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to; or a Unix socket that somebody listens on.
    Path(PathBuf),
}

impl core::str::FromStr for EventTarget {
    type Err = core::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" {
            Self::Stdout
        } else {
            Self::Path(text.into())
        })
    }
}

/// The sending end; cheap to clone. One that goes nowhere is the default.
#[derive(Debug, Clone, Default)]
pub struct EventSink(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Event>,
    lost: AtomicU64,
}

impl EventSink {
    /// A sink for tests and harnesses in the same process.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (queue, events) = mpsc::channel(QUEUE);
        (
            Self(Some(Arc::new(Inner {
                queue,
                lost: AtomicU64::new(0),
            }))),
            events,
        )
    }

    /// A sink that writes lines to `target`, and the task that does so until all sinks are dropped.
    ///
    /// # Errors
    ///
    /// The system's, when the target cannot be opened.
    pub async fn open(target: &EventTarget) -> std::io::Result<(Self, JoinHandle<()>)> {
        let out: Box<dyn AsyncWrite + Send + Unpin> = match target {
            EventTarget::Stdout => Box::new(tokio::io::stdout()),
            EventTarget::Path(path) => open_path(path).await?,
        };
        let (sink, events) = Self::channel();
        Ok((sink, tokio::spawn(write_lines(out, events))))
    }

    /// Whether it goes anywhere: whoever would make an event for it can save the work otherwise.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.0.is_some()
    }

    /// Sends an event if there is room for it.
    pub fn send(&self, event: Event) {
        let Some(inner) = &self.0 else { return };
        if inner.queue.try_send(event).is_err() {
            let lost = inner.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::warn!(lost, "{}", names::EVENTS_LOST);
            }
        }
    }
}

async fn open_path(path: &Path) -> std::io::Result<Box<dyn AsyncWrite + Send + Unpin>> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket {
        return Ok(Box::new(tokio::net::UnixStream::connect(path).await?));
    }
    let mut options = tokio::fs::OpenOptions::new();
    let file = options
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .await?;
    Ok(Box::new(file))
}

async fn write_lines(
    mut out: Box<dyn AsyncWrite + Send + Unpin>,
    mut events: mpsc::Receiver<Event>,
) {
    while let Some(event) = events.recv().await {
        let Ok(mut line) = serde_json::to_vec(&event) else {
            continue;
        };
        line.push(b'\n');
        let written = async {
            out.write_all(&line).await?;
            out.flush().await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "{}", names::EVENTS_LOST);
            return;
        }
    }
}
