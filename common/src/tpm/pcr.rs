//! PCR indices, masks and selections, on the wire and as text.
//!
//! A composite digest is `H(value ‖ value ‖ …)` over the selected PCRs in ascending order, bank by
//! bank in the order of the selection; [`PcrMask::iter`] gives that order. Hashing is the
//! caller's, with the hash of the *signing scheme*, not of the bank.

use core::fmt;
use core::str::FromStr;

use super::alg::AlgId;
use super::codec::{DecodeError, EncodeError, Reader, Writer};

/// Number of PCRs in a bank ([PC Client Profile 1.06] 4.6).
pub const PCR_COUNT: u8 = 24;

/// Most banks in one selection (`HASH_COUNT` of any TPM known is below).
pub const MAX_BANKS: usize = 16;

/// Why bytes or text are not a PCR selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PcrError {
    /// Not a whole structure, or more than one.
    Decode(DecodeError),
    /// More than [`MAX_BANKS`] selections, with the count that was announced.
    TooManyBanks(u32),
    /// `sizeofSelect` is not 1 to 4.
    SelectSize(u8),
    /// A PCR index of 24 or more, with the index (255 for any number above).
    Index(u8),
    /// The same bank twice: which PCRs are meant would depend on the reader.
    DuplicateBank(AlgId),
    /// The text is not `bank:index,index,…`.
    Text,
}

impl From<DecodeError> for PcrError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for PcrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "PCR selection: {error}"),
            Self::TooManyBanks(n) => write!(f, "PCR selection: {n} banks, at most {MAX_BANKS}"),
            Self::SelectSize(n) => write!(f, "PCR selection: bitmap of {n} bytes, not 1 to 4"),
            Self::Index(n) => write!(f, "PCR selection: no PCR {n}, 0 to 23 exist"),
            Self::DuplicateBank(bank) => write!(f, "PCR selection: bank {bank} twice"),
            Self::Text => f.write_str("PCR selection: not of the form sha256:0,1,7"),
        }
    }
}

impl core::error::Error for PcrError {}

/// Index of a PCR, 0 to 23.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// `index`, or `None` when it is 24 or more.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if index < PCR_COUNT {
            Some(Self(index))
        } else {
            None
        }
    }

    /// `INDEX`, whose being below 24 is checked when this is compiled.
    #[must_use]
    pub const fn known<const INDEX: u8>() -> Self {
        const { assert!(INDEX < PCR_COUNT, "there is no such PCR") };
        Self(INDEX)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The mask with this PCR alone.
    #[must_use]
    pub const fn mask(self) -> PcrMask {
        PcrMask(1 << self.0)
    }
}

impl TryFrom<u8> for PcrIndex {
    type Error = PcrError;

    fn try_from(index: u8) -> Result<Self, PcrError> {
        Self::new(index).ok_or(PcrError::Index(index))
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Set of PCRs: bit *n* is PCR *n*. Bits 24 to 31 name no PCR; no parser here sets them and no
/// encoder takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PcrMask(pub u32);

impl PcrMask {
    /// No PCR.
    pub const NONE: Self = Self(0);
    /// All 24.
    pub const ALL: Self = Self(0x00FF_FFFF);

    /// True when `index` is in the set.
    #[must_use]
    pub const fn contains(self, index: PcrIndex) -> bool {
        self.0 & index.mask().0 != 0
    }

    /// The set with `index`.
    #[must_use]
    pub const fn with(self, index: PcrIndex) -> Self {
        Self(self.0 | index.mask().0)
    }

    /// The PCRs in `self` that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Number of PCRs.
    #[must_use]
    pub const fn count(self) -> u8 {
        (self.0 & Self::ALL.0).count_ones() as u8
    }

    /// True when no PCR is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when only bits of existing PCRs are set.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 & !Self::ALL.0 == 0
    }

    /// The PCRs in ascending order, the order of a composite digest.
    pub fn iter(self) -> impl Iterator<Item = PcrIndex> + Clone {
        (0..PCR_COUNT)
            .map(PcrIndex)
            .filter(move |&index| self.contains(index))
    }
}

impl FromIterator<PcrIndex> for PcrMask {
    fn from_iter<I: IntoIterator<Item = PcrIndex>>(indices: I) -> Self {
        indices.into_iter().fold(Self::NONE, Self::with)
    }
}

/// `TPMS_PCR_SELECTION`: PCRs of one bank ([TPM2.0 1.83 Part 2] 10.6.2).
///
/// As text `sha256:0,1,7`: the bank as [`AlgId`] writes it, a colon, indices in decimal without
/// leading zeros. Reading takes any order but nothing twice and at least one; writing is
/// ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PcrSelection {
    /// Hash of the bank, any number.
    pub bank: AlgId,
    /// PCRs of that bank; may be empty.
    pub mask: PcrMask,
}

impl PcrSelection {
    /// `mask` of `bank`.
    #[must_use]
    pub const fn new(bank: AlgId, mask: PcrMask) -> Self {
        Self { bank, mask }
    }

    /// Takes a `TPMS_PCR_SELECTION` from the front of `r`.
    ///
    /// # Errors
    /// [`PcrError::SelectSize`], [`PcrError::Index`], [`PcrError::Decode`].
    pub fn read(r: &mut Reader<'_>) -> Result<Self, PcrError> {
        let bank = AlgId(r.u16()?);
        let size = r.u8()?;
        if !(1..=4).contains(&size) {
            return Err(PcrError::SelectSize(size));
        }
        // Byte j, bit k is PCR 8j + k: the bitmap is the mask in little-endian order.
        let mut mask = 0;
        for (&byte, shift) in r.bytes(usize::from(size))?.iter().zip([0, 8, 16, 24]) {
            mask |= u32::from(byte) << shift;
        }
        let mask = PcrMask(mask);
        if !mask.is_valid() {
            let first = (mask.0 & !PcrMask::ALL.0).trailing_zeros();
            return Err(PcrError::Index(first as u8));
        }
        Ok(Self { bank, mask })
    }

    /// Writes the `TPMS_PCR_SELECTION`, always with the three bitmap bytes of 24 PCRs.
    ///
    /// Fails with [`EncodeError::Value`] on a mask with a bit above 23.
    pub fn encode(&self, w: &mut Writer<'_>) {
        if !self.mask.is_valid() {
            return w.fail(EncodeError::Value);
        }
        let [a, b, c, _] = self.mask.0.to_le_bytes();
        w.u16(self.bank.0);
        w.put(&[3, a, b, c]);
    }

    /// Bytes of all selected values together, or `None` when the bank's digest size is not known.
    #[must_use]
    pub const fn values_len(&self) -> Option<usize> {
        match self.bank.digest_len() {
            Some(len) => Some(len * self.mask.count() as usize),
            None => None,
        }
    }
}

impl fmt::Display for PcrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bank)?;
        let mut separator = ':';
        for index in self.mask.iter() {
            write!(f, "{separator}{index}")?;
            separator = ',';
        }
        if separator == ':' {
            f.write_str(":")
        } else {
            Ok(())
        }
    }
}

impl FromStr for PcrSelection {
    type Err = PcrError;

    fn from_str(text: &str) -> Result<Self, PcrError> {
        // Split as bytes: the search for a character in a text keeps a panic.
        let mut parts = text.as_bytes().splitn(2, |byte| *byte == b':');
        let (Some(bank), Some(indices)) = (parts.next(), parts.next()) else {
            return Err(PcrError::Text);
        };
        let bank = str::from_utf8(bank).map_err(|_| PcrError::Text)?;
        let bank = bank.parse().map_err(|_| PcrError::Text)?;
        let mut mask = PcrMask::NONE;
        for index in indices.split(|byte| *byte == b',') {
            let index = parse_index(str::from_utf8(index).map_err(|_| PcrError::Text)?)?;
            if mask.contains(index) {
                return Err(PcrError::Text);
            }
            mask = mask.with(index);
        }
        Ok(Self { bank, mask })
    }
}

/// Decimal digits only, no sign, no leading zero.
fn parse_index(text: &str) -> Result<PcrIndex, PcrError> {
    let canonical = text == "0" || !text.starts_with('0');
    if text.is_empty() || !canonical || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PcrError::Text);
    }
    // Any number of digits may come; one that does not fit is out of range all the same.
    PcrIndex::try_from(text.parse().unwrap_or(u8::MAX))
}

/// View of a `TPML_PCR_SELECTION` ([TPM2.0 1.83 Part 2] 10.9.7): at most [`MAX_BANKS`] banks, each
/// once, each selection valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcrSelections<'a> {
    raw: &'a [u8],
}

impl<'a> PcrSelections<'a> {
    /// Reads a list that fills `bytes` exactly.
    ///
    /// # Errors
    /// Every variant of [`PcrError`] but [`Text`](PcrError::Text).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PcrError> {
        let mut r = Reader::new(bytes);
        let list = Self::read(&mut r)?;
        r.finish()?;
        Ok(list)
    }

    /// Takes a list from the front of `r`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but bytes may follow.
    pub fn read(r: &mut Reader<'a>) -> Result<Self, PcrError> {
        let start = r.clone();
        let count = r.u32()?;
        if count > MAX_BANKS as u32 {
            return Err(PcrError::TooManyBanks(count));
        }
        for _ in 0..count {
            let earlier = Entries {
                rest: Reader::new(r.since(&start).get(4..).unwrap_or(&[])),
            };
            let selection = PcrSelection::read(r)?;
            if earlier
                .into_iter()
                .any(|other| other.bank == selection.bank)
            {
                return Err(PcrError::DuplicateBank(selection.bank));
            }
        }
        Ok(Self {
            raw: r.since(&start),
        })
    }

    /// The bytes as received, count included.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The selections in their order.
    pub fn iter(&self) -> impl Iterator<Item = PcrSelection> + Clone + 'a {
        Entries {
            rest: Reader::new(self.raw.get(4..).unwrap_or(&[])),
        }
    }

    /// The PCRs of one bank; none when the bank is not in the list.
    #[must_use]
    pub fn mask_of(&self, bank: AlgId) -> PcrMask {
        self.iter()
            .find(|s| s.bank == bank)
            .map_or(PcrMask::NONE, |s| s.mask)
    }

    /// True when no PCR of any bank is selected, be it by an empty list or by empty bitmaps.
    #[must_use]
    pub fn selects_nothing(&self) -> bool {
        self.iter().all(|s| s.mask.is_empty())
    }

    /// Writes a list.
    ///
    /// Fails with [`EncodeError::Value`] on more than [`MAX_BANKS`] selections, on a bank that
    /// comes twice and on a bit above 23.
    pub fn encode(selections: &[PcrSelection], w: &mut Writer<'_>) {
        match u32::try_from(selections.len()) {
            Ok(count) if selections.len() <= MAX_BANKS => w.u32(count),
            _ => return w.fail(EncodeError::Value),
        }
        for (i, selection) in selections.iter().enumerate() {
            if selections
                .iter()
                .take(i)
                .any(|other| other.bank == selection.bank)
            {
                return w.fail(EncodeError::Value);
            }
            selection.encode(w);
        }
    }
}

/// Joined by `+`, as tpm2-tools takes several banks: `sha1:0+sha256:0,7`.
impl fmt::Display for PcrSelections<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, selection) in self.iter().enumerate() {
            if i > 0 {
                f.write_str("+")?;
            }
            fmt::Display::fmt(&selection, f)?;
        }
        Ok(())
    }
}

/// Walks checked selections.
#[derive(Clone)]
struct Entries<'a> {
    rest: Reader<'a>,
}

impl Iterator for Entries<'_> {
    type Item = PcrSelection;

    fn next(&mut self) -> Option<PcrSelection> {
        // The bytes were checked by `PcrSelections::read`, so the only error is the end.
        PcrSelection::read(&mut self.rest).ok()
    }
}
