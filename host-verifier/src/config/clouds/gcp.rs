//! `clouds.gcp`: who asks the Compute Engine API, and where.

use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::attestor::issuer::config::roots;
use crate::cloud::gcp::{Credentials, Settings};
use crate::config::model::Report;
use crate::config::schema::SpanText;
use crate::config::values::Span;
use crate::document::{DocumentError, Files};
use crate::outside::{AddressClass, Host, Reach, Scheme, Target};
use crate::x509::files::CertificateSource;

/// Shortest and longest time that an instance that was found is not asked for again.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "gcp")]
pub(super) struct Source {
    /// The key file (JSON) of the service account that asks the API; read whenever it is needed. Without it: the service account
    /// of the machine that assayd runs on.
    #[schemars(with = "Option<String>", length(min = 1))]
    credentials_file: Option<Spanned<String>>,
    /// Another metadata server than that of the machine: `http://ADDRESS[:PORT]`. For tests, and for proxies of it.
    #[schemars(with = "Option<String>", regex(pattern = "^https?://"))]
    metadata_endpoint: Option<Spanned<String>>,
    /// Another place of the keys (JWK set) that sign identity tokens.
    #[serde(rename = "keysURL")]
    #[schemars(with = "Option<String>", regex(pattern = "^https://"))]
    keys_url: Option<Spanned<String>>,
    /// Another origin of the Compute Engine API, e.g. that of a private endpoint.
    #[schemars(with = "Option<String>", regex(pattern = "^https://"))]
    compute_endpoint: Option<Spanned<String>>,
    /// Another place than `token_uri` of the key file to ask for access tokens.
    #[serde(rename = "tokenURL")]
    #[schemars(with = "Option<String>", regex(pattern = "^https://"))]
    token_url: Option<Spanned<String>>,
    /// The authorities of all of these, in place of the system's: PEM or a file.
    #[schemars(with = "Option<CertificateSource>")]
    ca_certs: Option<Spanned<CertificateSource>>,
    /// How long an instance that was found is not asked for again: 1s to 1h. Default: 3m.
    #[schemars(with = "Option<SpanText>")]
    cache_ttl: Option<Spanned<Span>>,
}

pub(super) fn check(
    report: &Report<'_>,
    source: &Source,
    base: &Path,
) -> Result<Settings, DocumentError> {
    let default = Settings::default();
    let https = |field: &str, url: &Option<Spanned<String>>, whole: bool| {
        let Some(url) = url else {
            return Ok(None);
        };
        let wrong = |why: &str| {
            report
                .at(url, format!("clouds.gcp.{field}: {why}"))
                .hint("e.g. https://compute.example.internal")
        };
        match Target::parse(&url.value) {
            Ok(target) if target.scheme != Scheme::Https => Err(wrong("it must use https")),
            Ok(target) if !whole && target.path != "/" => Err(wrong("an origin has no path")),
            Ok(_) => Ok(Some(url.value.trim_end_matches('/').to_owned())),
            Err(why) => Err(wrong(&why.to_string())),
        }
    };
    let credentials = match (&source.credentials_file, &source.metadata_endpoint) {
        (Some(file), None) if file.value.is_empty() => {
            let message = "clouds.gcp.credentialsFile is empty";
            return Err(report.at(file, message));
        }
        (Some(file), None) => Credentials::File(base.join(&file.value)),
        (Some(_), Some(other)) => {
            let message = "clouds.gcp: credentialsFile and metadataEndpoint exclude each other";
            return Err(report.at(other, message).hint("keep one of them"));
        }
        (None, Some(endpoint)) => {
            let wrong = |why: String| {
                let message = format!("clouds.gcp.metadataEndpoint: {why}");
                report
                    .at(endpoint, message)
                    .hint("e.g. http://169.254.169.254")
            };
            Credentials::Metadata(metadata(&endpoint.value).map_err(wrong)?)
        }
        (None, None) => default.credentials,
    };
    let roots = source.ca_certs.as_ref().map(|certs| {
        roots(&certs.value, Files::beside(base)).map_err(|error| {
            let message = format!("clouds.gcp.{}: {}", error.field, error.message);
            let at = report.at(certs, message);
            match error.hint {
                Some(hint) => at.hint(hint),
                None => at,
            }
        })
    });
    let roots: Option<Arc<str>> = roots.transpose()?;
    let compute = https("computeEndpoint", &source.compute_endpoint, false)?;
    Ok(Settings {
        credentials,
        keys_url: https("keysURL", &source.keys_url, true)?.unwrap_or(default.keys_url),
        compute: compute.unwrap_or(default.compute),
        token_url: https("tokenURL", &source.token_url, true)?,
        roots,
        cache_ttl: report.span(source.cache_ttl.as_ref(), default.cache_ttl, TTL)?,
    })
}

/// The origin of a metadata server: on this machine, since what it hands out is a secret and it is not asked over TLS.
fn metadata(text: &str) -> Result<String, String> {
    let target = Target::parse(text).map_err(|why| why.to_string())?;
    if target.path != "/" {
        return Err("an origin has no path".to_owned());
    }
    match target.host {
        Host::Address(address) => {
            let class = AddressClass::of(address);
            match Reach::METADATA.allows(class) || class == AddressClass::Loopback {
                true => Ok(target.origin()),
                false => Err(format!("a {class} address is no metadata server's")),
            }
        }
        Host::Name(_) => Err("name the metadata server by its address".to_owned()),
    }
}
