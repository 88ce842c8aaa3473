//! A machine's interfaces, their subnets, and the security groups of both: a packet passes the subnet's and the interface's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::instances::Instance;
use super::virtual_machine;
use super::wire::{
    InterfaceProperties, IpProperties, NetworkInterface, ScaleSet, Subnet, VirtualMachine,
};
use crate::cloud::azure::arm::Arm;
use crate::cloud::azure::{
    Access, Interface, MOST_ADDRESSES, MOST_INTERFACES, MOST_TAGS, Machine, ResourceId,
};
use crate::cloud::{Answer, Asking, CallError, CallErrorKind, Cloud, Key, Question};
use crate::outside::Outside;

/// Of the network API.
const NETWORK: &str = "api-version=2024-01-01";
/// Of interfaces of a uniform scale set's instances, which have an API of their own.
const SCALE_SET_NETWORK: &str = "api-version=2018-10-01";
/// With the public addresses, which are resources of their own.
const WITH_PUBLIC: &str = "&$expand=ipConfigurations/publicIPAddress";
/// Longest tag's name and value together, bytes: 512 and 256 characters.
const MAX_TAG: usize = 4 * (512 + 256);

/// Who asks.
pub(super) struct Networks<'a> {
    pub(super) outside: &'a dyn Outside,
    pub(super) arm: &'a Arm<'a>,
    pub(super) access: &'a Access,
    /// Whether the addresses are wanted.
    pub(super) addresses: bool,
}

impl Networks<'_> {
    /// A machine with its interfaces.
    pub(super) async fn machine(
        &self,
        id: &ResourceId,
        found: VirtualMachine,
    ) -> Result<Machine, CallError> {
        const OPERATION: &str = "VirtualMachines.Get";
        self.same(OPERATION, id, &found.id)?;
        let vm_id = found.vm_id().cloned();
        let profile = found.properties.network_profile.unwrap_or_default();
        let interfaces = profile.network_interfaces.iter().map(|one| one.id.as_str());
        let interfaces = self.interfaces(interfaces.collect()).await?;
        let size = found.properties.hardware_profile;
        let size = size.and_then(|profile| profile.vm_size);
        let scale_set = found.properties.virtual_machine_scale_set;
        let scale_set = scale_set.and_then(|set| ResourceId::parse(&set.id));
        Ok(Machine {
            id: id.as_str().to_owned(),
            vm_id,
            name: found.name,
            resource_group: id.group().to_owned(),
            scale_set: scale_set.map(|set| set.name().to_owned()),
            location: found.location,
            size: size.unwrap_or_default(),
            interfaces,
            tags: self.tags(OPERATION, found.tags)?,
            principals: found
                .identity
                .map(|identity| identity.principals())
                .unwrap_or_default(),
        })
    }

    /// An instance of a scale set with uniform orchestration.
    pub(super) async fn instance(
        &self,
        set: &ResourceId,
        instance: Instance,
    ) -> Result<Option<Machine>, CallError> {
        const OPERATION: &str = "VirtualMachineScaleSetVMs.Get";
        let content = |why| self.arm.error(OPERATION, CallErrorKind::Content(why));
        let id = ResourceId::parse(&instance.id).ok_or_else(|| content("its ID is none"))?;
        let below = format!("{}/virtualmachines/", set.folded());
        if !id.folded().starts_with(&below) {
            return Err(content("the instance is of another scale set"));
        }
        let Some(found) = virtual_machine(self.arm, &id).await? else {
            return Ok(None);
        };
        // Instances are numbered anew; the list may be older.
        if found.vm_id() != Some(&instance.vm_id) {
            return Ok(None);
        }
        let size = found.sku.as_ref().and_then(|sku| sku.name.clone());
        let machine = self.machine(&id, found).await?;
        Ok(Some(Machine {
            scale_set: Some(set.name().to_owned()),
            size: match machine.size.is_empty() {
                true => size.unwrap_or_default(),
                false => machine.size,
            },
            ..machine
        }))
    }

    /// What the instances of a scale set are like.
    pub(super) async fn scale_set(
        &self,
        id: &ResourceId,
        found: ScaleSet,
    ) -> Result<Machine, CallError> {
        const OPERATION: &str = "VirtualMachineScaleSets.Get";
        self.same(OPERATION, id, &found.id)?;
        let profile = found.properties.and_then(|all| all.virtual_machine_profile);
        let planned = profile.and_then(|profile| profile.network_profile);
        let planned = planned.map(|networks| networks.network_interface_configurations);
        let mut interfaces = Vec::new();
        for one in planned
            .into_iter()
            .flatten()
            .filter_map(|one| one.properties)
        {
            interfaces.push(self.interface(one).await?);
        }
        Ok(Machine {
            id: id.as_str().to_owned(),
            vm_id: None,
            name: found.name.clone(),
            resource_group: id.group().to_owned(),
            scale_set: Some(found.name),
            location: found.location,
            size: found.sku.and_then(|sku| sku.name).unwrap_or_default(),
            interfaces,
            tags: self.tags(OPERATION, found.tags)?,
            principals: found
                .identity
                .map(|identity| identity.principals())
                .unwrap_or_default(),
        })
    }

    /// What was asked for is what came.
    fn same(&self, operation: &'static str, id: &ResourceId, found: &str) -> Result<(), CallError> {
        let found = ResourceId::parse(found).map(|found| found.folded());
        match found == Some(id.folded()) {
            true => Ok(()),
            false => {
                let kind = CallErrorKind::Content("it is about something else");
                Err(self.arm.error(operation, kind))
            }
        }
    }

    fn tags(
        &self,
        operation: &'static str,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<BTreeMap<String, String>, CallError> {
        let tags = tags.unwrap_or_default();
        let long = tags
            .iter()
            .any(|(key, value)| key.len() + value.len() > MAX_TAG);
        match long || tags.len() > MOST_TAGS {
            true => Err(self.arm.error(
                operation,
                CallErrorKind::Content("it has more tags than Azure allows"),
            )),
            false => Ok(tags),
        }
    }

    async fn interfaces(&self, ids: Vec<&str>) -> Result<Vec<Interface>, CallError> {
        const OPERATION: &str = "NetworkInterfaces.Get";
        let content = |why| self.arm.error(OPERATION, CallErrorKind::Content(why));
        if ids.len() > MOST_INTERFACES {
            return Err(content("the machine has too many interfaces"));
        }
        let mut interfaces = Vec::with_capacity(ids.len());
        for id in ids {
            let id = ResourceId::parse(id).ok_or_else(|| content("an interface's ID is none"))?;
            let version = match id.kind() {
                "microsoft.network/networkinterfaces" => NETWORK,
                "microsoft.compute/virtualmachinescalesets/virtualmachines/networkinterfaces" => {
                    SCALE_SET_NETWORK
                }
                _ => return Err(content("an interface's ID is none")),
            };
            let more = if self.addresses { WITH_PUBLIC } else { "" };
            let path = format!("{}?{version}{more}", id.path());
            let found: Option<NetworkInterface> = self.arm.get(OPERATION, &path).await?;
            let found = found.ok_or_else(|| content("an interface of the machine is not there"))?;
            interfaces.push(self.interface(found.properties).await?);
        }
        Ok(interfaces)
    }

    async fn interface(&self, found: InterfaceProperties) -> Result<Interface, CallError> {
        let mut interface = Interface::default();
        let own = found.network_security_group.map(|group| group.id);
        interface.security_groups.extend(own);
        let properties = found.ip_configurations.into_iter();
        let mut properties: Vec<_> = properties.filter_map(|one| one.properties).collect();
        if self.addresses {
            properties.sort_by_key(|one| !one.primary);
            let addresses = properties.iter().flat_map(IpProperties::addresses);
            interface.addresses = addresses.take(MOST_ADDRESSES).collect();
        }
        for one in properties {
            let Some(subnet) = one.subnet else {
                continue;
            };
            if interface.subnets.contains(&subnet.id) {
                continue;
            }
            let group = self.group_of(&subnet.id).await?;
            interface.security_groups.extend(group);
            interface.subnets.push(subnet.id);
        }
        Ok(interface)
    }

    /// The security group of a subnet.
    async fn group_of(&self, subnet: &str) -> Result<Option<String>, CallError> {
        const OPERATION: &str = "Subnets.Get";
        let content = |why| self.arm.error(OPERATION, CallErrorKind::Content(why));
        let id = ResourceId::parse(subnet).ok_or_else(|| content("a subnet's ID is none"))?;
        if id.kind() != "microsoft.network/virtualnetworks/subnets" {
            return Err(content("a subnet's ID is none"));
        }
        let question = SubnetQuestion {
            access: self.access.clone(),
            id,
        };
        let known = self.outside.answer(Arc::new(question)).await?;
        serde_json::from_slice(&known).map_err(|_| self.arm.error(OPERATION, CallErrorKind::Lost))
    }
}

/// The question for a subnet's security group. Many machines are in one subnet.
#[derive(Debug)]
struct SubnetQuestion {
    access: Access,
    id: ResourceId,
}

impl Question for SubnetQuestion {
    fn key(&self) -> Key {
        let Access {
            tenant,
            environment,
            resource_manager,
            ..
        } = &self.access;
        Key {
            cloud: Cloud::Azure,
            lane: format!("networks/{}", self.id.subscription()),
            what: format!(
                "subnet {environment} {resource_manager} {tenant} {}",
                self.id.folded()
            ),
        }
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        const OPERATION: &str = "Subnets.Get";
        Box::pin(async move {
            let arm = Arm::new(outside, &self.access).await?;
            let path = format!("{}?{NETWORK}", self.id.path());
            let found: Option<Subnet> = arm.get(OPERATION, &path).await?;
            let kept = match found {
                Some(_) => self.access.kept,
                None => self.access.kept.min(Answer::NEGATIVE),
            };
            let group = found.and_then(|subnet| subnet.properties.network_security_group);
            let group = group.map(|group| group.id);
            let body = serde_json::to_vec(&group)
                .map_err(|_| arm.error(OPERATION, CallErrorKind::Lost))?;
            Ok(Answer::new(body, kept))
        })
    }
}
