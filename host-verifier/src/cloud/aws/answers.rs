//! What AWS answers, as it is kept in the cache and handed to the judging: strict, bounded, and nothing of the XML left.
//!
//! Every type is read back with [`read`] and refuses fields that it does not know: what is judged is what was written here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest JSON of an [`InstanceAnswer`], bytes. What a method keeps of one login is no longer than 64 KiB in all.
pub const MAX_INSTANCE: usize = 40 * 1024;

/// `sts:GetCallerIdentity`: whom the verifier's own credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// The principal, e.g. `arn:aws:sts::111122223333:assumed-role/DefaktoServerHost/i-0abc`.
    pub arn: String,
}

/// `ec2:DescribeInstances` for one instance id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InstanceAnswer {
    /// `None`: the account has no such instance in this region. Never an instance of another id than was asked for.
    pub instance: Option<Instance>,
}

/// An instance as EC2 describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Instance {
    /// `i-…`, the one that was asked for.
    pub id: String,
    /// What it does now.
    pub state: InstanceState,
    /// E.g. `m5.large`.
    pub instance_type: String,
    /// `ami-…`.
    pub image_id: String,
    /// When it was last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launched: Option<Timestamp>,
    /// E.g. `eu-west-1a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// The VPC of the primary interface; every interface has its own besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// The subnet of the primary interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// Where it can be reached inside its VPC; a hint only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ip: Option<String>,
    /// Where it can be reached from outside; a hint only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<String>,
    /// The groups of the instance and of all its interfaces, each once, in the order of their ids.
    pub security_groups: Vec<SecurityGroup>,
    /// Every network interface, in the order of the answer.
    pub interfaces: Vec<Interface>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The ARN of its instance profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<String>,
    /// `ebs` or `instance-store`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_device_type: Option<String>,
    /// When the root device was attached; `None` for an instance store, or when the answer names no such device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_attached: Option<Timestamp>,
    /// Every EBS volume, `vol-…`, in the order of the answer.
    pub volumes: Vec<String>,
}

/// What an instance does (EC2 API, `InstanceState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It is being started.
    Pending,
    /// It runs.
    Running,
    /// It is being ended.
    ShuttingDown,
    /// It is gone, and described for about an hour yet.
    Terminated,
    /// It is being stopped.
    Stopping,
    /// It is stopped.
    Stopped,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its name, which is unique within a VPC only.
    pub name: String,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Interface {
    /// `eni-…`.
    pub id: String,
    /// Its place; 0 is the primary one (of the network card 0).
    pub device_index: u32,
    /// The network card; 0 on all but a few instance types.
    pub network_card_index: u32,
    /// When it was attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Timestamp>,
    /// Its VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// Its subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
}

/// `iam:GetInstanceProfile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProfileAnswer {
    /// `None`: there is no such profile (any more).
    pub roles: Option<BTreeSet<String>>,
}

/// Whether an account is of an organisation, and active there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Membership {
    /// Whether.
    pub member: bool,
}

/// `organizations:ListAccounts`, whole: the accounts with `Status == ACTIVE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Accounts {
    /// Twelve digits each.
    pub active: BTreeSet<String>,
}

/// The instances behind the managed node groups of an EKS cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClusterNodes {
    /// `i-…` each.
    pub instances: BTreeSet<String>,
}

/// `ec2:DescribeVolumes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Volumes {
    /// Whether each volume that was asked for is encrypted; one that is gone is not in it.
    pub encrypted: BTreeMap<String, bool>,
}

/// `ec2:DescribeImages` for one image id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageAnswer {
    /// When it was made; `None`: there is no such image (any more), or it may not be seen.
    pub created: Option<Timestamp>,
}

impl Instance {
    /// As it is, without what nobody judges: the tags that are not `wanted`.
    #[must_use]
    pub fn with_tags(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.tags.retain(|name, _| wanted(name));
        self
    }

    /// The primary network interface: device 0 of network card 0.
    #[must_use]
    pub fn primary_interface(&self) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|nic| (nic.network_card_index, nic.device_index) == (0, 0))
    }
}

/// Reads back what was kept.
///
/// # Errors
///
/// When it was not written by this version of the program.
pub fn read<'a, T: Deserialize<'a>>(kept: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(kept)
}
