//! `keyManager`, `upstreamAuthority`, `ca`, `svid`: where the keys of authorities are, what stands above them, how long
//! authorities and SVIDs live.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::model::Report;
use super::schema::SpanText;
use super::values::Span;
use crate::document::{self, DocumentError};
use crate::svid::Settings;
use crate::svid::authority::Subject;
use crate::svid::jwt;
use crate::svid::keys::KeyType;

/// The keys' directory in `dataDir`, unless the configuration names another.
const KEYS_DIR: &str = "svid-keys";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// What `ca.ttl`, `svid.x509Ttl` and `svid.jwtTtl` may be.
pub(crate) const CA_TTL: (Duration, Duration) = (HOUR, Duration::from_secs(5 * 366 * 24 * 3600));
pub(crate) const X509_TTL: (Duration, Duration) = (MINUTE, Duration::from_secs(30 * 24 * 3600));
pub(crate) const JWT_TTL: (Duration, Duration) = (Duration::from_secs(10), jwt::MAX_TTL);
/// RFC 5280 appendix A: ub-common-name, ub-organization-name.
const MAX_NAME: usize = 64;
const MAX_ISSUER: usize = 1024;

/// Checked settings of identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SvidConfig {
    /// Where the private keys of authorities are.
    pub key_manager: KeyManagerConfig,
    /// What stands above own authorities, if anything does.
    pub upstream: Option<UpstreamConfig>,
    /// Lifetimes, key types, names.
    pub settings: Settings,
}

/// A checked `keyManager`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyManagerConfig {
    /// They end with the process.
    Memory,
    /// A directory of files.
    Disk {
        /// The directory.
        path: PathBuf,
    },
}

/// A checked `upstreamAuthority.disk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// The authority's certificate, and those between it and a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The roots, unless the certificate signed itself.
    pub bundle: Option<PathBuf>,
}

/// The four keys as they are written.
#[derive(Debug, Default)]
pub(super) struct Source<'a> {
    pub(super) key_manager: Option<&'a Spanned<KeyManager>>,
    pub(super) upstream: Option<&'a Spanned<Upstream>>,
    pub(super) ca: Option<&'a Ca>,
    pub(super) svid: Option<&'a Svid>,
}

/// Where private keys are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum KeyManager {
    /// In memory: a restart makes new ones.
    Memory,
    /// In files.
    Disk(DiskKeys),
}

/// Keys in files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DiskKeys {
    /// The directory, for one assayd alone. Default: svid-keys in `dataDir`.
    #[serde(alias = "keys_path")]
    #[schemars(with = "String", length(min = 1))]
    keys_path: Spanned<String>,
}

/// An authority above the own ones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Upstream {
    /// In files, which are read again when they change.
    disk: UpstreamDisk,
}

/// An authority in files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UpstreamDisk {
    /// PEM: the authority, then its intermediates.
    #[serde(alias = "cert_file_path")]
    #[schemars(with = "String", length(min = 1))]
    cert_file_path: Spanned<String>,
    /// PEM: its private key, without a passphrase.
    #[serde(alias = "key_file_path")]
    #[schemars(with = "String", length(min = 1))]
    key_file_path: Spanned<String>,
    /// PEM: the roots; not needed when the authority signed itself.
    #[serde(alias = "bundle_file_path")]
    #[schemars(with = "Option<String>", length(min = 1))]
    bundle_file_path: Option<Spanned<String>>,
}

/// The own authorities.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Ca {
    /// How long each lives: 1h to 5 years, default 24h.
    #[schemars(with = "Option<SpanText>")]
    ttl: Option<Spanned<Span>>,
    /// ec-p256 (default), ec-p384, rsa-2048, rsa-3072 or rsa-4096.
    #[schemars(
        with = "Option<String>",
        regex(pattern = "^(ec-p256|ec-p384|rsa-2048|rsa-3072|rsa-4096)$")
    )]
    key_type: Option<Spanned<String>>,
    /// The same, for JWT-SVIDs.
    #[schemars(
        with = "Option<String>",
        regex(pattern = "^(ec-p256|ec-p384|rsa-2048|rsa-3072|rsa-4096)$")
    )]
    jwt_key_type: Option<Spanned<String>>,
    /// What they are called.
    subject: Option<Names>,
}

/// A subject.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Names {
    /// Two letters.
    #[schemars(with = "Option<String>", length(equal = 2))]
    country: Option<Spanned<String>>,
    /// Default SPIFFE.
    #[schemars(with = "Option<String>", length(min = 1, max = 64))]
    organization: Option<Spanned<String>>,
    /// Default Assay.
    #[serde(alias = "common_name")]
    #[schemars(with = "Option<String>", length(min = 1, max = 64))]
    common_name: Option<Spanned<String>>,
}

/// SVIDs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Svid {
    /// How long an X.509-SVID lives: 1m to 30d, at most a sixth of `ca.ttl`, default 1h.
    #[schemars(with = "Option<SpanText>")]
    x509_ttl: Option<Spanned<Span>>,
    /// How long a JWT-SVID lives: 10s to 1h, default 5m.
    #[schemars(with = "Option<SpanText>")]
    jwt_ttl: Option<Spanned<Span>>,
    /// The issuer in JWT-SVIDs, an https URL. Default: none.
    #[schemars(with = "Option<String>", regex(pattern = "^https://"))]
    jwt_issuer: Option<Spanned<String>>,
}

impl Source<'_> {
    pub(super) fn check(
        &self,
        report: &Report<'_>,
        (trust_domain, data_dir, base): (&str, &Path, &Path),
    ) -> Result<SvidConfig, DocumentError> {
        let mut settings = Settings::new(trust_domain);
        if let Some(ca) = self.ca {
            ca.check(report, &mut settings)?;
        }
        match self.svid {
            Some(svid) => svid.check(report, &mut settings)?,
            None => settings.x509_ttl = settings.x509_ttl.min(settings.ca_ttl / 6),
        }
        let key_manager = match self.key_manager.map(|source| &source.value) {
            None => KeyManagerConfig::Disk {
                path: data_dir.join(KEYS_DIR),
            },
            Some(KeyManager::Memory) => KeyManagerConfig::Memory,
            Some(KeyManager::Disk(DiskKeys { keys_path })) => KeyManagerConfig::Disk {
                path: named(report, keys_path, "keyManager.disk.keysPath", base)?,
            },
        };
        let upstream = match self.upstream {
            None => None,
            Some(upstream) => Some(upstream.value.disk.check(report, base)?),
        };
        Ok(SvidConfig {
            key_manager,
            upstream,
            settings,
        })
    }
}

impl UpstreamDisk {
    /// The files must be there. What is in them is looked at when the service starts, and again while it runs.
    fn check(&self, report: &Report<'_>, base: &Path) -> Result<UpstreamConfig, DocumentError> {
        let file = |value: &Spanned<String>, field: &str| {
            let field = format!("upstreamAuthority.disk.{field}");
            let path = named(report, value, &field, base)?;
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_file() => Ok(path),
                Ok(_) => Err(report
                    .at(value, format!("{field}: {}: not a file", path.display()))
                    .hint("name a file in PEM")),
                Err(error) => Err(report
                    .at(value, format!("{field}: {}: {error}", path.display()))
                    .hint("check the path, and who may read it")),
            }
        };
        Ok(UpstreamConfig {
            certificate: file(&self.cert_file_path, "certFilePath")?,
            key: file(&self.key_file_path, "keyFilePath")?,
            bundle: match &self.bundle_file_path {
                None => None,
                Some(value) => Some(file(value, "bundleFilePath")?),
            },
        })
    }
}

impl Ca {
    fn check(&self, report: &Report<'_>, settings: &mut Settings) -> Result<(), DocumentError> {
        settings.ca_ttl = report.span(self.ttl.as_ref(), settings.ca_ttl, CA_TTL)?;
        if let Some(value) = &self.key_type {
            settings.x509_key = key_type(report, value, "ca.keyType")?;
        }
        if let Some(value) = &self.jwt_key_type {
            settings.jwt_key = key_type(report, value, "ca.jwtKeyType")?;
        }
        if let Some(names) = &self.subject {
            settings.subject = names.check(report)?;
        }
        Ok(())
    }
}

impl Names {
    fn check(&self, report: &Report<'_>) -> Result<Subject, DocumentError> {
        let default = Subject::default();
        let text = |value: Option<&Spanned<String>>, default: String, field: &str| match value {
            None => Ok(default),
            Some(value) => {
                let text = &value.value;
                let legal = !text.is_empty()
                    && text.chars().count() <= MAX_NAME
                    && !text.chars().any(char::is_control);
                match legal {
                    true => Ok(text.clone()),
                    false => Err(report
                        .at(value, format!("ca.subject.{field} is {text:?}"))
                        .hint(format!("1 to {MAX_NAME} printable characters"))),
                }
            }
        };
        let country = match &self.country {
            None => None,
            Some(value)
                if value.value.len() == 2
                    && value.value.bytes().all(|b| b.is_ascii_uppercase()) =>
            {
                Some(value.value.clone())
            }
            Some(value) => {
                return Err(report
                    .at(value, format!("ca.subject.country is {:?}", value.value))
                    .hint("two capital letters, as in ISO 3166-1: `DE`"));
            }
        };
        Ok(Subject {
            country,
            organization: text(
                self.organization.as_ref(),
                default.organization,
                "organization",
            )?,
            common_name: text(self.common_name.as_ref(), default.common_name, "commonName")?,
        })
    }
}

impl Svid {
    fn check(&self, report: &Report<'_>, settings: &mut Settings) -> Result<(), DocumentError> {
        // An authority signs for five sixths of its life: what it signs last still gets its whole time.
        let longest = settings.ca_ttl / 6;
        settings.x509_ttl = report.span(
            self.x509_ttl.as_ref(),
            settings.x509_ttl.min(longest),
            X509_TTL,
        )?;
        if let Some(value) = &self.x509_ttl
            && settings.x509_ttl > longest
        {
            let message = format!(
                "svid.x509Ttl is {}s, more than a sixth of ca.ttl ({}s)",
                settings.x509_ttl.as_secs(),
                settings.ca_ttl.as_secs()
            );
            return Err(report.at(value, message).hint(
                "no SVID outlives its authority, which signs for five sixths of its life: raise ca.ttl or lower x509Ttl",
            ));
        }
        settings.jwt_ttl = report.span(self.jwt_ttl.as_ref(), settings.jwt_ttl, JWT_TTL)?;
        settings.jwt_issuer = match &self.jwt_issuer {
            None => None,
            Some(value) if is_issuer(&value.value) => Some(value.value.clone()),
            Some(value) => {
                return Err(report
                    .at(value, format!("svid.jwtIssuer is {:?}", value.value))
                    .hint(
                        "an https URL without query and fragment, as in `https://oidc.example.org`",
                    ));
            }
        };
        Ok(())
    }
}

fn key_type(
    report: &Report<'_>,
    value: &Spanned<String>,
    field: &str,
) -> Result<KeyType, DocumentError> {
    KeyType::from_name(&value.value).ok_or_else(|| {
        let known = KeyType::ALL.map(KeyType::name);
        let hint = match document::nearest(&value.value, known) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("one of {}", known.join(", ")),
        };
        report
            .at(value, format!("{field}: no key type `{}`", value.value))
            .hint(hint)
    })
}

fn named(
    report: &Report<'_>,
    value: &Spanned<String>,
    field: &str,
    base: &Path,
) -> Result<PathBuf, DocumentError> {
    match value.value.is_empty() {
        true => Err(report
            .at(value, format!("{field} is empty"))
            .hint("name a path; a relative one is looked up from this file's directory")),
        false => Ok(base.join(&value.value)),
    }
}

/// OpenID Connect Core 1.0 section 2, `iss`: https, a host, optionally a port and path, and nothing else. No user either:
/// it would be in every token.
fn is_issuer(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else {
        return false;
    };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/%[]".contains(&b);
    !host.is_empty() && url.len() <= MAX_ISSUER && rest.bytes().all(legal)
}
