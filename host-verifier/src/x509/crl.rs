//! Revocation lists, RFC 5280 section 5: what one says, and the bytes its signature covers.
//!
//! Only complete, direct lists are read. A list that covers a part of an issuer's certificates (issuing distribution
//! point), changes another list (delta) or speaks for several issuers is refused when it is read: taken for a complete one
//! it would let revoked certificates pass.

use core::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::crypto::{self, Legacy, PublicKey};

use super::{
    Oid, UnixTime,
    algorithm::SignatureAlgorithm,
    der::{DerError, Element, Reader, tag},
    name::Name,
};

/// Longest list read, in bytes: some 100 000 entries.
pub const MAX_CRL_LEN: usize = 4 * 1024 * 1024;
/// Keys of which a list remembers that they signed it; an issuer has one, two while it changes.
const MAX_REMEMBERED: usize = 8;

/// Why bytes are not a list that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Longer than [`MAX_CRL_LEN`].
    #[error("revocation list of {0} bytes, at most {MAX_CRL_LEN} are read")]
    TooLong(usize),
    /// The structure is broken in the named field.
    #[error("revocation list, {field}: {source}")]
    Der {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        source: DerError,
    },
    /// The signature algorithm inside and outside the signed part differ, or it is not supported.
    #[error(
        "revocation list: its signature algorithm differs inside and outside, or is not supported"
    )]
    Algorithm,
    /// Version 1: without extensions nothing says that it is complete.
    #[error("revocation list of version 1: version 2 with a number is needed")]
    Version,
    /// RFC 5280 section 5.2.3 wants a number, not critical.
    #[error("revocation list without a number (cRLNumber), or with a critical one")]
    Number,
    /// RFC 5280 section 5.1.2.5 wants to know when the next one comes. Without it a list never ages.
    #[error("revocation list without nextUpdate")]
    NoNextUpdate,
    /// A part of the certificates, a change of another list, or several issuers.
    #[error("revocation list with the extension {0}: only complete lists of one issuer are read")]
    NotComplete(Oid),
    /// A critical extension that is not understood.
    #[error("revocation list with the critical extension {0}, which is not understood")]
    CriticalExtension(Oid),
}

/// A list that was read, and in no way verified.
pub struct Crl {
    der: Box<[u8]>,
    tbs: Range<usize>,
    issuer: Name,
    this_update: UnixTime,
    next_update: UnixTime,
    /// Sorted serial numbers without leading zeros.
    revoked: Vec<Box<[u8]>>,
    algorithm: SignatureAlgorithm,
    signature: Range<usize>,
    /// Keys under which the signature verified, with the switches of that time: the arithmetic and the hash of megabytes
    /// are done once.
    signers: Mutex<Vec<([u8; 32], Legacy)>>,
}

impl Crl {
    /// Reads one DER list; nothing may follow it.
    ///
    /// # Errors
    /// See [`CrlError`]. Never panics.
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > MAX_CRL_LEN {
            return Err(CrlError::TooLong(der.len()));
        }
        let at = |field| move |source| CrlError::Der { field, source };

        let mut outer = Reader::new(der);
        let mut list = outer.expect(tag::SEQUENCE).map_err(at("outer"))?.reader();
        outer.finish().map_err(at("outer"))?;
        let tbs_start = der.len() - list.rest().len();
        let tbs = list.expect(tag::SEQUENCE).map_err(at("signed part"))?;
        let outer_algorithm = list
            .expect(tag::SEQUENCE)
            .map_err(at("signature algorithm"))?;
        let signature = list.bit_string_bytes().map_err(at("signature"))?;
        list.finish().map_err(at("outer"))?;

        let mut fields = tbs.reader();
        // Without the field it is version 1; 1 stands for version 2.
        if fields.peek() != Some(tag::INTEGER) {
            return Err(CrlError::Version);
        }
        if fields.small_uint().map_err(at("version"))? != 1 {
            return Err(CrlError::Version);
        }
        let inner_algorithm = fields
            .expect(tag::SEQUENCE)
            .map_err(at("signature algorithm"))?;
        if inner_algorithm.contents != outer_algorithm.contents {
            return Err(CrlError::Algorithm);
        }
        let algorithm = SignatureAlgorithm::from_element(&inner_algorithm)
            .map_err(at("signature algorithm"))?;
        if matches!(algorithm, SignatureAlgorithm::Unsupported(_)) {
            return Err(CrlError::Algorithm);
        }
        let issuer = fields.expect(tag::SEQUENCE).map_err(at("issuer"))?;
        let issuer = Name::from_element(&issuer).map_err(at("issuer"))?;
        let this_update = time(&mut fields).map_err(at("thisUpdate"))?;
        if !matches!(fields.peek(), Some(tag::UTC_TIME | tag::GENERALIZED_TIME)) {
            return Err(CrlError::NoNextUpdate);
        }
        let next_update = time(&mut fields).map_err(at("nextUpdate"))?;
        let revoked = match fields
            .optional(tag::SEQUENCE)
            .map_err(at("revoked certificates"))?
        {
            Some(entries) => entries_of(&entries)?,
            None => Vec::new(),
        };
        let extensions = fields
            .optional(tag::constructed(0))
            .map_err(at("extensions"))?;
        fields.finish().map_err(at("signed part"))?;
        list_extensions(extensions)?;

        Ok(Self {
            tbs: tbs_start..tbs_start + tbs.raw.len(),
            issuer,
            this_update,
            next_update,
            revoked,
            algorithm,
            // The signature is the end of the outer element, which is all there is.
            signature: der.len() - signature.len()..der.len(),
            signers: Mutex::default(),
            der: der.into(),
        })
    }

    /// Whose list it says it is.
    #[must_use]
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// When it was made.
    #[must_use]
    pub fn this_update(&self) -> UnixTime {
        self.this_update
    }

    /// By when there is another one.
    #[must_use]
    pub fn next_update(&self) -> UnixTime {
        self.next_update
    }

    /// How many certificates it revokes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    /// True when it revokes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// Whether it lists this serial number (big-endian, without leading zeros), for whatever reason: a certificate on hold
    /// is not valid either.
    #[must_use]
    pub fn lists(&self, serial: &[u8]) -> bool {
        self.revoked
            .binary_search_by(|listed| listed.as_ref().cmp(serial))
            .is_ok()
    }

    /// Whether `issuer` made the signature.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &PublicKey, legacy: Legacy) -> bool {
        let signer = (issuer.spki_sha256(), legacy);
        let remembered = |list: &Vec<_>| list.contains(&signer);
        if remembered(&self.signers.lock().unwrap_or_else(PoisonError::into_inner)) {
            return true;
        }
        let SignatureAlgorithm::Known(scheme) = self.algorithm else {
            return false;
        };
        let tbs = self.der.get(self.tbs.clone()).unwrap_or_default();
        let signature = self.der.get(self.signature.clone()).unwrap_or_default();
        let verified = crypto::verify(issuer, scheme, tbs, signature, legacy).is_ok();
        if verified {
            let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
            if signers.len() < MAX_REMEMBERED && !remembered(&signers) {
                signers.push(signer);
            }
        }
        verified
    }
}

impl core::fmt::Debug for Crl {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Crl")
            .field("issuer", &format_args!("{}", self.issuer))
            .field("this_update", &format_args!("{}", self.this_update))
            .field("next_update", &format_args!("{}", self.next_update))
            .field("revoked", &self.revoked.len())
            .finish_non_exhaustive()
    }
}

fn time(fields: &mut Reader<'_>) -> Result<UnixTime, DerError> {
    UnixTime::from_element(&fields.any()?)
}

fn entries_of(entries: &Element<'_>) -> Result<Vec<Box<[u8]>>, CrlError> {
    let at = |source| CrlError::Der {
        field: "revoked certificates",
        source,
    };
    let mut revoked = Vec::new();
    let mut reader = entries.reader();
    while !reader.is_empty() {
        let mut entry = reader.expect(tag::SEQUENCE).map_err(at)?.reader();
        let serial = entry.expect(tag::INTEGER).map_err(at)?.contents;
        time(&mut entry).map_err(at)?;
        if let Some(extensions) = entry.optional(tag::SEQUENCE).map_err(at)? {
            each_extension(&extensions, |oid, critical| match oid {
                Oid::REASON_CODE | Oid::INVALIDITY_DATE => Ok(()),
                // certificateIssuer is one: it makes the entry another issuer's.
                other if critical => Err(CrlError::CriticalExtension(other)),
                _ => Ok(()),
            })?;
        }
        entry.finish().map_err(at)?;
        let zeros = serial.iter().take_while(|b| **b == 0).count();
        let trimmed = serial
            .get(zeros.min(serial.len().saturating_sub(1))..)
            .unwrap_or_default();
        revoked.push(trimmed.into());
    }
    revoked.sort_unstable();
    Ok(revoked)
}

fn list_extensions(wrapped: Option<Element<'_>>) -> Result<(), CrlError> {
    let at = |source| CrlError::Der {
        field: "extensions",
        source,
    };
    let Some(wrapped) = wrapped else {
        return Err(CrlError::Number);
    };
    let mut reader = wrapped.reader();
    let extensions = reader.expect(tag::SEQUENCE).map_err(at)?;
    reader.finish().map_err(at)?;
    let mut numbered = false;
    each_extension(&extensions, |oid, critical| match oid {
        Oid::ISSUING_DISTRIBUTION_POINT | Oid::DELTA_CRL_INDICATOR => {
            Err(CrlError::NotComplete(oid))
        }
        Oid::CRL_NUMBER => {
            numbered = !critical;
            Ok(())
        }
        other if critical => Err(CrlError::CriticalExtension(other)),
        _ => Ok(()),
    })?;
    if numbered {
        Ok(())
    } else {
        Err(CrlError::Number)
    }
}

/// Calls `each` with the type and the criticality of every extension; none may stand twice.
fn each_extension(
    extensions: &Element<'_>,
    mut each: impl FnMut(Oid, bool) -> Result<(), CrlError>,
) -> Result<(), CrlError> {
    let at = |source| CrlError::Der {
        field: "extensions",
        source,
    };
    let mut seen: Vec<Oid> = Vec::new();
    let mut list = extensions.reader();
    while !list.is_empty() {
        let mut extension = list.expect(tag::SEQUENCE).map_err(at)?.reader();
        let oid = extension.expect(tag::OID).map_err(at)?.contents;
        let oid = Oid::from_contents(oid).map_err(at)?;
        let critical = match extension.peek() {
            Some(tag::BOOLEAN) => extension.boolean().map_err(at)?,
            _ => false,
        };
        extension.expect(tag::OCTET_STRING).map_err(at)?;
        extension.finish().map_err(at)?;
        if seen.contains(&oid) || seen.len() == 32 {
            return Err(at(DerError::Value(
                "extensions: one stands twice, or too many",
            )));
        }
        seen.push(oid);
        each(oid, critical)?;
    }
    Ok(())
}
