//! Links inside one process, for tests and tools that bring their own agent.

use std::io;

use tokio::io::DuplexStream;
use tokio::sync::{Mutex, mpsc};

use super::{Link, LinkSource};

/// Bytes that one side may be ahead of the other.
const BUFFER: usize = 4096;

/// The agents' end.
#[derive(Debug, Clone)]
pub struct MemoryDialer(mpsc::Sender<DuplexStream>);

/// The verifier's end.
#[derive(Debug)]
pub struct MemorySource(Mutex<mpsc::Receiver<DuplexStream>>);

/// Both ends.
#[must_use]
pub fn pair() -> (MemoryDialer, MemorySource) {
    let (sender, receiver) = mpsc::channel(16);
    (MemoryDialer(sender), MemorySource(Mutex::new(receiver)))
}

impl MemoryDialer {
    /// A new link to the verifier.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when the verifier is gone.
    pub async fn dial(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.0.send(theirs).await.map_err(gone)?;
        Ok(ours)
    }
}

#[async_trait::async_trait]
impl LinkSource for MemorySource {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn exclusive(&self) -> bool {
        false
    }

    async fn open(&self) -> io::Result<Box<dyn Link>> {
        match self.0.lock().await.recv().await {
            Some(link) => Ok(Box::new(link)),
            // Nobody can dial any more: there will be no further link.
            None => std::future::pending().await,
        }
    }
}
