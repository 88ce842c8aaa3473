//! Looking for a virtual machine.
//!
//! * By the `vmId` of an attested document, within the document's subscription. Resource Graph knows machines by it, also those
//!   of scale sets with flexible orchestration. Instances of uniform ones it does not know so: there the agent may name the
//!   scale set, as a hint of where to look; whether the instance is there, its `vmId` says.
//! * By the resource ID of a verified token.
//!
//! Resource Graph runs behind, by seconds or minutes. So it is asked where a machine is, and the resource manager what it is.

mod graph;
mod instances;
mod network;
mod wire;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::instances::{Instance, InstancesQuestion};
use self::network::Networks;
use self::wire::{ScaleSet, VirtualMachine};
use super::arm::Arm;
use super::{Access, Guid, Machine, ResourceId};
use crate::cloud::{Answer, Asking, CallError, CallErrorKind, Cloud, Key, Known, Question};
use crate::outside::Outside;

/// Of the compute API.
const COMPUTE: &str = "api-version=2024-07-01";

/// Which machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The one that the metadata service calls so.
    ById {
        /// Where it is looked for.
        subscription: Guid,
        /// Its `vmId`.
        vm_id: Guid,
        /// A scale set in which it may be, by the agent's word.
        untrusted_scale_set: Option<ScaleSetName>,
    },
    /// The machine or the scale set of this name.
    ByResource(ResourceId),
}

/// A scale set's name: 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit, the last no dot
/// or hyphen. So it can stand in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleSetName(String);

impl ScaleSetName {
    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let first = text.bytes().next()?.is_ascii_alphanumeric();
        let last = text.bytes().last()?;
        let last = last.is_ascii_alphanumeric() || last == b'_';
        let fits = text.len() <= 64 && text.bytes().all(plain);
        (fits && first && last).then(|| Self(text.to_ascii_lowercase()))
    }

    /// In lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The question for a machine. Its answer is [`Found`].
#[derive(Debug, Clone)]
pub struct FindMachine {
    /// Whom to ask.
    pub access: Access,
    /// For what.
    pub wanted: Wanted,
    /// Whether its addresses are asked for too.
    pub addresses: bool,
}

/// What is known of a machine, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Found {
    /// The resource manager that was asked.
    pub asked: String,
    /// The machine; `None`: there is none.
    pub machine: Option<Machine>,
}

impl Found {
    /// As it is, with these of the machine's tags alone: what nobody asks for is not kept with a login's evidence.
    #[must_use]
    pub fn with_tags(mut self, keys: &[String]) -> Self {
        if let Some(machine) = &mut self.machine {
            let wanted = |name: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(name));
            machine.tags.retain(|name, _| wanted(name));
        }
        self
    }

    /// Reads an answer to [`FindMachine`].
    ///
    /// # Errors
    ///
    /// [`CallError`]: it is none.
    pub fn read(known: &Known) -> Result<Self, CallError> {
        serde_json::from_slice(known)
            .map_err(|_| CallError::new("azure", "find machine", CallErrorKind::Lost))
    }
}

impl Question for FindMachine {
    fn key(&self) -> Key {
        let Access {
            tenant,
            environment,
            resource_manager,
            ..
        } = &self.access;
        let (subscription, what) = match &self.wanted {
            Wanted::ById {
                subscription,
                vm_id,
                untrusted_scale_set: hint,
            } => {
                let hint = hint.as_ref().map_or("-", ScaleSetName::as_str);
                (subscription, format!("{vm_id} {hint}"))
            }
            Wanted::ByResource(id) => (id.subscription(), id.folded()),
        };
        let more = if self.addresses { " addresses" } else { "" };
        Key {
            cloud: Cloud::Azure,
            lane: format!("machines/{subscription}"),
            what: format!(
                "machine {environment} {resource_manager} {tenant} {subscription} {what}{more}"
            ),
        }
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let arm = Arm::new(outside, &self.access).await?;
            let machine = match &self.wanted {
                Wanted::ById {
                    subscription,
                    vm_id,
                    untrusted_scale_set,
                } => {
                    let hint = untrusted_scale_set.as_ref();
                    self.by_id(outside, &arm, subscription, vm_id, hint).await?
                }
                Wanted::ByResource(id) => self.by_resource(outside, &arm, id).await?,
            };
            let kept = match machine {
                Some(_) => self.access.kept,
                None => self.access.kept.min(Answer::NEGATIVE),
            };
            let found = Found {
                asked: self.access.resource_manager.clone(),
                machine,
            };
            let body = serde_json::to_vec(&found);
            let body = body.map_err(|_| arm.error("find machine", CallErrorKind::Lost))?;
            Ok(Answer::new(body, kept))
        })
    }
}

impl FindMachine {
    async fn by_id(
        &self,
        outside: &dyn Outside,
        arm: &Arm<'_>,
        subscription: &Guid,
        vm_id: &Guid,
        hint: Option<&ScaleSetName>,
    ) -> Result<Option<Machine>, CallError> {
        let networks = self.networks(outside, arm);
        if let Some(id) = graph::machine(arm, subscription, vm_id).await? {
            let Some(found) = virtual_machine(arm, &id).await? else {
                return Ok(None);
            };
            // Resource Graph runs behind: by now another machine may bear the name.
            if found.vm_id() != Some(vm_id) {
                return Ok(None);
            }
            return networks.machine(&id, found).await.map(Some);
        }
        let Some(hint) = hint else {
            return Ok(None);
        };
        // Two resource groups may have a scale set of one name.
        for set in graph::scale_sets(arm, subscription, hint).await? {
            let question = InstancesQuestion {
                access: self.access.clone(),
                set: set.clone(),
            };
            let known = outside.answer(Arc::new(question)).await?;
            let instances: Vec<Instance> = serde_json::from_slice(&known)
                .map_err(|_| arm.error("list instances", CallErrorKind::Lost))?;
            let instance = instances.into_iter().find(|one| one.vm_id == *vm_id);
            if let Some(instance) = instance {
                return networks.instance(&set, instance).await;
            }
        }
        Ok(None)
    }

    async fn by_resource(
        &self,
        outside: &dyn Outside,
        arm: &Arm<'_>,
        id: &ResourceId,
    ) -> Result<Option<Machine>, CallError> {
        let networks = self.networks(outside, arm);
        if id.is_machine() {
            return match virtual_machine(arm, id).await? {
                Some(found) => networks.machine(id, found).await.map(Some),
                None => Ok(None),
            };
        }
        if id.kind() != "microsoft.compute/virtualmachinescalesets" {
            return Ok(None);
        }
        let path = format!("{}?{COMPUTE}", id.path());
        let set: Option<ScaleSet> = arm.get("VirtualMachineScaleSets.Get", &path).await?;
        match set {
            Some(set) => networks.scale_set(id, set).await.map(Some),
            None => Ok(None),
        }
    }

    const fn networks<'a>(&'a self, outside: &'a dyn Outside, arm: &'a Arm<'a>) -> Networks<'a> {
        Networks {
            outside,
            arm,
            access: &self.access,
            addresses: self.addresses,
        }
    }
}

async fn virtual_machine(
    arm: &Arm<'_>,
    id: &ResourceId,
) -> Result<Option<VirtualMachine>, CallError> {
    let path = format!("{}?{COMPUTE}", id.path());
    arm.get("VirtualMachines.Get", &path).await
}
