//! Settings of `aws_iid`, and the attestor made from them.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::AwsIid;
use super::certificates::{Certificates, Kind};
use super::names::ELSEWHERE;
use super::rules::Rules;
use crate::attestor::elsewhere::Known;
use crate::attestor::issuer::config::span;
use crate::attestor::source::SourceRule;
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::cloud::aws::{Aws, PlaceError, Region, RoleArn, is_account, is_cluster_name, is_id};
use crate::document::Files;
use crate::telemetry::names;
use crate::x509::UnixTime;

/// Most entries of a list.
const MOST: usize = 4096;
/// Most EKS clusters and organisations: each may be asked for in every login.
const MOST_ASKED: usize = 32;
/// Most tags of an instance, as EC2 has it.
const MOST_TAGS: usize = 50;
/// How long before a certificate ends the log says so, seconds.
const WARNING: i64 = 90 * 86_400;
/// Longest age of an instance that can be said.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// `config:` of an `aws_iid` entry.
#[derive(Clone, Debug, Default, serde::Deserialize, JsonSchema)]
#[schemars(rename = "aws_iid")]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    remote = "Self"
)]
pub struct Config {
    /// Accounts whose instances may log in, besides the verifier's own.
    pub aws_accounts_allowed: Vec<AccountId>,
    /// Whether instances of the verifier's own account may log in.
    #[schemars(default = "yes")]
    pub allow_own_account: Option<bool>,
    /// Roles in management accounts: the active accounts of their organisations may log in.
    pub assume_org_role_arns: Vec<String>,
    /// Whether the accounts in the operator's list (`clouds.aws.accountListFile`) may log in.
    pub use_account_list: bool,
    /// EKS clusters: an instance must be in a managed node group of one of them.
    pub eks_cluster_names: Option<Vec<String>>,
    /// Regions of which an instance must be in one.
    pub allowed_regions: Option<Vec<String>>,
    /// Types of which an instance must be one, e.g. `m5.large`.
    pub allowed_instance_types: Option<Vec<String>>,
    /// Images of which an instance must have been started from one, `ami-…`.
    pub allowed_ami_ids: Option<Vec<String>>,
    /// VPCs: all network interfaces must be in one of them, `vpc-…`.
    pub allowed_vpc_ids: Option<Vec<String>>,
    /// Subnets: all network interfaces must be in one of them, `subnet-…`.
    pub allowed_subnet_ids: Option<Vec<String>>,
    /// Security groups that an instance must have, all of them, each by its id or its name.
    pub required_security_groups: Option<Vec<String>>,
    /// Tags that an instance must have, all of them, each with one of the values that are listed.
    pub instance_tag_requirements: Option<BTreeMap<String, Vec<String>>>,
    /// How long ago an instance may have been started, e.g. `720h`. Default: however long.
    pub max_instance_age: Option<String>,
    /// Whether an instance that is still being started may log in.
    pub allow_pending: bool,
    /// Do not compare when the root volume and the network interface were attached.
    pub skip_block_device: bool,
    /// Do not ask for the roles of the instance profile. The proof has no `aws_iid.iam.role` then.
    pub disable_instance_profile_selectors: bool,
    /// Ask AWS nothing: the signature alone counts, and whether the instance still exists is not known.
    pub local_only: bool,
    /// Accounts for which AWS is asked nothing, as with `localOnly`.
    pub account_ids_for_local_validation: Vec<AccountId>,
    /// Ask whether the volumes are encrypted, which needs the permission `ec2:DescribeVolumes`.
    pub describe_volumes: bool,
    /// Ask when the image was made, which needs the permission `ec2:DescribeImages`.
    pub describe_image: bool,
    /// Accept the signature of an RSA key of 1024 bits where there is no other.
    pub legacy_signatures: bool,
    /// Trust on first use: the first login binds the instance to its SVID's key.
    pub tofu: bool,
    /// What becomes of a login that comes from none of the instance's addresses: `ignore` (the default), `warn`, `require`.
    pub source_address: SourceRule,
    /// The instance's tags that become attributes. Default: all of them.
    #[schemars(length(max = 50))]
    pub attribute_tag_keys: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Settings;

        impl<'de> Visitor<'de> for Settings {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("struct Config")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Config, A::Error> {
                // The derived function, not this one.
                Config::deserialize(MapAccessDeserializer::new(Known::new(map, ELSEWHERE)))
            }
        }

        deserializer.deserialize_map(Settings)
    }
}

/// An account's number, in quotes.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct AccountId(#[schemars(regex(pattern = "^[0-9]{12}$"))] pub String);

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;

        impl Visitor<'_> for Quoted {
            type Value = AccountId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an account's twelve digits in quotes (a number loses its leading zeros)",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AccountId, E> {
                Ok(AccountId(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Quoted)
    }
}

const fn yes() -> Option<bool> {
    Some(true)
}

impl MethodConfig for Config {
    fn build_in(&self, files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        self.attestor(files)
            .map(|attestor| Arc::new(attestor) as Arc<dyn Attestor>)
    }
}

impl Config {
    /// Checks the meaning of the settings, and reads the certificates that the operator of the service named.
    ///
    /// # Errors
    /// [`ConfigError`]: a list that lets nobody in, a name that is none, checks that need an answer of AWS's where none is asked
    /// for.
    pub fn attestor(&self, files: Files<'_>) -> Result<AwsIid, ConfigError> {
        let rules = self.rules()?;
        let aws = Aws::new(files.clouds());
        let pinned = Certificates::read(&aws.settings().certificates, files)?;
        warn(&pinned, rules.legacy);
        Ok(AwsIid::new(rules, pinned, aws))
    }

    /// As [`Self::attestor`], with other certificates than the operator's.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn attestor_with(&self, pinned: Certificates) -> Result<AwsIid, ConfigError> {
        let aws = Aws::new(Arc::default());
        Ok(AwsIid::new(self.rules()?, pinned, aws))
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn rules(&self) -> Result<Rules, ConfigError> {
        let local = accounts(
            "accountIdsForLocalValidation",
            &self.account_ids_for_local_validation,
        )?;
        let age = self.max_instance_age.as_ref();
        let age = age.map(|text| span("maxInstanceAge", text, LONGEST));
        let rules = Rules {
            accounts: accounts("awsAccountsAllowed", &self.aws_accounts_allowed)?,
            own_account: self.allow_own_account.unwrap_or(!self.local_only),
            organizations: self.organizations()?,
            account_list: self.use_account_list,
            clusters: self.clusters()?,
            regions: set("allowedRegions", self.allowed_regions.as_ref(), |text| {
                Region::parse(text).is_ok()
            })?,
            instance_types: set(
                "allowedInstanceTypes",
                self.allowed_instance_types.as_ref(),
                |text| text.contains('.'),
            )?,
            images: set("allowedAmiIds", self.allowed_ami_ids.as_ref(), |text| {
                is_id(text, "ami")
            })?,
            vpcs: set("allowedVpcIds", self.allowed_vpc_ids.as_ref(), |text| {
                is_id(text, "vpc")
            })?,
            subnets: set(
                "allowedSubnetIds",
                self.allowed_subnet_ids.as_ref(),
                |text| is_id(text, "subnet"),
            )?,
            security_groups: set(
                "requiredSecurityGroups",
                self.required_security_groups.as_ref(),
                |_| true,
            )?,
            tags: self.tags()?,
            max_age: age.transpose()?,
            pending: self.allow_pending,
            device_times: !self.skip_block_device,
            profile: !self.disable_instance_profile_selectors,
            local_only: self.local_only,
            local,
            volumes: self.describe_volumes,
            image: self.describe_image,
            legacy: self.legacy_signatures,
            tofu: self.tofu,
            source: self.source_address,
            tag_keys: self.tag_keys()?,
        };
        self.check_local(&rules)?;
        let nobody = rules.accounts.is_empty()
            && !rules.own_account
            && !rules.account_list
            && rules.organizations.is_empty();
        if nobody {
            let hint = "list accounts in `awsAccountsAllowed`, or let in the verifier's own";
            return Err(error("awsAccountsAllowed", "no account is let in", hint));
        }
        Ok(rules)
    }

    /// Where AWS is asked nothing, no check can need its answer.
    fn check_local(&self, rules: &Rules) -> Result<(), ConfigError> {
        if !rules.local_only && rules.local.is_empty() {
            return Ok(());
        }
        if let Some(stranger) = rules.local.difference(&rules.accounts).next() {
            let message = format!("account {stranger} is not in `awsAccountsAllowed`");
            let hint = "AWS is not asked whose it is, so it has to be listed there too";
            return Err(error("accountIdsForLocalValidation", &message, hint));
        }
        let asking = [
            ("eksClusterNames", rules.clusters.is_some()),
            ("allowedVpcIds", rules.vpcs.is_some()),
            ("allowedSubnetIds", rules.subnets.is_some()),
            ("requiredSecurityGroups", rules.security_groups.is_some()),
            ("instanceTagRequirements", !rules.tags.is_empty()),
            ("describeVolumes", rules.volumes),
            ("describeImage", rules.image),
            ("allowOwnAccount", rules.local_only && rules.own_account),
            (
                "assumeOrgRoleArns",
                rules.local_only && !rules.organizations.is_empty(),
            ),
            ("useAccountList", rules.local_only && rules.account_list),
        ];
        match asking.into_iter().find(|(_, asks)| *asks) {
            Some((field, _)) => Err(error(
                field,
                "it needs an answer of AWS's, which is asked nothing with `localOnly` or `accountIdsForLocalValidation`",
                "remove one of the two, or make two policies of them",
            )),
            None => Ok(()),
        }
    }

    fn organizations(&self) -> Result<Vec<RoleArn>, ConfigError> {
        const FIELD: &str = "assumeOrgRoleArns";
        at_most(FIELD, self.assume_org_role_arns.len(), MOST_ASKED)?;
        let arns = self.assume_org_role_arns.iter().enumerate();
        let roles = arns.map(|(i, arn)| {
            RoleArn::parse(arn).map_err(|why| {
                let hint = "e.g. \"arn:aws:iam::111122223333:role/DefaktoServerOrgAccountsList\"";
                error(&format!("{FIELD}[{i}]"), &shown(arn, why), hint)
            })
        });
        roles.collect()
    }

    fn clusters(&self) -> Result<Option<Vec<String>>, ConfigError> {
        const FIELD: &str = "eksClusterNames";
        let Some(names) = &self.eks_cluster_names else {
            return Ok(None);
        };
        not_empty(FIELD, names.len())?;
        at_most(FIELD, names.len(), MOST_ASKED)?;
        for (i, name) in names.iter().enumerate() {
            if !is_cluster_name(name) {
                let hint = "letters, digits, `-` and `_`, at most 100; not the cluster's ARN";
                let message = shown(name, PlaceError::Cluster);
                return Err(error(&format!("{FIELD}[{i}]"), &message, hint));
            }
        }
        Ok(Some(names.clone()))
    }

    fn tag_keys(&self) -> Result<Option<BTreeSet<String>>, ConfigError> {
        const FIELD: &str = "attributeTagKeys";
        let Some(keys) = &self.attribute_tag_keys else {
            return Ok(None);
        };
        at_most(FIELD, keys.len(), MOST_TAGS)?;
        if let Some(i) = keys.iter().position(String::is_empty) {
            let hint = "name a tag of the instances, e.g. `Environment`";
            return Err(error(&format!("{FIELD}[{i}]"), "it names no tag", hint));
        }
        Ok(Some(keys.iter().cloned().collect()))
    }

    fn tags(&self) -> Result<BTreeMap<String, BTreeSet<String>>, ConfigError> {
        const FIELD: &str = "instanceTagRequirements";
        let Some(tags) = &self.instance_tag_requirements else {
            return Ok(BTreeMap::new());
        };
        not_empty(FIELD, tags.len())?;
        at_most(FIELD, tags.len(), MOST)?;
        let required = tags.iter().map(|(name, values)| {
            let field = format!("{FIELD}.{name}");
            not_empty(&field, values.len())?;
            at_most(&field, values.len(), MOST)?;
            Ok((name.clone(), values.iter().cloned().collect()))
        });
        required.collect()
    }
}

/// Tells of certificates that end soon. They count until then and after; but AWS replaces each before it ends, and the
/// successor is missing.
fn warn(pinned: &Certificates, legacy: bool) {
    let soon = UnixTime(jiff::Timestamp::now().as_second().saturating_add(WARNING));
    let old = legacy.then_some(Kind::Rsa1024);
    for kind in [Kind::Rsa2048].into_iter().chain(old) {
        for (region, end) in pinned.ending_before(kind, soon) {
            let hint = "save AWS's page anew: clouds.aws.certificates";
            tracing::warn!(region, not_after = %end, hint, "{}", names::AWS_CERTIFICATE_ENDS);
        }
    }
}

fn accounts(field: &str, ids: &[AccountId]) -> Result<BTreeSet<String>, ConfigError> {
    at_most(field, ids.len(), MOST)?;
    let ids = ids.iter().enumerate().map(|(i, AccountId(id))| {
        if is_account(id) {
            return Ok(id.clone());
        }
        let message = shown(id, PlaceError::Account);
        let hint = "write all twelve digits, in quotes, without dashes";
        Err(error(&format!("{field}[{i}]"), &message, hint))
    });
    ids.collect()
}

/// A list of names of which there must be one, each of its form.
fn set(
    field: &str,
    list: Option<&Vec<String>>,
    is: impl Fn(&str) -> bool,
) -> Result<Option<BTreeSet<String>>, ConfigError> {
    let Some(list) = list else {
        return Ok(None);
    };
    not_empty(field, list.len())?;
    at_most(field, list.len(), MOST)?;
    for (i, text) in list.iter().enumerate() {
        if text.is_empty() || !is(text) {
            let message = format!("`{}` is none", text.escape_debug());
            let hint =
                "write it as AWS does: eu-west-1, m5.large, ami-0123456789abcdef0, vpc-…, subnet-…";
            return Err(error(&format!("{field}[{i}]"), &message, hint));
        }
    }
    Ok(Some(list.iter().cloned().collect()))
}

fn not_empty(field: &str, len: usize) -> Result<(), ConfigError> {
    match len {
        0 => Err(error(
            field,
            "it is empty, so nothing could be let in",
            "name at least one, or remove the field",
        )),
        _ => Ok(()),
    }
}

fn at_most(field: &str, len: usize, most: usize) -> Result<(), ConfigError> {
    match len > most {
        true => Err(error(
            field,
            &format!("{len} entries, at most {most} are read"),
            "split the policy",
        )),
        false => Ok(()),
    }
}

fn shown(text: &str, why: PlaceError) -> String {
    format!("`{}`: {why}", text.escape_debug())
}

fn error(field: &str, message: &str, hint: &str) -> ConfigError {
    ConfigError {
        field: field.to_owned(),
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    }
}
