//! The path validator: from a leaf to an anchor, by signature.
//!
//! Names only find candidates. What makes a certificate the issuer of another is that its key
//! verifies the signature; a forged intermediate with a real one's name is tried, fails, and the
//! search goes on. Work is bounded by [`MAX_DEPTH`] and [`SIGNATURE_BUDGET`], whatever the hints
//! of a peer contain.

use std::sync::Arc;

use crate::crypto::VerifyError;

use super::{
    Certificate, PathError, TrustStore, UnixTime,
    checks::{check_issuer, check_leaf, check_profile, describe, usable_key},
    policy::{MAX_DEPTH, Policy, SIGNATURE_BUDGET},
    revocation::Revocation,
};

/// Proof that a chain was validated: only [`validate`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedChain {
    leaf: Arc<Certificate>,
    issuers: Vec<Arc<Certificate>>,
    at: UnixTime,
}

impl VerifiedChain {
    /// The certificate that was judged.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// Its issuer first, the anchor last; never empty.
    #[must_use]
    pub fn issuers(&self) -> &[Arc<Certificate>] {
        &self.issuers
    }

    /// The time it was judged at.
    #[must_use]
    pub fn at(&self) -> UnixTime {
        self.at
    }

    /// The first second at which an element of the chain is no longer valid is one later.
    #[must_use]
    pub fn valid_until(&self) -> UnixTime {
        let issuers = self.issuers.iter().map(|c| c.not_after());
        issuers.fold(self.leaf.not_after(), Ord::min)
    }
}

/// Judges `leaf` at the time `at`: finds a path to an anchor of `store` on which every check of
/// RFC 5280 section 6 and of `policy` holds.
///
/// `hints` are certificates that came with the leaf; they may serve as intermediates and are
/// never trusted. At most [`MAX_DEPTH`] of them are looked at.
///
/// Proves: an anchor's key vouches, through CAs, for the leaf's name and key at that time.
/// Does not check: revocation ([`validate_unrevoked`] does); possession of the leaf's key.
///
/// # Errors
/// The check that failed on the path that came furthest; see [`PathError`].
pub fn validate(
    leaf: &Certificate,
    hints: &[Certificate],
    store: &TrustStore,
    policy: &Policy,
    at: UnixTime,
) -> Result<VerifiedChain, PathError> {
    validate_unrevoked(leaf, hints, store, policy, None, at)
}

/// As [`validate`], and every element below the anchor is looked for in the lists of its issuer as `revocation` demands;
/// `None` demands nothing.
///
/// # Errors
/// As [`validate`].
pub fn validate_unrevoked(
    leaf: &Certificate,
    hints: &[Certificate],
    store: &TrustStore,
    policy: &Policy,
    revocation: Option<&Revocation>,
    at: UnixTime,
) -> Result<VerifiedChain, PathError> {
    check_leaf(leaf, policy, at)?;
    let hints = hints
        .iter()
        .take(MAX_DEPTH)
        .cloned()
        .map(Arc::new)
        .collect();
    let mut search = Search {
        store,
        hints,
        policy,
        revocation,
        at,
        signatures: 0,
    };
    let leaf = Arc::new(leaf.clone());
    let mut path = vec![Arc::clone(&leaf)];
    search.extend(&mut path)?;
    Ok(VerifiedChain {
        issuers: path.split_off(1),
        leaf,
        at,
    })
}

struct Search<'a> {
    store: &'a TrustStore,
    hints: Vec<Arc<Certificate>>,
    policy: &'a Policy,
    revocation: Option<&'a Revocation>,
    at: UnixTime,
    signatures: usize,
}

impl Search<'_> {
    /// Extends `path` (leaf first) until an anchor ends it, or restores it and says why not.
    fn extend(&mut self, path: &mut Vec<Arc<Certificate>>) -> Result<(), PathError> {
        let Some(subject) = path.last().cloned() else {
            return Err(PathError::TooLong { max: MAX_DEPTH });
        };
        let max = (self.policy.max_intermediates.saturating_add(2)).min(MAX_DEPTH);
        if path.len() >= max {
            return Err(PathError::TooLong { max });
        }
        let issuer = subject.issuer().key();
        let store = self.store;
        let mut failure: Option<PathError> = None;

        for anchor in store.anchors_named(issuer) {
            let attempt = self
                .check_link(&subject, anchor)
                .and_then(|()| check_issuer(anchor, path, self.policy, self.at))
                .and_then(|()| self.check_revocation(path, anchor));
            match attempt {
                Ok(()) => {
                    path.push(Arc::clone(anchor));
                    return Ok(());
                }
                Err(error) => keep(&mut failure, error)?,
            }
        }

        let hints: Vec<Arc<Certificate>> = self
            .hints
            .iter()
            .filter(|hint| hint.subject().key() == issuer)
            .cloned()
            .collect();
        for candidate in store.intermediates_named(issuer).chain(&hints) {
            // The same certificate twice in a path proves nothing new.
            if path.iter().any(|c| c.der() == candidate.der()) {
                continue;
            }
            // An intermediate more leaves room for the anchor.
            if path.len() + 1 >= max {
                keep(&mut failure, PathError::TooLong { max })?;
                continue;
            }
            let attempt = self
                .check_link(&subject, candidate)
                .and_then(|()| check_profile(candidate, self.policy))
                .and_then(|()| check_issuer(candidate, path, self.policy, self.at))
                .and_then(|()| {
                    path.push(Arc::clone(candidate));
                    self.extend(path).inspect_err(|_| drop(path.pop()))
                });
            match attempt {
                Ok(()) => return Ok(()),
                Err(error) => keep(&mut failure, error)?,
            }
        }
        Err(failure.unwrap_or_else(|| PathError::UnknownIssuer {
            subject: describe(&subject),
            issuer: subject.issuer().to_string(),
        }))
    }

    /// Is every element of a path that leads to `anchor` still vouched for by its issuer?
    ///
    /// From the anchor down: a list, which may have megabytes, is only ever hashed for the key of an issuer that an anchor vouches
    /// for and that was not revoked, never for one that whoever sent the hints made up.
    fn check_revocation(
        &self,
        path: &[Arc<Certificate>],
        anchor: &Certificate,
    ) -> Result<(), PathError> {
        let Some(revocation) = self.revocation else {
            return Ok(());
        };
        let mut issuer = anchor;
        for (i, subject) in path.iter().enumerate().rev() {
            revocation.check(subject, issuer, i == 0, self.policy.legacy, self.at)?;
            issuer = subject;
        }
        Ok(())
    }

    /// Did `issuer`'s key sign `subject`?
    fn check_link(&mut self, subject: &Certificate, issuer: &Certificate) -> Result<(), PathError> {
        let name = || describe(subject);
        self.signatures += 1;
        if self.signatures > SIGNATURE_BUDGET {
            return Err(PathError::SignatureBudget {
                max: SIGNATURE_BUDGET,
            });
        }
        let key = usable_key(issuer, self.policy)?;
        match subject.verify_signature_once(key, self.policy.legacy, self.store.seen()) {
            Some(Ok(())) => Ok(()),
            Some(Err(VerifyError::WeakKey { bits })) => Err(PathError::WeakKey {
                subject: describe(issuer),
                bits,
            }),
            Some(Err(VerifyError::WeakHash(hash))) => Err(PathError::WeakHash {
                subject: name(),
                hash,
            }),
            Some(Err(VerifyError::SchemeMismatch | VerifyError::BadSignature)) => {
                Err(PathError::BadSignature {
                    subject: name(),
                    issuer: subject.issuer().to_string(),
                })
            }
            None => Err(PathError::UnsupportedSignature {
                subject: name(),
                algorithm: subject.algorithm(),
            }),
        }
    }
}

/// Remembers the failure that tells most; an exhausted budget ends the search.
fn keep(failure: &mut Option<PathError>, error: PathError) -> Result<(), PathError> {
    if matches!(error, PathError::SignatureBudget { .. }) {
        return Err(error);
    }
    if failure.as_ref().is_none_or(|f| f.rank() < error.rank()) {
        *failure = Some(error);
    }
    Ok(())
}
