//! Every check of `ssh_pop`. Pure: bytes, settings, nonce and time come in.

use std::collections::BTreeSet;
use std::sync::Arc;

use assay_common::method::possession::{NONCE_LEN, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::{error::SshPopError, payload::Untrusted};
use crate::{
    crypto::{Known, PublicKey, Seen},
    ssh::{
        Certificate, HostKey, Krl, Signature,
        certificate::{FOREVER, Role},
        signature::is_strong,
    },
    x509::UnixTime,
};

/// The critical option that names addresses.
const SOURCE_ADDRESS: &str = "source-address";

/// What a proof is judged by.
#[derive(Debug)]
pub struct Rules {
    /// Whose certificates count; never empty.
    pub authorities: Vec<HostKey>,
    /// The domain that every principal lies below, in lower case, without a dot in front.
    pub domain: Option<String>,
    /// Revocation lists.
    pub krls: Vec<Krl>,
    /// Serial numbers that no longer count.
    pub revoked_serials: BTreeSet<u64>,
    /// Key ids that no longer count.
    pub revoked_key_ids: BTreeSet<String>,
    /// Accept RSA signatures with SHA-1.
    pub danger_allow_sha1: bool,
    /// Signatures of certificates that verified before.
    pub seen: Seen,
    /// Certificates of proofs that were judged good.
    pub known: Known<Arc<Certificate>>,
}

/// Proof that a node holds the key of a host certificate: only [`verify`] makes one.
#[derive(Debug)]
pub struct Proven {
    certificate: Arc<Certificate>,
}

impl Proven {
    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }
}

/// Judges a proof for a login whose nonce is `nonce`.
///
/// # Errors
/// The first check that failed, in the order of `docs/methods/ssh_pop.md`.
pub fn verify(
    untrusted: Untrusted,
    rules: &Rules,
    nonce: &[u8; NONCE_LEN],
    at: UnixTime,
) -> Result<Proven, SshPopError> {
    let certificate = &untrusted.certificate;
    if certificate.role() != Role::Host {
        return Err(SshPopError::User);
    }
    let authority = certificate.authority();
    if !rules.authorities.contains(authority) {
        return Err(SshPopError::Authority(
            STANDARD_NO_PAD.encode(authority.sha256()),
        ));
    }
    check_size("authority's key", authority.key())?;
    check_size("host's key", certificate.key().key())?;
    check_principals(certificate, rules.domain.as_deref())?;
    check_options(certificate)?;
    check_time(certificate, at)?;
    certificate
        .verify_signature(rules.danger_allow_sha1, &rules.seen)
        .map_err(SshPopError::AuthoritySignature)?;
    check_lists(certificate, rules)?;
    let message = digest(nonce, &untrusted.agent_nonce);
    let signature = Signature {
        algorithm: &untrusted.algorithm,
        blob: &untrusted.signature,
    };
    signature
        .verify(certificate.key(), &message, rules.danger_allow_sha1)
        .map_err(SshPopError::Signature)?;
    Ok(Proven {
        certificate: untrusted.certificate,
    })
}

fn check_size(whose: &'static str, key: &PublicKey) -> Result<(), SshPopError> {
    if is_strong(key) {
        Ok(())
    } else {
        Err(SshPopError::KeySize(whose, key.bits()))
    }
}

/// Every principal is a host's name, without wildcards, below the domain if there is one: an attribute is made of each.
fn check_principals(certificate: &Certificate, domain: Option<&str>) -> Result<(), SshPopError> {
    let principals = certificate.principals();
    if principals.is_empty() {
        return Err(SshPopError::NoPrincipal);
    }
    for principal in principals {
        if !is_host_name(principal) {
            return Err(SshPopError::Principal(
                principal.chars().take(256).collect(),
            ));
        }
        if let Some(domain) = domain
            && !is_below(principal, domain)
        {
            return Err(SshPopError::Domain {
                got: principal.clone(),
                domain: domain.to_owned(),
            });
        }
    }
    Ok(())
}

/// Labels, or an IP address. No wildcard (`*`, `?`), no list, no user's name.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253
        && (name.split('.').all(is_label) || name.parse::<core::net::IpAddr>().is_ok())
}

/// Below, by whole labels, whatever the letter case.
fn is_below(name: &str, domain: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.strip_suffix(domain)
        .and_then(|head| head.strip_suffix('.'))
        .is_some_and(|host| !host.is_empty())
}

/// A critical option must be enforced or the certificate refused (PROTOCOL.certkeys), and nothing here can enforce one. A
/// login may come through a relay or a load balancer, so its address is no proof of where it began.
fn check_options(certificate: &Certificate) -> Result<(), SshPopError> {
    let options = certificate.critical_options();
    if options.iter().any(|option| option == SOURCE_ADDRESS) {
        return Err(SshPopError::SourceAddress);
    }
    match options.first() {
        Some(option) => Err(SshPopError::CriticalOption(
            option.chars().take(64).collect(),
        )),
        None => Ok(()),
    }
}

fn check_time(certificate: &Certificate, at: UnixTime) -> Result<(), SshPopError> {
    // Before 1970 nothing is valid that begins at a positive time; 0 begins with it.
    let at = u64::try_from(at.0).unwrap_or(0);
    if at < certificate.valid_after() {
        return Err(SshPopError::NotYetValid(certificate.valid_after()));
    }
    let before = certificate.valid_before();
    if before != FOREVER && at >= before {
        return Err(SshPopError::Expired(before));
    }
    Ok(())
}

fn check_lists(certificate: &Certificate, rules: &Rules) -> Result<(), SshPopError> {
    if rules.revoked_serials.contains(&certificate.serial()) {
        return Err(SshPopError::Revoked("its serial number"));
    }
    if rules.revoked_key_ids.contains(certificate.key_id()) {
        return Err(SshPopError::Revoked("its key id"));
    }
    let found = rules.krls.iter().find_map(|krl| krl.revokes(certificate));
    found.map_or(Ok(()), |what| Err(SshPopError::Revoked(what)))
}

#[cfg(test)]
mod tests {
    use super::{is_below, is_host_name};

    #[test]
    fn a_name_is_below_a_domain_by_whole_labels() {
        assert!(is_below("a.example.org", "example.org"));
        assert!(is_below("A.B.Example.ORG", "example.org"));
        for name in [
            "example.org",
            ".example.org",
            "badexample.org",
            "a.example.org.evil",
        ] {
            assert!(!is_below(name, "example.org"), "{name}");
        }
    }

    #[test]
    fn a_principal_is_one_host() {
        for name in ["a", "a-b.example.org", "10.0.0.1", "fd00::1", "host_1"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in [
            "",
            "*",
            "*.example.org",
            "a,b",
            "a b",
            "a..b",
            "a.",
            "root@a",
            "!a",
        ] {
            assert!(!is_host_name(name), "{name}");
        }
    }
}
