//! `clouds.aws`: whom the service is to AWS, and how it asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::super::model::Report;
use super::super::schema::SpanText;
use super::super::values::Span;
use super::token_issuers;
use crate::cloud::Answer;
use crate::cloud::aws::{
    CredentialSource, DEFAULT_METADATA, Region, RoleArn, Service, Settings, is_role_name,
};
use crate::document::DocumentError;
use crate::outside::{Scheme, Target};

/// How long answers may be kept: an instance that was stopped is let in for as long.
const CACHE_TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));
/// Longest file of authorities.
const MAX_PEM: usize = 256 * 1024;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "aws")]
pub(in super::super) struct Source {
    /// Where STS is asked. Default: AWS_REGION of the environment, else us-east-1.
    #[schemars(with = "Option<String>")]
    region: Option<Spanned<String>>,
    /// Whom the service is to AWS. Default: the keys of the environment, else its web identity, else the role of the instance.
    #[schemars(with = "Option<Credentials>")]
    credentials: Option<Spanned<Credentials>>,
    /// The ARN of a role that is assumed with those before anything else is done.
    #[schemars(with = "Option<String>")]
    assume_role: Option<Spanned<String>>,
    /// The role that is assumed in the account of a node. Default: DefaktoServer.
    #[schemars(with = "Option<String>")]
    role: Option<Spanned<String>>,
    /// The external id that is shown when a role is assumed.
    #[schemars(with = "Option<String>", length(min = 2, max = 1224))]
    external_id: Option<Spanned<String>>,
    /// What assumed roles' sessions are called in CloudTrail. Default: assayd.
    #[schemars(with = "Option<String>", length(min = 2, max = 64))]
    session_name: Option<Spanned<String>>,
    /// Whether the role is assumed in the verifier's own account too. Default: true.
    assume_in_own_account: Option<bool>,
    /// Other endpoints than AWS's public ones, by service: `https://HOST[:PORT]`, in which `{region}` is the region.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    endpoints: Option<BTreeMap<String, Spanned<String>>>,
    /// The file (PEM) with the authorities that the endpoints' certificates must come from. Default: those of the system.
    #[schemars(with = "Option<String>", length(min = 1))]
    ca_certs: Option<Spanned<String>>,
    /// Files with the certificates that AWS signs identity documents with, by region.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    certificates: Vec<Spanned<String>>,
    /// Issuers of tokens that policies of `aws_token` may name, byte for byte, besides STS's own: https URLs.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    token_issuers: Vec<Spanned<String>>,
    /// A JSON array with the accounts of the organisation, in the place of Organizations' API.
    #[schemars(with = "Option<String>", length(min = 1))]
    account_list_file: Option<Spanned<String>>,
    /// How long answers are kept: 1s to 15m, default 3m.
    #[schemars(with = "Option<SpanText>")]
    cache_ttl: Option<Spanned<Span>>,
}

/// Where the service's own credentials come from: one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(
    rename = "awsCredentials",
    extend("minProperties" = 1, "maxProperties" = 1)
)]
struct Credentials {
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and perhaps AWS_SESSION_TOKEN.
    environment: Option<Nothing>,
    /// A key that does not change.
    access_key: Option<AccessKey>,
    /// The role of the EC2 instance that the service runs on, by IMDSv2.
    instance: Option<Instance>,
    /// A token of an identity provider that a role trusts.
    web_identity: Option<WebIdentity>,
}

/// `{}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A key that does not change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AccessKey {
    /// Its id.
    #[schemars(with = "String", length(min = 16, max = 128))]
    id: Spanned<String>,
    /// The file with its secret; read whenever it is needed.
    #[schemars(with = "String", length(min = 1))]
    secret_file: Spanned<String>,
}

/// The role of the instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Instance {
    /// The metadata service. Default: <http://169.254.169.254>.
    #[schemars(with = "Option<String>")]
    metadata_endpoint: Option<Spanned<String>>,
}

/// A token and its role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WebIdentity {
    /// The role's ARN.
    #[schemars(with = "String")]
    role_arn: Spanned<String>,
    /// The file with the token; read whenever it is needed.
    #[schemars(with = "String", length(min = 1))]
    token_file: Spanned<String>,
}

pub(super) fn check(
    report: &Report<'_>,
    source: &Source,
    base: &Path,
) -> Result<Settings, DocumentError> {
    let mut settings = Settings::default();
    if let Some(name) = &source.region {
        let region = Region::parse(&name.value)
            .map_err(|error| report.at(name, format!("clouds.aws.region: {error}")))?;
        settings.region = Some(region);
    }
    if let Some(credentials) = &source.credentials {
        settings.credentials = credential_source(report, credentials, base)?;
    }
    if let Some(arn) = &source.assume_role {
        settings.assume_role = Some(role(report, "assumeRole", arn)?);
    }
    if let Some(name) = &source.role {
        if !is_role_name(&name.value) {
            let message = "clouds.aws.role is no name of a role";
            let hint =
                "its name alone, e.g. DefaktoServer: it is assumed in the account of each node";
            return Err(report.at(name, message).hint(hint));
        }
        settings.role.clone_from(&name.value);
    }
    if let Some(id) = &source.external_id {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@:/-_".contains(&b);
        check_text(report, "externalId", id, (2, 1224), plain)?;
        settings.external_id = Some(id.value.clone());
    }
    if let Some(name) = &source.session_name {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
        check_text(report, "sessionName", name, (2, 64), plain)?;
        settings.session_name.clone_from(&name.value);
    }
    settings.assume_in_own_account = source.assume_in_own_account.unwrap_or(true);
    for (name, url) in source.endpoints.iter().flatten() {
        let (service, url) = endpoint(report, name, url)?;
        settings.endpoints.insert(service, url);
    }
    if let Some(file) = &source.ca_certs {
        settings.roots = Some(roots(report, file, base)?);
    }
    for file in &source.certificates {
        settings
            .certificates
            .push(path(report, "certificates", file, base)?);
    }
    settings.token_issuers = token_issuers(report, "aws", &source.token_issuers)?;
    if let Some(file) = &source.account_list_file {
        settings.account_list_file = Some(path(report, "accountListFile", file, base)?);
    }
    let ttl = source.cache_ttl.as_ref();
    settings.cache_ttl = report.span(ttl, Answer::POSITIVE, CACHE_TTL)?;
    Ok(settings)
}

fn credential_source(
    report: &Report<'_>,
    spanned: &Spanned<Credentials>,
    base: &Path,
) -> Result<CredentialSource, DocumentError> {
    let all = &spanned.value;
    match (
        &all.environment,
        &all.access_key,
        &all.instance,
        &all.web_identity,
    ) {
        (Some(Nothing {}), None, None, None) => Ok(CredentialSource::Environment),
        (None, Some(key), None, None) => {
            check_text(
                report,
                "credentials.accessKey.id",
                &key.id,
                (16, 128),
                |b| b.is_ascii_alphanumeric() || b == b'_',
            )?;
            let field = "credentials.accessKey.secretFile";
            Ok(CredentialSource::Static {
                access_key_id: key.id.value.clone(),
                secret_access_key_file: path(report, field, &key.secret_file, base)?,
            })
        }
        (None, None, Some(instance), None) => Ok(CredentialSource::Instance {
            metadata: match &instance.metadata_endpoint {
                None => DEFAULT_METADATA.to_owned(),
                Some(url) => metadata(report, url)?,
            },
        }),
        (None, None, None, Some(identity)) => Ok(CredentialSource::WebIdentity {
            role: role(
                report,
                "credentials.webIdentity.roleArn",
                &identity.role_arn,
            )?,
            token_file: path(
                report,
                "credentials.webIdentity.tokenFile",
                &identity.token_file,
                base,
            )?,
        }),
        _ => {
            let message = "clouds.aws.credentials has none of its fields, or several";
            let hint = "name one of `environment: {}`, `accessKey`, `instance: {}` and `webIdentity`, or leave it out to try them in turn";
            Err(report.at(spanned, message).hint(hint))
        }
    }
}

fn role(report: &Report<'_>, field: &str, arn: &Spanned<String>) -> Result<RoleArn, DocumentError> {
    RoleArn::parse(&arn.value)
        .map_err(|error| report.at(arn, format!("clouds.aws.{field}: {error}")))
}

fn check_text(
    report: &Report<'_>,
    field: &str,
    text: &Spanned<String>,
    (least, most): (usize, usize),
    plain: impl Fn(u8) -> bool,
) -> Result<(), DocumentError> {
    let known = (least..=most).contains(&text.value.len()) && text.value.bytes().all(plain);
    match known {
        true => Ok(()),
        false => {
            let message = format!(
                "clouds.aws.{field} is none: {least} to {most} letters, digits and the like"
            );
            Err(report.at(text, message))
        }
    }
}

/// An origin: a path would be lost in some protocols, and is none that AWS has.
fn endpoint(
    report: &Report<'_>,
    name: &str,
    url: &Spanned<String>,
) -> Result<(Service, String), DocumentError> {
    let Some(service) = Service::named(name) else {
        let names: Vec<_> = Service::ALL.into_iter().map(Service::name).collect();
        let shown = name.escape_debug();
        let message = format!("clouds.aws.endpoints: `{shown}` is no service that is asked");
        let hint = format!("one of {}", names.join(", "));
        return Err(report.at(url, message).hint(hint));
    };
    let text = url.value.trim_end_matches('/');
    let target = Target::parse(&text.replace("{region}", "us-east-1"));
    let is_origin = target.is_ok_and(|target| {
        target.scheme == Scheme::Https && target.path == "/" && !text.contains('?')
    });
    match is_origin {
        true => Ok((service, text.to_owned())),
        false => {
            let message = format!("clouds.aws.endpoints.{name} is no https origin");
            let hint = "e.g. https://vpce-0a1b2c3d-ec2.{region}.vpce.amazonaws.com";
            Err(report.at(url, message).hint(hint))
        }
    }
}

fn metadata(report: &Report<'_>, url: &Spanned<String>) -> Result<String, DocumentError> {
    let text = url.value.trim_end_matches('/');
    let target = Target::parse(text);
    match target.is_ok_and(|target| target.scheme == Scheme::Http && target.path == "/") {
        true => Ok(text.to_owned()),
        false => {
            let message = "clouds.aws.credentials.instance.metadataEndpoint is no http origin";
            let hint = "e.g. http://169.254.169.254 or http://[fd00:ec2::254]";
            Err(report.at(url, message).hint(hint))
        }
    }
}

fn path(
    report: &Report<'_>,
    field: &str,
    name: &Spanned<String>,
    base: &Path,
) -> Result<PathBuf, DocumentError> {
    match name.value.is_empty() {
        true => Err(report.at(name, format!("clouds.aws.{field} is empty"))),
        false => Ok(base.join(&name.value)),
    }
}

/// The authorities, read now: an endpoint that nobody can be trusted at is better known before the first login.
fn roots(
    report: &Report<'_>,
    file: &Spanned<String>,
    base: &Path,
) -> Result<Arc<str>, DocumentError> {
    let path = path(report, "caCerts", file, base)?;
    let wrong = |why: &str| {
        let message = format!("clouds.aws.caCerts: {}: {why}", path.display());
        let hint = "a PEM file with the certificates of authorities";
        report.at(file, message).hint(hint)
    };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error.to_string()))?;
    match text.len() <= MAX_PEM && text.contains("-----BEGIN CERTIFICATE-----") {
        true => Ok(text.into()),
        false => Err(wrong("no certificates, or more than 256 KiB of them")),
    }
}

#[cfg(test)]
#[path = "aws_tests.rs"]
mod tests;
