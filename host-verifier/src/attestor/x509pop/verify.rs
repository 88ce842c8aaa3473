//! Every check of `x509pop`. Pure: bytes, settings, nonce and time come in.

use std::collections::BTreeMap;

use assay_common::{
    identity::SpiffeId,
    method::possession::{NONCE_LEN, digest, nonces},
};

use super::{
    error::X509PopError,
    payload::{Signature, Untrusted},
};
use crate::{
    crypto::{HashAlgorithm, Known, Legacy, PssSalt, PublicKey, Scheme, ecdsa_signature_der},
    x509::{
        Certificate, Oid, PathError, Policy, Revocation, TrustStore, UnixTime, VerifiedChain,
        extensions::GeneralName, validate_unrevoked,
    },
};

/// Longest type and longest value of a `x509pop://` name, bytes.
const MAX_SAN_PART: usize = 256;

/// What a proof is judged by.
#[derive(Debug)]
pub struct Rules {
    /// Who certifies.
    pub authorities: TrustStore,
    /// What is demanded of the chain.
    pub policy: Policy,
    /// Revocation lists, if any are given.
    pub revocation: Option<Revocation>,
    /// Whose names in certificates count.
    pub trust_domain: Option<String>,
    /// In SPIFFE mode, how the path of the SPIFFE ID begins; ends with a slash.
    pub spiffe_prefix: Option<String>,
    /// Certificates of proofs that were judged good.
    pub known: Known<Certificate>,
}

/// Proof that a node holds the key of a certificate: only [`verify`] makes one.
#[derive(Debug)]
pub struct Proven {
    chain: VerifiedChain,
    key_sha256: [u8; 32],
    names: BTreeMap<String, String>,
    spiffe_id: Option<String>,
}

impl Proven {
    /// The leaf and who vouches for it.
    #[must_use]
    pub fn chain(&self) -> &VerifiedChain {
        &self.chain
    }

    /// SHA-256 of the leaf's canonical SubjectPublicKeyInfo.
    #[must_use]
    pub fn key_sha256(&self) -> [u8; 32] {
        self.key_sha256
    }

    /// Types and values of the leaf's `x509pop://` names.
    #[must_use]
    pub fn names(&self) -> &BTreeMap<String, String> {
        &self.names
    }

    /// The leaf's SPIFFE ID, in SPIFFE mode.
    #[must_use]
    pub fn spiffe_id(&self) -> Option<&str> {
        self.spiffe_id.as_deref()
    }
}

/// Judges a proof for a login whose nonce is `nonce`.
///
/// # Errors
/// The first check that failed, in the order of `docs/methods/x509pop.md`.
pub fn verify(
    untrusted: &Untrusted,
    rules: &Rules,
    nonce: &[u8; NONCE_LEN],
    at: UnixTime,
) -> Result<Proven, X509PopError> {
    let leaf = &untrusted.leaf;
    // Before any arithmetic with a key that nobody vouches for.
    for certificate in core::iter::once(leaf).chain(&untrusted.intermediates) {
        check_size(certificate, rules.policy.max_rsa_bits)?;
    }
    let chain = validate_unrevoked(
        leaf,
        &untrusted.intermediates,
        &rules.authorities,
        &rules.policy,
        rules.revocation.as_ref(),
        at,
    )?;
    let unsupported = |source| PathError::UnsupportedKey {
        subject: leaf.subject().to_string(),
        source,
    };
    let key = leaf.key().map_err(unsupported)?;
    check_signature(leaf, key, untrusted, nonce)?;
    let spiffe_id = match &rules.spiffe_prefix {
        Some(prefix) => Some(spiffe_id(leaf, rules.trust_domain.as_deref(), prefix)?),
        None => None,
    };
    let names = names(leaf, rules.trust_domain.as_deref())?;
    Ok(Proven {
        key_sha256: leaf.key_sha256().map_err(unsupported)?,
        chain,
        names,
        spiffe_id,
    })
}

fn check_size(certificate: &Certificate, max: usize) -> Result<(), PathError> {
    match certificate.key() {
        Ok(PublicKey::Rsa(rsa)) if rsa.bits() > max => Err(PathError::KeyTooLarge {
            subject: certificate.subject().to_string(),
            bits: rsa.bits(),
            max,
        }),
        _ => Ok(()),
    }
}

/// RSA and ECDSA sign the digest of both nonces, whatever the curve; Ed25519 signs that digest as its message.
fn check_signature(
    leaf: &Certificate,
    key: &PublicKey,
    untrusted: &Untrusted,
    nonce: &[u8; NONCE_LEN],
) -> Result<(), X509PopError> {
    let hashed_by_scheme = nonces(nonce, &untrusted.agent_nonce);
    let verify = |scheme, message: &[u8], signature: &[u8]| {
        let verified = leaf.verify_by_key(scheme, message, signature, Legacy::default());
        verified.map_err(|_| X509PopError::Signature)
    };
    match (key, &untrusted.signature) {
        (PublicKey::Rsa(_), Signature::Rsa(signature)) => {
            let scheme = Scheme::RsaPss(HashAlgorithm::Sha256, PssSalt::Usual);
            verify(scheme, &hashed_by_scheme, signature)
        }
        (PublicKey::Ec(ec), Signature::Ecdsa { r, s }) => {
            let signature = ecdsa_signature_der(ec.curve(), r, s);
            let signature = signature.ok_or(X509PopError::Signature)?;
            let scheme = Scheme::Ecdsa(HashAlgorithm::Sha256);
            verify(scheme, &hashed_by_scheme, &signature)
        }
        (PublicKey::Ed25519(_), Signature::Ed25519(signature)) => {
            let message = digest(nonce, &untrusted.agent_nonce);
            verify(Scheme::Ed25519, &message, signature)
        }
        (key, signature) => Err(X509PopError::SignatureType {
            signature: signature.kind(),
            key: key.kind(),
        }),
    }
}

fn uris(leaf: &Certificate) -> impl Iterator<Item = &str> {
    let names = leaf.extensions().subject_alt_name.iter().flatten();
    names.filter_map(|name| match name {
        GeneralName::Uri(uri) => Some(uri.as_str()),
        _ => None,
    })
}

/// The rest of a URI whose scheme it is: schemes have no letter case (RFC 3986 section 3.1).
fn after_scheme<'a>(uri: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = uri.split_once("://")?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The one SPIFFE ID, in the trust domain and below the prefix.
fn spiffe_id(
    leaf: &Certificate,
    trust_domain: Option<&str>,
    prefix: &str,
) -> Result<String, X509PopError> {
    let mut found = uris(leaf).filter(|uri| after_scheme(uri, "spiffe").is_some());
    let (Some(only), None) = (found.next(), found.next()) else {
        let count = uris(leaf).filter(|uri| after_scheme(uri, "spiffe").is_some());
        return Err(X509PopError::SpiffeIds(count.count()));
    };
    SpiffeId::parse(only).map_err(|error| X509PopError::SpiffeId(error.to_string()))?;
    // It was parsed: the scheme is in lower case, and the host is followed by a path or by nothing.
    let rest = after_scheme(only, "spiffe").unwrap_or_default();
    let (domain, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let expected = trust_domain.unwrap_or_default();
    if domain != expected {
        return Err(X509PopError::TrustDomain {
            got: domain.to_owned(),
            expected: expected.to_owned(),
        });
    }
    if !path.starts_with(prefix) {
        return Err(X509PopError::Prefix {
            path: path.to_owned(),
            prefix: prefix.to_owned(),
        });
    }
    Ok(only.to_owned())
}

/// `x509pop://<trust domain>/<type>/<value>`: other URIs and other trust domains say nothing to us.
fn names(
    leaf: &Certificate,
    trust_domain: Option<&str>,
) -> Result<BTreeMap<String, String>, X509PopError> {
    let mut names = BTreeMap::new();
    for uri in uris(leaf) {
        let Some((domain, path)) = after_scheme(uri, "x509pop").map(|rest| {
            let slash = rest.find('/').unwrap_or(rest.len());
            rest.split_at(slash)
        }) else {
            continue;
        };
        if !trust_domain.is_some_and(|ours| domain.eq_ignore_ascii_case(ours)) {
            continue;
        }
        let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let Some((kind, value)) = parts.filter(|(kind, value)| {
            is_type(kind)
                && (1..=MAX_SAN_PART).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_graphic())
        }) else {
            return Err(X509PopError::SanForm(
                uri.chars().take(MAX_SAN_PART).collect(),
            ));
        };
        if names.insert(kind.to_owned(), value.to_owned()).is_some() {
            return Err(X509PopError::SanTwice(kind.to_owned()));
        }
    }
    Ok(names)
}

/// What can stand in an attribute's name.
fn is_type(kind: &str) -> bool {
    (1..=MAX_SAN_PART).contains(&kind.len())
        && kind
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The common name, if there is one that is not empty.
#[must_use]
pub fn common_name(leaf: &Certificate) -> Option<&str> {
    leaf.subject()
        .text(Oid::COMMON_NAME)
        .filter(|name| !name.is_empty())
}
