//! The run loop: joins the line, the login and the evidence, and never gives up.
//!
//! A board's `main` ends here. A session that can be renewed is, in one round trip, for as long as the verifier has it so; it
//! begins with a login, and whatever cannot be renewed ends in one.
//!
//! Each attempt is one login from the start; whatever goes wrong in it is reported as a
//! [`Trouble`](assay_common::protocol::Trouble) on the line, and the next attempt comes after a wait that doubles, so a
//! TPM that comes back or a verifier that is restarted needs nobody to touch the node. A TPM that does not come back
//! by itself is reset with the board, where that is possible.

mod session;
mod timing;

use assay_common::identity::{Pins, ProvisioningError};
use assay_common::protocol::{
    AgentMessage, DenyCode, FrameKind, MAX_AGENT_MESSAGE, MessageWriter, TroubleCode, WriteFields,
};
use embedded_io::{Read, ReadReady, Write};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use self::session::Live;
pub use self::session::{Granted, Observer};
pub use self::timing::Timing;
use crate::agent::{Answer, Failure, Opening, Refusal, Renewing, Waiting};
use crate::evidence::{EvidenceError, EvidenceSource, Own};
use crate::fmt::{info, warning};
use crate::link::Link;
use crate::platform::{BoardInfo, Platform};

/// The longest wait a denial may ask for, before the quarter at most that spreads nodes out. It is not authenticated, so it must not put a node to sleep for good.
const MAX_RETRY_AFTER_MS: u32 = 15 * 60 * 1_000;

/// Attempts in a row without a working TPM before [`Platform::restart`]: with the waits between them that is a minute.
const ATTEMPTS_BEFORE_RESTART: u8 = 6;

/// A node: everything a login needs, and the one send buffer.
pub struct Node<'r, P, S, E, O = ()> {
    platform: P,
    link: Link<S>,
    source: E,
    /// The flash region with the provisioning record.
    record: &'r [u8],
    board: BoardInfo,
    timing: Timing,
    observer: O,
    /// The session that can be renewed.
    session: Option<Live>,
    attempt: u32,
    /// Attempts in a row that found no TPM, or one that is stuck.
    without_tpm: u8,
    out: [u8; MAX_AGENT_MESSAGE],
}

/// What is under way: whose answer the node waits for.
enum Open<'p> {
    Login(Waiting<'p>),
    Renewal(Renewing<'p>),
}

impl<'r, P, S, E> Node<'r, P, S, E>
where
    P: Platform,
    S: Read + ReadReady + Write,
    E: EvidenceSource,
{
    /// A node that has not said anything yet.
    pub const fn new(
        platform: P,
        serial: S,
        source: E,
        record: &'r [u8],
        board: BoardInfo,
        timing: Timing,
    ) -> Self {
        Self::observed(platform, serial, source, record, board, timing, ())
    }
}

impl<'r, P, S, E, O> Node<'r, P, S, E, O>
where
    P: Platform,
    S: Read + ReadReady + Write,
    E: EvidenceSource,
    O: Observer,
{
    /// A node that has not said anything yet, and somebody who uses its sessions.
    pub const fn observed(
        platform: P,
        serial: S,
        source: E,
        record: &'r [u8],
        board: BoardInfo,
        timing: Timing,
        observer: O,
    ) -> Self {
        Self {
            platform,
            link: Link::new(serial),
            source,
            record,
            board,
            timing,
            observer,
            session: None,
            attempt: 0,
            without_tpm: 0,
            out: [0; MAX_AGENT_MESSAGE],
        }
    }

    /// The evidence source, for a board's bring-up and for tests.
    pub const fn source_mut(&mut self) -> &mut E {
        &mut self.source
    }

    /// Logs in and renews, and logs in again before a session ends, for ever.
    pub fn run(&mut self) -> ! {
        loop {
            self.turn();
        }
    }

    /// One renewal or login, the rest after it, and the restart if it is time for one.
    pub fn turn(&mut self) {
        let result = self.attempt();
        let wait_ms = match result {
            // A verifier that wants to hear from a node at once, again and again, has to wait as one that refuses.
            Ok(granted) => granted.rest_ms().max(self.timing.backoff_min_ms),
            Err((_, wait_ms)) => wait_ms,
        };
        self.rest(wait_ms);
        match result {
            Err((failure, _)) if lacks_tpm(failure) => self.without_tpm += 1,
            _ => self.without_tpm = 0,
        }
        if self.without_tpm == ATTEMPTS_BEFORE_RESTART {
            self.without_tpm = 0;
            // Whoever this does not end begins to count anew. It comes after the rest, so a board that restarts for ever
            // does it once a minute.
            warning!("no working TPM, restarting");
            self.platform.restart();
        }
    }

    /// A renewal where a session can be renewed, else a login, with its failure counted and reported; the wait before the
    /// next comes with the error. What a renewal cannot mend is followed by a login at once.
    ///
    /// # Errors
    ///
    /// What [`renew`](Self::renew) or [`login`](Self::login) failed with, and milliseconds to wait.
    pub fn attempt(&mut self) -> Result<Granted, (Failure, u32)> {
        let result = match self.session {
            Some(live) => match self.renew() {
                Err(failure) if self.needs_login(failure, live) => {
                    warning!("session not renewed, logging in");
                    self.login()
                }
                renewed => renewed,
            },
            None => self.login(),
        };
        match result {
            Ok(granted) => {
                info!("session granted, lifetime {} s", granted.lifetime_s);
                self.attempt = 0;
                Ok(granted)
            }
            Err(failure) => {
                self.attempt = self.attempt.saturating_add(1);
                let wait_ms = self.backoff_ms(failure);
                warning!(
                    "login failed: attempt {}, next in {} ms",
                    self.attempt,
                    wait_ms
                );
                self.report(failure, wait_ms);
                Err((failure, wait_ms))
            }
        }
    }

    /// One login from hello to grant. A session before it is over.
    ///
    /// # Errors
    ///
    /// [`Failure`]; nothing of the attempt is left behind in the TPM.
    pub fn login(&mut self) -> Result<Granted, Failure> {
        self.session = None;
        let opening = self.wake()?;
        let result = self.open(opening);
        match result {
            Ok(granted) if granted.has_svid || granted.renew_in_s.is_some() => {
                self.source.keep();
                Ok(granted)
            }
            _ => {
                self.source.end();
                result
            }
        }
    }

    /// Makes the source ready: for a login, which does so itself, or to measure before one.
    ///
    /// # Errors
    ///
    /// [`Failure`] when there is no record, or one that this board cannot hold to, or the source cannot be used now.
    pub fn wake(&mut self) -> Result<Opening<'r>, Failure> {
        let opening = Opening::new(self.record)?;
        self.prepare(opening.pins())?;
        self.source.begin()?;
        Ok(opening)
    }

    // Apart from the caller, whose frame lies under the deepest stack of a login.
    #[inline(never)]
    fn prepare(&mut self, pins: Pins<'_>) -> Result<(), Failure> {
        let mut noise = [0; 32];
        let len = self.platform.noise(&mut noise);
        // A pin promises a bus that is guarded, and nothing here would be a secret of it.
        if pins.lack(len) {
            return Err(Failure::NotProvisioned(ProvisioningError::NoSecret));
        }
        let boots = self.platform.boots();
        self.source.prepare(&Own {
            pins,
            noise: noise.get(..len).unwrap_or_default(),
            counts: [boots.into(), self.attempt.into(), self.platform.now_us()],
        });
        noise.zeroize();
        Ok(())
    }

    /// One renewal of the session, in one round trip.
    ///
    /// # Errors
    ///
    /// [`Failure`]. The session is left as it was: whether it can be renewed later depends on what failed.
    pub fn renew(&mut self) -> Result<Granted, Failure> {
        let Some(Live { term, .. }) = self.session else {
            return Err(Failure::Denied {
                code: DenyCode::LOGIN_REQUIRED,
                retry_after_s: 0,
            });
        };
        let opening = Opening::new(self.record)?;
        let nonce = self.nonce()?;
        self.drain()?;
        let (renew, renewing) = opening.renew(term, nonce, &mut self.source, &mut self.out)?;
        let len = renew.len();
        self.exchange(len, Open::Renewal(renewing))
    }

    /// Whether a renewal that failed so is no use to try again: the session, the keys or the time for it are gone. A
    /// verifier that is away or overloaded is not helped by a login.
    fn needs_login(&mut self, failure: Failure, live: Live) -> bool {
        let mended_by_waiting = match failure {
            Failure::Denied { code, .. } => code != DenyCode::LOGIN_REQUIRED,
            Failure::NoAnswer | Failure::Link | Failure::UntrustedVerifier => true,
            _ => false,
        };
        !mended_by_waiting || self.platform.now_us() >= live.give_up_at
    }

    fn open(&mut self, opening: Opening<'r>) -> Result<Granted, Failure> {
        let nonce = self.nonce()?;
        self.drain()?;
        let (hello, waiting) =
            opening.hello(nonce, self.source.kinds(), &[], self.board, &mut self.out)?;
        let len = hello.len();
        self.exchange(len, Open::Login(waiting))
    }

    /// Sends the first message, which is `len` bytes of the send buffer, and goes on until the end.
    fn exchange(&mut self, len: usize, mut open: Open<'r>) -> Result<Granted, Failure> {
        // While only the first message was said it is repeated, byte for byte, and stays in the send buffer.
        let mut first = Some(len);
        let mut repeat_ms = self.timing.hello_repeat_ms;
        let mut repeat_at = 0;
        let mut end = self.in_ms(self.timing.hello_limit_ms);
        // Why the first message that was not the answer was none: worth more than "no answer".
        let mut failure = Failure::NoAnswer;
        loop {
            if let Some(len) = first
                && self.platform.now_us() >= repeat_at
            {
                let message = self.out.get(..len).unwrap_or(&[]);
                self.link.sender().send(FrameKind::MESSAGE, message)?;
                repeat_at = self.in_ms(repeat_ms);
                repeat_ms = (repeat_ms * 2).min(self.timing.hello_repeat_ms * 8);
            }
            let wait_until = if first.is_some() {
                end.min(repeat_at)
            } else {
                end
            };
            if self.wait_for_message(wait_until)? {
                match self.step(&mut open) {
                    Ok(None) => {
                        (first, failure) = (None, Failure::NoAnswer);
                        end = self.in_ms(self.timing.answer_ms);
                    }
                    Ok(Some(granted)) => return Ok(granted),
                    Err(Refusal::Over(failure)) => return Err(failure),
                    Err(Refusal::Ignored(reason)) if failure == Failure::NoAnswer => {
                        failure = reason;
                    }
                    Err(Refusal::Ignored(_)) => {}
                }
            }
            if self.platform.now_us() >= end {
                return Err(failure);
            }
        }
    }

    /// What came before the first message is no answer to it. Bounded, since somebody may never stop talking.
    fn drain(&mut self) -> Result<(), Failure> {
        const MOST: u8 = 64;
        for _ in 0..MOST {
            if !self.link.poll()? {
                break;
            }
        }
        Ok(())
    }

    /// Answers the message at hand; `None` when proofs were sent.
    fn step(&mut self, open: &mut Open<'r>) -> Result<Option<Granted>, Refusal> {
        let (message, mut sender) = self.link.parts();
        let (term, svid) = match open {
            Open::Login(waiting) => match waiting.handle(message)? {
                Answer::Asked(proving) => {
                    let proofs = proving.prove(&mut self.source, &mut sender, &mut self.out)?;
                    sender.send(FrameKind::MESSAGE, proofs)?;
                    return Ok(None);
                }
                Answer::Granted(session) => {
                    self.observer.granted(&session);
                    (*session.term(), session.svid())
                }
            },
            Open::Renewal(renewing) => {
                let renewed = renewing.handle(message)?;
                self.observer.renewed(&renewed);
                (*renewed.term(), renewed.svid())
            }
        };
        let granted = Granted::of(&term, svid);
        let give_up_at = self.in_ms(granted.most_of_life_ms());
        self.session = term.renew_in_s.map(|_| Live { term, give_up_at });
        Ok(Some(granted))
    }

    /// 32 bytes that neither a TPM on a tapped bus nor the clock alone decides.
    fn nonce(&mut self) -> Result<[u8; 32], Failure> {
        let mut random = [0; 32];
        self.source.random(&mut random)?;
        let mut hash = Sha256::new();
        hash.update(random);
        hash.update(self.platform.now_us().to_le_bytes());
        hash.update(self.attempt.to_le_bytes());
        Ok(hash.finalize().into())
    }

    /// The time in so many milliseconds, in microseconds since start.
    fn in_ms(&mut self, ms: u32) -> u64 {
        self.platform.now_us().saturating_add(u64::from(ms) * 1_000)
    }

    /// Waits for a message until the given time; whether one came.
    fn wait_for_message(&mut self, end: u64) -> Result<bool, Failure> {
        loop {
            self.platform.kick_watchdog();
            if self.link.poll()? {
                return Ok(true);
            }
            if self.platform.now_us() >= end {
                return Ok(false);
            }
            self.platform.idle();
        }
    }

    fn report(&mut self, failure: Failure, retry_in_ms: u32) {
        let Some(error) = failure.trouble() else {
            return;
        };
        let mut writer = MessageWriter::new(&mut self.out);
        writer.byte(AgentMessage::TROUBLE);
        let trouble = error.trouble(self.attempt, retry_in_ms);
        trouble.write_fields(&mut writer);
        if let Ok(message) = writer.finish() {
            // A line that fails now will be tried again with the next attempt.
            let _ = self.link.sender().send(FrameKind::MESSAGE, message);
        }
    }

    /// The wait doubles with each failure; a denial's own wish for more is honoured within limits.
    fn backoff_ms(&mut self, failure: Failure) -> u32 {
        let doublings = self.attempt.saturating_sub(1).min(16);
        let backoff = self
            .timing
            .backoff_min_ms
            .saturating_mul(1 << doublings)
            .min(self.timing.backoff_max_ms);
        let wait = match failure {
            Failure::Denied { retry_after_s, .. } => {
                backoff.max(retry_after_s.saturating_mul(1_000).min(MAX_RETRY_AFTER_MS))
            }
            _ => backoff,
        };
        // Up to a quarter more, so that nodes that failed together, or were all told the same, do not come back together.
        let jitter = (self.platform.now_us() % 1_024) as u32;
        wait.saturating_add(wait / 4 * jitter / 1_024)
    }

    /// Waits, with the watchdog kept quiet and the line drained.
    fn rest(&mut self, wait_ms: u32) {
        let end = self.in_ms(wait_ms);
        while self.platform.now_us() < end {
            self.platform.kick_watchdog();
            let _ = self.link.poll();
            self.platform.idle();
        }
    }
}

/// True when the failure says that no TPM is there, or that it hangs: what its reset may cure; or that it was reset without
/// the node, which only a start of both cures. Any other TPM that answers is
/// not reset, whatever it says, since then its answer is the trouble and the reset would forget what was measured.
const fn lacks_tpm(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::Evidence(EvidenceError {
            code: TroubleCode::TPM_ABSENT
                | TroubleCode::TPM_LOCALITY
                | TroubleCode::TPM_TIMEOUT
                | TroubleCode::MEASUREMENT_LOST,
            ..
        })
    )
}
