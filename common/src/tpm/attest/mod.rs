//! Attestation structures: what a TPM signs.
//!
//! [`Attest`] checks magic and structure. Three things stay with the verifier, and it needs all of
//! them: that [`Attest::kind`] is the kind it asked for (a certify signed by the same key is no
//! quote; [`Attest::quote`] and its like answer `None`), that
//! [`extra_data`](Attest::extra_data) is its own challenge, and the signature over
//! [`raw`](Attest::raw).

mod attested;

use core::fmt;

use super::codec::{DecodeError, EncodeError, Reader, Writer};
use super::pcr::PcrError;

pub use attested::{Attested, CertifyInfo, QuoteInfo};

/// `TPM_GENERATED_VALUE`, `"\xFFTCG"`: a restricted key signs nothing else that begins so.
pub const TPM_GENERATED: u32 = 0xFF54_4347;

/// Longest Name: algorithm and SHA-512 digest.
const MAX_NAME: usize = 66;
/// Longest `extraData`: size of a `TPMT_HA`, algorithm and SHA-512 digest.
const MAX_EXTRA_DATA: usize = 66;

/// Why bytes are not an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttestError {
    /// Not a whole structure, or more than one.
    Decode(DecodeError),
    /// Does not begin with [`TPM_GENERATED`]: not made by a TPM, whatever key signed it.
    BadMagic(u32),
    /// A `TPMI_YES_NO` that is neither 0 nor 1.
    YesNo(u8),
    /// The PCR selection of a quote.
    Pcr(PcrError),
}

impl From<DecodeError> for AttestError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<PcrError> for AttestError {
    fn from(error: PcrError) -> Self {
        match error {
            PcrError::Decode(error) => Self::Decode(error),
            other => Self::Pcr(other),
        }
    }
}

impl fmt::Display for AttestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "attest: {error}"),
            Self::BadMagic(got) => write!(f, "attest: magic 0x{got:08x}, not 0xff544347"),
            Self::YesNo(got) => write!(f, "attest: {got} where only 0 or 1 may be"),
            Self::Pcr(error) => write!(f, "attest: {error}"),
        }
    }
}

impl core::error::Error for AttestError {}

/// `TPMI_ST_ATTEST`: which structure was signed ([TPM2.0 1.83 Part 2] 10.12.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttestType(pub u16);

impl AttestType {
    /// `TPM2_NV_Certify`.
    pub const NV: Self = Self(0x8014);
    /// `TPM2_GetCommandAuditDigest`.
    pub const COMMAND_AUDIT: Self = Self(0x8015);
    /// `TPM2_GetSessionAuditDigest`.
    pub const SESSION_AUDIT: Self = Self(0x8016);
    /// `TPM2_Certify`.
    pub const CERTIFY: Self = Self(0x8017);
    /// `TPM2_Quote`.
    pub const QUOTE: Self = Self(0x8018);
    /// `TPM2_GetTime`.
    pub const TIME: Self = Self(0x8019);
    /// `TPM2_CertifyCreation`.
    pub const CREATION: Self = Self(0x801A);
    /// `TPM2_NV_Certify` of a digest of the contents.
    pub const NV_DIGEST: Self = Self(0x801C);

    /// Short name, or `None` for a number not listed.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::NV => Some("nv"),
            Self::COMMAND_AUDIT => Some("command_audit"),
            Self::SESSION_AUDIT => Some("session_audit"),
            Self::CERTIFY => Some("certify"),
            Self::QUOTE => Some("quote"),
            Self::TIME => Some("time"),
            Self::CREATION => Some("creation"),
            Self::NV_DIGEST => Some("nv_digest"),
            _ => None,
        }
    }
}

impl fmt::Display for AttestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}

/// `TPMS_CLOCK_INFO` ([TPM2.0 1.83 Part 2] 10.11.1), 17 bytes.
///
/// For a key outside the endorsement and platform hierarchies the TPM shifts the two counts (and
/// the firmware version) by an amount of that key: only differences mean something then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockInfo {
    /// Milliseconds the TPM was powered since the owner last cleared it.
    pub clock: u64,
    /// TPM resets since the last clear.
    pub reset_count: u32,
    /// Restarts and resumes since the last reset.
    pub restart_count: u32,
    /// False when a higher `clock` may have been reported before: after a loss of power.
    pub safe: bool,
}

impl ClockInfo {
    /// Takes a `TPMS_CLOCK_INFO` from the front of `r`.
    ///
    /// # Errors
    /// [`AttestError::Decode`]; [`AttestError::YesNo`] when `safe` is neither 0 nor 1.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, AttestError> {
        Ok(Self {
            clock: r.u64()?,
            reset_count: r.u32()?,
            restart_count: r.u32()?,
            safe: yes_no(r)?,
        })
    }

    /// Writes the 17 bytes.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.clock);
        w.u32(self.reset_count);
        w.u32(self.restart_count);
        w.u8(self.safe.into());
    }
}

/// View of a `TPMS_ATTEST` ([TPM2.0 1.83 Part 2] 10.12.12).
///
/// Proves that the bytes begin with [`TPM_GENERATED`] and are one well-formed structure. It proves
/// neither who made them nor when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attest<'a> {
    raw: &'a [u8],
    /// Which structure this is; goes with the variant of `attested`.
    pub kind: AttestType,
    /// Qualified Name of the signing key, 0 to 66 bytes (a key of the null hierarchy has none).
    pub qualified_signer: &'a [u8],
    /// The caller's qualifying data, 0 to 66 bytes.
    pub extra_data: &'a [u8],
    /// Clock and counters.
    pub clock_info: ClockInfo,
    /// Vendor's firmware version: `FIRMWARE_VERSION_1` above `FIRMWARE_VERSION_2`.
    pub firmware_version: u64,
    /// What was attested.
    pub attested: Attested<'a>,
}

impl<'a> Attest<'a> {
    /// Reads a `TPMS_ATTEST` that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`AttestError::BadMagic`] first; then [`AttestError::Decode`] when the bytes are not exactly
    /// one structure, [`AttestError::YesNo`] and [`AttestError::Pcr`] for values that no TPM gives.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AttestError> {
        let mut r = Reader::new(bytes);
        let magic = r.u32()?;
        if magic != TPM_GENERATED {
            return Err(AttestError::BadMagic(magic));
        }
        let kind = AttestType(r.u16()?);
        let qualified_signer = r.tpm2b_max(MAX_NAME)?;
        let extra_data = r.tpm2b_max(MAX_EXTRA_DATA)?;
        let clock_info = ClockInfo::read(&mut r)?;
        let firmware_version = r.u64()?;
        let attested = Attested::read(kind, &mut r)?;
        r.finish()?;
        Ok(Self {
            raw: bytes,
            kind,
            qualified_signer,
            extra_data,
            clock_info,
            firmware_version,
            attested,
        })
    }

    /// Reads a `TPM2B_ATTEST` (16-bit length in front) that fills `bytes` exactly.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_tpm2b(bytes: &'a [u8]) -> Result<Self, AttestError> {
        let mut r = Reader::new(bytes);
        let content = r.tpm2b()?;
        r.finish()?;
        Self::parse(content)
    }

    /// The bytes as received, without a length in front: what the signature covers.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The quote, if this is one.
    #[must_use]
    pub const fn quote(&self) -> Option<&QuoteInfo<'a>> {
        match &self.attested {
            Attested::Quote(info) => Some(info),
            _ => None,
        }
    }

    /// The certification, if this is one.
    #[must_use]
    pub const fn certify(&self) -> Option<&CertifyInfo<'a>> {
        match &self.attested {
            Attested::Certify(info) => Some(info),
            _ => None,
        }
    }
}

impl Attest<'_> {
    /// Writes a `TPMS_ATTEST` of the kind of `attested`: what a TPM would sign.
    ///
    /// For software TPMs and tests; the agent never makes one. Lengths are not checked. Fails with
    /// [`EncodeError::Value`] for [`Attested::Other`], which has no kind of its own.
    pub fn encode(
        qualified_signer: &[u8],
        extra_data: &[u8],
        clock_info: &ClockInfo,
        firmware_version: u64,
        attested: &Attested<'_>,
        w: &mut Writer<'_>,
    ) {
        let Some(kind) = attested.kind() else {
            return w.fail(EncodeError::Value);
        };
        w.u32(TPM_GENERATED);
        w.u16(kind.0);
        w.tpm2b(qualified_signer);
        w.tpm2b(extra_data);
        clock_info.encode(w);
        w.u64(firmware_version);
        attested.encode(w);
    }
}

fn yes_no(r: &mut Reader<'_>) -> Result<bool, AttestError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(AttestError::YesNo(other)),
    }
}
