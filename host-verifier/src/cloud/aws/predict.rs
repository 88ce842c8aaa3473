//! How many calls a number of logins makes: what the rules of the cache come to.

use super::clusters::GROUPS_AT_ONCE;

/// Accounts of one page of an organisation's list.
const ACCOUNTS_AT_ONCE: usize = 20;

/// Who logs in while answers are kept: within one [`cache_ttl`](super::Settings::cache_ttl) (by default three minutes), with
/// nothing known before. How often each of them does, and which of the verifier's clusters it joins, makes no difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Instances that run.
    pub instances: usize,
    /// Accounts that they are in.
    pub accounts: usize,
    /// Instance profiles that they have, each counted once in its account.
    pub profiles: usize,
    /// Whether a policy allows the verifier's own account without naming it, or the own account's role is not assumed.
    pub own_account: bool,
    /// The accounts of each organisation that a policy names by a role.
    pub organizations: Vec<usize>,
    /// EKS clusters, each counted once in its account and region.
    pub clusters: Vec<Cluster>,
    /// Volumes are asked for, once for each instance.
    pub volumes: bool,
    /// Images that are asked for, each counted once in its account and region; 0: none are.
    pub images: usize,
}

/// A cluster's managed node groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// Its node groups; up to a hundred come in one page.
    pub nodegroups: usize,
    /// The Auto Scaling groups behind them.
    pub groups: usize,
}

/// Calls, by operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// `sts:GetCallerIdentity`.
    pub caller: usize,
    /// `sts:AssumeRole`.
    pub assume_role: usize,
    /// `ec2:DescribeInstances`.
    pub instances: usize,
    /// `iam:GetInstanceProfile`.
    pub profiles: usize,
    /// `organizations:ListAccounts`.
    pub list_accounts: usize,
    /// `eks:ListNodegroups`.
    pub list_nodegroups: usize,
    /// `eks:DescribeNodegroup`.
    pub describe_nodegroup: usize,
    /// `autoscaling:DescribeAutoScalingGroups`.
    pub groups: usize,
    /// `ec2:DescribeVolumes`.
    pub volumes: usize,
    /// `ec2:DescribeImages`.
    pub images: usize,
}

impl Fleet {
    /// The calls that it makes.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let pages = |n: usize, at_once: usize| n.div_ceil(at_once).max(1);
        let organizations = self.organizations.iter();
        let clusters = || self.clusters.iter();
        Calls {
            caller: usize::from(self.own_account),
            assume_role: self.accounts + self.organizations.len(),
            instances: self.instances,
            profiles: self.profiles,
            list_accounts: organizations.map(|n| pages(*n, ACCOUNTS_AT_ONCE)).sum(),
            list_nodegroups: clusters().map(|c| pages(c.nodegroups, 100)).sum(),
            describe_nodegroup: clusters().map(|c| c.nodegroups).sum(),
            groups: clusters().map(|c| c.groups.div_ceil(GROUPS_AT_ONCE)).sum(),
            volumes: if self.volumes { self.instances } else { 0 },
            images: self.images,
        }
    }
}

impl Calls {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.caller
            + self.assume_role
            + self.instances
            + self.profiles
            + self.list_accounts
            + self.list_nodegroups
            + self.describe_nodegroup
            + self.groups
            + self.volumes
            + self.images
    }
}

#[cfg(test)]
mod tests {
    use super::{Cluster, Fleet};

    #[test]
    fn calls_follow_the_fleet_and_not_the_logins() {
        let fleet = Fleet {
            instances: 1000,
            accounts: 50,
            profiles: 50,
            own_account: true,
            organizations: vec![50, 20, 0],
            clusters: vec![Cluster {
                nodegroups: 12,
                groups: 12,
            }],
            ..Fleet::default()
        };
        let calls = fleet.calls();
        assert_eq!((calls.caller, calls.assume_role), (1, 53));
        assert_eq!((calls.instances, calls.profiles), (1000, 50));
        assert_eq!(calls.list_accounts, 3 + 1 + 1);
        assert_eq!(
            (
                calls.list_nodegroups,
                calls.describe_nodegroup,
                calls.groups
            ),
            (1, 12, 2)
        );
        assert_eq!(calls.total(), 1 + 53 + 1000 + 50 + 5 + 1 + 12 + 2);
    }
}
