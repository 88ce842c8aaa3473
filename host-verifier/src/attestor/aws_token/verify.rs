//! What `aws_token` asks of a token beyond the engine's checks, and what it makes of it.

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;

use crate::attestor::issuer::Keys;
use crate::attestor::restriction::{AllowList, Globs, Required};
use crate::attestor::{AttestError, Attribute, Claims, Facts, Fault, nonce_audience};
use crate::jwt::json::{Json, Object};
use crate::jwt::{self, shown};

/// The claim that has all that STS says of the caller.
const STS: &str = "https://sts.amazonaws.com/";
/// What STS signs of the tags of the principal, which administrators and AWS set.
const PRINCIPAL_TAGS: &str = "principal_tags";
/// What STS signs of the tags that the caller chose.
const REQUEST_TAGS: &str = "request_tags";
/// Longest value of an attribute, bytes; an ARN's longest.
const MAX_VALUE: usize = 2048;
/// Most organizational units of a path, and most tags of a kind.
const MOST: usize = 64;

/// The attributes that have one name.
pub(super) const NAMES: [&str; 9] = [
    ACCOUNT,
    ORGANIZATION,
    PATH,
    REGION,
    USER,
    PRINCIPAL,
    INSTANCE,
    INSTANCE_ID,
    FUNCTION,
];
const ACCOUNT: &str = "aws_token.account.id";
const ORGANIZATION: &str = "aws_token.org.id";
const PATH: &str = "aws_token.ou_path";
const REGION: &str = "aws_token.source_region";
const USER: &str = "aws_token.identity_store_user_id";
const PRINCIPAL: &str = "aws_token.principal_arn";
const INSTANCE: &str = "aws_token.ec2.instance.arn";
/// The same instance, in a form that a SPIFFE path may have.
const INSTANCE_ID: &str = "aws_token.ec2.instance.id";
const FUNCTION: &str = "aws_token.lambda.function.arn";
/// What the attributes of tags begin with.
pub(super) const TAGS: [&str; 2] = ["aws_token.principal_tags.", "aws_token.request_tags."];

/// The rules of one issuer.
#[derive(Debug)]
pub struct Rules {
    pub(super) issuer: String,
    pub(super) keys: Keys,
    pub(super) settings: Arc<Settings>,
}

/// What the issuers of one entry have in common.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) audiences: Vec<String>,
    pub(super) accounts: AllowList,
    pub(super) organizations: AllowList,
    pub(super) principals: Globs,
    pub(super) tags: Required,
    pub(super) require_instance: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) leeway: Duration,
    pub(super) nonce_in_audience: bool,
    /// The nonce of a login that is known by it; `None`: it comes from the login's transcript.
    pub(super) nonce: Option<String>,
}

/// Whether a text is the name of an account: 12 digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn refused(check: &'static str, detail: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Refused, check, detail)
}

/// That one of the token's audiences is this login's nonce.
///
/// # Errors
///
/// [`Fault::Refused`].
pub(super) fn check_nonce(
    settings: &Settings,
    transcript: &Transcript,
    token: &jwt::Claims<'_>,
) -> Result<(), AttestError> {
    let nonce = match &settings.nonce {
        Some(nonce) => nonce.clone(),
        None => nonce_audience::text(AttestorKind::AWS_TOKEN, transcript),
    };
    let wanted = format!("urn:assay:nonce:{nonce}");
    let has = match token.all.get("aud") {
        Some(Json::List(audiences)) => audiences.iter().any(|one| one.text() == Some(&wanted)),
        _ => false,
    };
    match has {
        true => Ok(()),
        false => Err(refused(
            "token-nonce",
            "JWT verification failed: no audience (aud) of the token is this login's nonce",
        )),
    }
}

/// The claims of the proof, of a token that is the issuer's and for this verifier.
///
/// # Errors
///
/// [`Fault::Refused`]: STS's own claim is absent or of another shape, it does not agree with the subject, or a restriction of the
/// policy does not hold.
pub(super) fn claims(rules: &Rules, token: &jwt::Claims<'_>) -> Result<Claims, AttestError> {
    let settings = &rules.settings;
    let sts = Sts(match token.all.get(STS) {
        Some(Json::Object(object)) => object,
        Some(other) => return Err(wrong(STS, other.kind())),
        None => return Err(wrong(STS, "absent")),
    });
    let account = sts.text("aws_account")?;
    let account = account.filter(|account| is_account(account));
    let account = account.ok_or_else(|| wrong("aws_account", "not the 12 digits of an account"))?;
    let principal = principal(token, account)?;
    if !settings.accounts.allows(account) {
        let detail = format!("account {account} is not among allowedAccountIDs");
        return Err(refused("account-not-allowed", detail));
    }
    let organization = sts.text("org_id")?;
    if settings.organizations.is_set()
        && !organization.is_some_and(|id| settings.organizations.allows(id))
    {
        let found = organization.map_or("none".to_owned(), shown);
        let detail = format!("organization {found} is not among allowedOrgIDs");
        return Err(refused("organization-not-allowed", detail));
    }
    if !settings.principals.allow(principal) {
        let detail = format!("{} fits none of allowedPrincipalArns", shown(principal));
        return Err(refused("principal-not-allowed", detail));
    }
    // Never the tags of the request: those are the caller's own choice.
    let tags = sts.tags(PRINCIPAL_TAGS)?;
    let found = |key: &str| {
        tags.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    };
    if let Some(key) = settings.tags.lacking(found) {
        let detail = format!("principal tag {key:?} has none of the values that are required");
        return Err(refused("principal-tag", detail));
    }
    let instance = sts.text("ec2_source_instance_arn")?;
    let instance_id = instance.and_then(|arn| instance_of(arn, account));
    if settings.require_instance && instance_id.is_none() {
        let detail = "the token's credentials were delivered to no EC2 instance of its account";
        return Err(refused("no-source-instance", detail));
    }
    let function = sts.text("lambda_source_function_arn")?;
    let ones = [
        (ACCOUNT, Some(account)),
        (ORGANIZATION, organization),
        (REGION, sts.text("source_region")?),
        (USER, sts.text("identity_store_user_id")?),
        (PRINCIPAL, Some(principal)),
        (INSTANCE, instance),
        (INSTANCE_ID, instance_id),
        (FUNCTION, function),
    ];
    let (units, request_tags) = (sts.path()?, sts.tags(REQUEST_TAGS)?);
    let several = units.len() + tags.len() + request_tags.len();
    let mut attributes = Vec::with_capacity(ones.len() + several);
    for (name, value) in ones {
        attributes.extend(value.map(|value| named(name, value)));
    }
    attributes.extend(units.into_iter().map(|unit| named(PATH, unit)));
    for (prefix, tags) in TAGS.into_iter().zip([tags, request_tags]) {
        let tags = tags.into_iter();
        attributes.extend(tags.map(|(key, value)| named([prefix, key].concat(), value)));
    }
    // The best name that the token gives: all that assume a role have the same subject.
    let identity = instance.or(function).unwrap_or(principal);
    Ok(Claims {
        kind: AttestorKind::AWS_TOKEN,
        attributes,
        facts: Facts {
            identity: Some(identity.to_owned()),
            ..Facts::default()
        },
    })
}

fn named(name: impl Into<Cow<'static, str>>, value: &str) -> Attribute {
    Attribute {
        origin: AttestorKind::AWS_TOKEN,
        name: name.into(),
        value: value.to_owned(),
    }
}

/// The subject: the ARN of a principal of this account.
fn principal<'a>(token: &'a jwt::Claims<'_>, account: &str) -> Result<&'a str, AttestError> {
    let subject = token.subject.as_deref();
    let subject = subject.ok_or_else(|| wrong("sub", "absent"))?;
    match arn(subject) {
        Some(Arn {
            service: "iam" | "sts",
            account: own,
            ..
        }) if own == account && subject.len() <= MAX_VALUE => Ok(subject),
        Some(Arn {
            service: "iam" | "sts",
            ..
        }) => {
            let why = format!(
                "subject (sub) {} is of another account than aws_account",
                shown(subject)
            );
            Err(refused(
                "token-account",
                format!("JWT verification failed: {why}"),
            ))
        }
        _ => Err(wrong("sub", "not the ARN of a principal")),
    }
}

/// The ID of the instance that an ARN is of, where that is one of this account.
fn instance_of<'a>(text: &'a str, account: &str) -> Option<&'a str> {
    let arn = arn(text).filter(|arn| arn.service == "ec2" && arn.account == account)?;
    let id = arn.resource.strip_prefix("instance/")?;
    let number = id.strip_prefix("i-")?;
    (!number.is_empty()).then_some(id)
}

/// The parts of an ARN that are looked at.
struct Arn<'a> {
    service: &'a str,
    account: &'a str,
    resource: &'a str,
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
fn arn(text: &str) -> Option<Arn<'_>> {
    let rest = text.strip_prefix("arn:aws")?;
    let mut parts = rest.splitn(5, ':');
    let partition = parts.next()?;
    let known = partition.is_empty() || partition.strip_prefix('-').is_some_and(|p| !p.is_empty());
    let service = parts.next()?;
    let _region = parts.next()?;
    let account = parts.next().filter(|account| is_account(account))?;
    let resource = parts.next().filter(|resource| !resource.is_empty())?;
    known.then_some(Arn {
        service,
        account,
        resource,
    })
}

/// What STS says of the caller.
struct Sts<'a>(&'a Object<'a>);

impl<'a> Sts<'a> {
    /// One text.
    fn text(&self, name: &'static str) -> Result<Option<&'a str>, AttestError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value_of(name, value).map(Some),
        }
    }

    /// The path of organizational units: AWS's page shows a text, its tokens have a list.
    fn path(&self) -> Result<Vec<&'a str>, AttestError> {
        const NAME: &str = "ou_path";
        match self.0.get(NAME) {
            None => Ok(Vec::new()),
            Some(Json::List(units)) if units.len() > MOST => Err(wrong(NAME, "too long a list")),
            Some(Json::List(units)) => units.iter().map(|unit| value_of(NAME, unit)).collect(),
            Some(one) => value_of(NAME, one).map(|one| vec![one]),
        }
    }

    /// Tags by name.
    fn tags(&self, name: &'static str) -> Result<Vec<(&'a str, &'a str)>, AttestError> {
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(Json::Object(tags)) if tags.len() > MOST => Err(wrong(name, "too many")),
            Some(Json::Object(tags)) => {
                let tags = tags.sorted().into_iter().filter(|(key, _)| !key.is_empty());
                tags.map(|(key, value)| Ok((key, value_of(name, value)?)))
                    .collect()
            }
            Some(other) => Err(wrong(name, other.kind())),
        }
    }
}

fn value_of<'a>(name: &'static str, value: &'a Json<'_>) -> Result<&'a str, AttestError> {
    match value {
        Json::Text(text) if text.len() <= MAX_VALUE => Ok(text),
        Json::Text(_) => Err(wrong(name, "too long")),
        other => Err(wrong(name, other.kind())),
    }
}

/// A claim that is not what STS makes.
fn wrong(name: &str, found: &str) -> AttestError {
    let detail = format!("JWT verification failed: claim {name} is {found}");
    refused("token-sts", detail)
}
