//! Whether AWS signed the document. Pure.

use super::certificates::{Certificates, Kind};
use super::document::Document;
use super::error::DocumentError;
use super::payload::Untrusted;
use crate::cms::{CmsError, Profile, SignedData, to_der};
use crate::crypto::{self, HashAlgorithm, Legacy, Scheme};
use crate::x509::Certificate;

/// The document that AWS signed.
///
/// The region in it says which certificates count, before anything is verified: what a signature under one of those says is
/// AWS's own word for that region. `legacy` lets in signatures of 1024 bits.
///
/// # Errors
/// [`DocumentError`], the first that does not hold: the document is one, it is the one that was sent beside the message, a
/// certificate is pinned for its region, that certificate is the signer's, the message's checks ([`SignedData::verify`]).
pub fn verify(
    untrusted: &Untrusted,
    pinned: &Certificates,
    legacy: bool,
) -> Result<Document, DocumentError> {
    match untrusted {
        Untrusted::Enveloped { message, document } => {
            let der = to_der(message).map_err(CmsError::from)?;
            let message = SignedData::read(&der)?;
            let content = message.untrusted_content();
            let claimed = Document::parse(content)?;
            // What is used is what is inside. A second text that differs is an attempt to have it taken for signed.
            if document.as_ref().is_some_and(|beside| beside != content) {
                return Err(DocumentError::Beside);
            }
            let mut signer = None;
            for one in in_region(pinned, &claimed, Kind::Rsa2048)? {
                if signer.is_none() && message.untrusted_signer_is(one)? {
                    signer = Some(one);
                }
            }
            let signer = signer.ok_or_else(|| DocumentError::Signer {
                region: claimed.region.clone(),
            })?;
            let signed = message.verify(signer, Profile::AWS)?;
            // What was read is what was signed, to the byte; otherwise that would be read.
            match signed.content == content {
                true => Ok(claimed),
                false => Document::parse(signed.content),
            }
        }
        Untrusted::Detached { .. } if !legacy => Err(DocumentError::Legacy),
        Untrusted::Detached {
            document,
            signature,
        } => {
            let claimed = Document::parse(document)?;
            // A bare signature names nobody.
            let mut failed = None;
            for one in in_region(pinned, &claimed, Kind::Rsa1024)? {
                match raw(one, document, signature) {
                    Ok(()) => return Ok(claimed),
                    Err(error) => failed = Some(error),
                }
            }
            Err(failed.unwrap_or(DocumentError::NoSignature))
        }
    }
}

fn in_region<'a>(
    pinned: &'a Certificates,
    document: &Document,
    kind: Kind,
) -> Result<&'a [Certificate], DocumentError> {
    match pinned.of(&document.region, kind) {
        [] => Err(DocumentError::Region {
            region: document.region.clone(),
        }),
        some => Ok(some),
    }
}

fn raw(one: &Certificate, document: &[u8], signature: &[u8]) -> Result<(), DocumentError> {
    let key = one.key().map_err(CmsError::from)?;
    let small = Legacy {
        danger_allow_small_rsa: true,
        ..Legacy::default()
    };
    let scheme = Scheme::RsaPkcs1(HashAlgorithm::Sha256);
    crypto::verify(key, scheme, document, signature, small).map_err(DocumentError::Signature)
}
