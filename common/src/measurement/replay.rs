//! From a log to the values of its PCRs.

use sha2::{Digest, Sha256, Sha384};

use super::log::{Log, LogError, Reason};
use crate::tpm::alg::AlgId;
use crate::tpm::pcr::{PCR_COUNT, PcrIndex, PcrMask};

/// Bytes of the longest digest here.
const MAX_DIGEST: usize = 48;

/// A bank that can be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcrBank {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl PcrBank {
    /// The bank of this hash, if it is one of the two.
    #[must_use]
    pub const fn of(bank: AlgId) -> Option<Self> {
        match bank {
            AlgId::SHA256 => Some(Self::Sha256),
            AlgId::SHA384 => Some(Self::Sha384),
            _ => None,
        }
    }

    /// Its hash.
    #[must_use]
    pub const fn alg(self) -> AlgId {
        match self {
            Self::Sha256 => AlgId::SHA256,
            Self::Sha384 => AlgId::SHA384,
        }
    }

    /// Bytes of a value.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => MAX_DIGEST,
        }
    }

    /// `TPM2_PCR_Extend`: H(old ‖ digest).
    fn extend(self, value: &mut [u8; MAX_DIGEST], digest: &[u8]) {
        let len = self.digest_len();
        let old = value.get(..len).unwrap_or_default();
        let mut new = [0; MAX_DIGEST];
        match self {
            Self::Sha256 => {
                let hash = Sha256::new().chain_update(old).chain_update(digest);
                fill(&mut new, &hash.finalize());
            }
            Self::Sha384 => {
                let hash = Sha384::new().chain_update(old).chain_update(digest);
                fill(&mut new, &hash.finalize());
            }
        }
        *value = new;
    }
}

fn fill(to: &mut [u8; MAX_DIGEST], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The values that PCRs have after a log, from zero on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    bank: PcrBank,
    touched: PcrMask,
    values: [[u8; MAX_DIGEST]; PCR_COUNT as usize],
}

impl Measured {
    /// The PCRs that a record speaks of.
    #[must_use]
    pub const fn touched(&self) -> PcrMask {
        self.touched
    }

    /// The value of a PCR: zero for one that no record speaks of.
    #[must_use]
    pub fn value(&self, index: PcrIndex) -> &[u8] {
        let value = self.values.get(usize::from(index.get()));
        value
            .and_then(|value| value.get(..self.bank.digest_len()))
            .unwrap_or(&[])
    }
}

/// Extends what `log` says into a bank that begins with zeros.
///
/// # Errors
/// [`Reason::Bank`] for a record without a digest for this bank: its PCR holds something that the log does not say.
pub fn replay(log: &Log<'_>, bank: PcrBank) -> Result<Measured, LogError> {
    let mut measured = Measured {
        bank,
        touched: PcrMask::NONE,
        values: [[0; MAX_DIGEST]; PCR_COUNT as usize],
    };
    for record in log.records() {
        let digest = record.digest(bank.alg()).ok_or(LogError {
            record: record.number,
            reason: Reason::Bank,
        })?;
        if let Some(value) = measured.values.get_mut(usize::from(record.pcr.get())) {
            bank.extend(value, digest);
        }
        measured.touched = measured.touched.with(record.pcr);
    }
    Ok(measured)
}

/// What the last record of a log does to its PCR, in one bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastStep<'a> {
    /// What it was extended into.
    pub pcr: PcrIndex,
    /// What was extended.
    pub digest: &'a [u8],
    before: [u8; MAX_DIGEST],
    after: [u8; MAX_DIGEST],
    len: usize,
}

impl LastStep<'_> {
    /// The PCR's value without the record.
    #[must_use]
    pub fn before(&self) -> &[u8] {
        self.before.get(..self.len).unwrap_or(&[])
    }

    /// Its value with the record.
    #[must_use]
    pub fn after(&self) -> &[u8] {
        self.after.get(..self.len).unwrap_or(&[])
    }
}

/// The step of a log's last record, for whoever extended it and did not hear whether it was done. A record before it that has
/// no digest for this bank was not extended into it.
///
/// `None` for a log without records, and for a last record that is not of this bank.
#[must_use]
pub fn last_step<'a>(log: &Log<'a>, bank: PcrBank) -> Option<LastStep<'a>> {
    let last = log.records().last()?;
    let digest = last.digest(bank.alg())?;
    let mut before = [0; MAX_DIGEST];
    for record in log.records() {
        if record.pcr == last.pcr
            && record.number != last.number
            && let Some(digest) = record.digest(bank.alg())
        {
            bank.extend(&mut before, digest);
        }
    }
    let mut after = before;
    bank.extend(&mut after, digest);
    Some(LastStep {
        pcr: last.pcr,
        digest,
        before,
        after,
        len: bank.digest_len(),
    })
}
