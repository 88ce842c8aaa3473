//! The agent's bytes, read once: SPIRE's payload and response in one JSON object.

use assay_common::method::possession::NONCE_LEN;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::error::X509PopError;
use crate::base64_text;
use crate::crypto::Known;
use crate::text::Text;
use crate::x509::{Certificate, VerifiedChain};

/// Longest payload, bytes: what a message over HTTPS carries.
pub const MAX_PAYLOAD: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    certificates: Vec<Text<'a>>,
    #[serde(borrow)]
    response: WireResponse<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireResponse<'a> {
    #[serde(default, borrow)]
    rsa_signature: Option<Plain<'a>>,
    #[serde(default, borrow)]
    ecdsa_signature: Option<Pair<'a>>,
    #[serde(default, borrow)]
    ed25519_signature: Option<Plain<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    #[serde(borrow)]
    nonce: Text<'a>,
    #[serde(borrow)]
    signature: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair<'a> {
    #[serde(borrow)]
    nonce: Text<'a>,
    #[serde(borrow)]
    r: Text<'a>,
    #[serde(borrow)]
    s: Text<'a>,
}

/// A signature, by the member that it stood in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// RSASSA-PSS.
    Rsa(Vec<u8>),
    /// Two big-endian numbers without leading zeros.
    Ecdsa {
        /// The first.
        r: Vec<u8>,
        /// The second.
        s: Vec<u8>,
    },
    /// As RFC 8032 writes it.
    Ed25519(Vec<u8>),
}

impl Signature {
    /// What errors call it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa",
            Self::Ecdsa { .. } => "ecdsa",
            Self::Ed25519(_) => "ed25519",
        }
    }
}

/// What the agent sent; nothing of it is verified.
#[derive(Debug)]
pub struct Untrusted {
    /// The certificate in question.
    pub leaf: Certificate,
    /// What came with it, as many as were let in.
    pub intermediates: Vec<Certificate>,
    /// The agent's contribution to what was signed.
    pub agent_nonce: [u8; NONCE_LEN],
    /// The signature.
    pub signature: Signature,
    /// Whether a certificate had to be read.
    pub anew: bool,
}

/// Reads a payload. The certificates are counted before any of them is looked at; those that are `known` are not read again.
///
/// # Errors
/// [`X509PopError`] of what cannot be read.
pub fn parse(
    payload: &[u8],
    max_intermediates: usize,
    known: &Known<Certificate>,
) -> Result<Untrusted, X509PopError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(X509PopError::Payload(format!(
            "longer than {MAX_PAYLOAD} bytes"
        )));
    }
    // The position is of use to whoever writes an agent; the text is not repeated.
    let wire: Wire<'_> = serde_json::from_slice(payload).map_err(|error| {
        X509PopError::Payload(format!("column {}: {}", error.column(), category(&error)))
    })?;
    let Some((leaf, intermediates)) = wire.certificates.split_first() else {
        return Err(X509PopError::NoCertificate);
    };
    if intermediates.len() > max_intermediates {
        return Err(X509PopError::TooManyIntermediates {
            got: intermediates.len(),
            max: max_intermediates,
        });
    }
    let mut anew = false;
    let mut certificate = |(number, text): (usize, &Text<'_>)| {
        if let Some(certificate) = known.get(&**text) {
            return Ok(certificate);
        }
        anew = true;
        let der = bytes("certificates", text)?;
        Certificate::from_der(&der).map_err(|source| X509PopError::Certificate { number, source })
    };
    let leaf = certificate((0, leaf))?;
    let numbered = (1..).zip(intermediates);
    let intermediates = numbered.map(certificate).collect::<Result<_, _>>()?;
    let (nonce, signature) = response(wire.response)?;
    let agent_nonce = bytes("nonce", &nonce)?
        .try_into()
        .map_err(|_| X509PopError::ResponseNonce)?;
    Ok(Untrusted {
        leaf,
        intermediates,
        agent_nonce,
        signature,
        anew,
    })
}

fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "not the members that are expected, each once",
        _ => "not JSON",
    }
}

/// Keeps what a proof that was judged good brought, so that it need not be read again. Certificates that the chain does not
/// need are nobody's word for anything, and are not kept.
pub fn keep(untrusted: &Untrusted, chain: &VerifiedChain, known: &Known<Certificate>) {
    if !untrusted.anew {
        return;
    }
    for certificate in core::iter::once(&untrusted.leaf).chain(&untrusted.intermediates) {
        let is = |other: &Certificate| other.der() == certificate.der();
        if is(chain.leaf()) || chain.issuers().iter().any(|issuer| is(issuer)) {
            // The one text that is read as this certificate: the decoder takes no other.
            known.put(&STANDARD.encode(certificate.der()), certificate);
        }
    }
}

fn response(wire: WireResponse<'_>) -> Result<(Text<'_>, Signature), X509PopError> {
    match (
        wire.rsa_signature,
        wire.ecdsa_signature,
        wire.ed25519_signature,
    ) {
        (Some(plain), None, None) => {
            let signature = bytes("signature", &plain.signature)?;
            Ok((plain.nonce, Signature::Rsa(signature)))
        }
        (None, None, Some(plain)) => {
            let signature = bytes("signature", &plain.signature)?;
            Ok((plain.nonce, Signature::Ed25519(signature)))
        }
        (None, Some(pair), None) => {
            let (r, s) = (bytes("r", &pair.r)?, bytes("s", &pair.s)?);
            // One number has one encoding: with others one signature would have many.
            if [&r, &s].iter().any(|n| matches!(n.first(), None | Some(0))) {
                return Err(X509PopError::NotMinimal);
            }
            Ok((pair.nonce, Signature::Ecdsa { r, s }))
        }
        _ => Err(X509PopError::Payload(
            "the response must have one signature".to_owned(),
        )),
    }
}

fn bytes(field: &'static str, text: &str) -> Result<Vec<u8>, X509PopError> {
    base64_text::standard(text).ok_or(X509PopError::Base64(field))
}
