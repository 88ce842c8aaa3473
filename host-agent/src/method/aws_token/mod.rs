//! `aws_token`: a token (JWT) that AWS makes of a role's credentials, for the verifier as its audience.

mod credentials;
mod sts;
mod xml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use assay_common::policy::AttestorKind;
use assay_host::http::Roots;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use self::credentials::{Asked, Choice, environment};
use self::sts::{Sts, Wanted, checked_endpoint, regional};
use super::elsewhere::{self, Elsewhere};
use super::token::Said;
use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings, bound};
use crate::finding::Finding;
use crate::metadata::Asking;
use crate::metadata::aws::{ENDPOINT, Imds};
use crate::metadata::client::Patience;

/// How long a token is good for, seconds: what STS takes, and what is asked for where the settings do not say. A login takes a few.
const SECONDS: core::ops::RangeInclusive<u16> = 60..=3600;
const DEFAULT_SECONDS: u16 = 60;
/// What STS takes of the others.
const MAX_AUDIENCES: usize = 10;
const MAX_TAGS: usize = 50;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;
/// What a nonce's audience begins with.
const NONCE: &str = "urn:assay:nonce:";

const ELSEWHERE: &[Elsewhere] = &[
    ("sts_region", "it is `region` here"),
    ("duration", "it is `durationSeconds` here, a number"),
    (
        "access_key_id",
        "credentials come from the environment, a web identity, a container's endpoint or the instance's role, and never from this file",
    ),
    (
        "secret_access_key",
        "credentials come from the environment, a web identity, a container's endpoint or the instance's role, and never from this file",
    ),
];

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum Algorithm {
    #[default]
    RS256,
    ES384,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES384 => "ES384",
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fields {
    audience: Option<Texts>,
    #[serde(default)]
    signing_algorithm: Algorithm,
    duration_seconds: Option<u16>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    region: Option<String>,
    #[serde(default)]
    credentials: Choice,
    sts_endpoint: Option<String>,
    sts_ca: Option<PathBuf>,
    metadata_endpoint: Option<String>,
    #[serde(default)]
    imdsv1: bool,
    timeout: Option<String>,
    max_retries: Option<u8>,
    retry_delay: Option<String>,
}

/// `config:` of an `aws_token` entry.
#[derive(Debug)]
pub struct Config(Fields);

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        elsewhere::read(deserializer, ELSEWHERE).map(Self)
    }
}

fn audiences(texts: Option<Texts>, around: &Surroundings<'_>) -> Result<Vec<String>, MethodError> {
    let audiences = match texts {
        None => vec![bound::default_audience(around.trust_domain)],
        Some(Texts::One(audience)) => vec![audience],
        Some(Texts::Many(audiences)) => audiences,
    };
    // One is left for a nonce.
    if audiences.is_empty() || audiences.len() >= MAX_AUDIENCES {
        let what = format!(
            "audience: not 1 to {} of them",
            MAX_AUDIENCES.saturating_sub(1)
        );
        return Err(MethodError::new(what, "the one of the verifier's policy"));
    }
    audiences
        .iter()
        .try_for_each(|one| bound::checked_audience(one))?;
    Ok(audiences)
}

fn checked_region(region: &str) -> Result<(), MethodError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if region.is_empty() || region.len() > 32 || !region.bytes().all(legal) {
        let what = "region: no region of AWS";
        return Err(MethodError::new(what, "e.g. eu-west-1"));
    }
    Ok(())
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let Self(fields) = *self;
        let asking = Asking {
            endpoint: fields.metadata_endpoint.as_deref(),
            timeout: fields.timeout.as_deref(),
            max_retries: fields.max_retries,
            retry_delay: fields.retry_delay.as_deref(),
        };
        let seconds = fields.duration_seconds.unwrap_or(DEFAULT_SECONDS);
        if !SECONDS.contains(&seconds) {
            let what = format!("durationSeconds: {seconds} is not from 60 to 3600");
            return Err(MethodError::new(what, "a login takes seconds: 60 will do"));
        }
        let legal = |(key, value): (&String, &String)| {
            (1..=MAX_TAG_KEY).contains(&key.len()) && value.len() <= MAX_TAG_VALUE
        };
        if fields.tags.len() > MAX_TAGS || !fields.tags.iter().all(legal) {
            let what = "tags: more or longer ones than AWS takes";
            return Err(MethodError::new(
                what,
                "50 of them, 128 bytes a key, 256 a value",
            ));
        }
        if let Some(region) = &fields.region {
            checked_region(region)?;
        }
        let endpoint = fields.sts_endpoint.as_deref().map(checked_endpoint);
        let client = asking.client(ENDPOINT)?;
        Ok(Box::new(AwsToken {
            audiences: audiences(fields.audience, around)?,
            algorithm: fields.signing_algorithm,
            seconds,
            tags: fields.tags,
            region: fields.region,
            choice: fields.credentials,
            endpoint: endpoint.transpose()?,
            roots: match fields.sts_ca {
                Some(path) => Roots::File(around.path(&path)),
                None => Roots::System,
            },
            patience: client.patience(),
            imds: Imds::new(client, fields.imdsv1),
        }))
    }
}

/// A machine with a role.
#[derive(Debug)]
struct AwsToken {
    audiences: Vec<String>,
    algorithm: Algorithm,
    seconds: u16,
    tags: BTreeMap<String, String>,
    region: Option<String>,
    choice: Choice,
    endpoint: Option<String>,
    roots: Roots,
    patience: Patience,
    imds: Imds,
}

impl AwsToken {
    /// The region, as far as settings and environment say.
    fn region_told(&self) -> Option<String> {
        let told = || environment("AWS_REGION").or_else(|| environment("AWS_DEFAULT_REGION"));
        self.region
            .clone()
            .or_else(|| told().map(|region| region.as_str().to_owned()))
    }

    fn sts(&self) -> Result<Sts, MethodError> {
        let region = match self.region_told() {
            Some(region) => region,
            None => credentials::region_of_instance(&self.imds)?,
        };
        checked_region(&region)?;
        let url = self.endpoint.clone();
        let url = url.unwrap_or_else(|| regional(&region));
        Sts::new(url, region, &self.roots, self.patience)
    }

    fn token(&self, audiences: &[String]) -> Result<Zeroizing<String>, MethodError> {
        let sts = self.sts()?;
        let asked = Asked {
            variables: &environment,
            imds: &self.imds,
            sts: &sts,
            patience: self.patience,
        };
        let source = credentials::source(self.choice, &environment);
        let credentials = credentials::get(source, &asked)?;
        let wanted = Wanted {
            audiences,
            algorithm: self.algorithm.name(),
            seconds: self.seconds,
            tags: &self.tags,
        };
        sts.web_identity_token(credentials, &wanted)
    }
}

impl Method for AwsToken {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AWS_TOKEN
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let mut audiences = self.audiences.clone();
        if let Some(nonce) = bound::wanted_nonce(request)? {
            audiences.push(format!("{NONCE}{nonce}"));
        }
        let token = self.token(&audiences)?;
        Ok(token.as_bytes().to_vec().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let region = self.region_told();
        let asks = match (&self.endpoint, &region) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(region)) => regional(region),
            (None, None) => "STS in the instance's region".to_owned(),
        };
        let source = credentials::source(self.choice, &environment);
        let mut offer = Offer::default()
            .with("evidence", "a web identity token of STS")
            .with("asks", asks)
            .with("audience", self.audiences.join(", "))
            .with("credentials", format!("from {source}"))
            .with("algorithm", self.algorithm.name())
            .with("lifetime", format!("{} s", self.seconds));
        if !self.tags.is_empty() {
            let names: Vec<_> = self.tags.keys().cloned().collect();
            offer = offer.with("tags", names.join(", "));
        }
        Ok(offer)
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::AWS_TOKEN.to_string();
        let source = credentials::source(self.choice, &environment);
        vec![match self.token(&self.audiences) {
            Ok(token) => {
                let said = Said::read(&token);
                let text = |name: &str| said.as_ref().and_then(|said| said.text(name));
                let whose = text("sub").unwrap_or_else(|| "?".to_owned());
                let issuer = text("iss").unwrap_or_else(|| "?".to_owned());
                let seen = format!("a token of {whose} by {issuer}, credentials from {source}");
                Finding::ok(subject, seen)
            }
            Err(error) => Finding::fail(subject, error.what, error.hint),
        }]
    }
}
