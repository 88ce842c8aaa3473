//! The checks on one element of a chain; [`super::path`] finds the chain.

use std::sync::Arc;

use crate::crypto::PublicKey;

use super::{
    Certificate, Oid, PathError, UnixTime,
    extensions::{GeneralName, KeyUsage},
    policy::{ExtendedKeyUsageRule, KeyUsageRule, LeafRole, Policy, Profile, SubjectAltNameRule},
    spki::SpkiError,
};

/// Checks the certificate in question, by what RFC 5280 demands of any and the policy of this one.
pub(super) fn check_leaf(
    leaf: &Certificate,
    policy: &Policy,
    at: UnixTime,
) -> Result<(), PathError> {
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
    check_profile(leaf, policy)?;
    let key = usable_key(leaf, policy)?;
    check_strength(leaf, key, policy)?;
    match policy.extended_key_usage {
        ExtendedKeyUsageRule::Any => {}
        ExtendedKeyUsageRule::IfPresent(usage) => {
            if let Some(usages) = &extensions.extended_key_usage {
                check_usage(leaf, usages.contains(&usage), usage)?;
            }
        }
        ExtendedKeyUsageRule::Required(usage) => {
            let usages = extensions.extended_key_usage.as_deref();
            check_usage(leaf, usages.unwrap_or_default().contains(&usage), usage)?;
        }
    }
    let wanted = match policy.key_usage {
        KeyUsageRule::Any => None,
        KeyUsageRule::IfPresent { rsa, ec } => extensions.key_usage.map(|_| match key {
            PublicKey::Rsa(_) => rsa,
            PublicKey::Ec(_) | PublicKey::Ed25519(_) => ec,
        }),
        KeyUsageRule::Required(wanted) => Some(wanted),
    };
    if let Some(wanted) = wanted
        && !extensions
            .key_usage
            .is_some_and(|usage| usage.contains(wanted))
    {
        return Err(PathError::KeyUsage {
            subject: subject(),
            wanted: name_of(wanted),
        });
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
pub(super) fn check_issuer(
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
        // A CA that may vouch for any use may vouch for this one. On the leaf the same words would say
        // nothing about what it is for.
        let allowed = usages.contains(&usage) || usages.contains(&Oid::ANY_EXTENDED_KEY_USAGE);
        check_usage(issuer, allowed, usage)?;
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

/// The key, if it is of a type and size that the policy lets in: looked at before any arithmetic with it.
pub(super) fn usable_key<'a>(
    certificate: &'a Certificate,
    policy: &Policy,
) -> Result<&'a PublicKey, PathError> {
    let unsupported = |source| PathError::UnsupportedKey {
        subject: describe(certificate),
        source,
    };
    let key = certificate.key().map_err(unsupported)?;
    match key {
        PublicKey::Rsa(rsa) if rsa.bits() > policy.max_rsa_bits => Err(PathError::KeyTooLarge {
            subject: describe(certificate),
            bits: rsa.bits(),
            max: policy.max_rsa_bits,
        }),
        PublicKey::Ed25519(_) if !policy.allow_ed25519 => {
            Err(unsupported(SpkiError::Unsupported(Oid::ED25519)))
        }
        _ => Ok(key),
    }
}

/// What [`Profile::Strict`] demands of a leaf or an intermediate.
pub(super) fn check_profile(certificate: &Certificate, policy: &Policy) -> Result<(), PathError> {
    if policy.profile == Profile::Lenient {
        return Ok(());
    }
    let departure = match certificate.version() {
        2 => certificate.departure(),
        _ => Some("it is not of version 3"),
    };
    departure.map_or(Ok(()), |departure| {
        Err(PathError::Profile {
            subject: describe(certificate),
            departure,
        })
    })
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

fn check_usage(certificate: &Certificate, allowed: bool, wanted: Oid) -> Result<(), PathError> {
    if allowed {
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
pub(super) fn describe(certificate: &Certificate) -> String {
    if certificate.subject().is_empty() {
        format!("serial {}", hex::encode(certificate.serial()))
    } else {
        certificate.subject().to_string()
    }
}
