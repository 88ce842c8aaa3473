//! Every check on a quote. Pure: bytes, key, nonce and selection come in.
//!
//! Whatever a decision uses comes out of the signed bytes: bank and indices out of the signed
//! selection, the values only after their digest was recomputed in that order.

use assay_common::tpm::{
    alg::AlgId,
    attest::{Attest, AttestError, AttestType},
    pcr::{PcrIndex, PcrMask, PcrSelection},
    signature::{Signature, SignatureError},
};

use crate::{
    attestor::BootState,
    crypto::{HashAlgorithm, sha256},
    tpm::{
        AttestationKey,
        signature::{SignatureCheckError, verify_attest},
        strong_hash_algorithm,
    },
};

/// The checks of [`verify`] in the order they are made. A failure may bear a narrower name
/// (`signature-hash`); it then stands in the place of the name here that begins like it.
pub const CHECKS: [&str; 8] = [
    "magic",
    "attest-type",
    "nonce",
    "signature-scheme",
    "signature",
    "pcr-selection",
    "pcr-values",
    "pcr-digest",
];

/// The failed check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// The attestation structure is not well-formed.
    #[error("attest: {0}")]
    AttestMalformed(AttestError),
    /// The signature structure is not well-formed.
    #[error("{0}")]
    SignatureMalformed(SignatureError),
    /// It does not begin with TPM_GENERATED: no TPM made it.
    #[error("attest begins with {got:#010x} and not with TPM_GENERATED: no TPM made it")]
    Magic {
        /// What it begins with.
        got: u32,
    },
    /// A TPM made it, and it is not a quote.
    #[error("attest is a {got}, not a quote")]
    AttestType {
        /// What it is.
        got: AttestType,
    },
    /// `extraData` is not exactly the nonce.
    #[error("extraData is {got}, the nonce is {expected}")]
    Nonce {
        /// What it is, in hex.
        got: String,
        /// What it should be, in hex.
        expected: String,
    },
    /// The signature scheme is none that can be checked.
    #[error("signature scheme {0} is not supported")]
    SignatureScheme(AlgId),
    /// A check of the signature.
    #[error(transparent)]
    Signature(#[from] SignatureCheckError),
    /// The signed selection is not exactly the one that was asked for.
    #[error("quote is over {got}, asked for was {expected}")]
    Selection {
        /// The signed selection.
        got: String,
        /// The one asked for.
        expected: String,
    },
    /// No PCR is selected: such a quote says nothing about what booted.
    #[error("no PCR is selected")]
    SelectsNothing,
    /// A bank whose hash is broken or unknown.
    #[error("bank {0} is not accepted, sha256, sha384 and sha512 are")]
    Bank(AlgId),
    /// The values are not as long as the selection and the bank say.
    #[error("PCR values of {got} bytes where the selection makes {expected}")]
    ValuesLength {
        /// Length given.
        got: usize,
        /// Length that fits.
        expected: usize,
    },
    /// The values are not those that were quoted.
    #[error("PCR values hash to {got}, the quote says {expected}")]
    Digest {
        /// Digest recomputed, in hex.
        got: String,
        /// Digest in the quote, in hex.
        expected: String,
    },
}

impl QuoteError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::AttestMalformed(_) => "attest-malformed",
            Self::SignatureMalformed(_) => "signature-malformed",
            Self::Magic { .. } => "magic",
            Self::AttestType { .. } => "attest-type",
            Self::Nonce { .. } => "nonce",
            Self::SignatureScheme(_) => "signature-scheme",
            Self::Signature(error) => error.check(),
            Self::Selection { .. } | Self::SelectsNothing => "pcr-selection",
            Self::Bank(_) => "pcr-bank",
            Self::ValuesLength { .. } => "pcr-values",
            Self::Digest { .. } => "pcr-digest",
        }
    }

    /// The place of the failed check in [`CHECKS`]: all before it passed. `None` when the bytes could
    /// not be read at all.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        let place = match self.check() {
            "attest-malformed" | "signature-malformed" => return None,
            "signature-hash" => "signature-scheme",
            "ak-weak-key" => "signature",
            "pcr-bank" => "pcr-values",
            other => other,
        };
        CHECKS.iter().position(|check| *check == place)
    }
}

/// A quote that was read, and in no way verified.
#[derive(Clone, Copy, Debug)]
pub struct Untrusted<'a> {
    attest: Attest<'a>,
    signature: Signature<'a>,
}

impl<'a> Untrusted<'a> {
    /// Reads `TPMS_ATTEST` and `TPMT_SIGNATURE`; nothing may follow either.
    ///
    /// # Errors
    /// [`QuoteError::AttestMalformed`], [`QuoteError::SignatureMalformed`]; also
    /// [`QuoteError::Magic`], [`QuoteError::AttestType`] and [`QuoteError::SignatureScheme`], since
    /// what stands behind depends on them.
    pub fn parse(attest: &'a [u8], signature: &'a [u8]) -> Result<Self, QuoteError> {
        let attest = Attest::parse(attest).map_err(|error| match (error, attest) {
            (AttestError::BadMagic(got), _) => QuoteError::Magic { got },
            // The type is read before the rest, so it is named before the rest.
            (_, [_, _, _, _, hi, lo, ..])
                if AttestType(u16::from_be_bytes([*hi, *lo])) != AttestType::QUOTE =>
            {
                QuoteError::AttestType {
                    got: AttestType(u16::from_be_bytes([*hi, *lo])),
                }
            }
            (other, _) => QuoteError::AttestMalformed(other),
        })?;
        let signature = Signature::parse(signature).map_err(|error| match error {
            SignatureError::Unsupported(alg) => QuoteError::SignatureScheme(alg),
            other => QuoteError::SignatureMalformed(other),
        })?;
        Ok(Self { attest, signature })
    }

    /// The attestation structure.
    #[must_use]
    pub fn attest(&self) -> &Attest<'a> {
        &self.attest
    }
}

/// One PCR's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrValue {
    /// Its bank.
    pub bank: AlgId,
    /// Its index.
    pub index: PcrIndex,
    /// Its value, as long as the bank's digest.
    pub value: Vec<u8>,
}

/// Proof that an attestation key signed these PCR values over this nonce: only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedQuote {
    values: Vec<PcrValue>,
    boot: BootState,
    signer_is_endorsement_primary: bool,
    hash: HashAlgorithm,
}

impl VerifiedQuote {
    /// The quoted PCRs in the order of the selection.
    #[must_use]
    pub fn values(&self) -> &[PcrValue] {
        &self.values
    }

    /// The value of one PCR, if it was quoted.
    #[must_use]
    pub fn value(&self, bank: AlgId, index: PcrIndex) -> Option<&[u8]> {
        self.values
            .iter()
            .find(|v| v.bank == bank && v.index == index)
            .map(|v| v.value.as_slice())
    }

    /// SHA-256 of the quoted values one after the other: what tells whether two quotes say the same.
    #[must_use]
    pub fn values_sha256(&self) -> [u8; 32] {
        let parts: Vec<&[u8]> = self.values.iter().map(|v| v.value.as_slice()).collect();
        sha256(&parts)
    }

    /// Clock, counters and firmware version as signed. For a key outside the Endorsement hierarchy
    /// the TPM disguises counters and firmware version by a constant of its own: see
    /// [`VerifiedQuote::boot`].
    #[must_use]
    pub fn boot_as_signed(&self) -> &BootState {
        &self.boot
    }

    /// Clock, counters and firmware version, if they are the TPM's true ones: the signer is a primary
    /// key of the Endorsement hierarchy ([TPM2.0 1.83 Part 1] 36.7).
    #[must_use]
    pub fn boot(&self) -> Option<&BootState> {
        self.signer_is_endorsement_primary.then_some(&self.boot)
    }

    /// The hash of the signature scheme.
    #[must_use]
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
    }
}

/// Judges a quote.
///
/// * `key`: the attestation key; that it lives in the node's TPM is proven elsewhere.
/// * `nonce`: exactly what `extraData` must be; never padded or cut.
/// * `selection`: exactly what must have been quoted, bank by bank, in this order.
/// * `values`: the values of the selected PCRs one after the other, ascending within a bank.
///
/// Proves: that key's TPM had these PCR values and counters after it got the nonce.
/// Does not prove: that the values are good ([`super::rules`] decides), nor what happened since.
///
/// # Errors
/// The first failed check in the order of [`CHECKS`]; see [`QuoteError`].
pub fn verify(
    untrusted: &Untrusted<'_>,
    key: &AttestationKey,
    nonce: &[u8],
    selection: &[PcrSelection],
    values: &[u8],
) -> Result<VerifiedQuote, QuoteError> {
    let attest = &untrusted.attest;
    let Some(quote) = attest.quote().filter(|_| attest.kind == AttestType::QUOTE) else {
        return Err(QuoteError::AttestType { got: attest.kind });
    };
    // Public on both sides, so a plain comparison leaks nothing.
    if attest.extra_data != nonce {
        return Err(QuoteError::Nonce {
            got: hex::encode(attest.extra_data),
            expected: hex::encode(nonce),
        });
    }
    let hash = verify_attest(key, attest.raw(), &untrusted.signature)?;

    if !quote.selection.iter().eq(selection.iter().copied()) {
        return Err(QuoteError::Selection {
            got: quote.selection.to_string(),
            expected: describe(selection),
        });
    }
    if quote.selection.selects_nothing() {
        return Err(QuoteError::SelectsNothing);
    }
    let values = split_values(selection, values)?;
    let parts: Vec<&[u8]> = values.iter().map(|v| v.value.as_slice()).collect();
    let digest = hash.hash(&parts);
    if digest.as_ref() != quote.pcr_digest {
        return Err(QuoteError::Digest {
            got: hex::encode(digest),
            expected: hex::encode(quote.pcr_digest),
        });
    }

    let clock = attest.clock_info;
    Ok(VerifiedQuote {
        values,
        boot: BootState {
            clock: clock.clock,
            reset_count: clock.reset_count,
            restart_count: clock.restart_count,
            safe: clock.safe,
            firmware_version: attest.firmware_version,
        },
        signer_is_endorsement_primary: key
            .endorsement_qualified_name()
            .is_some_and(|name| name.as_bytes() == attest.qualified_signer),
        hash,
    })
}

/// Cuts concatenated values apart; every byte is used.
fn split_values(selection: &[PcrSelection], values: &[u8]) -> Result<Vec<PcrValue>, QuoteError> {
    let mut expected = 0;
    for bank in selection {
        let hash = strong_hash_algorithm(bank.bank).ok_or(QuoteError::Bank(bank.bank))?;
        expected += hash.digest_len() * usize::from(bank.mask.count());
    }
    if values.len() != expected {
        return Err(QuoteError::ValuesLength {
            got: values.len(),
            expected,
        });
    }
    let mut rest = values;
    let mut out = Vec::new();
    for bank in selection {
        let len = bank.bank.digest_len().unwrap_or(0);
        for index in bank.mask.iter() {
            let (value, after) = rest.split_at_checked(len).unwrap_or_default();
            rest = after;
            out.push(PcrValue {
                bank: bank.bank,
                index,
                value: value.to_vec(),
            });
        }
    }
    Ok(out)
}

/// A selection as `tpm2-tools` writes it: `sha256:0,7+sha384:0`.
#[must_use]
pub fn describe(selection: &[PcrSelection]) -> String {
    let banks: Vec<String> = selection.iter().map(ToString::to_string).collect();
    banks.join("+")
}

/// The mask of one bank in a selection.
#[must_use]
pub fn mask_of(selection: &[PcrSelection], bank: AlgId) -> PcrMask {
    selection
        .iter()
        .find(|s| s.bank == bank)
        .map_or(PcrMask::NONE, |s| s.mask)
}
