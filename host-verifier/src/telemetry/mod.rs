//! What the service tells: log lines for operators, events for whoever follows a login.

pub mod events;
pub mod logging;
pub mod names;

pub use events::{Event, EventSink};
