//! What is asked of AWS, what is kept of the answers, and what they come to.
//!
//! Asking stops as soon as nothing that could still come would let the instance in: each step below is the one that
//! [`decide`] takes too, over what is there so far.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::document::Document;
use super::rules::{Asks, Rules};
use crate::attestor::{AttestError, Fault};
use crate::cloud::CallError;
use crate::cloud::aws::answers::{ImageAnswer, Instance, Volumes};
use crate::cloud::aws::{Aws, Place, RoleArn};
use crate::jwt::shown;
use crate::outside::Outside;

/// What was asked and answered, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// The account that was asked about, and whose role was used.
    pub account: String,
    /// The region whose endpoint was asked.
    pub region: String,
    /// The instance that was asked for.
    pub instance_id: String,
    /// The verifier's own account, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_account: Option<String>,
    /// Whether the account is an active one of the organisation that this role may list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub organizations: BTreeMap<String, bool>,
    /// Whether the account is in the operator's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// Whether the instance was asked for; `instance` is the answer.
    pub asked: bool,
    /// The instance; there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// Whether it is in a managed node group of the EKS cluster, of the same account and region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<String, bool>,
    /// The roles of its instance profile, where it has one and they were asked for; the profile may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Whether its volumes are encrypted, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Volumes>,
    /// When its image was made, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageAnswer>,
}

/// An instance profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// The profile that was asked for.
    pub arn: String,
    /// The ARNs of its roles; `None`: there is no such profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<BTreeSet<String>>,
}

/// What AWS has said of an instance that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// Its roles.
    pub roles: BTreeSet<&'a str>,
    /// Whether all of its volumes are encrypted.
    pub encrypted: Option<bool>,
    /// When its image was made.
    pub image_created: Option<jiff::Timestamp>,
}

fn refused(check: &'static str, detail: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Refused, check, detail)
}

/// An answer that is none of this method's.
pub(super) fn unreadable(why: impl core::fmt::Display) -> AttestError {
    AttestError::new(Fault::Internal, "answer-kept", why.to_string())
}

/// Asks AWS about a document. See [`Rules::check`] for what is asked.
///
/// # Errors
/// A call that brought no answer.
pub async fn ask(
    rules: &Rules,
    document: &Document,
    asks: Asks,
    aws: &Aws,
    outside: &dyn Outside,
) -> Result<Answer, AttestError> {
    let failed = |error: &CallError| {
        let mut failed = error.failed("cloud-api");
        if let Some(hint) = aws.hint(error) {
            failed.detail = format!("{}; {hint}", failed.detail);
        }
        failed
    };
    let place = document.place()?;
    let mut answer = Answer::new(document);
    if asks == Asks::Account {
        whose(rules, aws, outside, &mut answer)
            .await
            .map_err(|error| failed(&error))?;
    }
    if account(rules, document, &answer).is_err() {
        return Ok(answer);
    }
    let asked = instance(rules, document, &place, aws, outside, &mut answer);
    asked.await.map_err(|error| failed(&error))?;
    Ok(answer)
}

/// Asks whose the account is, until somebody lets it in.
async fn whose(
    rules: &Rules,
    aws: &Aws,
    outside: &dyn Outside,
    answer: &mut Answer,
) -> Result<(), CallError> {
    if rules.own_account {
        let own = aws.caller(outside).await?.account;
        let is_own = own == answer.account;
        answer.own_account = Some(own);
        if is_own {
            return Ok(());
        }
    }
    if rules.account_list {
        let listed = aws.in_organization(outside, None, &answer.account).await?;
        answer.listed = Some(listed);
        if listed {
            return Ok(());
        }
    }
    // One organisation that cannot be asked does not keep out what is another's.
    let mut failed = None;
    for role in &rules.organizations {
        let member = aws.in_organization(outside, Some(role), &answer.account);
        match member.await {
            Ok(member) => {
                answer
                    .organizations
                    .insert(role.as_str().to_owned(), member);
                if member {
                    return Ok(());
                }
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Asks for the instance, and for what the settings want to know of it.
async fn instance(
    rules: &Rules,
    document: &Document,
    place: &Place,
    aws: &Aws,
    outside: &dyn Outside,
    answer: &mut Answer,
) -> Result<(), CallError> {
    let found = aws.instance(outside, place, &answer.instance_id).await?;
    // What was asked is kept with the login's evidence: no tag is in it that neither decides nor becomes an attribute.
    answer.instance = found.map(|instance| instance.with_tags(|tag| rules.judges_tag(tag)));
    answer.asked = true;
    let Some(instance) = answer.instance.clone() else {
        return Ok(());
    };
    if rules.is_up(document, Some(&instance)).is_err() {
        refuse(rules, answer);
        return Ok(());
    }
    for name in rules.clusters.iter().flatten() {
        let member = aws.in_cluster(outside, place, name, &instance.id).await?;
        answer.clusters.insert(name.clone(), member);
        if member {
            break;
        }
    }
    let so_far = clusters(rules, answer).and_then(|()| rules.restrictions(document, &instance));
    if so_far.is_err() {
        refuse(rules, answer);
        return Ok(());
    }
    if let (true, Some(arn)) = (rules.profile, &instance.instance_profile) {
        answer.profile = Some(Profile {
            arn: arn.clone(),
            roles: aws.roles(outside, place, arn).await?,
        });
    }
    if rules.volumes {
        answer.volumes = Some(aws.volumes(outside, place, &instance.volumes).await?);
    }
    if rules.image {
        answer.image = Some(aws.image(outside, place, &instance.image_id).await?);
    }
    Ok(())
}

/// An instance that is refused has no attributes: of its tags those are kept that it may have been refused for.
fn refuse(rules: &Rules, answer: &mut Answer) {
    let instance = answer.instance.take();
    answer.instance = instance.map(|one| one.with_tags(|tag| rules.tags.contains_key(tag)));
}

impl Answer {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(document: &Document) -> Self {
        Self {
            account: document.account_id.clone(),
            region: document.region.clone(),
            instance_id: document.instance_id.clone(),
            own_account: None,
            organizations: BTreeMap::new(),
            listed: None,
            asked: false,
            instance: None,
            clusters: BTreeMap::new(),
            profile: None,
            volumes: None,
            image: None,
        }
    }
}

/// All checks over AWS's answers, in their order.
///
/// # Errors
/// The first that does not hold.
pub fn decide<'a>(
    rules: &Rules,
    document: &Document,
    answer: &'a Answer,
) -> Result<Known<'a>, AttestError> {
    let of = (&answer.account, &answer.region, &answer.instance_id);
    let wanted = (
        &document.account_id,
        &document.region,
        &document.instance_id,
    );
    if of != wanted {
        let Document {
            account_id,
            region,
            instance_id,
            ..
        } = document;
        return Err(unreadable(format_args!(
            "it is about instance {} of account {} in {}, and the document is of {instance_id} of {account_id} in {region}",
            shown(&answer.instance_id),
            shown(&answer.account),
            shown(&answer.region),
        )));
    }
    account(rules, document, answer)?;
    if !answer.asked {
        return Err(unreadable(format_args!(
            "`asked` is false: ec2:DescribeInstances was not asked for {} of account {} in {}",
            answer.instance_id, answer.account, answer.region
        )));
    }
    rules.is_up(document, answer.instance.as_ref())?;
    let missing = || unreadable("without `instance`");
    let instance = answer.instance.as_ref().ok_or_else(missing)?;
    clusters(rules, answer)?;
    rules.restrictions(document, instance)?;
    Ok(Known {
        instance,
        roles: roles(rules, instance, answer)?,
        encrypted: encrypted(rules, instance, answer)?,
        image_created: match (rules.image, &answer.image) {
            (false, _) => None,
            (true, Some(image)) => image.created,
            (true, None) => {
                return Err(unreadable(format_args!(
                    "without `image`: ec2:DescribeImages was not asked for {}",
                    shown(&instance.image_id)
                )));
            }
        },
    })
}

/// Whether the account is let in: by name, as the verifier's own, by the operator's list, or by an organisation.
fn account(rules: &Rules, document: &Document, answer: &Answer) -> Result<(), AttestError> {
    let account = &document.account_id;
    let own = rules.own_account && answer.own_account.as_ref() == Some(account);
    let listed = rules.account_list && answer.listed == Some(true);
    let member = rules
        .organizations
        .iter()
        .any(|role| answer.organizations.get(role.as_str()) == Some(&true));
    if rules.accounts.contains(account) || own || listed || member {
        return Ok(());
    }
    unanswered(rules, answer)?;
    let known = answer.own_account.as_deref().unwrap_or("not let in");
    Err(refused(
        "account-not-allowed",
        format!(
            "failed aws ec2 attestation, nodes account id: {account} is not part of configured organization or doesn't have ACTIVE status, nor in awsAccountsAllowed (the verifier's own: {known})"
        ),
    ))
}

/// That whoever could have let the account in was asked. A login asks all of them before it refuses; what a login kept under
/// other settings need not have them.
fn unanswered(rules: &Rules, answer: &Answer) -> Result<(), AttestError> {
    let account = &answer.account;
    if rules.own_account && answer.own_account.is_none() {
        return Err(unreadable(
            "without `ownAccount`: sts:GetCallerIdentity was not asked which account is the verifier's own (`allowOwnAccount`)",
        ));
    }
    if rules.account_list && answer.listed.is_none() {
        return Err(unreadable(format_args!(
            "without `listed`: nobody was asked whether {account} is in the operator's list (`useAccountList`)"
        )));
    }
    let asked = |role: &&RoleArn| answer.organizations.contains_key(role.as_str());
    match rules.organizations.iter().find(|role| !asked(role)) {
        None => Ok(()),
        Some(role) => {
            let role = role.as_str();
            Err(unreadable(format_args!(
                "without `organizations` of {role}: organizations:ListAccounts was not asked for {account}"
            )))
        }
    }
}

/// Whether the instance is in one of the clusters, if any are listed.
fn clusters(rules: &Rules, answer: &Answer) -> Result<(), AttestError> {
    let Some(names) = &rules.clusters else {
        return Ok(());
    };
    let is_in = |name: &String| answer.clusters.get(name) == Some(&true);
    let asked = |name: &&String| answer.clusters.contains_key(*name);
    let is_node = names.iter().any(is_in);
    if let (false, Some(name)) = (is_node, names.iter().find(|name| !asked(name))) {
        return Err(unreadable(format_args!(
            "without `clusters` of {name}: eks:DescribeNodegroup was not asked for {}",
            answer.instance_id
        )));
    }
    match is_node {
        true => Ok(()),
        false => Err(refused(
            "not-in-cluster",
            format!(
                "{} is not part of configured EKS cluster: {} (managed node groups of account {}, {})",
                answer.instance_id,
                names.join(", "),
                answer.account,
                answer.region
            ),
        )),
    }
}

fn roles<'a>(
    rules: &Rules,
    instance: &Instance,
    answer: &'a Answer,
) -> Result<BTreeSet<&'a str>, AttestError> {
    let (true, Some(arn)) = (rules.profile, &instance.instance_profile) else {
        return Ok(BTreeSet::new());
    };
    match &answer.profile {
        Some(profile) if profile.arn == *arn => {
            let roles = profile.roles.iter().flatten();
            Ok(roles.map(String::as_str).collect())
        }
        _ => Err(unreadable(format_args!(
            "without `profile`: iam:GetInstanceProfile was not asked for {}",
            shown(arn)
        ))),
    }
}

/// `None` where nobody asked. An instance without volumes has none that is not encrypted, but nothing to vouch for either.
fn encrypted(
    rules: &Rules,
    instance: &Instance,
    answer: &Answer,
) -> Result<Option<bool>, AttestError> {
    match (rules.volumes, &answer.volumes) {
        (false, _) => Ok(None),
        (true, None) => Err(unreadable(format_args!(
            "without `volumes`: ec2:DescribeVolumes was not asked for {}",
            instance.volumes.join(", ")
        ))),
        (true, Some(_)) if instance.volumes.is_empty() => Ok(None),
        (true, Some(volumes)) => {
            let is = |id: &String| volumes.encrypted.get(id) == Some(&true);
            Ok(Some(instance.volumes.iter().all(is)))
        }
    }
}
