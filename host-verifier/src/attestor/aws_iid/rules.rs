//! Which instances are let in. Pure: the document and AWS's answers come in.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::document::Document;
use super::error::DocumentError;
use crate::attestor::source::SourceRule;
use crate::attestor::{AttestError, Fault};
use crate::cloud::aws::RoleArn;
use crate::cloud::aws::answers::{Instance, InstanceState, Interface};
use crate::jwt::shown;

/// How far a clock of AWS's may be ahead of the verifier's.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// How far apart the root volume and the network interface of an instance may have been attached, as in SPIRE.
const DISPARITY: SignedDuration = SignedDuration::from_secs(60);

/// The settings of an entry, checked.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `awsAccountsAllowed`.
    pub accounts: BTreeSet<String>,
    /// `allowOwnAccount`.
    pub own_account: bool,
    /// `assumeOrgRoleArns`.
    pub organizations: Vec<RoleArn>,
    /// `useAccountList`.
    pub account_list: bool,
    /// `eksClusterNames`; not empty.
    pub clusters: Option<Vec<String>>,
    /// `allowedRegions`; not empty, as the others.
    pub regions: Option<BTreeSet<String>>,
    /// `allowedInstanceTypes`.
    pub instance_types: Option<BTreeSet<String>>,
    /// `allowedAmiIds`.
    pub images: Option<BTreeSet<String>>,
    /// `allowedVpcIds`.
    pub vpcs: Option<BTreeSet<String>>,
    /// `allowedSubnetIds`.
    pub subnets: Option<BTreeSet<String>>,
    /// `requiredSecurityGroups`.
    pub security_groups: Option<BTreeSet<String>>,
    /// `instanceTagRequirements`.
    pub tags: BTreeMap<String, BTreeSet<String>>,
    /// `maxInstanceAge`.
    pub max_age: Option<Duration>,
    /// `allowPending`.
    pub pending: bool,
    /// Not `skipBlockDevice`.
    pub device_times: bool,
    /// Not `disableInstanceProfileSelectors`.
    pub profile: bool,
    /// `localOnly`.
    pub local_only: bool,
    /// `accountIdsForLocalValidation`; all of them are in `accounts`.
    pub local: BTreeSet<String>,
    /// `describeVolumes`.
    pub volumes: bool,
    /// `describeImage`.
    pub image: bool,
    /// `legacySignatures`.
    pub legacy: bool,
    /// `tofu`.
    pub tofu: bool,
    /// `sourceAddress`.
    pub source: SourceRule,
    /// `attributeTagKeys`; `None`: every tag.
    pub tag_keys: Option<BTreeSet<String>>,
}

impl Rules {
    /// Whether a tag has a part in the decision, or becomes an attribute.
    #[must_use]
    pub fn judges_tag(&self, name: &str) -> bool {
        self.tags.contains_key(name) || self.gives_tag(name)
    }

    /// Whether a tag becomes an attribute.
    #[must_use]
    pub fn gives_tag(&self, name: &str) -> bool {
        self.tag_keys
            .as_ref()
            .is_none_or(|keys| keys.contains(name))
    }
}

/// What is to be asked of AWS for a document whose own checks have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Nothing: the signature alone counts.
    Nothing,
    /// The account is let in by name; the rest is asked.
    Instance,
    /// Whose the account is, before anything is asked in it.
    Account,
}

fn refused(check: &'static str, detail: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Refused, check, detail)
}

impl Rules {
    /// What a signed document says for itself: its age, its region, its account. An account that nothing could let in is
    /// refused here, so that AWS is never asked on behalf of a stranger.
    ///
    /// # Errors
    /// [`DocumentError`], the first that does not hold.
    pub fn check(&self, document: &Document, now: Timestamp) -> Result<Asks, DocumentError> {
        let started = document.pending_time;
        let age = now.duration_since(started);
        if age < -SKEW {
            return Err(DocumentError::Future(started));
        }
        if let Some(most) = self.max_age
            && age > SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX)
        {
            return Err(DocumentError::Old { started, most });
        }
        if !allows(self.regions.as_ref(), &document.region) {
            return Err(DocumentError::RegionNotAllowed(document.region.clone()));
        }
        let account = &document.account_id;
        if self.accounts.contains(account) {
            return Ok(match self.is_local(account) {
                true => Asks::Nothing,
                false => Asks::Instance,
            });
        }
        let asked = self.own_account || self.account_list || !self.organizations.is_empty();
        match asked && !self.local_only {
            true => Ok(Asks::Account),
            false => Err(DocumentError::AccountNotAllowed(account.clone())),
        }
    }

    fn is_local(&self, account: &str) -> bool {
        self.local_only || self.local.contains(account)
    }

    /// What can be checked of a document alone, where AWS is asked nothing.
    ///
    /// # Errors
    /// A type or an image that is not let in.
    pub fn alone(&self, document: &Document) -> Result<(), AttestError> {
        self.kind(&document.instance_type)?;
        self.made_from(&document.image_id)
    }

    /// Whether the instance that AWS describes is the document's, is up, and was not given another one's root volume.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn is_up(
        &self,
        document: &Document,
        instance: Option<&Instance>,
    ) -> Result<(), AttestError> {
        let account = &document.account_id;
        let instance = instance.ok_or_else(|| {
            refused(
                "instance-not-found",
                format!(
                    "failed to query AWS via describe-instances: returned no instances for {} in account {account}, {}",
                    document.instance_id, document.region
                ),
            )
        })?;
        if instance.id != document.instance_id {
            return Err(refused(
                "instance-mismatch",
                format!(
                    "AWS describes {} where {} was asked for",
                    shown(&instance.id),
                    document.instance_id
                ),
            ));
        }
        let up = match instance.state {
            InstanceState::Running => true,
            InstanceState::Pending => self.pending,
            _ => false,
        };
        if !up {
            return Err(refused(
                "instance-not-running",
                format!("{} is {:?}", document.instance_id, instance.state),
            ));
        }
        match self.device_times {
            true => devices(instance),
            false => Ok(()),
        }
    }

    /// The restriction lists.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn restrictions(
        &self,
        document: &Document,
        instance: &Instance,
    ) -> Result<(), AttestError> {
        self.kind(&instance.instance_type)?;
        // The image of an instance can be exchanged together with its root volume: neither may be a stranger's.
        self.made_from(&document.image_id)?;
        self.made_from(&instance.image_id)?;
        let vpc = |nic: &Interface| nic.vpc_id.clone();
        let subnet = |nic: &Interface| nic.subnet_id.clone();
        within(
            "vpc-not-allowed",
            "VPC",
            self.vpcs.as_ref(),
            instance.vpc_id.clone(),
            instance.interfaces.iter().map(vpc),
        )?;
        within(
            "subnet-not-allowed",
            "subnet",
            self.subnets.as_ref(),
            instance.subnet_id.clone(),
            instance.interfaces.iter().map(subnet),
        )?;
        for wanted in self.security_groups.iter().flatten() {
            let groups = &instance.security_groups;
            let has = |group: &crate::cloud::aws::answers::SecurityGroup| {
                group.id == *wanted || group.name == *wanted
            };
            if !groups.iter().any(has) {
                let detail = format!("the instance is not in security group {}", shown(wanted));
                return Err(refused("security-group-missing", detail));
            }
        }
        for (name, values) in &self.tags {
            match instance.tags.get(name) {
                Some(value) if values.contains(value) => {}
                Some(value) => {
                    let detail = format!("tag {} is {}", shown(name), shown(value));
                    return Err(refused("tag-not-allowed", detail));
                }
                None => {
                    let detail = format!("the instance has no tag {}", shown(name));
                    return Err(refused("tag-not-allowed", detail));
                }
            }
        }
        Ok(())
    }

    fn kind(&self, instance_type: &str) -> Result<(), AttestError> {
        match allows(self.instance_types.as_ref(), instance_type) {
            true => Ok(()),
            false => Err(refused(
                "instance-type-not-allowed",
                format!("{} is not in allowedInstanceTypes", shown(instance_type)),
            )),
        }
    }

    fn made_from(&self, image: &str) -> Result<(), AttestError> {
        match allows(self.images.as_ref(), image) {
            true => Ok(()),
            false => Err(refused(
                "image-not-allowed",
                format!("{} is not in allowedAmiIds", shown(image)),
            )),
        }
    }
}

/// Whether a list, if there is one, has this in it.
fn allows(list: Option<&BTreeSet<String>>, one: &str) -> bool {
    list.is_none_or(|list| list.contains(one))
}

/// Whether all interfaces are in places that are listed. An interface that is nowhere is in none of them.
fn within(
    check: &'static str,
    what: &str,
    list: Option<&BTreeSet<String>>,
    primary: Option<String>,
    interfaces: impl Iterator<Item = Option<String>>,
) -> Result<(), AttestError> {
    let Some(list) = list else {
        return Ok(());
    };
    for place in core::iter::once(primary).chain(interfaces) {
        match place {
            Some(place) if list.contains(&place) => {}
            Some(place) => {
                let detail = format!("a network interface is in {what} {}", shown(&place));
                return Err(refused(check, detail));
            }
            None => {
                let detail = format!("a network interface is in no {what}");
                return Err(refused(check, detail));
            }
        }
    }
    Ok(())
}

/// A root volume that was moved here from another instance was attached later than the primary network interface, which an
/// instance has had since it was made.
fn devices(instance: &Instance) -> Result<(), AttestError> {
    const CHECK: &str = "device-times";
    if instance.root_device_type.as_deref() == Some("instance-store") {
        return Ok(());
    }
    let nic = instance.primary_interface().and_then(|nic| nic.attached);
    let (Some(root), Some(nic)) = (instance.root_attached, nic) else {
        return Err(refused(
            CHECK,
            "failed checking the disparity device attach times: AWS does not say when the root volume or the primary network interface was attached",
        ));
    };
    let apart = root.duration_since(nic).abs();
    match apart > DISPARITY {
        true => Err(refused(
            CHECK,
            format!(
                "failed checking the disparity device attach times: root volume and primary network interface were attached {} s apart",
                apart.as_secs()
            ),
        )),
        false => Ok(()),
    }
}
