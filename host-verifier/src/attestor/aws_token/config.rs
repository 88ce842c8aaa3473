//! Settings of `aws_token`, and the attestor made from them.

use core::time::Duration;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::AwsToken;
use super::verify::{Rules, Settings, is_account};
use crate::attestor::issuer::config::{Texts, audiences, error, https_base, span};
use crate::attestor::issuer::{IssuedToken, Keys};
use crate::attestor::restriction::{AllowList, Globs, Required};
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::cloud::TokenIssuers;
use crate::document::Files;
use crate::jwt::MAX_LEEWAY;
use crate::outside::{KeyLocation, KeySource, Reach};

/// Most issuers of one entry.
const MOST_ISSUERS: usize = 64;
/// What the issuers of all accounts end in; before it stands an ID of the account's.
const STS: &str = ".tokens.sts.global.api.aws";
/// AWS lets no token live longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// Whether it is an issuer that STS has for an account: one label before AWS's own name, and nothing else.
fn is_sts(issuer: &str) -> bool {
    let host = issuer.strip_prefix("https://");
    let label = host.and_then(|host| host.strip_suffix(STS));
    label.is_some_and(|label| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    })
}

/// `config:` of an `aws_token` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "aws_token")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The issuers of the accounts whose agents may log in, each byte for byte: STS's, or one that the operator of the service
    /// lists.
    #[serde(rename = "issuerURLs")]
    pub issuer_urls: AllowList,
    /// The audiences of which `aud` must have one.
    pub allowed_audiences: Option<Texts>,
    /// The accounts whose principals are let in, 12 digits each; without it those of the issuers.
    #[serde(default, rename = "allowedAccountIDs")]
    pub allowed_account_ids: AllowList,
    /// The organizations of which the account must be in one.
    #[serde(default, rename = "allowedOrgIDs")]
    pub allowed_org_ids: AllowList,
    /// Patterns of the ARNs that are let in; `*` stands for any run of characters.
    #[serde(default)]
    pub allowed_principal_arns: Globs,
    /// Tags that the principal must have, each with the value or values of which it must have one.
    #[serde(default)]
    pub required_principal_tags: Required,
    /// Whether the credentials must have been delivered to an EC2 instance of the account.
    #[serde(default)]
    pub require_ec2_source_instance: bool,
    /// The longest time since the token was issued.
    pub max_token_age: Option<String>,
    /// For clocks that differ, at most 60 s.
    pub clock_skew: Option<String>,
    /// Whether the agent must have its token made for this login, by a nonce in a second audience.
    #[serde(default)]
    pub nonce_in_audience: bool,
    /// Whether the first login binds the instance to its key.
    #[serde(default)]
    pub tofu: bool,
}

impl MethodConfig for Config {
    fn build_in(&self, files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        self.attestor(files)
            .map(|attestor| Arc::new(attestor) as Arc<dyn Attestor>)
    }
}

impl Config {
    /// Checks the meaning of the settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: an issuer that is no plain https URL, an account that is not 12 digits, a pattern that fits no ARN.
    pub fn attestor(&self, files: Files<'_>) -> Result<AwsToken, ConfigError> {
        self.attestor_for(files, None)
    }

    /// As [`Self::attestor`], for tokens of a login that is known by the nonce that its audiences had.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn attestor_for(
        &self,
        files: Files<'_>,
        nonce: Option<String>,
    ) -> Result<AwsToken, ConfigError> {
        if self.tofu && !self.require_ec2_source_instance {
            return Err(ConfigError {
                hint: Some("add `requireEc2SourceInstance: true`, or leave `tofu` out".to_owned()),
                ..error(
                    "tofu",
                    "a role is no instance: the first that has it would lock out all others",
                )
            });
        }
        let settings = Arc::new(Settings {
            nonce,
            ..self.settings(files)?
        });
        let clouds = files.clouds();
        let aws = &clouds.aws;
        let issuers = self.issuers(&aws.token_issuers)?.iter().map(|issuer| {
            IssuedToken::new(Rules {
                issuer: issuer.clone(),
                keys: Keys::Published(KeySource {
                    location: KeyLocation::OwnDiscovery {
                        issuer: issuer.clone(),
                    },
                    reach: match is_sts(issuer) {
                        true => Reach::PUBLIC,
                        false => Reach::OPERATORS,
                    },
                    roots: aws.roots.clone(),
                }),
                settings: settings.clone(),
            })
        });
        Ok(AwsToken {
            issuers: issuers.collect(),
            nonce_in_audience: self.nonce_in_audience,
            tofu: self.tofu,
        })
    }

    fn issuers(&self, listed: &TokenIssuers) -> Result<&[String], ConfigError> {
        let issuers = self.issuer_urls.values().unwrap_or_default();
        if issuers.len() > MOST_ISSUERS {
            let why = format!("more than {MOST_ISSUERS} issuers: write several policies");
            return Err(error("issuerURLs", &why));
        }
        for (i, issuer) in issuers.iter().enumerate() {
            let field = format!("issuerURLs[{i}]");
            https_base(&field, issuer)?;
            if !is_sts(issuer) && !listed.allow(issuer) {
                return Err(ConfigError {
                    hint: Some(
                        "aws iam get-outbound-web-identity-federation-info; or let the operator of the service list it in `clouds.aws.tokenIssuers` of assayd.yaml: whoever signs there may say that it is any principal of any account"
                            .to_owned(),
                    ),
                    ..error(&field, "it is not an issuer of AWS's: https://ID.tokens.sts.global.api.aws")
                });
            }
            if issuers.iter().take(i).any(|earlier| earlier == issuer) {
                return Err(error(&field, "it is there twice"));
            }
        }
        Ok(issuers)
    }

    fn settings(&self, files: Files<'_>) -> Result<Settings, ConfigError> {
        if let Some((i, wrong)) = self.allowed_account_ids.not(is_account) {
            return Err(ConfigError {
                hint: Some("quote it: as a number YAML would drop its first zeros".to_owned()),
                ..error(
                    &format!("allowedAccountIDs[{i}]"),
                    &format!("{wrong:?} is not the 12 digits of an account"),
                )
            });
        }
        let org = |id: &str| id.starts_with("o-") && id.len() > 2;
        if let Some((i, wrong)) = self.allowed_org_ids.not(org) {
            let why = format!("{wrong:?} is no organization, such as \"o-a1b2c3d4e5\"");
            return Err(error(&format!("allowedOrgIDs[{i}]"), &why));
        }
        let patterns = self.allowed_principal_arns.patterns().unwrap_or_default();
        for (i, pattern) in patterns.iter().enumerate() {
            // One that begins otherwise fits nothing, or everything.
            if !pattern.starts_with("arn:") {
                return Err(ConfigError {
                    hint: Some("e.g. \"arn:aws:iam::123456789012:role/nodes/*\"".to_owned()),
                    ..error(
                        &format!("allowedPrincipalArns[{i}]"),
                        &format!("{pattern:?} does not begin with `arn:`"),
                    )
                });
            }
        }
        let skew = self.clock_skew.as_ref();
        let skew = skew.map(|text| span("clockSkew", text, MAX_LEEWAY));
        let age = self.max_token_age.as_ref();
        let age = age.map(|text| span("maxTokenAge", text, LONGEST));
        Ok(Settings {
            audiences: audiences(self.allowed_audiences.as_ref(), files),
            accounts: self.allowed_account_ids.clone(),
            organizations: self.allowed_org_ids.clone(),
            principals: self.allowed_principal_arns.clone(),
            tags: self.required_principal_tags.clone(),
            require_instance: self.require_ec2_source_instance,
            max_age: age.transpose()?,
            leeway: skew.transpose()?.unwrap_or(MAX_LEEWAY),
            nonce_in_audience: self.nonce_in_audience,
            nonce: None,
        })
    }
}
