//! Where a cluster's API server is, and as whom it is asked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::kubeconfig;
use crate::attestor::ConfigError;
use crate::attestor::issuer::config::{error, https_base, read_file, roots};
use crate::attestor::k8s_token::config::is_object_name;
use crate::document::Files;
use crate::outside::{CREDENTIAL_WITH_ROOTS, CREDENTIALS_ROOTS};
use crate::x509::files::CertificateSource;

/// Most service accounts and label keys that are named.
pub const MOST: usize = 256;

/// The fields of a cluster that say how its API server is asked.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiFields {
    /// A kubeconfig file; its current context counts.
    pub kube_config_file: Option<String>,
    /// The API server's URL.
    pub api_server: Option<String>,
    /// The authorities of the API server, in place of the system's: PEM or a file.
    pub ca_certs: Option<CertificateSource>,
    /// A file with the bearer token that the verifier shows, read anew for each login. Only in a document that lies beside
    /// `assayd.yaml`, as `kubeConfigFile`.
    pub token_file: Option<String>,
    /// The token in place of a file: an entry of `outbound.credentials` in `assayd.yaml` that names the API server's origin.
    pub credential: Option<String>,
}

/// How an API server is asked.
#[derive(Debug, Clone)]
pub struct Access {
    /// Its URL, without a slash at the end.
    pub server: String,
    /// Its authorities, PEM.
    pub roots: Option<Arc<str>>,
    /// As whom.
    pub credential: Credential,
}

/// A bearer token.
#[derive(Clone)]
pub enum Credential {
    /// In a file, which somebody renews.
    File(PathBuf),
    /// As it stands in a kubeconfig file.
    Text(Zeroizing<String>),
}

impl core::fmt::Debug for Credential {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Text(_) => f.write_str("Text(..)"),
        }
    }
}

impl ApiFields {
    /// Whether any of them is given.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.kube_config_file.is_some()
            || self.api_server.is_some()
            || self.ca_certs.is_some()
            || self.token_file.is_some()
            || self.credential.is_some()
    }

    /// Checks them and reads the files they name, but for the token. `at` is the cluster's place in the document.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn access(&self, at: &str, files: Files<'_>) -> Result<Access, ConfigError> {
        let placed = |error: ConfigError| ConfigError {
            field: format!("{at}.{}", error.field),
            ..error
        };
        self.read(files).map_err(placed)
    }

    fn read(&self, files: Files<'_>) -> Result<Access, ConfigError> {
        let secret = |field: &str, name: &str| {
            files.secret(name).map_err(|why| ConfigError {
                hint: Some(why.hint().to_owned()),
                ..error(field, &why.to_string())
            })
        };
        if let Some(name) = &self.kube_config_file {
            let others = [&self.api_server, &self.token_file, &self.credential];
            if others.iter().any(|other| other.is_some()) || self.ca_certs.is_some() {
                return Err(ConfigError {
                    hint: Some("keep the kubeconfig file, or the others".to_owned()),
                    ..error(
                        "kubeConfigFile",
                        "it excludes apiServer, caCerts, tokenFile and credential",
                    )
                });
            }
            let path = secret("kubeConfigFile", name)?;
            let text = read_file(&path).map_err(|why| error("kubeConfigFile", &why))?;
            return kubeconfig::access(&text, &path, files);
        }
        let unsaid = || ConfigError {
            hint: Some("give kubeConfigFile, or apiServer and tokenFile or credential".to_owned()),
            ..error("apiServer", "nothing says how the cluster's API is asked")
        };
        let server = self.api_server.as_ref().ok_or_else(unsaid)?;
        https_base("apiServer", server)?;
        let certs = self.ca_certs.as_ref();
        let token = match (&self.token_file, &self.credential) {
            (Some(file), None) => secret("tokenFile", file)?,
            (None, Some(_)) if certs.is_some() => {
                return Err(ConfigError {
                    hint: Some(CREDENTIALS_ROOTS.to_owned()),
                    ..error("caCerts", CREDENTIAL_WITH_ROOTS)
                });
            }
            (None, Some(name)) => {
                let lent = files.credential(name, server).map_err(|why| ConfigError {
                    hint: Some(why.hint().to_owned()),
                    ..error("credential", &why.to_string())
                })?;
                return Ok(Access {
                    server: server.trim_end_matches('/').to_owned(),
                    roots: lent.roots,
                    credential: Credential::File(lent.file),
                });
            }
            (Some(_), Some(_)) => {
                return Err(ConfigError {
                    hint: Some("keep one of them".to_owned()),
                    ..error("credential", "it excludes tokenFile")
                });
            }
            (None, None) => return Err(unsaid()),
        };
        Ok(Access {
            server: server.trim_end_matches('/').to_owned(),
            roots: certs.map(|certs| roots(certs, files)).transpose()?,
            credential: Credential::File(token),
        })
    }
}

/// A list of service accounts, `namespace:name` each.
///
/// # Errors
///
/// [`ConfigError`]: it is empty, or an entry is no service account. A wildcard is none.
pub fn accounts(at: &str, list: &[String]) -> Result<BTreeSet<String>, ConfigError> {
    let field = format!("{at}.serviceAccountAllowList");
    if list.is_empty() || list.len() > MOST {
        return Err(error(
            &field,
            &format!("{} service accounts; 1 to {MOST} are wanted", list.len()),
        ));
    }
    let check = |(i, text): (usize, &String)| {
        let parts = text.split_once(':');
        match parts.is_some_and(|(ns, name)| is_object_name(ns) && is_object_name(name)) {
            true => Ok(text.clone()),
            false => Err(ConfigError {
                hint: Some("write it as `namespace:name`, whole".to_owned()),
                ..error(
                    &format!("{field}[{i}]"),
                    &format!("{text:?} is no service account"),
                )
            }),
        }
    };
    list.iter().enumerate().map(check).collect()
}
