//! Kubeconfig files (`k8s.io/client-go/tools/clientcmd/api/v1`): the current context's server, authority and bearer token.
//!
//! What a kubeconfig can say beside that is refused where it would change who is asked, or as whom: client certificates,
//! commands that make credentials, proxies, TLS that is not verified.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::config::{Access, Credential};
use crate::attestor::ConfigError;
use crate::attestor::issuer::config::{error, https_base, roots};
use crate::document::{self, Files};
use crate::x509::files::CertificateSource;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<Named<Context>>,
    #[serde(default)]
    clusters: Vec<Named<Cluster>>,
    #[serde(default)]
    users: Vec<Named<User>>,
}

/// `{name, context|cluster|user}`.
#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    value: T,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    proxy_url: Option<IgnoredAny>,
    tls_server_name: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate: Option<IgnoredAny>,
    client_certificate_data: Option<IgnoredAny>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    username: Option<IgnoredAny>,
    #[serde(rename = "as")]
    impersonate: Option<IgnoredAny>,
}

/// Reads a kubeconfig. Relative paths in it begin at its own directory, which is its own business and no policy's; `files` is
/// of the document that names it.
///
/// # Errors
///
/// [`ConfigError`].
pub fn access(text: &str, path: &Path, files: Files<'_>) -> Result<Access, ConfigError> {
    const FIELD: &str = "kubeConfigFile";
    let wrong = |why: &str| error(FIELD, &format!("{}: {why}", path.display()));
    // The parser's message may quote a token.
    let file: File = document::parse(FIELD, text).map_err(|why| {
        wrong(&format!(
            "no kubeconfig: line {}, column {}",
            why.line, why.column
        ))
    })?;
    let context = named(&file.contexts, &file.current_context)
        .ok_or_else(|| wrong("it has no current context"))?;
    let cluster = named(&file.clusters, &context.cluster)
        .ok_or_else(|| wrong("it has no cluster of the current context"))?;
    let user = named(&file.users, &context.user)
        .ok_or_else(|| wrong("it has no user of the current context"))?;
    for (refused, what) in [
        (cluster.insecure_skip_tls_verify, "insecure-skip-tls-verify"),
        (cluster.proxy_url.is_some(), "proxy-url"),
        (cluster.tls_server_name.is_some(), "tls-server-name"),
        (user.client_certificate.is_some(), "client-certificate"),
        (
            user.client_certificate_data.is_some(),
            "client-certificate-data",
        ),
        (user.exec.is_some(), "exec"),
        (user.auth_provider.is_some(), "auth-provider"),
        (user.username.is_some(), "username"),
        (user.impersonate.is_some(), "as"),
    ] {
        if refused {
            return Err(ConfigError {
                hint: Some("use a service account's token: `token` or `tokenFile`".to_owned()),
                ..wrong(&format!("`{what}` is not supported"))
            });
        }
    }
    https_base(FIELD, &cluster.server)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let certs = match (
        &cluster.certificate_authority_data,
        &cluster.certificate_authority,
    ) {
        (Some(data), _) => {
            let pem = STANDARD.decode(data).ok();
            let pem = pem.and_then(|pem| String::from_utf8(pem).ok());
            let pem = pem.filter(|pem| pem.contains("-----BEGIN "));
            let pem = pem.ok_or_else(|| wrong("certificate-authority-data is no PEM in base64"))?;
            Some(CertificateSource(pem))
        }
        (None, Some(file)) => Some(CertificateSource(file.clone())),
        (None, None) => None,
    };
    let roots: Option<Arc<str>> = certs
        .map(|certs| roots(&certs, files.within(beside)))
        .transpose()?;
    let credential = match (&user.token_file, &user.token) {
        // As kubectl: the file wins, since somebody renews it.
        (Some(file), _) => Credential::File(beside.join(file)),
        (None, Some(token)) if !token.is_empty() => Credential::Text(Zeroizing::new(token.clone())),
        _ => return Err(wrong("its user has no token")),
    };
    Ok(Access {
        server: cluster.server.trim_end_matches('/').to_owned(),
        roots,
        credential,
    })
}

fn named<'a, T>(list: &'a [Named<T>], name: &str) -> Option<&'a T> {
    let found = list.iter().find(|entry| entry.name == name);
    found.map(|entry| &entry.value)
}
