//! What `gcp_iit` asks of a token and of an instance, and what it makes of them.

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use super::token::{Identity, no_instance};
use crate::attestor::restriction::{AllowList, Required};
use crate::attestor::source::SourceRule;
use crate::attestor::{
    AttestError, Attribute, Claims, Facts, Fault, LoginContext, issuer, nonce_audience,
};
use crate::cloud::gcp::{Found, Instance, Settings, Value};
use crate::jwt::{self, Algorithm, Expectations, shown};

/// Google signs with nothing else.
const ALGORITHMS: [Algorithm; 1] = [Algorithm::RS256];
/// What the addresses of service accounts end with, behind their project's ID.
const ACCOUNTS: &str = ".iam.gserviceaccount.com";

/// The attributes that every instance has.
const OF_TOKEN: [&str; 8] = [
    "gcp_iit.project_id",
    "gcp_iit.project_number",
    "gcp_iit.zone",
    "gcp_iit.instance_id",
    "gcp_iit.instance_name",
    "gcp_iit.instance_creation_timestamp",
    "gcp_iit.service_account.email",
    "gcp_iit.service_account.id",
];
/// Those that Compute Engine gives.
const OF_INSTANCE: [&str; 4] = [
    "gcp_iit.machine_type",
    "gcp_iit.network",
    "gcp_iit.subnetwork",
    "gcp_iit.network_tag",
];
/// All of them.
pub(super) const FIXED: [&str; 12] = {
    let [a, b, c, d, e, f, g, h] = OF_TOKEN;
    let [i, j, k, l] = OF_INSTANCE;
    [a, b, c, d, e, f, g, h, i, j, k, l]
};
/// What the attributes of labels and metadata begin with.
pub(super) const TAGGED: [&str; 2] = ["gcp_iit.label.", "gcp_iit.metadata."];

/// An attribute's name and value.
type Named = (Cow<'static, str>, String);

/// The rules of one entry, checked.
#[derive(Debug)]
pub struct Rules {
    pub(super) audiences: Vec<String>,
    pub(super) nonce_in_audience: bool,
    /// The nonce of a login that is known by it; `None`: it comes from the login's transcript.
    pub(super) nonce: Option<String>,
    pub(super) tofu: bool,
    pub(super) source: SourceRule,
    pub(super) max_age: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) leeway: Duration,
    pub(super) allow_non_compute: bool,
    pub(super) projects: AllowList,
    pub(super) accounts: AllowList,
    pub(super) zones: AllowList,
    pub(super) compute: Option<Compute>,
}

/// What is asked of the instance itself.
#[derive(Debug)]
pub(super) struct Compute {
    pub(super) settings: Arc<Settings>,
    pub(super) labels: Required,
    pub(super) machine_types: AllowList,
    pub(super) networks: AllowList,
    pub(super) subnetworks: AllowList,
    pub(super) tags: AllowList,
    pub(super) attribute_labels: Vec<String>,
    /// Sorted.
    pub(super) attribute_metadata: Vec<String>,
    pub(super) max_value: usize,
}

fn refused(check: &'static str, detail: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Refused, check, detail)
}

impl Rules {
    /// See [`Attestor::attributes`](crate::attestor::Attestor::attributes).
    pub(super) fn attributes(&self) -> Vec<String> {
        let mut names: Vec<_> = OF_TOKEN.map(ToOwned::to_owned).to_vec();
        if let Some(compute) = &self.compute {
            names.extend(OF_INSTANCE.map(ToOwned::to_owned));
            let [label, metadata] = TAGGED;
            let labels = compute.attribute_labels.iter();
            names.extend(labels.map(|key| [label, key].concat()));
            let keys = compute.attribute_metadata.iter();
            names.extend(keys.map(|key| [metadata, key].concat()));
        }
        names
    }

    /// The audiences of which the token must have one, where they are of this login; `None`: those of the settings.
    pub(super) fn audiences_in(
        &self,
        cx: &LoginContext<'_>,
    ) -> Result<Option<Vec<String>>, AttestError> {
        // The agent does what it was told, also where another entry of the method wanted it.
        if !self.nonce_in_audience && !nonce_audience::was_requested(cx.request)? {
            return Ok(None);
        }
        let nonce = match &self.nonce {
            Some(nonce) => nonce.clone(),
            None => nonce_audience::text(AttestorKind::GCP_IIT, cx.transcript),
        };
        let own = self.audiences.iter();
        let bound = own.map(|audience| format!("{audience}:{nonce}"));
        Ok(Some(bound.collect()))
    }

    /// What the token must say.
    pub(super) fn expectations<'a>(
        &self,
        issuer: &'a str,
        audiences: &'a [String],
    ) -> Expectations<'a> {
        Expectations {
            issuer,
            audiences,
            subject: None,
            typ: None,
            algorithms: Some(&ALGORITHMS),
            leeway: self.leeway,
            max_lifetime: self.max_lifetime,
        }
    }

    /// That it is not too old.
    pub(super) fn check_age(
        &self,
        token: &jwt::Claims<'_>,
        now: Timestamp,
    ) -> Result<(), AttestError> {
        issuer::check_age(token, now, self.max_age, self.leeway)
    }

    /// All that is asked of the token alone.
    pub(super) fn check_token(&self, identity: &Identity) -> Result<(), AttestError> {
        let project = match &identity.instance {
            Some(instance) => instance.place.project(),
            None if self.allow_non_compute => project_of(identity)?,
            None => return Err(no_instance()),
        };
        if !self.projects.allows(project) {
            let detail = format!("identity token project ID {project:?} is not in the allow list");
            return Err(refused("project-not-allowed", detail));
        }
        let email = identity.email.as_deref();
        if self.accounts.is_set() && !email.is_some_and(|email| self.accounts.allows(email)) {
            let found = email.map_or("none".to_owned(), shown);
            let detail = format!("service account {found} is not in serviceAccountWhitelist");
            return Err(refused("service-account-not-allowed", detail));
        }
        if let Some(instance) = &identity.instance
            && !self.zones.allows(instance.place.zone())
        {
            let zone = instance.place.zone();
            let detail = format!("zone {zone} is not in zoneWhitelist");
            return Err(refused("zone-not-allowed", detail));
        }
        Ok(())
    }
}

/// The project of a service account that is on no instance: its address says which made it. An address that Google has not
/// verified says nothing, and a person's is none.
fn project_of(identity: &Identity) -> Result<&str, AttestError> {
    let email = identity.email.as_deref();
    let (_, host) = email
        .and_then(|email| email.split_once('@'))
        .ok_or_else(no_instance)?;
    let project = host.strip_suffix(ACCOUNTS).ok_or_else(no_instance)?;
    match project.is_empty() || project.contains('@') {
        true => Err(no_instance()),
        false => Ok(project),
    }
}

/// That what Compute Engine has under the token's names is the token's instance, and runs.
pub(super) fn same(identity: &Identity, found: Found) -> Result<Instance, AttestError> {
    let claimed = identity.instance.as_ref().ok_or_else(no_instance)?;
    let Some(instance) = found.instance else {
        let detail = format!("there is no instance {}", claimed.place);
        return Err(refused("instance-not-found", detail));
    };
    // A name is given again to whoever asks for it; a number never is.
    if instance.id != claimed.id {
        let detail = format!(
            "instance {} has ID {}, the token's has {}",
            claimed.place, instance.id, claimed.id
        );
        return Err(refused("instance-id", detail));
    }
    if instance.status != "RUNNING" {
        let detail = format!(
            "instance {} is {}, not RUNNING",
            claimed.place,
            shown(&instance.status)
        );
        return Err(refused("instance-not-running", detail));
    }
    Ok(instance)
}

impl Compute {
    /// The metadata that are wanted.
    pub(super) fn metadata_keys(&self) -> Vec<String> {
        self.attribute_metadata.clone()
    }

    /// What is kept of an answer with the evidence: nothing but what is looked at.
    pub(super) fn pick(&self, mut found: Found) -> Found {
        if let Some(instance) = &mut found.instance {
            let wanted = |key: &String| self.attribute_labels.contains(key) || self.labels.has(key);
            instance.labels.retain(|key, _| wanted(key));
            let metadata = &mut instance.metadata;
            metadata.retain(|key, _| self.attribute_metadata.binary_search(key).is_ok());
        }
        found
    }

    /// The restriction lists.
    fn check(&self, instance: &Instance) -> Result<(), AttestError> {
        let label = |key: &str| instance.labels.get(key).map(String::as_str);
        if let Some(key) = self.labels.lacking(label) {
            let detail = format!("label {key:?} has none of the values of instanceLabelWhitelist");
            return Err(refused("label", detail));
        }
        if !self.machine_types.allows(&instance.machine_type) {
            let detail = format!(
                "machine type {} is not in machineTypeWhitelist",
                shown(&instance.machine_type)
            );
            return Err(refused("machine-type-not-allowed", detail));
        }
        // An instance in an allowed network and in another one as well is a bridge between them.
        let networks = self.networks.is_set() || self.subnetworks.is_set();
        if networks && instance.nics.is_empty() {
            let detail = "the instance has no network interface";
            return Err(refused("network-not-allowed", detail));
        }
        for nic in &instance.nics {
            if !self.networks.allows(&nic.network) {
                let detail = format!("{} is not in networkWhitelist", shown(&nic.network));
                return Err(refused("network-not-allowed", detail));
            }
            if !self.subnetworks.allows(&nic.subnetwork) {
                let detail = format!("{} is not in subnetworkWhitelist", shown(&nic.subnetwork));
                return Err(refused("subnetwork-not-allowed", detail));
            }
        }
        let mut wanted = self.tags.values().unwrap_or_default().iter();
        if let Some(tag) = wanted.find(|tag| !instance.tags.contains(tag)) {
            let detail = format!("the instance has no network tag {tag:?}");
            return Err(refused("network-tag", detail));
        }
        Ok(())
    }

    /// What becomes of an instance that passed.
    fn attributes(&self, instance: &Instance) -> Result<Vec<Named>, AttestError> {
        let [machine_type, network, subnetwork, network_tag] = OF_INSTANCE;
        let [label, metadata] = TAGGED;
        let mut all: Vec<Named> = vec![(machine_type.into(), instance.machine_type.clone())];
        let mut several = |name: &'static str, values: &mut dyn Iterator<Item = &String>| {
            let mut values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
            values.sort();
            values.dedup();
            let values = values.into_iter();
            all.extend(values.map(|value| (name.into(), value.clone())));
        };
        several(network, &mut instance.nics.iter().map(|nic| &nic.network));
        let subnetworks = &mut instance.nics.iter().map(|nic| &nic.subnetwork);
        several(subnetwork, subnetworks);
        several(network_tag, &mut instance.tags.iter());
        for key in &self.attribute_labels {
            if let Some(value) = instance.labels.get(key) {
                all.push(([label, key].concat().into(), value.clone()));
            }
        }
        for key in &self.attribute_metadata {
            let len = match instance.metadata.get(key) {
                None => continue,
                Some(Value::Text(value)) if value.len() <= self.max_value => {
                    all.push(([metadata, key].concat().into(), value.clone()));
                    continue;
                }
                Some(Value::Text(value)) => value.len(),
                Some(Value::Long(len)) => *len,
            };
            let most = self.max_value;
            let detail = format!("metadata {key:?} exceeded value limit ({len} > {most})");
            return Err(refused("metadata-too-long", detail));
        }
        Ok(all)
    }
}

/// The claims of the proof.
pub(super) fn claims(
    rules: &Rules,
    identity: Identity,
    instance: Option<&Instance>,
) -> Result<Claims, AttestError> {
    let [project, number, zone, id, name, created, email, account] = OF_TOKEN;
    let mut attributes = Vec::with_capacity(OF_TOKEN.len());
    let mut say = |name: Cow<'static, str>, value: String| {
        attributes.push(Attribute {
            origin: AttestorKind::GCP_IIT,
            name,
            value,
        });
    };
    let node = match identity.instance {
        Some(claimed) => {
            let number_text = claimed.project_number.to_string();
            let node = ["projects/", &number_text, "/instances/", &claimed.id].concat();
            let (project_text, zone_text, name_text) = claimed.place.into_parts();
            say(project.into(), project_text);
            say(number.into(), number_text);
            say(zone.into(), zone_text);
            say(id.into(), claimed.id);
            say(name.into(), name_text);
            if let Some(time) = claimed.created {
                say(created.into(), time.to_string());
            }
            node
        }
        None => {
            say(project.into(), project_of(&identity)?.to_owned());
            ["serviceAccounts/", &identity.account_id].concat()
        }
    };
    if let Some(address) = identity.email {
        say(email.into(), address);
    }
    say(account.into(), identity.account_id);
    if let (Some(compute), Some(instance)) = (&rules.compute, instance) {
        compute.check(instance)?;
        for (name, value) in compute.attributes(instance)? {
            say(name, value);
        }
    }
    let nics = instance.into_iter().flat_map(|instance| &instance.nics);
    Ok(Claims {
        kind: AttestorKind::GCP_IIT,
        attributes,
        facts: Facts {
            identity: Some(node),
            addresses: nics.flat_map(|nic| nic.addresses.iter().copied()).collect(),
            ..Facts::default()
        },
    })
}
