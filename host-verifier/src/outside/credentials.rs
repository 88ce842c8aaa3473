//! Secrets that the verifier shows to others, and to whom.
//!
//! Who sets a policy says who is asked. So no policy says which file of the service is sent along: it names a credential, and
//! the operator of the service has said to whom that may go, and by whose certificate they are known there: a name alone is
//! whoever answers to it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Scheme, Target};

/// Whoever sets a policy must not say by whose certificate somebody is known who is sent a secret of the service's.
pub const CREDENTIAL_WITH_ROOTS: &str = "`credential` excludes it";
/// What to do about that.
pub const CREDENTIALS_ROOTS: &str =
    "the operator of the service names the authorities in `outbound.credentials.NAME.caCerts`";

/// Credentials by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, Credential>);

/// A secret in a file, and who may be shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The file; read when it is sent.
    pub file: PathBuf,
    /// Who may be sent it.
    pub origins: Vec<Origin>,
    /// The authorities that their certificates must come from, PEM; `None`: the system's.
    pub roots: Option<Arc<str>>,
}

/// A credential for one URL, and by whose certificate it is known to be the right one there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// The file; read when it is sent.
    pub file: PathBuf,
    /// The authorities, PEM; `None`: the system's.
    pub roots: Option<Arc<str>>,
}

/// A host and port over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Target);

/// Why a credential is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The document is looked at without the service that has the credentials.
    #[error("credentials are known to the service only")]
    NoService,
    /// There is none of this name.
    #[error("there is no credential {0:?}")]
    Unknown(String),
    /// Its origins do not have the URL's.
    #[error("credential {0:?} is not for this URL")]
    NotFor(String),
}

impl CredentialError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoService => {
                "`assay config set --dry-run` checks a document with the service's credentials"
            }
            Self::Unknown(_) => "add it to `outbound.credentials` in assayd.yaml of every assayd",
            Self::NotFor(_) => {
                "the operator of the service names in `outbound.credentials.NAME.origins` who may be sent it"
            }
        }
    }
}

impl Origin {
    /// Reads `https://HOST[:PORT]`, with nothing behind it but perhaps a slash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let target = Target::parse(text).ok()?;
        (target.scheme == Scheme::Https && target.path == "/").then_some(Self(target))
    }

    fn has(&self, target: &Target) -> bool {
        let Self(own) = self;
        (own.scheme, &own.host, own.port) == (target.scheme, &target.host, target.port)
    }
}

impl Credentials {
    /// Adds one; false when there is one of this name.
    pub fn add(&mut self, name: &str, credential: Credential) -> bool {
        self.0.insert(name.to_owned(), credential).is_none()
    }

    /// The credential `name`, if it may be sent to `url`.
    ///
    /// # Errors
    ///
    /// [`CredentialError`].
    pub fn lend(&self, name: &str, url: &str) -> Result<Lent, CredentialError> {
        let unknown = || CredentialError::Unknown(name.to_owned());
        let credential = self.0.get(name).ok_or_else(unknown)?;
        // The one parser: what it reads is what is connected to.
        let target = Target::parse(url).ok();
        let may = |target: &Target| credential.origins.iter().any(|origin| origin.has(target));
        match target.as_ref().is_some_and(may) {
            true => Ok(Lent {
                file: credential.file.clone(),
                roots: credential.roots.clone(),
            }),
            false => Err(CredentialError::NotFor(name.to_owned())),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Credential, CredentialError, Credentials, Origin};

    #[test]
    fn a_credential_goes_to_its_origins_only() {
        for wrong in [
            "http://hook.example.org",
            "https://hook.example.org/path",
            "https://hook.example.org?x",
            "hook.example.org",
            "https://*.example.org",
            "",
        ] {
            assert_eq!(Origin::parse(wrong), None, "{wrong}");
        }
        let mut credentials = Credentials::default();
        let credential = Credential {
            file: "/secret".into(),
            origins: ["https://Hook.example.org", "https://10.0.0.1:6443/"]
                .map(|text| Origin::parse(text).unwrap())
                .to_vec(),
            roots: Some("PEM".into()),
        };
        assert!(credentials.add("hook", credential.clone()));
        assert!(!credentials.add("hook", credential));
        for good in [
            "https://hook.example.org/any?thing",
            "https://hook.example.org:443/",
            "https://10.0.0.1:6443",
        ] {
            let lent = credentials.lend("hook", good).unwrap();
            assert_eq!(lent.file.to_str(), Some("/secret"));
            assert_eq!(lent.roots.as_deref(), Some("PEM"));
        }
        for wrong in [
            "http://hook.example.org/",
            "http://hook.example.org:443/",
            "https://hook.example.org:8443/",
            "https://hook.example.org.evil.example/",
            "https://hook.example.org@evil.example/",
            "https://evil.example/https://hook.example.org",
            "https://10.0.0.1",
            "",
        ] {
            let refused = CredentialError::NotFor("hook".to_owned());
            assert_eq!(credentials.lend("hook", wrong), Err(refused), "{wrong}");
        }
        let unknown = CredentialError::Unknown("other".to_owned());
        assert_eq!(
            credentials.lend("other", "https://hook.example.org"),
            Err(unknown)
        );
    }
}
