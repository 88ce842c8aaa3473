//! What goes over a line, frame by frame, with the time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use assay_common::protocol::{
    AgentMessage, FrameDecoder, FrameKind, MAX_AGENT_PACKET, VerifierMessage, decode,
};
use assay_host_verifier::attestor::tpm_quote::files::{Evidence, Piece};

use super::SvidSeen;

/// One frame that went by.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Since the tap was made.
    pub at: Duration,
    /// Whether the agent sent it.
    pub from_agent: bool,
    /// Its kind.
    pub kind: FrameKind,
    /// Its body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The frame's name: `hello`, `proofs`, `chunk`, `challenge`, …
    #[must_use]
    pub fn name(&self) -> &'static str {
        match (self.kind, self.from_agent) {
            (FrameKind::CHUNK, _) => "chunk",
            (FrameKind::PANIC, _) => "panic",
            (FrameKind::MESSAGE, true) => match decode(&self.body) {
                Ok(AgentMessage::Hello(_)) => "hello",
                Ok(AgentMessage::Proofs(_)) => "proofs",
                Ok(AgentMessage::Trouble(_)) => "trouble",
                Ok(AgentMessage::Renew(_)) => "renew",
                Err(_) => "unreadable",
            },
            (FrameKind::MESSAGE, false) => match decode(&self.body) {
                Ok(VerifierMessage::Challenge(_)) => "challenge",
                Ok(VerifierMessage::Granted(_) | VerifierMessage::SvidGranted(_)) => "granted",
                Ok(VerifierMessage::Denied(_)) => "denied",
                Ok(VerifierMessage::Renewed(_)) => "renewed",
                Err(_) => "unreadable",
            },
            _ => "unknown",
        }
    }
}

struct Ear {
    from_agent: FrameDecoder<MAX_AGENT_PACKET>,
    from_verifier: FrameDecoder<MAX_AGENT_PACKET>,
    seen: Vec<Seen>,
    damaged: u32,
}

/// A tap; clones hear the same line.
#[derive(Clone)]
pub struct Tap {
    ear: Arc<Mutex<Ear>>,
    since: Instant,
}

impl Tap {
    /// A tap whose times count from `since`.
    #[must_use]
    pub fn new(since: Instant) -> Self {
        let ear = Ear {
            from_agent: FrameDecoder::new(),
            from_verifier: FrameDecoder::new(),
            seen: Vec::new(),
            damaged: 0,
        };
        Self {
            ear: Arc::new(Mutex::new(ear)),
            since,
        }
    }

    /// Hears bytes of one direction.
    pub fn hear(&self, from_agent: bool, bytes: &[u8]) {
        let at = self.since.elapsed();
        let ear = &mut *self.lock();
        for byte in bytes {
            let decoder = if from_agent {
                &mut ear.from_agent
            } else {
                &mut ear.from_verifier
            };
            match decoder.push(*byte) {
                None => {}
                Some(Err(_)) => ear.damaged += 1,
                Some(Ok(kind)) => {
                    let body = decoder.body().to_vec();
                    ear.seen.push(Seen {
                        at,
                        from_agent,
                        kind,
                        body,
                    });
                }
            }
        }
    }

    /// Every frame so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// Waits until the agent has said hello `count` times from here on. Bytes must reach the tap meanwhile by another thread.
    ///
    /// # Errors
    ///
    /// When that takes longer than `limit`, with what was heard.
    pub fn wait_for_hellos(&self, count: usize, limit: Duration) -> Result<()> {
        let (started, before) = (Instant::now(), self.seen().len());
        while started.elapsed() < limit {
            let seen = self.seen();
            let new = seen.iter().skip(before);
            if new.filter(|frame| frame.name() == "hello").count() >= count {
                return Ok(());
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        bail!(
            "fewer than {count} hellos within {limit:?}: {}",
            self.summary()
        )
    }

    /// Waits until a frame of one of these names has gone by; whether one has. Bytes must reach the tap meanwhile by another
    /// thread.
    #[must_use = "there may have been none"]
    pub fn wait_for(&self, names: &[&str], limit: Duration) -> bool {
        let started = Instant::now();
        loop {
            let seen = self.seen();
            if seen.iter().any(|frame| names.contains(&frame.name())) {
                return true;
            }
            if started.elapsed() > limit {
                return false;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// The evidence of the last login on the line.
    ///
    /// # Errors
    ///
    /// When the frames are not a whole login with a quote.
    pub fn evidence(&self) -> Result<Evidence> {
        let frames = self.seen();
        let begin = frames.iter().rposition(|frame| frame.name() == "hello");
        let login = begin.and_then(|at| frames.get(at..));
        let login = login.context("no hello on the line")?;
        let pieces = login.iter().filter_map(|frame| match frame.kind {
            FrameKind::CHUNK => Some(Piece::Chunk(&frame.body)),
            FrameKind::MESSAGE if frame.from_agent => Some(Piece::Agent(&frame.body)),
            FrameKind::MESSAGE => Some(Piece::Verifier(&frame.body)),
            _ => None,
        });
        Ok(Evidence::of(pieces)?)
    }

    /// The last SVID that went by; `None` when there was none.
    ///
    /// # Errors
    ///
    /// When it is no list of certificates.
    pub fn svid(&self) -> Result<Option<SvidSeen>> {
        let frames = self.seen();
        let mut found = frames.iter().rev().map(SvidSeen::of);
        found.find_map(Result::transpose).transpose()
    }

    /// Frames so far, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let ear = self.lock();
        let names: Vec<_> = ear.seen.iter().map(Seen::name).collect();
        format!("{} ({} damaged)", names.join(" "), ear.damaged)
    }

    fn lock(&self) -> MutexGuard<'_, Ear> {
        self.ear.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
