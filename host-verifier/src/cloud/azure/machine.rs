//! What Azure knows of a virtual machine.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Guid, ResourceId};

/// Most interfaces of one machine that are looked at. Azure gives none more than eight.
pub const MOST_INTERFACES: usize = 32;
/// Most addresses of one interface that are looked at, the primary ones first. Azure gives one 256.
pub const MOST_ADDRESSES: usize = 32;
/// Most tags of one machine: Azure's own limit.
pub const MOST_TAGS: usize = 50;

/// A virtual machine, or a scale set of machines that are all alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Machine {
    /// Its resource ID.
    pub id: String,
    /// What the metadata service calls it. A scale set has none.
    pub vm_id: Option<Guid>,
    /// Its name.
    pub name: String,
    /// Its resource group.
    pub resource_group: String,
    /// The scale set that it is of.
    pub scale_set: Option<String>,
    /// The region, as Azure writes it, e.g. `eastus`.
    pub location: String,
    /// E.g. `Standard_D2s_v3`. Empty where Azure does not say.
    pub size: String,
    /// Its network interfaces.
    pub interfaces: Vec<Interface>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The principals of its managed identities.
    pub principals: Vec<Guid>,
}

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Interface {
    /// The resource IDs of the subnets that it is in.
    pub subnets: Vec<String>,
    /// The resource IDs of the network security groups that filter it: its own, and those of its subnets.
    pub security_groups: Vec<String>,
    /// Where it is inside its network, and outside; where that was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

impl Machine {
    /// The addresses of all interfaces, each once.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let all = self.interfaces.iter().flat_map(|one| &one.addresses);
        let mut all: Vec<IpAddr> = all.copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The network security groups, each once.
    #[must_use]
    pub fn security_groups(&self) -> Vec<ResourceId> {
        self.resources(|interface| &interface.security_groups)
    }

    /// The subnets, each once.
    #[must_use]
    pub fn subnets(&self) -> Vec<ResourceId> {
        self.resources(|interface| &interface.subnets)
    }

    fn resources(&self, of: impl Fn(&Interface) -> &Vec<String>) -> Vec<ResourceId> {
        let mut found: BTreeMap<String, ResourceId> = BTreeMap::new();
        for id in self.interfaces.iter().flat_map(of) {
            if let Some(id) = ResourceId::parse(id) {
                found.insert(id.folded(), id);
            }
        }
        found.into_values().collect()
    }
}
