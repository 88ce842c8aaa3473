//! The service over real links.

mod lines;
mod serial;
mod sockets;

use std::time::Duration;

use assay_common::protocol::{FrameDecoder, FrameKind, MAX_VERIFIER_PACKET, write_frame};
use assay_host_verifier::server::Broken;
use assay_host_verifier::transport::{Link, LinkSource, memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use crate::agent::{Agent, Answer};
use crate::desk::Desk;
use crate::fake_tpm::FakeTpm;

const PATIENCE: Duration = Duration::from_secs(20);

/// The agent's end of a link.
struct Line {
    link: Box<dyn Link>,
    decoder: FrameDecoder<MAX_VERIFIER_PACKET>,
    unread: Vec<u8>,
}

impl Line {
    fn new(link: impl Link + 'static) -> Self {
        Self {
            link: Box::new(link),
            decoder: FrameDecoder::new(),
            unread: Vec::new(),
        }
    }

    async fn raw(&mut self, bytes: &[u8]) {
        self.link.write_all(bytes).await.unwrap();
        self.link.flush().await.unwrap();
    }

    async fn frame(&mut self, kind: FrameKind, body: &[u8]) {
        self.raw(&frame(kind, body)).await;
    }

    async fn message(&mut self) -> Vec<u8> {
        tokio::time::timeout(PATIENCE, self.next())
            .await
            .expect("an answer in time")
    }

    async fn silence(&mut self, time: Duration) {
        if let Ok(message) = tokio::time::timeout(time, self.next()).await {
            panic!("the verifier spoke: {message:?}");
        }
    }

    async fn next(&mut self) -> Vec<u8> {
        loop {
            while !self.unread.is_empty() {
                let byte = self.unread.remove(0);
                if let Some(Ok(FrameKind::MESSAGE)) = self.decoder.push(byte) {
                    return self.decoder.body().to_vec();
                }
            }
            let mut buffer = [0; 512];
            let read = self.link.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the link ended");
            self.unread.extend_from_slice(&buffer[..read]);
        }
    }

    async fn login(&mut self, agent: &mut Agent, tpm: &FakeTpm) -> Answer {
        let hello = agent.hello();
        self.frame(FrameKind::MESSAGE, &hello).await;
        let mut answer = agent.hear(&self.message().await);
        while let Answer::Asked(asked) = answer {
            let proofs = agent.answer(tpm, &asked);
            self.frame(FrameKind::MESSAGE, &proofs).await;
            answer = agent.hear(&self.message().await);
        }
        answer
    }
}

fn frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let written: Result<(), core::convert::Infallible> = write_frame(kind, body, &mut |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    });
    written.unwrap();
    out
}

/// A service that runs until it is dropped.
struct Running {
    desk: Desk,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<(), Broken>>,
}

impl Running {
    fn start(desk: Desk, sources: Vec<Box<dyn LinkSource>>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let server = desk.server.clone();
        let task = tokio::spawn(async move { server.serve(sources, stopped).await });
        Self { desk, stop, task }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("a clean stop")
            .unwrap()
            .unwrap();
    }

    /// Until the service has a link open, and with it the terminal as it wants it.
    async fn until_a_link_is_open(&mut self) {
        let open = async {
            while let Some(event) = self.desk.events.recv().await {
                if serde_json::to_value(&event).unwrap()["step"] == "link_open" {
                    return;
                }
            }
            panic!("the service is gone");
        };
        tokio::time::timeout(PATIENCE, open).await.unwrap();
    }

    async fn over_memory(desk: Desk) -> (Self, Line) {
        let (dialer, source) = memory::pair();
        let running = Self::start(desk, vec![Box::new(source)]);
        (running, Line::new(dialer.dial().await.unwrap()))
    }
}
