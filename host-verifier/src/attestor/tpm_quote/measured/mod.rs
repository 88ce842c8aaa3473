//! What an event log says of a node, once the quote bears it out.
//!
//! [`read`] replays; [`images`] judges what was booted against reference values; [`witness`] judges whether the TPM was reset
//! behind the node's back; [`ask`] gets from the register and the store what the two need.

pub mod ask;
pub mod images;
pub mod witness;

use std::sync::Arc;

use assay_common::measurement::{
    BOOT_PCR, Boot, Event, IMAGE_PCR, Log, LogError, PcrBank, Reason, replay,
};
use assay_common::protocol::BlobRef;
use assay_common::tpm::pcr::{PcrIndex, PcrMask};

use self::images::{Reference, Required};
use self::witness::WitnessRule;
use super::verify::VerifiedQuote;
use crate::attestor::{AttestError, Fault};
use crate::blobs::{BlobError, Blobs};

/// Whether a log must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventLogRule {
    /// A login without one is refused.
    Require,
    /// One that comes is judged.
    Accept,
    /// It is not looked at.
    Ignore,
}

/// By what a log is judged.
#[derive(Clone, Debug)]
pub struct LogRules {
    /// Whether a login without one is refused.
    pub is_required: bool,
    /// The bank that is quoted.
    pub bank: PcrBank,
    /// What must have been booted; nothing else may then. Empty: whatever.
    pub required: Arc<[Required]>,
    /// Reference values of the policy's own; `None`: what is registered.
    pub references: Option<Arc<[Reference]>>,
    /// Whether the TPM's resets must go with the node's boots.
    pub witness: WitnessRule,
}

/// The PCRs that must be quoted for a log to be judged.
#[must_use]
pub fn pcrs() -> PcrMask {
    PcrMask::NONE.with(IMAGE_PCR).with(BOOT_PCR)
}

/// An image that was measured. Name and version are its own claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredImage {
    /// What it calls itself.
    pub name: String,
    /// Its version, by its own account.
    pub version: String,
    /// Bytes that were hashed.
    pub len: u32,
    /// SHA-256 over them.
    pub sha256: [u8; 32],
}

impl core::fmt::Display for MeasuredImage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { name, version, .. } = self;
        write!(f, "{name} {version} sha256:{}", hex::encode(self.sha256))
    }
}

/// What a log says that the quote bears out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// In the order in which they were handed over to.
    pub images: Vec<MeasuredImage>,
    /// The state in which the node booted.
    pub boot: Option<Boot>,
}

/// Why a log proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventLogError {
    /// None came, and one must.
    #[error("the node sent no event log")]
    Missing,
    /// It is not among what was sent ahead.
    #[error("event log: {0}")]
    Blob(#[from] BlobError),
    /// It cannot be read, or a record's content is not what was extended.
    #[error("{0}")]
    Log(#[from] LogError),
    /// It does not lead to the value that was quoted.
    #[error("the event log makes {bank}:{index} {replayed}, the TPM quoted {quoted}")]
    Replay {
        /// Bank.
        bank: assay_common::tpm::alg::AlgId,
        /// Index.
        index: PcrIndex,
        /// What comes of the log, in hex.
        replayed: String,
        /// What the TPM says, in hex.
        quoted: String,
    },
    /// An event in a PCR that is for others, or a second boot.
    #[error("event log, record {record}: an event that does not belong there")]
    Misplaced {
        /// Its number.
        record: u16,
    },
}

impl EventLogError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Missing => "event-log-missing",
            Self::Blob(_) => "event-log-blob",
            Self::Log(error) => match error.reason {
                Reason::Content => "event-log-content",
                Reason::Bank => "event-log-bank",
                _ => "event-log-malformed",
            },
            Self::Replay { .. } => "event-log-replay",
            Self::Misplaced { .. } => "event-log-place",
        }
    }
}

impl From<EventLogError> for AttestError {
    fn from(error: EventLogError) -> Self {
        let fault = match error.check() {
            "event-log-blob" | "event-log-malformed" => Fault::Malformed,
            _ => Fault::Refused,
        };
        Self::new(fault, error.check(), error.to_string())
    }
}

impl LogRules {
    /// The log that a quote's payload names, judged by its quote; `None` when none came and none must.
    ///
    /// # Errors
    /// [`EventLogError`].
    pub fn read(
        &self,
        log: Option<BlobRef>,
        blobs: &Blobs,
        quote: &VerifiedQuote,
    ) -> Result<Option<Measured>, EventLogError> {
        let Some(log) = log else {
            return match self.is_required {
                true => Err(EventLogError::Missing),
                false => Ok(None),
            };
        };
        let log = Log::parse(blobs.resolve(&log)?)?;
        read(&log, self.bank, |index| quote.value(self.bank.alg(), index)).map(Some)
    }
}

/// Judges a log by the quoted values of one bank. Records of PCRs that were not quoted count for nothing.
///
/// # Errors
/// [`EventLogError::Replay`], also for a PCR of ours that the log leaves out and that is not zero;
/// [`EventLogError::Log`], [`EventLogError::Misplaced`].
pub fn read<'q>(
    log: &Log<'_>,
    bank: PcrBank,
    quoted: impl Fn(PcrIndex) -> Option<&'q [u8]>,
) -> Result<Measured, EventLogError> {
    let replayed = replay(log, bank)?;
    let touched = PcrMask(replayed.touched().0 | pcrs().0);
    for index in touched.iter() {
        let value = replayed.value(index);
        if let Some(quoted) = quoted(index)
            && quoted != value
        {
            return Err(EventLogError::Replay {
                bank: bank.alg(),
                index,
                replayed: hex::encode(value),
                quoted: hex::encode(quoted),
            });
        }
    }
    let mut measured = Measured::default();
    for record in log.records().filter(|r| quoted(r.pcr).is_some()) {
        let number = record.number;
        let event = record.event(bank.alg()).map_err(|reason| LogError {
            record: number,
            reason,
        })?;
        match event {
            None => {}
            Some(Event::Image(image)) if record.pcr == IMAGE_PCR => {
                measured.images.push(MeasuredImage {
                    name: image.name.to_owned(),
                    version: image.version.to_owned(),
                    len: image.len,
                    sha256: image.sha256,
                });
            }
            Some(Event::Boot(boot)) if record.pcr == BOOT_PCR && measured.boot.is_none() => {
                measured.boot = Some(boot);
            }
            Some(_) => return Err(EventLogError::Misplaced { record: number }),
        }
    }
    Ok(measured)
}
