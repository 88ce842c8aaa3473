//! One certificate: what it says, and the bytes its signature covers.

use core::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::crypto::{HashAlgorithm, Legacy, PublicKey, Ready, Scheme, VerifyError};

use super::{
    UnixTime,
    algorithm::SignatureAlgorithm,
    der::{DerError, Element, Reader, tag},
    extensions::Extensions,
    name::Name,
    spki::{self, SpkiError},
};

/// Longest certificate read, in bytes. EK certificates take 0.5 to 2 KiB, vendor CAs up to 3.
pub const MAX_CERTIFICATE_LEN: usize = 16 * 1024;

const MAX_SERIAL_LEN: usize = 64;

/// Why bytes are not a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Longer than [`MAX_CERTIFICATE_LEN`].
    #[error("certificate of {0} bytes, at most {MAX_CERTIFICATE_LEN} are read")]
    TooLong(usize),
    /// The structure is broken in the named field.
    #[error("certificate, {field}: {source}")]
    Der {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        source: DerError,
    },
    /// The signature algorithm inside and outside the signed part differ.
    #[error("certificate: signature algorithm inside and outside the signed part differ")]
    AlgorithmMismatch,
}

/// A certificate that was read, and in no way verified.
///
/// The public key is a `Result`: a CA with a key type that is not supported is readable and only
/// unusable, so that one odd certificate does not spoil a vendor's list.
///
/// A clone is the same certificate: paths are made of clones.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

struct Parts {
    der: Box<[u8]>,
    tbs: Range<usize>,
    version: u64,
    serial: Vec<u8>,
    issuer: Name,
    subject: Name,
    not_before: UnixTime,
    not_after: UnixTime,
    spki: Vec<u8>,
    key: Result<PublicKey, SpkiError>,
    extensions: Extensions,
    departure: Option<&'static str>,
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
    computed: Computed,
}

/// What follows from the bytes alone and is worth computing once, for a certificate that is kept.
#[derive(Default)]
struct Computed {
    /// The key made ready to verify with.
    ready: Ready,
    /// A key that the signature verified under, and what was admitted for it.
    signed_by: OnceLock<(PublicKey, Legacy)>,
    sha1: OnceLock<[u8; 20]>,
    key_sha256: OnceLock<Result<[u8; 32], SpkiError>>,
}

impl Certificate {
    /// Reads one DER certificate; nothing may follow it. Padding and wrappings are the business
    /// of [`super::decode`].
    ///
    /// # Errors
    /// See [`ParseError`]. Never panics.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        if der.len() > MAX_CERTIFICATE_LEN {
            return Err(ParseError::TooLong(der.len()));
        }
        let at = |field| move |source| ParseError::Der { field, source };

        let mut outer = Reader::new(der);
        let mut certificate = outer.expect(tag::SEQUENCE).map_err(at("outer"))?.reader();
        outer.finish().map_err(at("outer"))?;
        // Where the signed part starts: everything before it is the outer header.
        let tbs_start = der.len() - certificate.rest().len();
        let tbs = certificate
            .expect(tag::SEQUENCE)
            .map_err(at("signed part"))?;
        let outer_algorithm = certificate
            .expect(tag::SEQUENCE)
            .map_err(at("signature algorithm"))?;
        let signature = certificate.bit_string_bytes().map_err(at("signature"))?;
        certificate.finish().map_err(at("outer"))?;

        let mut fields = tbs.reader();
        let version = version(&mut fields).map_err(at("version"))?;
        let (serial, serial_departs) = serial(&mut fields).map_err(at("serial number"))?;
        let inner_algorithm = fields
            .expect(tag::SEQUENCE)
            .map_err(at("signature algorithm"))?;
        if inner_algorithm.contents != outer_algorithm.contents {
            return Err(ParseError::AlgorithmMismatch);
        }
        let algorithm = SignatureAlgorithm::from_element(&inner_algorithm)
            .map_err(at("signature algorithm"))?;
        let issuer = name(&mut fields).map_err(at("issuer"))?;
        let (not_before, not_after, time_departs) =
            validity(&mut fields).map_err(at("validity"))?;
        let subject = name(&mut fields).map_err(at("subject"))?;
        let spki = fields.expect(tag::SEQUENCE).map_err(at("public key"))?;
        let extensions = extensions(&mut fields, version).map_err(at("extensions"))?;

        let unmarked = subject.is_empty()
            && extensions.subject_alt_name.is_some()
            && !extensions.subject_alt_name_critical;
        let is_ca = extensions.basic_constraints.is_some_and(|b| b.ca);
        let departure = [
            (
                serial_departs,
                "the serial number is not a positive one of at most 20 bytes",
            ),
            (
                time_departs,
                "a time is not written as YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ",
            ),
            (
                spki::is_labelled_oaep(&spki),
                "the key is labelled for encryption (id-RSAES-OAEP)",
            ),
            (
                unmarked,
                "the subject is empty and subjectAltName is not critical",
            ),
            (
                extensions.name_constraints.is_some() && !is_ca,
                "nameConstraints in a certificate that is no authority's",
            ),
        ]
        .into_iter()
        .find_map(|(departs, what)| departs.then_some(what))
        .or(extensions.departure);

        Ok(Self(Arc::new(Parts {
            departure,
            tbs: tbs_start..tbs_start + tbs.raw.len(),
            version,
            serial: serial.to_vec(),
            issuer,
            subject,
            not_before,
            not_after,
            spki: spki.raw.to_vec(),
            key: spki::public_key(&spki),
            extensions,
            algorithm,
            signature: signature.to_vec(),
            der: der.into(),
            computed: Computed::default(),
        })))
    }

    /// The whole certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The signed part, as received.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        self.0.der.get(self.0.tbs.clone()).unwrap_or_default()
    }

    /// 0 for version 1, 2 for version 3.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// The serial number as big-endian bytes without leading zeros (one zero byte for 0).
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }

    /// First second of validity.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.0.not_before
    }

    /// Last second of validity.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.0.not_after
    }

    /// `SubjectPublicKeyInfo` as received. For comparison use [`PublicKey`], since one key has
    /// several encodings.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// The subject's key.
    ///
    /// # Errors
    /// [`SpkiError`] when the key is of a type that is not supported, or is none.
    pub fn key(&self) -> Result<&PublicKey, SpkiError> {
        self.0.key.as_ref().map_err(|e| *e)
    }

    /// SHA-256 of the subject's key as [`PublicKey::spki_sha256`] has it.
    ///
    /// # Errors
    /// As [`Self::key`].
    pub fn key_sha256(&self) -> Result<[u8; 32], SpkiError> {
        let compute = || self.key().map(PublicKey::spki_sha256);
        *self.0.computed.key_sha256.get_or_init(compute)
    }

    /// Verifies a signature that the subject's key made: see [`crate::crypto::verify`].
    ///
    /// # Errors
    /// [`VerifyError`]; [`VerifyError::SchemeMismatch`] as well when the key is of a type that is not supported.
    pub fn verify_by_key(
        &self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
        legacy: Legacy,
    ) -> Result<(), VerifyError> {
        let key = self.key().map_err(|_| VerifyError::SchemeMismatch)?;
        let ready = &self.0.computed.ready;
        ready.verify(key, scheme, message, signature, legacy)
    }

    /// The extensions.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// What in it departs from RFC 5280 though it can be read, the first of it. [`super::policy::Profile::Strict`]
    /// refuses it.
    #[must_use]
    pub fn departure(&self) -> Option<&'static str> {
        self.0.departure
    }

    /// The algorithm it was signed with.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm
    }

    /// The scheme to verify the signature with, if supported.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        match self.0.algorithm {
            SignatureAlgorithm::Known(scheme) => Some(scheme),
            SignatureAlgorithm::Unsupported(_) => None,
        }
    }

    /// True when `basicConstraints` says that the subject is a CA.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.0.extensions.basic_constraints.is_some_and(|b| b.ca)
    }

    /// True when issuer and subject are the same name. Says nothing about the key.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.0.issuer == self.0.subject
    }

    /// True when the signature verifies under the certificate's own key. SHA-1 and small keys do
    /// not matter here: nothing is trusted because it signed itself.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        let legacy = Legacy {
            danger_allow_sha1: true,
            danger_allow_small_rsa: true,
        };
        self.is_self_issued()
            && self
                .key()
                .is_ok_and(|key| matches!(self.verify_signature(key, legacy), Some(Ok(()))))
    }

    /// Verifies the signature with an issuer's key; `None` when the algorithm is not supported.
    #[must_use]
    pub fn verify_signature(
        &self,
        issuer: &PublicKey,
        legacy: Legacy,
    ) -> Option<Result<(), VerifyError>> {
        self.scheme().map(|scheme| {
            crate::crypto::verify(issuer, scheme, self.tbs(), &self.0.signature, legacy)
        })
    }

    /// As [`Self::verify_signature`], once per signature: what verified is remembered here, for as long as this certificate is
    /// kept, and in `seen`, for one that is read anew.
    pub(super) fn verify_signature_once(
        &self,
        issuer: &PublicKey,
        legacy: Legacy,
        seen: &crate::crypto::Seen,
    ) -> Option<Result<(), VerifyError>> {
        let signed_by = &self.0.computed.signed_by;
        let known = signed_by.get();
        if known.is_some_and(|(key, admitted)| key == issuer && *admitted == legacy) {
            return Some(Ok(()));
        }
        self.scheme().map(|scheme| {
            seen.verify(issuer, scheme, self.tbs(), &self.0.signature, legacy)?;
            signed_by.get_or_init(|| (issuer.clone(), legacy));
            Ok(())
        })
    }

    /// SHA-1 of the whole certificate: what other systems call its fingerprint. A name, never a proof.
    #[must_use]
    pub fn sha1(&self) -> [u8; 20] {
        *self.0.computed.sha1.get_or_init(|| {
            let mut out = [0; 20];
            out.copy_from_slice(HashAlgorithm::Sha1.hash(&[&self.0.der]).as_ref());
            out
        })
    }

    /// SHA-256 of the whole certificate: how records and output name it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(HashAlgorithm::Sha256.hash(&[&self.0.der]).as_ref());
        out
    }
}

impl core::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &format_args!("{}", self.0.subject))
            .field("issuer", &format_args!("{}", self.0.issuer))
            .field("serial", &hex::encode(&self.0.serial))
            .field("spki", &hex::encode(&self.0.spki))
            .finish_non_exhaustive()
    }
}

fn version(fields: &mut Reader<'_>) -> Result<u64, DerError> {
    match fields.optional(tag::constructed(0))? {
        Some(wrapped) => {
            let mut reader = wrapped.reader();
            let version = reader.small_uint()?;
            reader.finish()?;
            if version > 2 {
                return Err(DerError::Value("version"));
            }
            Ok(version)
        }
        None => Ok(0),
    }
}

/// RFC 5280 wants positive numbers of at most 20 bytes. Vendors wrote negative ones, longer ones
/// and ones with leading zeros; the number identifies and decides nothing. The second value says
/// that the strict profile refuses it.
fn serial<'a>(fields: &mut Reader<'a>) -> Result<(&'a [u8], bool), DerError> {
    let contents = fields.expect(tag::INTEGER)?.contents;
    if contents.is_empty() || contents.len() > MAX_SERIAL_LEN {
        return Err(DerError::Value("serial number"));
    }
    let zeros = contents.iter().take_while(|b| **b == 0).count();
    let trimmed = contents
        .get(zeros.min(contents.len() - 1)..)
        .unwrap_or_default();
    let negative = contents.first().is_some_and(|b| b & 0x80 != 0);
    Ok((trimmed, negative || contents.len() > 20 || trimmed == [0]))
}

fn name(fields: &mut Reader<'_>) -> Result<Name, DerError> {
    Name::from_element(&fields.expect(tag::SEQUENCE)?)
}

/// First and last second, and whether the strict profile refuses the way they are written.
fn validity(fields: &mut Reader<'_>) -> Result<(UnixTime, UnixTime, bool), DerError> {
    let mut validity = fields.expect(tag::SEQUENCE)?.reader();
    let mut departs = false;
    let mut time = |element: Element<'_>| {
        let len = if element.tag == tag::UTC_TIME { 13 } else { 15 };
        departs |= element.contents.len() != len || !element.contents.ends_with(b"Z");
        UnixTime::from_element(&element)
    };
    let not_before = time(validity.any()?)?;
    let not_after = time(validity.any()?)?;
    validity.finish()?;
    Ok((not_before, not_after, departs))
}

/// Unique identifiers (versions 2 and 3) are skipped; they were abandoned before TPMs existed.
fn extensions(fields: &mut Reader<'_>, version: u64) -> Result<Extensions, DerError> {
    for identifier in [tag::context(1), tag::context(2)] {
        fields.optional(identifier)?;
    }
    let extensions = match fields.optional(tag::constructed(3))? {
        Some(_) if version < 2 => return Err(DerError::Value("extensions: not in this version")),
        Some(wrapped) => Extensions::from_contents(wrapped.contents)?,
        None => Extensions::default(),
    };
    fields.finish()?;
    Ok(extensions)
}
