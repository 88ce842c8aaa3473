//! What the service tells: log lines for operators, events for whoever follows a login, metrics and health for machines.

pub mod events;
#[cfg(feature = "service")]
pub mod health;
#[cfg(feature = "service")]
pub mod metrics;
pub mod names;

pub use events::{Event, EventSink};
#[cfg(feature = "service")]
pub use health::Health;
#[cfg(feature = "service")]
pub use metrics::Metrics;
