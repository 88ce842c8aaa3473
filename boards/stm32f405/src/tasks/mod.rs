//! The tasks of the asynchronous image.
//!
//! ```text
//!  line ──► link ── Request ──► tpm ──► driver ──► TPM
//!   ▲        │ ▲                 │
//!   └────────┘ └──── Answer ─────┘        heart: a beat every 10 ms, and the watchdog
//! ```
//!
//! The TPM does one thing at a time, so one request is under way at most; the link answers others meanwhile.

pub(crate) mod commands;
pub(crate) mod heart;
pub(crate) mod link;
pub(crate) mod request;
pub(crate) mod tpm;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use heapless::String;

use self::request::Request;

/// Longest line of either direction.
pub(crate) const LINE: usize = 128;

/// What the link asks of the TPM.
pub(crate) static REQUESTS: Channel<CriticalSectionRawMutex, Request, 1> = Channel::new();
/// What the TPM's task answers, a line each.
pub(crate) static ANSWERS: Channel<CriticalSectionRawMutex, String<LINE>, 1> = Channel::new();
