//! Certificate requests: PKCS#10, RFC 2986, read strictly.
//!
//! What counts in a request is that its key signed it. Subject, attributes and everything else that the requester would like
//! are read over: who gets which identity is decided by what was attested, never by what was asked for.

use crate::crypto::{
    self, Curve, HashAlgorithm, Legacy, MIN_RSA_BITS, PublicKey, Scheme, USUAL_MAX_RSA_BITS,
    VerifyError, has_roca_fingerprint,
};
use crate::x509::Oid;
use crate::x509::algorithm::SignatureAlgorithm;
use crate::x509::der::{DerError, Reader, tag};
use crate::x509::name::Name;
use crate::x509::spki::{self, SpkiError};

/// Longest request, bytes. One with an RSA key of 4096 bits and some attributes has 1.8 KiB.
pub const MAX_CSR: usize = 4096;
/// Smallest public exponent of an RSA key (NIST SP 800-56B section 6.2).
pub const MIN_EXPONENT: u64 = 65_537;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Longer than [`MAX_CSR`].
    #[error("certificate request of {0} bytes, at most {MAX_CSR} are read")]
    TooLong(usize),
    /// The structure is broken in the named field.
    #[error("certificate request, {field}: {source}")]
    Der {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        source: DerError,
    },
    /// Another version than 0, the only one there is.
    #[error("certificate request of version {0}, only 0 is known")]
    Version(u64),
    /// The key is no key, or of a kind that is not supported.
    #[error("certificate request: {0}")]
    Key(#[from] SpkiError),
    /// A curve that gets no certificate.
    #[error("certificate request for a key on {0:?}: P-256 and P-384 are supported")]
    Curve(Curve),
    /// Ed25519, which many verifiers of X.509-SVIDs do not know.
    #[error("certificate request for an ed25519 key: P-256, P-384 and RSA are supported")]
    Ed25519,
    /// RSA of another size.
    #[error(
        "certificate request for RSA of {0} bits: {MIN_RSA_BITS} to {USUAL_MAX_RSA_BITS} are supported"
    )]
    RsaBits(usize),
    /// RSA with an exponent that is too small.
    #[error("certificate request for RSA with exponent {0}: at least {MIN_EXPONENT} is asked for")]
    Exponent(u64),
    /// RSA whose factors can be found (CVE-2017-15361).
    #[error("certificate request for an RSA key of the ROCA kind (CVE-2017-15361)")]
    Roca,
    /// The key is not written in the one form that it has.
    #[error("certificate request: the public key is not in canonical form")]
    NotCanonical,
    /// A signature algorithm that is not supported.
    #[error("certificate request signed with {0}, which is not supported")]
    Algorithm(String),
    /// The key did not sign it.
    #[error("certificate request: {0}")]
    Signature(VerifyError),
}

/// A public key whose holder has signed a request with it: only [`verify_csr`] makes one.
///
/// Proves possession of the private key at some time. Does not prove when, nor for whom: a request is good to show again.
/// Have the key sign the exchange that carries it where that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedKey {
    key: PublicKey,
    spki: Box<[u8]>,
}

impl VerifiedKey {
    /// A key that was verified before and whose SubjectPublicKeyInfo was kept by us; it is checked as in a request, but for
    /// the possession, which was proven then.
    ///
    /// # Errors
    ///
    /// [`CsrError`].
    pub fn recall(spki: &[u8]) -> Result<Self, CsrError> {
        let at = |field| move |source| CsrError::Der { field, source };
        let mut reader = Reader::new(spki);
        let element = reader.expect(tag::SEQUENCE).map_err(at("public key"))?;
        reader.finish().map_err(at("public key"))?;
        let key = spki::public_key(&element)?;
        check_key(&key)?;
        Ok(Self {
            key,
            spki: spki.into(),
        })
    }

    /// Whether the key signed `message`: ECDSA in DER, or RSASSA-PKCS1-v1_5, with SHA-256.
    ///
    /// # Errors
    ///
    /// [`VerifyError`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        let scheme = match &self.key {
            PublicKey::Ec(_) => Scheme::Ecdsa(HashAlgorithm::Sha256),
            PublicKey::Rsa(_) => Scheme::RsaPkcs1(HashAlgorithm::Sha256),
            // No SVID has such a key; were there one, its signature is judged like any other.
            PublicKey::Ed25519(_) => Scheme::Ed25519,
        };
        crypto::verify(&self.key, scheme, message, signature, Legacy::default())
    }

    /// The key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Its SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }
}

/// Reads a request in DER and verifies that its own key signed it.
///
/// Keys: P-256, P-384, RSA of 2048 to 4096 bits with an exponent of at least 65537. Signatures: ECDSA, RSASSA-PKCS1-v1_5 and
/// RSASSA-PSS with SHA-256, SHA-384 or SHA-512.
///
/// # Errors
///
/// [`CsrError`]. Never panics.
pub fn verify_csr(der: &[u8]) -> Result<VerifiedKey, CsrError> {
    let request = Request::parse(der)?;
    check_key(&request.key)?;
    let canonical = request.key.spki_der();
    if canonical != request.spki {
        return Err(CsrError::NotCanonical);
    }
    let scheme = match request.algorithm {
        SignatureAlgorithm::Known(scheme) => scheme,
        SignatureAlgorithm::Unsupported(oid) => return Err(CsrError::Algorithm(oid.to_string())),
    };
    crypto::verify(
        &request.key,
        scheme,
        request.signed,
        request.signature,
        Legacy::default(),
    )
    .map_err(CsrError::Signature)?;
    Ok(VerifiedKey {
        key: request.key,
        spki: canonical.into(),
    })
}

/// A request that was read, and in no way verified.
struct Request<'a> {
    signed: &'a [u8],
    key: PublicKey,
    spki: &'a [u8],
    algorithm: SignatureAlgorithm,
    signature: &'a [u8],
}

impl<'a> Request<'a> {
    fn parse(der: &'a [u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_CSR {
            return Err(CsrError::TooLong(der.len()));
        }
        let at = |field| move |source| CsrError::Der { field, source };
        let mut outer = Reader::new(der);
        let mut request = outer.expect(tag::SEQUENCE).map_err(at("outer"))?.reader();
        outer.finish().map_err(at("outer"))?;
        let signed = request.expect(tag::SEQUENCE).map_err(at("signed part"))?;
        let algorithm = request
            .expect(tag::SEQUENCE)
            .and_then(|element| SignatureAlgorithm::from_element(&element))
            .map_err(at("signature algorithm"))?;
        let signature = request.bit_string_bytes().map_err(at("signature"))?;
        request.finish().map_err(at("outer"))?;

        let mut fields = signed.reader();
        let version = fields.small_uint().map_err(at("version"))?;
        if version != 0 {
            return Err(CsrError::Version(version));
        }
        fields
            .expect(tag::SEQUENCE)
            .and_then(|name| Name::from_element(&name))
            .map_err(at("subject"))?;
        let spki = fields.expect(tag::SEQUENCE).map_err(at("public key"))?;
        let mut attributes = fields
            .expect(tag::constructed(0))
            .map_err(at("attributes"))?
            .reader();
        fields.finish().map_err(at("signed part"))?;
        while !attributes.is_empty() {
            attribute(&mut attributes).map_err(at("attributes"))?;
        }
        Ok(Self {
            signed: signed.raw,
            key: spki::public_key(&spki)?,
            spki: spki.raw,
            algorithm,
            signature,
        })
    }
}

/// `Attribute`: a type and a set of at least one value, whatever they are.
fn attribute(attributes: &mut Reader<'_>) -> Result<(), DerError> {
    let mut attribute = attributes.expect(tag::SEQUENCE)?.reader();
    Oid::from_contents(attribute.expect(tag::OID)?.contents)?;
    let mut values = attribute.expect(tag::SET)?.reader();
    attribute.finish()?;
    values.any()?;
    while !values.is_empty() {
        values.any()?;
    }
    Ok(())
}

fn check_key(key: &PublicKey) -> Result<(), CsrError> {
    match key {
        PublicKey::Ec(ec) if ec.curve() == Curve::P521 => Err(CsrError::Curve(Curve::P521)),
        PublicKey::Ec(_) => Ok(()),
        PublicKey::Ed25519(_) => Err(CsrError::Ed25519),
        PublicKey::Rsa(rsa) => {
            if !(MIN_RSA_BITS..=USUAL_MAX_RSA_BITS).contains(&rsa.bits()) {
                Err(CsrError::RsaBits(rsa.bits()))
            } else if rsa.exponent() < MIN_EXPONENT {
                Err(CsrError::Exponent(rsa.exponent()))
            } else if has_roca_fingerprint(rsa) {
                Err(CsrError::Roca)
            } else {
                Ok(())
            }
        }
    }
}
