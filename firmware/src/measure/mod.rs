//! Measured boot: what runs here, extended into the TPM once for each start of this processor, and the log of it.
//!
//! An image hashes itself where it lies, or a boot loader hashes the image that it hands over to: [`MeasuredBoot`] is the same
//! for both. At the first login it extends the image's digest and then the state in which it found the TPM
//! ([`assay_common::measurement`] has the PCRs and the records); the log stays in memory, and travels beside each login's quote.
//!
//! # The reset witness
//!
//! Whoever resets the TPM alone has empty PCRs, and could extend into them what this node would. So the node keeps what a
//! reset changes: resetCount, restartCount, and the Name of a primary of the null hierarchy, whose seed every reset draws
//! anew. They are compared before each login and each renewal; once they differ there is neither until this
//! processor starts again, together with its TPM. The verifier sees the same from its side: the log's
//! boot record, and the boot counter in it against resetCount.
//!
//! # An answer that does not come
//!
//! Whether an extension was made whose answer was lost, or was not the TPM's, the PCR knows. The next login reads it,
//! through a session of its own: as it was before, and the extension is made; as it is afterwards, and the measurement goes
//! on. With any other value somebody else has extended it: the measurement is lost, until both start again.
//!
//! # What it does not show
//!
//! What ran before the measurement: a boot ROM, a boot loader that measures nothing. An image that was exchanged as a whole
//! says of itself what it likes, unless what measures it is in flash that nobody can write.

mod witness;

use assay_common::measurement::{
    BOOT_PCR, Boot, Event, EventLog, IMAGE_PCR, Image, Log, LogError, PcrBank, last_step,
    log::Digests,
};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::{PcrIndex, PcrSelection};

pub use self::witness::{At, witness};
use crate::fmt::{info, warning};
use crate::tpm::{Start, Tpm, TpmError, TpmTransport};

/// Bytes of a node's log: a boot loader, an image and the boot, each for two banks.
pub const LOG_LEN: usize = 704;

/// Bytes of the longest PCR here.
const MAX_DIGEST: usize = 48;

/// An image in flash.
#[derive(Clone, Copy, Debug)]
pub struct Measurable<'i> {
    /// What it is called; see [`Image::name`].
    pub name: &'i str,
    /// Its version.
    pub version: &'i str,
    /// All of it, where it lies.
    pub bytes: &'i [u8],
}

/// Why there is no measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasureError {
    /// A command failed.
    Tpm(TpmError),
    /// The TPM was reset, and this processor was not: what was measured is gone.
    Reset,
    /// Neither what this PCR held before the last measurement, nor what it would hold after it: somebody else has extended it.
    Foreign(PcrIndex),
}

impl core::fmt::Display for MeasureError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Tpm(error) => core::fmt::Display::fmt(error, f),
            Self::Reset => f.write_str("the TPM was reset, and the node was not"),
            Self::Foreign(index) => {
                write!(f, "PCR {index} holds what the node did not measure")
            }
        }
    }
}

impl core::error::Error for MeasureError {}

impl From<TpmError> for MeasureError {
    fn from(error: TpmError) -> Self {
        Self::Tpm(error)
    }
}

/// How far a boot's measurement got. What was begun is not begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was extended.
    Fresh,
    /// Not all was; the TPM was found so. What the last record of the log says may have been extended, into all banks or some.
    Extending(At),
    /// All was; the TPM was found so.
    Measured(At),
    /// The PCRs hold what this log does not say, so that it is of no use: the TPM was not reset with this processor, or the
    /// log has no room.
    Unlogged(At),
    /// The TPM was reset, or this PCR was extended by somebody else.
    Lost(Option<PcrIndex>),
}

/// The measurement of this start of the processor.
#[derive(Debug)]
pub struct MeasuredBoot<'i> {
    image: Measurable<'i>,
    /// This boot's number, where the board counts.
    boots: Option<u32>,
    log: EventLog<LOG_LEN>,
    /// How many of this boot's own records are in it.
    written: u8,
    /// What the PCR of the log's last record held before it. By a pointer, so that only images behind a boot loader have the
    /// log's reader in their flash: no other record of ours is extended into a PCR that has one already.
    before: fn(&[u8], PcrBank) -> [u8; MAX_DIGEST],
    /// What that record had extended.
    last: Option<Digests>,
    state: State,
}

impl<'i> MeasuredBoot<'i> {
    /// Of an image that nothing measured before it. `boots` is this boot's number, which must have been counted before the
    /// TPM is started: so it never rises by less than resetCount.
    #[must_use]
    pub const fn new(image: Measurable<'i>, boots: Option<u32>) -> Self {
        Self {
            image,
            boots,
            log: EventLog::new(),
            written: 0,
            before: |_, _| [0; MAX_DIGEST],
            last: None,
            state: State::Fresh,
        }
    }

    /// Of an image that a boot loader measured: `log` says so, and is gone on with.
    ///
    /// # Errors
    /// [`LogError`] when it is no log or does not fit.
    pub fn after(log: &[u8], image: Measurable<'i>, boots: Option<u32>) -> Result<Self, LogError> {
        Ok(Self {
            log: EventLog::resume(log)?,
            before: before_last,
            ..Self::new(image, boots)
        })
    }

    /// The log, for whoever judges the PCRs; `None` when it does not say what is in them.
    #[must_use]
    pub fn log(&self) -> Option<&[u8]> {
        matches!(self.state, State::Measured(_)).then(|| self.log.bytes())
    }

    /// Before a login: measures if this boot was not measured yet, goes on where that was cut short, else looks whether the TPM
    /// still is as it was then. `start` is how the TPM was found.
    ///
    /// # Errors
    /// [`MeasureError::Reset`] and [`MeasureError::Foreign`], from then on each time. After [`MeasureError::Tpm`] the next login
    /// goes on.
    pub fn at_login<T: TpmTransport>(
        &mut self,
        tpm: &mut Tpm<T>,
        start: Start,
    ) -> Result<(), MeasureError> {
        match self.state {
            State::Fresh => self.measure(tpm, start),
            State::Extending(at) => {
                self.check(tpm)?;
                self.settle(tpm)?;
                self.extend_rest(tpm, at)
            }
            _ => self.check(tpm),
        }
    }

    /// Before a renewal: as before a login that is not the first.
    ///
    /// # Errors
    /// As [`at_login`](Self::at_login).
    pub fn check<T: TpmTransport>(&mut self, tpm: &mut Tpm<T>) -> Result<(), MeasureError> {
        match self.state {
            State::Fresh => Ok(()),
            State::Lost(Some(index)) => Err(MeasureError::Foreign(index)),
            State::Extending(at) | State::Measured(at) | State::Unlogged(at)
                if At::read(tpm)? == at =>
            {
                Ok(())
            }
            _ => {
                warning!("the TPM was reset without the node");
                self.state = State::Lost(None);
                Err(MeasureError::Reset)
            }
        }
    }

    // Apart from the caller, whose frame lies under the deepest stack of a login.
    #[inline(never)]
    fn measure<T: TpmTransport>(
        &mut self,
        tpm: &mut Tpm<T>,
        start: Start,
    ) -> Result<(), MeasureError> {
        let at = At::read(tpm)?;
        // A boot loader that measured has started the TPM; else nobody may have.
        if self.log.is_empty() && start.already_started && !is_empty(tpm)? {
            warning!("PCRs hold what was measured before this boot: no log");
            self.state = State::Unlogged(at);
            return Ok(());
        }
        self.extend_rest(tpm, at)
    }

    /// Extends what this boot has not yet extended, the log ahead of it.
    #[inline(never)]
    fn extend_rest<T: TpmTransport>(
        &mut self,
        tpm: &mut Tpm<T>,
        at: At,
    ) -> Result<(), MeasureError> {
        let with_sha384 = has_bank(tpm, AlgId::SHA384)?;
        let Measurable {
            name,
            version,
            bytes,
        } = self.image;
        loop {
            let (index, event) = match self.written {
                0 => {
                    let image = Image::measure(name, version, bytes);
                    (IMAGE_PCR, Event::Image(image))
                }
                1 => {
                    let boot = Boot {
                        counter: self.boots,
                        reset_count: at.reset_count,
                        restart_count: at.restart_count,
                        witness: at.witness,
                    };
                    (BOOT_PCR, Event::Boot(boot))
                }
                _ => break,
            };
            let Ok(digests) = self.log.append(index, &event, with_sha384) else {
                warning!("no room in the event log, or an image without a proper name: no log");
                self.state = State::Unlogged(at);
                return Ok(());
            };
            self.written += 1;
            self.last = Some(digests);
            self.state = State::Extending(at);
            extend(tpm, index, &digests)?;
        }
        info!("measured {=usize} bytes", bytes.len());
        self.state = State::Measured(at);
        Ok(())
    }

    /// After an extension of which it is not known whether it was made: has the PCR of the log's last record hold what the log
    /// says, in each bank.
    #[inline(never)]
    fn settle<T: TpmTransport>(&mut self, tpm: &mut Tpm<T>) -> Result<(), MeasureError> {
        let index = if self.written > 1 {
            BOOT_PCR
        } else {
            IMAGE_PCR
        };
        let Some(last) = &self.last else {
            return Ok(());
        };
        let sha384 = last.sha384.as_ref();
        for (bank, digest) in [
            (PcrBank::Sha256, Some(&last.sha256[..])),
            (PcrBank::Sha384, sha384.map(|digest| &digest[..])),
        ] {
            let Some(digest) = digest else { continue };
            let mut value = [0; MAX_DIGEST];
            let ask = [PcrSelection::new(bank.alg(), index.mask())];
            let len = tpm.pcr_read(&ask, &mut value)?.len;
            let held = value.get(..len).unwrap_or_default();
            let before = (self.before)(self.log.bytes(), bank);
            let before = before.get(..bank.digest_len()).unwrap_or_default();
            if held == before {
                tpm.pcr_extend(index, bank.alg(), digest)?;
                continue;
            }
            let is_after = is_digest(bank, held, before, digest);
            if !is_after {
                warning!("a PCR holds what was not measured: start node and TPM together");
                self.state = State::Lost(Some(index));
                return Err(MeasureError::Foreign(index));
            }
        }
        Ok(())
    }
}

/// Behind a boot loader: its records and ours lead to it.
fn before_last(log: &[u8], bank: PcrBank) -> [u8; MAX_DIGEST] {
    let mut before = [0; MAX_DIGEST];
    // It is our own, so it can be read.
    let log = Log::parse(log).ok();
    if let Some(step) = log.and_then(|log| last_step(&log, bank)) {
        for (to, from) in before.iter_mut().zip(step.before()) {
            *to = *from;
        }
    }
    before
}

/// By the sessions' hash, which is in the flash already.
#[cfg(feature = "secure-bus")]
fn is_digest(bank: PcrBank, held: &[u8], before: &[u8], digest: &[u8]) -> bool {
    let hash = crate::crypto::hash::Hash::of(bank.alg());
    hash.is_some_and(|hash| hash.digest(&[before, digest]).is(held))
}

#[cfg(not(feature = "secure-bus"))]
fn is_digest(bank: PcrBank, held: &[u8], before: &[u8], digest: &[u8]) -> bool {
    use sha2::{Digest, Sha256, Sha384};
    fn of<D: Digest>(before: &[u8], digest: &[u8], held: &[u8]) -> bool {
        let hash = D::new().chain_update(before).chain_update(digest);
        hash.finalize().as_slice() == held
    }
    match bank {
        PcrBank::Sha256 => of::<Sha256>(before, digest, held),
        PcrBank::Sha384 => of::<Sha384>(before, digest, held),
    }
}

/// Whether the TPM keeps a bank of this hash. A TPM that does says so by its values; that it does not it may say by an error,
/// which has no HMAC, so then its list of banks decides, which has one.
fn has_bank<T: TpmTransport>(tpm: &mut Tpm<T>, bank: AlgId) -> Result<bool, TpmError> {
    let mut value = [0; 64];
    match tpm.pcr_read(&[PcrSelection::new(bank, IMAGE_PCR.mask())], &mut value) {
        Ok(_) => Ok(true),
        Err(TpmError::NoPcr) => {
            let mut has = false;
            tpm.pcr_banks(&mut |hash, pcrs| has |= hash == bank && pcrs.contains(IMAGE_PCR))?;
            Ok(has)
        }
        Err(error) => Err(error),
    }
}

/// Whether nothing was extended into our PCRs.
fn is_empty<T: TpmTransport>(tpm: &mut Tpm<T>) -> Result<bool, TpmError> {
    let mut values = [0; 2 * 32];
    let both = IMAGE_PCR.mask().with(BOOT_PCR);
    tpm.pcr_read(&[PcrSelection::new(AlgId::SHA256, both)], &mut values)?;
    Ok(values.iter().all(|byte| *byte == 0))
}

fn extend<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    index: PcrIndex,
    digests: &Digests,
) -> Result<(), TpmError> {
    tpm.pcr_extend(index, AlgId::SHA256, &digests.sha256)?;
    match &digests.sha384 {
        Some(digest) => tpm.pcr_extend(index, AlgId::SHA384, digest),
        None => Ok(()),
    }
}
