//! The credentials of a role, from where the platform puts them.
//!
//! The order is that of AWS' own programs, as far as it concerns machines: the environment, a web identity (EKS with IRSA),
//! the endpoint for containers (ECS, EKS Pod Identity), the instance's role. Profiles and files of people are not read.

use core::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::metadata::aws::Imds;
use crate::metadata::client::{Patience, Question, Secret};
use crate::metadata::{Client, Endpoint};
use crate::method::MethodError;

use super::sts::Sts;

/// Where a role's credentials are on an instance, below `/latest`.
const ROLES: &str = "/meta-data/iam/security-credentials/";
/// Where the endpoint for containers of ECS is.
const ECS: &str = "http://169.254.170.2";
/// Hosts that a container's endpoint may be at over plain HTTP, beside this machine itself: ECS, and EKS Pod Identity.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
/// One attempt there.
const WITHIN: Duration = Duration::from_secs(5);
/// The longest name of a role.
const MAX_ROLE: usize = 64;

/// Which source the settings name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Choice {
    /// The first that is there.
    #[default]
    Auto,
    /// `AWS_ACCESS_KEY_ID` and its companions.
    Environment,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`.
    WebIdentity,
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    Container,
    /// The instance's role.
    Instance,
}

/// A source that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Environment,
    WebIdentity,
    Container,
    Instance,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "the environment (AWS_ACCESS_KEY_ID)",
            Self::WebIdentity => "a web identity (AWS_ROLE_ARN)",
            Self::Container => "the endpoint for containers",
            Self::Instance => "the instance's role",
        })
    }
}

/// What the platform puts into the environment.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<Zeroizing<String>>;

/// The agent's own environment.
pub(super) fn environment(name: &str) -> Option<Zeroizing<String>> {
    let value = std::env::var(name).ok().map(Zeroizing::new);
    value.filter(|value| !value.is_empty())
}

/// Which source counts. Looks at the environment alone.
pub(super) fn source(choice: Choice, variables: Variables<'_>) -> Source {
    let has = |name: &str| variables(name).is_some();
    match choice {
        Choice::Environment => Source::Environment,
        Choice::WebIdentity => Source::WebIdentity,
        Choice::Container => Source::Container,
        Choice::Instance => Source::Instance,
        Choice::Auto if has("AWS_ACCESS_KEY_ID") => Source::Environment,
        Choice::Auto if has("AWS_WEB_IDENTITY_TOKEN_FILE") => Source::WebIdentity,
        Choice::Auto
            if has("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
                || has("AWS_CONTAINER_CREDENTIALS_FULL_URI") =>
        {
            Source::Container
        }
        Choice::Auto => Source::Instance,
    }
}

/// What is asked.
pub(super) struct Asked<'a> {
    pub(super) variables: Variables<'a>,
    pub(super) imds: &'a Imds,
    pub(super) sts: &'a Sts,
    pub(super) patience: Patience,
}

/// The credentials of a source. They are got anew for every login, and kept no longer.
pub(super) fn get(source: Source, asked: &Asked<'_>) -> Result<Credentials, MethodError> {
    match source {
        Source::Environment => of_environment(asked.variables),
        Source::WebIdentity => of_web_identity(asked),
        Source::Container => of_container(asked),
        Source::Instance => of_instance(asked.imds),
    }
}

fn needed(variables: Variables<'_>, name: &str) -> Result<Zeroizing<String>, MethodError> {
    variables(name).ok_or_else(|| {
        let what = format!("{name} is not set");
        MethodError::new(
            what,
            "set it in the agent's environment, or choose another `credentials`",
        )
    })
}

fn of_environment(variables: Variables<'_>) -> Result<Credentials, MethodError> {
    let id = needed(variables, "AWS_ACCESS_KEY_ID")?;
    let secret = needed(variables, "AWS_SECRET_ACCESS_KEY")?;
    let token = variables("AWS_SESSION_TOKEN");
    Ok(credentials(
        &id,
        &secret,
        token.as_ref().map(|t| t.as_str()),
    ))
}

fn credentials(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::new(id, secret, token.map(str::to_owned), None, "assay")
}

fn of_web_identity(asked: &Asked<'_>) -> Result<Credentials, MethodError> {
    let file = needed(asked.variables, "AWS_WEB_IDENTITY_TOKEN_FILE")?;
    let role = needed(asked.variables, "AWS_ROLE_ARN")?;
    let session = (asked.variables)("AWS_ROLE_SESSION_NAME");
    let session = session.map_or_else(|| "assay-agent".to_owned(), |name| name.as_str().to_owned());
    let token = crate::method::token::of_pod(Path::new(file.as_str()))?;
    let (id, secret, session) = asked
        .sts
        .assume_with_web_identity(&role, &session, &token)?;
    Ok(credentials(&id, &secret, Some(&session)))
}

/// As the endpoints for containers and the instance's service write credentials.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    code: Option<String>,
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

fn written(by: &str, body: &[u8]) -> Result<Credentials, MethodError> {
    let wrong = |what: &str| {
        MethodError::new(
            format!("{by}: {what}"),
            "a role that was attached or changed just now takes a minute; otherwise look at its trust policy",
        )
    };
    let written: Written = serde_json::from_slice(body)
        .map_err(|_| wrong("there are no credentials in its answer"))?;
    let (id, secret) = (
        Zeroizing::new(written.access_key_id),
        Zeroizing::new(written.secret_access_key),
    );
    let token = written.token.map(Zeroizing::new);
    if written.code.is_some_and(|code| code != "Success") {
        return Err(wrong("it has no credentials for the role now"));
    }
    let ends = written
        .expiration
        .and_then(|text| text.parse::<Timestamp>().ok());
    let now = Timestamp::try_from(SystemTime::now()).ok();
    if let (Some(ends), Some(now)) = (ends, now)
        && ends <= now
    {
        return Err(wrong(
            "its credentials are over; compare this machine's clock with another's",
        ));
    }
    Ok(credentials(
        &id,
        &secret,
        token.as_ref().map(|t| t.as_str()),
    ))
}

fn of_container(asked: &Asked<'_>) -> Result<Credentials, MethodError> {
    const HINT: &str =
        "ECS and EKS set it; a host of one's own is asked over plain HTTP only on this machine";
    let url = match (asked.variables)("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => format!("{ECS}{}", path.as_str()),
        None => needed(asked.variables, "AWS_CONTAINER_CREDENTIALS_FULL_URI")?
            .as_str()
            .to_owned(),
    };
    let (endpoint, path) = Endpoint::with_path(&url)
        .map_err(|_| MethodError::new("the endpoint for containers is no `http://` URL", HINT))?;
    let own = endpoint.host().parse::<std::net::IpAddr>();
    let own = own.is_ok_and(|address| address.is_loopback()) || endpoint.host() == "localhost";
    if !own && !CONTAINER_HOSTS.contains(&endpoint.host()) {
        // Whoever is asked gets the token for it.
        let what = format!("{endpoint} is no endpoint for containers");
        return Err(MethodError::new(what, HINT));
    }
    let mut question = Question::get(path, WITHIN);
    let file = (asked.variables)("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    let token = match file {
        Some(file) => Some(crate::method::token::of_pod(Path::new(file.as_str()))?),
        None => (asked.variables)("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    if let Some(token) = token {
        question = question.with("authorization", Secret(token));
    }
    let client = Client::new(endpoint, asked.patience);
    let answer = client.ask(&question).map_err(|error| {
        let hint = "is this a container of ECS, or a pod with an association of EKS Pod Identity?";
        MethodError::new(error.to_string(), hint)
    })?;
    if answer.status != 200 {
        let what = format!("{}: HTTP {} for the credentials", answer.by, answer.status);
        let hint = "look at the task's role, or at the pod's service account and its association";
        return Err(MethodError::new(what, hint));
    }
    written(&answer.by, &answer.body)
}

fn of_instance(imds: &Imds) -> Result<Credentials, MethodError> {
    let mut visit = imds.open()?;
    let none = || {
        let what = format!("{}: the instance has no role", imds.endpoint());
        let hint = "attach an instance profile: `aws ec2 associate-iam-instance-profile`; or choose another `credentials`";
        MethodError::new(what, hint)
    };
    let answer = visit.get(ROLES)?.ok_or_else(none)?;
    // One instance has one role at most.
    let role = answer
        .text()
        .and_then(|text| text.lines().next())
        .unwrap_or_default();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    if role.is_empty() || role.len() > MAX_ROLE || !role.bytes().all(legal) {
        return Err(none());
    }
    let answer = visit.get(&format!("{ROLES}{role}"))?.ok_or_else(none)?;
    written(&answer.by, &answer.body)
}

/// The region that the instance is in.
pub(super) fn region_of_instance(imds: &Imds) -> Result<String, MethodError> {
    let answer = imds.open()?.get("/meta-data/placement/region")?;
    let region = answer.as_ref().and_then(|answer| answer.text());
    region.map(str::to_owned).ok_or_else(|| {
        let what = format!("{}: it does not tell the region", imds.endpoint());
        MethodError::new(
            what,
            "set `region`, or AWS_REGION in the agent's environment",
        )
    })
}
