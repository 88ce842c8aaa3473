//! Who the verifier is to AWS: its own credentials, and the roles that it assumes with them.

use core::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::answers::Caller;
use super::call::{Call, Reply};
use super::keys::{Keys, secret_file};
use super::metadata::OfMetadata;
use super::place::{Partition, RoleArn, is_account};
use super::settings::{CredentialSource, DEFAULT_METADATA, Service};
use super::{Aws, kept, xml};
use crate::cloud::{Answer, Asking, CallError, CallErrorKind, Cloud, Key, Question};
use crate::outside::Outside;

/// Longest secret of a key that does not change.
const MAX_SECRET: usize = 256;
/// Longest token of an identity provider (STS: up to 20,000 characters).
const MAX_WEB_TOKEN: usize = 20_000;
/// What a role's session lasts: the longest of a role that was assumed by another, and the shortest that a role can be set to.
const SESSION_SECONDS: &str = "3600";

impl Aws {
    /// The keys to ask with in an account.
    pub(super) async fn keys_in(
        &self,
        outside: &dyn Outside,
        partition: Partition,
        account: &str,
    ) -> Result<Keys, CallError> {
        if partition != self.region().partition() {
            let why = "those of the service are of another partition of AWS";
            return Err(no_keys(why));
        }
        if !self.settings().assume_in_own_account && self.caller(outside).await?.account == account
        {
            return self.own_keys(outside).await;
        }
        let role = RoleArn::in_account(partition, account, &self.settings().role);
        self.keys_of(outside, &role).await
    }

    /// The keys of a role that is assumed with the verifier's own.
    pub(super) async fn keys_of(
        &self,
        outside: &dyn Outside,
        role: &RoleArn,
    ) -> Result<Keys, CallError> {
        if role.partition() != self.region().partition() {
            let why = "those of the service are of another partition of AWS";
            return Err(no_keys(why));
        }
        let question = Assumed {
            aws: self.clone(),
            role: role.clone(),
            is_own: false,
        };
        self.known(outside, question).await
    }

    /// The verifier's own keys.
    async fn own_keys(&self, outside: &dyn Outside) -> Result<Keys, CallError> {
        match &self.settings().assume_role {
            None => self.first_keys(outside).await,
            Some(role) => {
                let question = Assumed {
                    aws: self.clone(),
                    role: role.clone(),
                    is_own: true,
                };
                self.known(outside, question).await
            }
        }
    }

    /// The keys that are there before any role was assumed.
    async fn first_keys(&self, outside: &dyn Outside) -> Result<Keys, CallError> {
        match &self.settings().credentials {
            CredentialSource::Environment => match self.environment_keys()? {
                Some(keys) => Ok(keys),
                None => Err(no_keys("the environment has no AWS_ACCESS_KEY_ID")),
            },
            CredentialSource::Static {
                access_key_id,
                secret_access_key_file,
            } => {
                let secret = secret_file(secret_access_key_file, MAX_SECRET).await;
                let keys = Keys {
                    id: access_key_id.clone(),
                    secret: secret.map_err(no_keys)?.to_string(),
                    token: None,
                    expires: None,
                };
                keys.checked().map_err(no_keys)
            }
            CredentialSource::Instance { metadata } => self.instance_keys(outside, metadata).await,
            CredentialSource::WebIdentity { role, token_file } => {
                let question = OfWebIdentity {
                    aws: self.clone(),
                    role: role.clone(),
                    token_file: token_file.clone(),
                };
                self.known(outside, question).await
            }
            CredentialSource::Chain => {
                if let Some(keys) = self.environment_keys()? {
                    return Ok(keys);
                }
                match self.web_identity()? {
                    Some(question) => self.known(outside, question).await,
                    None => self.instance_keys(outside, DEFAULT_METADATA).await,
                }
            }
        }
    }

    async fn instance_keys(
        &self,
        outside: &dyn Outside,
        metadata: &str,
    ) -> Result<Keys, CallError> {
        let question = OfMetadata {
            aws: self.clone(),
            metadata: metadata.to_owned(),
        };
        self.known(outside, question).await
    }

    /// Half of a key is an error, and no reason to go on with somebody else's.
    fn environment_keys(&self) -> Result<Option<Keys>, CallError> {
        let read = |name| (self.0.environment)(name).filter(|text| !text.is_empty());
        match (read("AWS_ACCESS_KEY_ID"), read("AWS_SECRET_ACCESS_KEY")) {
            (None, None) => Ok(None),
            (Some(id), Some(secret)) => {
                let token = read("AWS_SESSION_TOKEN");
                let keys = Keys {
                    id,
                    secret,
                    token,
                    expires: None,
                };
                keys.checked().map(Some).map_err(no_keys)
            }
            _ => Err(no_keys(
                "the environment has one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and not the other",
            )),
        }
    }

    fn web_identity(&self) -> Result<Option<OfWebIdentity>, CallError> {
        let read = |name| (self.0.environment)(name).filter(|text| !text.is_empty());
        let Some(file) = read("AWS_WEB_IDENTITY_TOKEN_FILE") else {
            return Ok(None);
        };
        let role = read("AWS_ROLE_ARN").and_then(|arn| RoleArn::parse(&arn).ok());
        match role {
            Some(role) => Ok(Some(OfWebIdentity {
                aws: self.clone(),
                role,
                token_file: file.into(),
            })),
            None => Err(no_keys("the environment has no role in AWS_ROLE_ARN")),
        }
    }
}

fn no_keys(why: &'static str) -> CallError {
    CallError::new("aws", "credentials", CallErrorKind::Credentials(why))
}

/// `sts:GetCallerIdentity`.
#[derive(Debug)]
pub(super) struct WhoAmI {
    pub(super) aws: Aws,
}

impl Question for WhoAmI {
    fn key(&self) -> Key {
        key("sts/own", "GetCallerIdentity".to_owned())
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let keys = self.aws.own_keys(outside).await?;
            let region = self.aws.region();
            let call = Call::query(Service::Sts, "GetCallerIdentity", &region, Vec::new());
            let (settings, now) = (self.aws.settings(), self.aws.now());
            let reply = call.send(outside, settings, Some(&keys), now).await?;
            kept(&reply.read(caller)?, self.aws.ttl())
        })
    }
}

fn caller(body: &[u8]) -> Result<Caller, &'static str> {
    let root = xml::parse(body)?;
    let result = root.named("GetCallerIdentityResponse")?;
    let result = result.need("GetCallerIdentityResult")?;
    let account = result.need_text("Account")?;
    if !is_account(account) {
        return Err("it names no account");
    }
    Ok(Caller {
        account: account.to_owned(),
        arn: result.need_text("Arn")?.to_owned(),
    })
}

/// `sts:AssumeRole`.
#[derive(Debug)]
struct Assumed {
    aws: Aws,
    role: RoleArn,
    /// Whether it makes the verifier who it is, and is so assumed with the keys before.
    is_own: bool,
}

impl Question for Assumed {
    fn key(&self) -> Key {
        let lane = format!("sts/{}", self.role.account());
        let what = match self.is_own {
            true => format!("AssumeRole {} first", self.role.as_str()),
            false => format!("AssumeRole {}", self.role.as_str()),
        };
        key(lane, what)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let aws = &self.aws;
            let by = match self.is_own {
                true => aws.first_keys(outside).await?,
                false => aws.own_keys(outside).await?,
            };
            let mut parameters = vec![
                ("RoleArn".to_owned(), self.role.as_str().to_owned()),
                (
                    "RoleSessionName".to_owned(),
                    aws.settings().session_name.clone(),
                ),
                ("DurationSeconds".to_owned(), SESSION_SECONDS.to_owned()),
            ];
            if let Some(id) = aws.settings().external_id.as_ref().filter(|_| !self.is_own) {
                parameters.push(("ExternalId".to_owned(), id.clone()));
            }
            let region = aws.region();
            let call = Call::query(Service::Sts, "AssumeRole", &region, parameters);
            let now = aws.now();
            let reply = call.send(outside, aws.settings(), Some(&by), now).await?;
            session_answer(&reply, "AssumeRole", &self.role, now)
        })
    }
}

/// `sts:AssumeRoleWithWebIdentity`, which nobody signs: the token shows who asks.
#[derive(Debug)]
struct OfWebIdentity {
    aws: Aws,
    role: RoleArn,
    token_file: std::path::PathBuf,
}

impl Question for OfWebIdentity {
    fn key(&self) -> Key {
        let what = format!(
            "AssumeRoleWithWebIdentity {} {}",
            self.role.as_str(),
            self.token_file.display()
        );
        key("credentials", what)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let token: Zeroizing<String> = secret_file(&self.token_file, MAX_WEB_TOKEN)
                .await
                .map_err(no_keys)?;
            let parameters = vec![
                ("RoleArn".to_owned(), self.role.as_str().to_owned()),
                (
                    "RoleSessionName".to_owned(),
                    self.aws.settings().session_name.clone(),
                ),
                ("DurationSeconds".to_owned(), SESSION_SECONDS.to_owned()),
                ("WebIdentityToken".to_owned(), token.to_string()),
            ];
            let (region, now) = (self.aws.region(), self.aws.now());
            let operation = "AssumeRoleWithWebIdentity";
            let call = Call::query(Service::Sts, operation, &region, parameters);
            let reply = call.send(outside, self.aws.settings(), None, now).await?;
            session_answer(&reply, operation, &self.role, now)
        })
    }
}

fn session_answer(
    reply: &Reply,
    operation: &str,
    role: &RoleArn,
    now: Timestamp,
) -> Result<Answer, CallError> {
    reply.read(|body| {
        let keys = session(body, operation, role)?;
        keys_answer(&keys, now)
    })
}

/// Keys as they are kept.
pub(super) fn keys_answer(keys: &Keys, now: Timestamp) -> Result<Answer, &'static str> {
    let kept: Duration = keys.kept(now).ok_or("these credentials have ended")?;
    let json = keys.to_json().map_err(|_| "it cannot be kept")?;
    Ok(Answer::new(json, kept))
}

/// The keys of a session, which must be one of the role that was asked for.
fn session(body: &[u8], operation: &str, role: &RoleArn) -> Result<Keys, &'static str> {
    let root = xml::parse(body)?;
    let response = root.named(&format!("{operation}Response"))?;
    let result = response.need(&format!("{operation}Result"))?;
    let user = result.need("AssumedRoleUser")?.need_text("Arn")?;
    let expected = format!(
        "arn:{}:sts::{}:assumed-role/{}/",
        role.partition().name(),
        role.account(),
        role.name()
    );
    if !user.starts_with(&expected) {
        return Err("it is another role's session");
    }
    let credentials = result.need("Credentials")?;
    let expires = credentials.need_text("Expiration")?;
    let keys = Keys {
        id: credentials.need_text("AccessKeyId")?.to_owned(),
        secret: credentials.need_text("SecretAccessKey")?.to_owned(),
        token: Some(credentials.need_text("SessionToken")?.to_owned()),
        expires: Some(expires.parse().map_err(|_| "its time cannot be read")?),
    };
    keys.checked()
}

/// A question's name.
pub(super) fn key(lane: impl Into<String>, what: String) -> Key {
    Key {
        cloud: Cloud::Aws,
        lane: lane.into(),
        what,
    }
}
