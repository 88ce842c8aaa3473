//! One link: frames in, frames out.
//!
//! The reader never stops for the writer longer than [`WRITE_TIMEOUT`], holds one packet and the blobs of one login,
//! and is in step again after any garbage. The verifier never speaks first: a node that is not up yet, or a terminal
//! that somebody opened on the wrong port, hears nothing.

use std::io;
use std::time::Duration;

use assay_common::protocol::{
    Chunk, FrameDecoder, FrameError, FrameKind, MAX_AGENT_PACKET, decode, write_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Link;
use crate::blobs::Blobs;

/// How long a peer may take to accept an answer. 1 KiB at 9600 baud takes 1.1 s.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Longest panic text that is passed on, bytes.
const MAX_PANIC: usize = 512;

/// What runs over a link.
#[async_trait::async_trait]
pub trait Conversation: Send {
    /// A message arrived; what to answer. `blobs` holds the chunks that came since the message before it, while
    /// [`blobs_wanted`](Self::blobs_wanted) was true.
    async fn message(&mut self, message: &[u8], blobs: &Blobs) -> Option<Vec<u8>>;

    /// Whether chunks belong to something now. While not, they are dropped, and so is what was collected.
    fn blobs_wanted(&self) -> bool;

    /// Called now and then; what to say when a deadline passed.
    async fn tick(&mut self) -> Option<Vec<u8>>;

    /// The firmware's last words.
    fn panic(&mut self, text: &str);

    /// The link is gone.
    fn closed(&mut self);
}

/// What was wrong with the bytes of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct LinkCounters {
    /// Frames that were dropped: too long, too short, broken, wrong CRC.
    pub bad_frames: u64,
    /// Frames of a kind that this version does not know.
    pub unknown_frames: u64,
    /// Chunks that came out of turn, or did not fit.
    pub bad_chunks: u64,
    /// Whole messages.
    pub messages: u64,
}

/// Runs a conversation until the link is gone.
///
/// # Errors
///
/// The link's; the end of the stream is `Ok`.
pub async fn run(
    mut link: Box<dyn Link>,
    conversation: &mut dyn Conversation,
    counters: &mut LinkCounters,
) -> io::Result<()> {
    let result = talk(link.as_mut(), conversation, counters).await;
    conversation.closed();
    result
}

async fn talk(
    link: &mut dyn Link,
    conversation: &mut dyn Conversation,
    counters: &mut LinkCounters,
) -> io::Result<()> {
    let mut decoder = Box::new(FrameDecoder::<MAX_AGENT_PACKET>::new());
    let mut blobs = Blobs::default();
    let mut buffer = [0; 1024];
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let read = tokio::select! {
            read = link.read(&mut buffer) => read?,
            _ = tick.tick() => {
                if let Some(answer) = conversation.tick().await {
                    send(link, &answer).await?;
                }
                continue;
            }
        };
        if read == 0 {
            return Ok(());
        }
        for byte in buffer.get(..read).unwrap_or_default() {
            let Some(packet) = decoder.push(*byte) else {
                continue;
            };
            let answer = take(packet, decoder.body(), conversation, &mut blobs, counters).await;
            if let Some(answer) = answer {
                send(link, &answer).await?;
            }
        }
    }
}

async fn take(
    packet: Result<FrameKind, FrameError>,
    body: &[u8],
    conversation: &mut dyn Conversation,
    blobs: &mut Blobs,
    counters: &mut LinkCounters,
) -> Option<Vec<u8>> {
    match packet {
        Ok(FrameKind::MESSAGE) => {
            counters.messages += 1;
            let answer = conversation.message(body, blobs).await;
            // A message uses up what was sent ahead of it.
            blobs.clear();
            return answer;
        }
        Ok(FrameKind::CHUNK) => {
            let result = if conversation.blobs_wanted() {
                decode::<Chunk<'_>>(body)
                    .map_err(|error| error.to_string())
                    .and_then(|chunk| blobs.add(&chunk).map_err(|error| error.to_string()))
            } else {
                Err("no login wants it".to_owned())
            };
            if let Err(error) = result {
                counters.bad_chunks += 1;
                tracing::debug!(error, "chunk dropped");
            }
        }
        Ok(FrameKind::PANIC) => {
            let text = String::from_utf8_lossy(body.get(..MAX_PANIC).unwrap_or(body));
            conversation.panic(&text);
        }
        Ok(kind) => {
            counters.unknown_frames += 1;
            tracing::debug!(kind = kind.0, "frame of an unknown kind skipped");
        }
        Err(error) => {
            counters.bad_frames += 1;
            tracing::debug!(%error, "frame dropped");
        }
    }
    None
}

async fn send(link: &mut dyn Link, message: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(message.len() + 16);
    let written: Result<(), core::convert::Infallible> =
        write_frame(FrameKind::MESSAGE, message, &mut |bytes| {
            frame.extend_from_slice(bytes);
            Ok(())
        });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let write = async {
        link.write_all(&frame).await?;
        link.flush().await
    };
    match tokio::time::timeout(WRITE_TIMEOUT, write).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer does not accept the answer",
        )),
    }
}
