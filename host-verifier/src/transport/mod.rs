//! Where agents come from: byte streams that carry frames.
//!
//! A [`LinkSource`] opens links one after the other; a link is any stream of bytes in both directions. What runs over
//! a link ([`connection`]) does not know which kind it is. Links carry no trust: everything that matters is signed,
//! keyed or checked in the login.

pub mod connection;
pub mod memory;
pub mod serial;
pub mod socket;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes in both directions.
pub trait Link: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// Something that links come from.
#[async_trait::async_trait]
pub trait LinkSource: Send + Sync {
    /// What logs and events call it.
    fn name(&self) -> String;

    /// Whether there is only one link at a time, as with a serial port: the next is opened when the last is gone.
    fn exclusive(&self) -> bool;

    /// Opens a link, or waits until somebody does.
    ///
    /// # Errors
    ///
    /// The system's. The caller tries again later: a port may be plugged in again.
    async fn open(&self) -> io::Result<Box<dyn Link>>;
}
