//! The body of an attestation, one variant per kind.

use super::{AttestError, AttestType, ClockInfo, MAX_NAME, yes_no};
use crate::tpm::alg::AlgId;
use crate::tpm::codec::{EncodeError, Reader, Writer};
use crate::tpm::pcr::PcrSelections;

/// Longest digest, in bytes (SHA-512).
const MAX_DIGEST: usize = 64;

/// `TPMU_ATTEST` ([TPM2.0 1.83 Part 2] 10.12.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attested<'a> {
    /// `TPMS_QUOTE_INFO`.
    Quote(QuoteInfo<'a>),
    /// `TPMS_CERTIFY_INFO`.
    Certify(CertifyInfo<'a>),
    /// `TPMS_CREATION_INFO`.
    Creation {
        /// Name of the object.
        object_name: &'a [u8],
        /// Hash of its creation data.
        creation_hash: &'a [u8],
    },
    /// `TPMS_NV_CERTIFY_INFO`.
    Nv {
        /// Name of the index.
        index_name: &'a [u8],
        /// Where the contents begin in the index, in bytes.
        offset: u16,
        /// Contents.
        contents: &'a [u8],
    },
    /// `TPMS_NV_DIGEST_CERTIFY_INFO`.
    NvDigest {
        /// Name of the index.
        index_name: &'a [u8],
        /// Hash of the contents, by the signing scheme's hash.
        digest: &'a [u8],
    },
    /// `TPMS_COMMAND_AUDIT_INFO`.
    CommandAudit {
        /// Counter of audit periods.
        counter: u64,
        /// Hash of the audit.
        digest_alg: AlgId,
        /// Audit digest.
        audit_digest: &'a [u8],
        /// Digest of the codes of the audited commands.
        command_digest: &'a [u8],
    },
    /// `TPMS_SESSION_AUDIT_INFO`.
    SessionAudit {
        /// True when no other command came between.
        exclusive: bool,
        /// Audit digest of the session.
        digest: &'a [u8],
    },
    /// `TPMS_TIME_ATTEST_INFO`.
    Time {
        /// Milliseconds since power came on.
        time: u64,
        /// Clock and counters, not shifted.
        clock_info: ClockInfo,
        /// Firmware version, not shifted.
        firmware_version: u64,
    },
    /// A kind not listed in [`AttestType`]: the bytes, unread.
    Other(&'a [u8]),
}

/// `TPMS_QUOTE_INFO` ([TPM2.0 1.83 Part 2] 10.12.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuoteInfo<'a> {
    /// Which PCRs were quoted; may be none.
    pub selection: PcrSelections<'a>,
    /// Composite digest, by the signing scheme's hash, 0 to 64 bytes.
    pub pcr_digest: &'a [u8],
}

/// `TPMS_CERTIFY_INFO` ([TPM2.0 1.83 Part 2] 10.12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertifyInfo<'a> {
    /// Name of the certified object.
    pub name: &'a [u8],
    /// Its Qualified Name.
    pub qualified_name: &'a [u8],
}

impl<'a> Attested<'a> {
    /// Which kind this is; `None` for [`Other`](Self::Other), whose number is in
    /// [`Attest::kind`](super::Attest::kind).
    #[must_use]
    pub const fn kind(&self) -> Option<AttestType> {
        match self {
            Self::Quote(_) => Some(AttestType::QUOTE),
            Self::Certify(_) => Some(AttestType::CERTIFY),
            Self::Creation { .. } => Some(AttestType::CREATION),
            Self::Nv { .. } => Some(AttestType::NV),
            Self::NvDigest { .. } => Some(AttestType::NV_DIGEST),
            Self::CommandAudit { .. } => Some(AttestType::COMMAND_AUDIT),
            Self::SessionAudit { .. } => Some(AttestType::SESSION_AUDIT),
            Self::Time { .. } => Some(AttestType::TIME),
            Self::Other(_) => None,
        }
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        match *self {
            Self::Quote(QuoteInfo {
                selection,
                pcr_digest,
            }) => {
                w.put(selection.raw());
                w.tpm2b(pcr_digest);
            }
            Self::Certify(CertifyInfo {
                name: first,
                qualified_name: second,
            })
            | Self::Creation {
                object_name: first,
                creation_hash: second,
            }
            | Self::NvDigest {
                index_name: first,
                digest: second,
            } => {
                w.tpm2b(first);
                w.tpm2b(second);
            }
            Self::Nv {
                index_name,
                offset,
                contents,
            } => {
                w.tpm2b(index_name);
                w.u16(offset);
                w.tpm2b(contents);
            }
            Self::CommandAudit {
                counter,
                digest_alg,
                audit_digest,
                command_digest,
            } => {
                w.u64(counter);
                w.u16(digest_alg.0);
                w.tpm2b(audit_digest);
                w.tpm2b(command_digest);
            }
            Self::SessionAudit { exclusive, digest } => {
                w.u8(exclusive.into());
                w.tpm2b(digest);
            }
            Self::Time {
                time,
                clock_info,
                firmware_version,
            } => {
                w.u64(time);
                clock_info.encode(w);
                w.u64(firmware_version);
            }
            Self::Other(_) => w.fail(EncodeError::Value),
        }
    }

    pub(super) fn read(kind: AttestType, r: &mut Reader<'a>) -> Result<Self, AttestError> {
        Ok(match kind {
            AttestType::QUOTE => Self::Quote(QuoteInfo {
                selection: PcrSelections::read(r)?,
                pcr_digest: r.tpm2b_max(MAX_DIGEST)?,
            }),
            AttestType::CERTIFY => Self::Certify(CertifyInfo {
                name: r.tpm2b_max(MAX_NAME)?,
                qualified_name: r.tpm2b_max(MAX_NAME)?,
            }),
            AttestType::CREATION => Self::Creation {
                object_name: r.tpm2b_max(MAX_NAME)?,
                creation_hash: r.tpm2b_max(MAX_DIGEST)?,
            },
            AttestType::NV => Self::Nv {
                index_name: r.tpm2b_max(MAX_NAME)?,
                offset: r.u16()?,
                contents: r.tpm2b()?,
            },
            AttestType::NV_DIGEST => Self::NvDigest {
                index_name: r.tpm2b_max(MAX_NAME)?,
                digest: r.tpm2b_max(MAX_DIGEST)?,
            },
            AttestType::COMMAND_AUDIT => Self::CommandAudit {
                counter: r.u64()?,
                digest_alg: AlgId(r.u16()?),
                audit_digest: r.tpm2b_max(MAX_DIGEST)?,
                command_digest: r.tpm2b_max(MAX_DIGEST)?,
            },
            AttestType::SESSION_AUDIT => Self::SessionAudit {
                exclusive: yes_no(r)?,
                digest: r.tpm2b_max(MAX_DIGEST)?,
            },
            AttestType::TIME => Self::Time {
                time: r.u64()?,
                clock_info: ClockInfo::read(r)?,
                firmware_version: r.u64()?,
            },
            _ => Self::Other(r.rest()),
        })
    }
}
