//! The event log: TCG Canonical Event Log (CEL 1.0), TLV encoding, records of PCRs only.
//!
//! A record is four TLVs: its number (type 0, 8 bytes, counted from 0 without a gap), the PCR (type 1, one byte), the
//! digests (type 3: one TLV per bank, whose type is the low byte of its TPM_ALG_ID, rising), and the content, whose type
//! says who can read it.
//!
//! Strict and bounded: every byte is read, lengths are what they must be, at most [`MAX_RECORDS`] in [`MAX_LOG`] bytes. So
//! there is one encoding of a log, and two readers cannot see two things in it.

use core::fmt;

use sha2::{Digest, Sha256, Sha384};

use super::event::{CONTENT_TYPE, Event};
use super::tlv;
use crate::tpm::alg::AlgId;
use crate::tpm::codec::{EncodeError, Reader, Writer};
use crate::tpm::pcr::PcrIndex;

/// Longest log, bytes.
pub const MAX_LOG: usize = 8 * 1024;
/// Most records in a log.
pub const MAX_RECORDS: u16 = 64;

const NUMBER: u8 = 0;
const PCR: u8 = 1;
const DIGESTS: u8 = 3;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It ends inside of a TLV.
    Truncated,
    /// Bytes are left over inside of a TLV.
    Trailing,
    /// Another field than the one that comes next. A record of an NV index is one too: none are taken here.
    Field,
    /// A field with a length that it cannot have.
    Length,
    /// The number is not one more than that of the record before, or the first is not 0.
    Number,
    /// There is no such PCR.
    Pcr,
    /// No digest, a bank twice or out of order, or one of an unknown hash.
    Bank,
    /// A name or a version with bytes that it cannot have, or too long.
    Text,
    /// An event of ours that this version does not know.
    Event,
    /// The content is not what was extended: its digest is another.
    Content,
    /// More than [`MAX_RECORDS`].
    TooMany,
    /// The log is longer than [`MAX_LOG`].
    TooLong,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "it ends inside of a field",
            Self::Trailing => "bytes are left over inside of a field",
            Self::Field => "another field than the one that comes next",
            Self::Length => "a field with a length that it cannot have",
            Self::Number => "its number does not follow the one before",
            Self::Pcr => "there is no such PCR",
            Self::Bank => "no digest, or one of an unknown bank, out of order or twice",
            Self::Text => "a name or version that is none",
            Self::Event => "an unknown event",
            Self::Content => "its content is not what was extended",
            Self::TooMany => "too many records",
            Self::TooLong => "the log is too long",
        })
    }
}

/// Why bytes are not a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogError {
    /// Which record, counted from 0.
    pub record: u16,
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event log, record {}: {}", self.record, self.reason)
    }
}

impl core::error::Error for LogError {}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the log, from 0.
    pub number: u16,
    /// What it was extended into.
    pub pcr: PcrIndex,
    digests: &'a [u8],
    /// The whole TLV.
    content: &'a [u8],
    /// Its type and value.
    kind: u8,
    value: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(r: &mut Reader<'a>, number: u16) -> Result<Self, Reason> {
        if u64::from_be_bytes(tlv::exact(r, NUMBER)?) != u64::from(number) {
            return Err(Reason::Number);
        }
        let [pcr] = tlv::exact(r, PCR)?;
        let pcr = PcrIndex::new(pcr).ok_or(Reason::Pcr)?;
        let digests = tlv::field(r, DIGESTS)?;
        check_digests(digests)?;
        let start = r.clone();
        let (kind, value) = tlv::any(r)?;
        if matches!(kind, NUMBER..=DIGESTS) {
            return Err(Reason::Field);
        }
        let record = Self {
            number,
            pcr,
            digests,
            content: r.since(&start),
            kind,
            value,
        };
        if kind == CONTENT_TYPE {
            Event::read(value)?;
        }
        Ok(record)
    }

    /// What was extended into the bank, if anything was.
    #[must_use]
    pub fn digest(&self, bank: AlgId) -> Option<&'a [u8]> {
        self.digests()
            .find(|(found, _)| *found == bank)
            .map(|(_, digest)| digest)
    }

    /// What was extended, bank by bank, their numbers rising.
    pub fn digests(&self) -> impl Iterator<Item = (AlgId, &'a [u8])> + use<'a> {
        let mut r = Reader::new(self.digests);
        // They were checked when the record was read, so the only error is the end.
        core::iter::from_fn(move || tlv::any(&mut r).ok())
            .map(|(bank, digest)| (AlgId(bank.into()), digest))
    }

    /// The type of its content: [`CONTENT_TYPE`] for our own.
    #[must_use]
    pub const fn content_type(&self) -> u8 {
        self.kind
    }

    /// What it says, where it is one of ours and its digest for `bank` is that of its content; `None` for a record of
    /// somebody else's.
    ///
    /// # Errors
    /// [`Reason::Content`] when something else was extended, or nothing into this bank, or nobody can tell.
    pub fn event(&self, bank: AlgId) -> Result<Option<Event<'a>>, Reason> {
        if self.kind != CONTENT_TYPE {
            return Ok(None);
        }
        let extended = self.digest(bank).ok_or(Reason::Content)?;
        let fits = match bank {
            AlgId::SHA256 => extended == Sha256::digest(self.content).as_slice(),
            AlgId::SHA384 => extended == Sha384::digest(self.content).as_slice(),
            _ => false,
        };
        if !fits {
            return Err(Reason::Content);
        }
        Event::read(self.value).map(Some)
    }
}

/// At least one, each as long as its hash makes it, by rising number: so none twice.
fn check_digests(digests: &[u8]) -> Result<(), Reason> {
    let mut r = Reader::new(digests);
    let mut last = 0;
    while !r.is_empty() {
        let (bank, digest) = tlv::any(&mut r)?;
        let len = AlgId(bank.into()).digest_len().ok_or(Reason::Bank)?;
        if bank <= last {
            return Err(Reason::Bank);
        }
        if digest.len() != len {
            return Err(Reason::Length);
        }
        last = bank;
    }
    if last == 0 {
        return Err(Reason::Bank);
    }
    Ok(())
}

/// A log whose form was checked, record by record. Nothing is said of its being true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    bytes: &'a [u8],
    records: u16,
}

impl<'a> Log<'a> {
    /// Reads a log that fills `bytes`; none at all is a log without records.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LogError> {
        let at = |record| move |reason| LogError { record, reason };
        if bytes.len() > MAX_LOG {
            return Err(at(0)(Reason::TooLong));
        }
        let mut r = Reader::new(bytes);
        let mut records = 0;
        while !r.is_empty() {
            if records == MAX_RECORDS {
                return Err(at(records)(Reason::TooMany));
            }
            Record::read(&mut r, records).map_err(at(records))?;
            records += 1;
        }
        Ok(Self { bytes, records })
    }

    /// The bytes as they came.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many records there are.
    #[must_use]
    pub const fn len(&self) -> u16 {
        self.records
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The records in their order.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let mut r = Reader::new(self.bytes);
        // They were checked by `parse`, so none is left out here.
        (0..self.records).map_while(move |number| Record::read(&mut r, number).ok())
    }
}

/// What is extended for an event: the digest of its content TLV, for each bank that a node can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// For the SHA-256 bank.
    pub sha256: [u8; 32],
    /// For the SHA-384 bank, where the TPM has one.
    pub sha384: Option<[u8; 48]>,
}

/// A log that is being written, in a buffer of `N` bytes: a node's, from its boot to the next.
#[derive(Clone, Debug)]
pub struct EventLog<const N: usize> {
    bytes: [u8; N],
    used: usize,
    records: u16,
}

impl<const N: usize> EventLog<N> {
    /// Without a record.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            used: 0,
            records: 0,
        }
    }

    /// A log that somebody before wrote, to be gone on with.
    ///
    /// # Errors
    /// [`LogError`], also when it does not fit.
    pub fn resume(bytes: &[u8]) -> Result<Self, LogError> {
        let log = Log::parse(bytes)?;
        let mut own = Self::new();
        let Some(to) = own.bytes.get_mut(..bytes.len()) else {
            return Err(LogError {
                record: log.len(),
                reason: Reason::TooLong,
            });
        };
        for (to, from) in to.iter_mut().zip(bytes) {
            *to = *from;
        }
        own.used = bytes.len();
        own.records = log.len();
        Ok(own)
    }

    /// The log so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or(&[])
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Appends an event, and says what to extend for it. The record comes first: a log with one more than was extended is
    /// refused, and one with less would hide something.
    ///
    /// # Errors
    /// [`EncodeError::Overflow`] when it does not fit, [`EncodeError::Value`] when the event cannot be written. The log is as
    /// it was then.
    pub fn append(
        &mut self,
        pcr: PcrIndex,
        event: &Event<'_>,
        with_sha384: bool,
    ) -> Result<Digests, EncodeError> {
        if self.records >= MAX_RECORDS {
            return Err(EncodeError::Overflow);
        }
        let free = self.bytes.get_mut(self.used..).unwrap_or_default();
        // The digests stand before the content that they are of, and their length is known: so the content is written
        // first, to its place.
        let sha384_len = if with_sha384 { tlv::HEAD + 48 } else { 0 };
        let digests_len = tlv::HEAD + 32 + sha384_len;
        let content_at = tlv::HEAD + 8 + tlv::HEAD + 1 + tlv::HEAD + digests_len;
        let (head, content) = free
            .split_at_mut_checked(content_at)
            .ok_or(EncodeError::Overflow)?;
        let mut w = Writer::new(content);
        event.write(&mut w);
        let content = w.finish()?;
        let digests = Digests {
            sha256: Sha256::digest(&*content).into(),
            sha384: with_sha384.then(|| Sha384::digest(&*content).into()),
        };
        let content_len = content.len();

        let mut w = Writer::new(head);
        tlv::put(&mut w, NUMBER, &u64::from(self.records).to_be_bytes());
        tlv::put(&mut w, PCR, &[pcr.get()]);
        tlv::head(&mut w, DIGESTS, digests_len as u32);
        tlv::put(&mut w, AlgId::SHA256.0 as u8, &digests.sha256);
        if let Some(sha384) = &digests.sha384 {
            tlv::put(&mut w, AlgId::SHA384.0 as u8, sha384);
        }
        w.finish()?;
        self.used += content_at + content_len;
        self.records += 1;
        Ok(digests)
    }
}

impl<const N: usize> Default for EventLog<N> {
    fn default() -> Self {
        Self::new()
    }
}
