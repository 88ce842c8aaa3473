//! X.509-SVIDs: SPIFFE X509-SVID.
//!
//! A certificate of an empty subject, whose only name is the SPIFFE ID; the subject alternative name is critical therefore.

use core::time::Duration;

use assay_common::identity::SpiffeId;
use jiff::Timestamp;

use super::authority::{BACKDATE, Own as _, X509Authority};
use super::certificate::{self, EMPTY_NAME, Shape, Unsigned};
use super::csr::VerifiedKey;
use super::issuer::IssueError;
use super::keys::key_identifier;
use crate::random::SecureRandom;

/// Lifetime unless something else is configured: one hour, as SPIRE's.
pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);

/// An X.509-SVID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Svid {
    /// The certificate first, then those between it and a root; the root is not among them. DER.
    pub chain: Vec<Vec<u8>>,
    /// 20 bytes, big-endian.
    pub serial: [u8; 20],
    /// Whole seconds.
    pub not_before: Timestamp,
    /// Whole seconds.
    pub not_after: Timestamp,
    /// The authority that signed it.
    pub authority: String,
}

/// Signs one. The end is `now + ttl`, or that of the authority if it comes before.
pub(super) async fn issue(
    authority: &X509Authority,
    id: &SpiffeId<'_>,
    key: &VerifiedKey,
    (now, ttl): (Timestamp, Duration),
    random: &dyn SecureRandom,
) -> Result<X509Svid, IssueError> {
    let record = authority.record();
    let begin = whole(now.checked_sub(BACKDATE))?.max(record.not_before);
    let end = whole(now.checked_add(ttl))?.min(record.not_after);
    if end <= now {
        return Err(IssueError::Lifetime(ttl));
    }
    let serial = certificate::serial(random)?;
    let issuer_key = key_identifier(authority.signer().public_key());
    let unsigned = Unsigned {
        shape: Shape::Leaf,
        serial,
        issuer: authority.name(),
        subject: &EMPTY_NAME,
        not_before: begin.into(),
        not_after: end.into(),
        spki: key.spki_der(),
        uri: id.as_str(),
        subject_key: key_identifier(key.public_key()),
        authority_key: Some(&issuer_key),
    };
    let mut chain = Vec::with_capacity(1 + authority.behind().len());
    chain.push(unsigned.sign(authority.signer().as_ref()).await?);
    chain.extend_from_slice(authority.behind());
    Ok(X509Svid {
        chain,
        serial,
        not_before: begin,
        not_after: end,
        authority: record.id.clone(),
    })
}

/// Certificates and tokens have whole seconds.
pub(super) fn whole(time: Result<Timestamp, jiff::Error>) -> Result<Timestamp, IssueError> {
    time.and_then(|time| Timestamp::from_second(time.as_second()))
        .map_err(|_| IssueError::Calendar)
}
