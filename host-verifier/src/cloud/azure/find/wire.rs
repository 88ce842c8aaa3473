//! The resource manager's JSON, as far as it is read. Its servers grow members; what is not known is not read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use crate::cloud::azure::Guid;

/// A name of something else.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) id: String,
}

/// A virtual machine, or an instance of a scale set.
#[derive(Debug, Deserialize)]
pub(super) struct VirtualMachine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) location: String,
    #[serde(default)]
    pub(super) tags: Option<BTreeMap<String, String>>,
    pub(super) sku: Option<Sku>,
    pub(super) identity: Option<Identity>,
    pub(super) properties: MachineProperties,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineProperties {
    vm_id: Option<Guid>,
    pub(super) hardware_profile: Option<HardwareProfile>,
    pub(super) network_profile: Option<NetworkProfile>,
    pub(super) virtual_machine_scale_set: Option<Reference>,
}

impl VirtualMachine {
    /// What the metadata service calls it. A machine that is still being made has none.
    pub(super) const fn vm_id(&self) -> Option<&Guid> {
        self.properties.vm_id.as_ref()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HardwareProfile {
    pub(super) vm_size: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sku {
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkProfile {
    #[serde(default)]
    pub(super) network_interfaces: Vec<Reference>,
}

/// The managed identities of a resource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity {
    principal_id: Option<Guid>,
    #[serde(default)]
    user_assigned_identities: Option<BTreeMap<String, UserAssigned>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserAssigned {
    principal_id: Option<Guid>,
}

impl Identity {
    pub(super) fn principals(self) -> Vec<Guid> {
        let assigned = self.user_assigned_identities.unwrap_or_default();
        let assigned = assigned.into_values().filter_map(|one| one.principal_id);
        self.principal_id.into_iter().chain(assigned).collect()
    }
}

/// A network interface.
#[derive(Debug, Deserialize)]
pub(super) struct NetworkInterface {
    pub(super) properties: InterfaceProperties,
}

/// Also the plan of one in a scale set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InterfaceProperties {
    pub(super) network_security_group: Option<Reference>,
    #[serde(default)]
    pub(super) ip_configurations: Vec<IpConfiguration>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IpConfiguration {
    pub(super) properties: Option<IpProperties>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IpProperties {
    pub(super) subnet: Option<Reference>,
    #[serde(default)]
    pub(super) primary: bool,
    #[serde(rename = "privateIPAddress")]
    private: Option<String>,
    #[serde(rename = "publicIPAddress")]
    public: Option<PublicAddress>,
}

/// Without `$expand` a reference only, without properties.
#[derive(Debug, Deserialize)]
struct PublicAddress {
    properties: Option<PublicProperties>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublicProperties {
    ip_address: Option<String>,
}

impl IpProperties {
    /// Inside and outside. One that is given to a machine only while it runs is not there while it does not.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let public = self.public.as_ref().and_then(|one| one.properties.as_ref());
        let public = public.and_then(|one| one.ip_address.as_deref());
        let both = [self.private.as_deref(), public];
        both.into_iter()
            .flatten()
            .filter_map(|text| text.parse().ok())
    }
}

/// A subnet.
#[derive(Debug, Deserialize)]
pub(super) struct Subnet {
    pub(super) properties: SubnetProperties,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubnetProperties {
    pub(super) network_security_group: Option<Reference>,
}

/// A scale set: what all of its instances are like.
#[derive(Debug, Deserialize)]
pub(super) struct ScaleSet {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) location: String,
    #[serde(default)]
    pub(super) tags: Option<BTreeMap<String, String>>,
    pub(super) sku: Option<Sku>,
    pub(super) identity: Option<Identity>,
    pub(super) properties: Option<ScaleSetProperties>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaleSetProperties {
    pub(super) virtual_machine_profile: Option<MachineProfile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineProfile {
    pub(super) network_profile: Option<PlannedNetworks>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlannedNetworks {
    #[serde(default)]
    pub(super) network_interface_configurations: Vec<PlannedInterface>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlannedInterface {
    pub(super) properties: Option<InterfaceProperties>,
}
