//! The instances of a scale set with uniform orchestration. Thousands of nodes may be of one, so they share one list.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::COMPUTE;
use super::wire::VirtualMachine;
use crate::cloud::azure::arm::Arm;
use crate::cloud::azure::{Access, Guid, ResourceId};
use crate::cloud::{Answer, Asking, CallErrorKind, Cloud, Key, Question};
use crate::outside::Outside;

const OPERATION: &str = "VirtualMachineScaleSetVMs.List";
/// Most instances: Azure's limit is a thousand.
const MOST: usize = 2000;
/// Longest that a list is kept: a new instance is let in when it is listed.
const KEPT: Duration = Duration::from_secs(30);

/// The question for the list.
#[derive(Debug)]
pub(super) struct InstancesQuestion {
    pub(super) access: Access,
    pub(super) set: ResourceId,
}

/// An instance, as far as it is needed to know it and to ask for the rest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Instance {
    pub(super) vm_id: Guid,
    pub(super) id: String,
}

impl Question for InstancesQuestion {
    fn key(&self) -> Key {
        let Access {
            tenant,
            environment,
            resource_manager,
            ..
        } = &self.access;
        Key {
            cloud: Cloud::Azure,
            lane: format!("scale-sets/{}", self.set.subscription()),
            what: format!(
                "instances {environment} {resource_manager} {tenant} {}",
                self.set.folded()
            ),
        }
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let arm = Arm::new(outside, &self.access).await?;
            let path = format!("{}/virtualMachines?{COMPUTE}", self.set.path());
            let listed: Option<Vec<VirtualMachine>> = arm.list(OPERATION, &path, MOST).await?;
            let instances = listed.into_iter().flatten().filter_map(|listed| {
                Some(Instance {
                    vm_id: listed.vm_id()?.clone(),
                    id: listed.id,
                })
            });
            let instances: Vec<Instance> = instances.collect();
            let kept = match instances.is_empty() {
                true => Answer::NEGATIVE,
                false => KEPT,
            };
            let body = serde_json::to_vec(&instances)
                .map_err(|_| arm.error(OPERATION, CallErrorKind::Lost))?;
            Ok(Answer::new(body, kept.min(self.access.kept)))
        })
    }
}
