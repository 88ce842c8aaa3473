//! The path validator: from a leaf to an anchor, by signature.
//!
//! Names only find candidates. What makes a certificate the issuer of another is that its key
//! verifies the signature; a forged intermediate with a real one's name is tried, fails, and the
//! search goes on. Work is bounded by [`MAX_DEPTH`] and [`SIGNATURE_BUDGET`], whatever the hints
//! of a peer contain.

use std::sync::Arc;

use crate::crypto::{PublicKey, VerifyError};

use super::{
    Certificate, Oid, PathError, TrustStore, UnixTime,
    extensions::{GeneralName, KeyUsage},
    policy::{
        ExtendedKeyUsageRule, KeyUsageRule, LeafRole, MAX_DEPTH, Policy, SIGNATURE_BUDGET,
        SubjectAltNameRule,
    },
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
/// Does not check: revocation; possession of the leaf's key.
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
    at: UnixTime,
    signatures: usize,
}

impl Search<'_> {
    /// Extends `path` (leaf first) until an anchor ends it, or restores it and says why not.
    fn extend(&mut self, path: &mut Vec<Arc<Certificate>>) -> Result<(), PathError> {
        let Some(subject) = path.last().cloned() else {
            return Err(PathError::TooLong { max: MAX_DEPTH });
        };
        if path.len() >= MAX_DEPTH {
            return Err(PathError::TooLong { max: MAX_DEPTH });
        }
        let issuer = subject.issuer().key();
        let store = self.store;
        let mut failure: Option<PathError> = None;

        for anchor in store.anchors_named(&issuer) {
            let attempt = self
                .check_link(&subject, anchor)
                .and_then(|()| check_issuer(anchor, path, self.policy, self.at));
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
        for candidate in store.intermediates_named(&issuer).chain(&hints) {
            // The same certificate twice in a path proves nothing new.
            if path.iter().any(|c| c.der() == candidate.der()) {
                continue;
            }
            let attempt = self
                .check_link(&subject, candidate)
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

    /// Did `issuer`'s key sign `subject`?
    fn check_link(&mut self, subject: &Certificate, issuer: &Certificate) -> Result<(), PathError> {
        let name = || describe(subject);
        self.signatures += 1;
        if self.signatures > SIGNATURE_BUDGET {
            return Err(PathError::SignatureBudget {
                max: SIGNATURE_BUDGET,
            });
        }
        let key = issuer.key().map_err(|source| PathError::UnsupportedKey {
            subject: describe(issuer),
            source,
        })?;
        match subject.verify_signature(key, self.policy.legacy) {
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

fn check_leaf(leaf: &Certificate, policy: &Policy, at: UnixTime) -> Result<(), PathError> {
    let subject = || describe(leaf);
    let extensions = leaf.extensions();
    match policy.role {
        // keyCertSign without basicConstraints is a CA of the old kind.
        LeafRole::EndEntity => {
            let signs = extensions
                .key_usage
                .is_some_and(|usage| usage.contains(KeyUsage::KEY_CERT_SIGN));
            if leaf.is_ca() || signs {
                return Err(PathError::LeafIsCa { subject: subject() });
            }
        }
        LeafRole::Authority => {
            if !leaf.is_ca() {
                return Err(PathError::NotACa { subject: subject() });
            }
        }
    }
    check_validity(leaf, at)?;
    check_critical(leaf)?;
    let key = leaf.key().map_err(|source| PathError::UnsupportedKey {
        subject: subject(),
        source,
    })?;
    check_strength(leaf, key, policy)?;
    match policy.extended_key_usage {
        ExtendedKeyUsageRule::Any => {}
        ExtendedKeyUsageRule::IfPresent(usage) => {
            if let Some(usages) = &extensions.extended_key_usage {
                check_usage(leaf, usages, usage)?;
            }
        }
        ExtendedKeyUsageRule::Required(usage) => {
            let usages = extensions.extended_key_usage.as_deref();
            check_usage(leaf, usages.unwrap_or_default(), usage)?;
        }
    }
    if let (KeyUsageRule::IfPresent { rsa, ec }, Some(usage)) =
        (policy.key_usage, extensions.key_usage)
    {
        let wanted = match key {
            PublicKey::Rsa(_) => rsa,
            PublicKey::Ec(_) => ec,
        };
        if !usage.contains(wanted) {
            return Err(PathError::KeyUsage {
                subject: subject(),
                wanted: name_of(wanted),
            });
        }
    }
    if policy.subject_alt_name == SubjectAltNameRule::DirectoryNamesIfCritical
        && extensions.subject_alt_name_critical
        && !extensions
            .subject_alt_name
            .iter()
            .flatten()
            .all(|name| matches!(name, GeneralName::Directory(_)))
    {
        return Err(PathError::CriticalExtension {
            subject: subject(),
            oid: Oid::SUBJECT_ALT_NAME,
        });
    }
    Ok(())
}

/// Checks a certificate whose key signed the last element of `path`. The anchor is held to the
/// same rules as far as it states them (RFC 5937): a version 1 root states nothing.
fn check_issuer(
    issuer: &Certificate,
    path: &[Arc<Certificate>],
    policy: &Policy,
    at: UnixTime,
) -> Result<(), PathError> {
    let subject = || describe(issuer);
    let extensions = issuer.extensions();
    check_validity(issuer, at)?;
    check_critical(issuer)?;
    let states_nothing = issuer.version() < 2 && issuer.is_self_issued();
    if !issuer.is_ca() && !states_nothing {
        return Err(PathError::NotACa { subject: subject() });
    }
    if extensions
        .key_usage
        .is_some_and(|usage| !usage.contains(KeyUsage::KEY_CERT_SIGN))
    {
        return Err(PathError::KeyUsage {
            subject: subject(),
            wanted: name_of(KeyUsage::KEY_CERT_SIGN),
        });
    }
    if let (
        ExtendedKeyUsageRule::IfPresent(usage) | ExtendedKeyUsageRule::Required(usage),
        Some(usages),
    ) = (policy.extended_key_usage, &extensions.extended_key_usage)
    {
        check_usage(issuer, usages, usage)?;
    }
    // The last certificate of a path is not an intermediate, even if it is a CA.
    let below = path.get(1..).unwrap_or_default();
    let found = below.iter().filter(|c| !c.is_self_issued()).count() as u64;
    if let Some(allowed) = extensions.basic_constraints.and_then(|b| b.path_len)
        && found > allowed
    {
        return Err(PathError::PathLength {
            subject: subject(),
            allowed,
            found,
        });
    }
    if let Some(constraints) = &extensions.name_constraints {
        for (i, element) in path.iter().enumerate() {
            // Self-issued intermediates are exempt (RFC 5280 section 6.1.3 b and c).
            let exempt = i > 0 && element.is_self_issued();
            if !exempt && !constraints.allow(element) {
                return Err(PathError::NameConstraints {
                    subject: describe(element),
                    issuer: subject(),
                });
            }
        }
    }
    Ok(())
}

fn check_validity(certificate: &Certificate, at: UnixTime) -> Result<(), PathError> {
    if at < certificate.not_before() {
        return Err(PathError::NotYetValid {
            subject: describe(certificate),
            not_before: certificate.not_before(),
            at,
        });
    }
    if at > certificate.not_after() {
        return Err(PathError::Expired {
            subject: describe(certificate),
            not_after: certificate.not_after(),
            at,
        });
    }
    Ok(())
}

fn check_critical(certificate: &Certificate) -> Result<(), PathError> {
    match certificate.extensions().unknown_critical.first() {
        Some(oid) => Err(PathError::CriticalExtension {
            subject: describe(certificate),
            oid: *oid,
        }),
        None => Ok(()),
    }
}

fn check_strength(
    certificate: &Certificate,
    key: &PublicKey,
    policy: &Policy,
) -> Result<(), PathError> {
    let minimum = if policy.legacy.danger_allow_small_rsa {
        crate::crypto::MIN_LEGACY_RSA_BITS
    } else {
        crate::crypto::MIN_RSA_BITS
    };
    match key {
        PublicKey::Rsa(rsa) if rsa.bits() < minimum => Err(PathError::WeakKey {
            subject: describe(certificate),
            bits: rsa.bits(),
        }),
        _ => Ok(()),
    }
}

fn check_usage(certificate: &Certificate, usages: &[Oid], wanted: Oid) -> Result<(), PathError> {
    if usages.contains(&wanted) || usages.contains(&Oid::ANY_EXTENDED_KEY_USAGE) {
        Ok(())
    } else {
        Err(PathError::ExtendedKeyUsage {
            subject: describe(certificate),
            wanted,
        })
    }
}

fn name_of(usage: KeyUsage) -> &'static str {
    match usage {
        KeyUsage::DIGITAL_SIGNATURE => "digitalSignature",
        KeyUsage::KEY_ENCIPHERMENT => "keyEncipherment",
        KeyUsage::KEY_AGREEMENT => "keyAgreement",
        KeyUsage::KEY_CERT_SIGN => "keyCertSign",
        _ => "the wanted uses",
    }
}

/// The subject, or for an empty one the serial number: EK certificates often have no subject.
fn describe(certificate: &Certificate) -> String {
    if certificate.subject().is_empty() {
        format!("serial {}", hex::encode(certificate.serial()))
    } else {
        certificate.subject().to_string()
    }
}
