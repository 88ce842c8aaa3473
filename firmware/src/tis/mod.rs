//! The FIFO interface ("TIS") of a TPM: bytes of a command in, bytes of its response out.
//!
//! [`Tis`] drives the state machine of `[PTP 1.05]` over any [`TisBus`](crate::bus::TisBus). It knows nothing of what a
//! command means, and nothing of response codes. Everything it overcomes by itself is counted and in
//! the trace ring; what it can't overcome is one [`TisError`] within the limit of the command plus
//! the recovery times of [`Limits`].
//!
//! With the feature `async` the same source is `asynchronous::Tis` as well, over embedded-hal-async.

#[cfg(feature = "async")]
pub mod asynchronous;
mod blocking;
pub mod chip;
mod error;
mod regs;
mod timeouts;

pub use self::blocking::Tis;
pub use self::error::{TisError, TisEvent, TisStep};
pub use self::timeouts::Limits;
