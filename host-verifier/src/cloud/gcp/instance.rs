//! One instance of Compute Engine.

use core::fmt;
use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::{error, origin};
use super::settings::Settings;
use super::token::TokenQuestion;
use crate::cloud::{Answer, Asking, CallError, CallErrorKind, Cloud, Key, Question};
use crate::outside::{Header, Outside, Reach, Request};

/// The operation as Google calls it.
const OPERATION: &str = "compute.instances.get";
/// Longest answer of the API, bytes: all metadata of an instance have 512 KiB.
const MAX_BODY: usize = 1024 * 1024;
/// Longest metadata value that is kept, bytes. Of a longer one there is the length.
pub const MAX_VALUE: usize = 1024;
/// Most of anything that an instance has several of, a few times Google's own limits.
const MOST: usize = 256;
/// Most addresses of an interface from outside; Google allows one of each family.
const MOST_ADDRESSES: usize = 8;

/// Where an instance is, of names that can stand in a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    project: String,
    zone: String,
    name: String,
}

/// Which part of a place is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The project.
    #[error("no project's ID")]
    Project,
    /// The zone.
    #[error("no zone's name")]
    Zone,
    /// The instance.
    #[error("no instance's name")]
    Name,
}

impl Place {
    /// A place.
    ///
    /// # Errors
    ///
    /// [`PlaceError`]: a part that Google would not take, and that might lead elsewhere in a path.
    pub fn new(project: &str, zone: &str, name: &str) -> Result<Self, PlaceError> {
        // Projects of before have their domain in front: `example.com:rack`.
        let (domain, id) = project.split_once(':').unwrap_or(("a", project));
        let dotted = |text: &str| !text.is_empty() && text.split('.').all(is_label);
        if project.len() > 128 || !dotted(domain) || !is_label(id) {
            return Err(PlaceError::Project);
        }
        if !is_label(zone) {
            return Err(PlaceError::Zone);
        }
        if !is_label(name) {
            return Err(PlaceError::Name);
        }
        Ok(Self {
            project: project.to_owned(),
            zone: zone.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The project's ID, the zone and the instance's name.
    #[must_use]
    pub fn into_parts(self) -> (String, String, String) {
        (self.project, self.zone, self.name)
    }

    /// The project's ID.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The instance's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            project,
            zone,
            name,
        } = self;
        write!(f, "projects/{project}/zones/{zone}/instances/{name}")
    }
}

/// Lower-case letters, digits and hyphens, no hyphen at either end; 63 at most.
fn is_label(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What the API says of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Nothing is there.
    pub instance: Option<Instance>,
}

/// What is kept of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Instance {
    /// The number that no other instance ever gets, as decimal digits.
    pub id: String,
    /// `RUNNING` and the like.
    pub status: String,
    /// The machine type's name, e.g. `e2-standard-2`.
    pub machine_type: String,
    /// The network interfaces.
    pub nics: Vec<Nic>,
    /// The network tags.
    pub tags: Vec<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The metadata that were asked for.
    pub metadata: BTreeMap<String, Value>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// `projects/P/global/networks/N`.
    pub network: String,
    /// `projects/P/regions/R/subnetworks/S`; empty in a network of the old kind, which has none.
    pub subnetwork: String,
    /// Where it is inside its network, and outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

/// A metadata value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Value {
    /// At most [`MAX_VALUE`] bytes.
    Text(String),
    /// Longer: this many bytes.
    Long(usize),
}

/// Asks for the instance at a place. The answer is [`Found`] in JSON.
#[derive(Debug)]
pub struct InstanceQuestion {
    /// How the operator set it up.
    pub settings: Arc<Settings>,
    /// Where.
    pub place: Place,
    /// The metadata that are wanted, sorted. Others are not kept: there are secrets among them.
    pub metadata: Vec<String>,
}

impl Question for InstanceQuestion {
    fn key(&self) -> Key {
        let Place {
            project,
            zone,
            name,
        } = &self.place;
        let endpoint = &self.settings.compute;
        Key {
            cloud: Cloud::Gcp,
            lane: format!("compute/{project}/{zone}"),
            what: format!("{OPERATION} {endpoint} {name} {}", self.metadata.join(",")),
        }
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let settings = self.settings.clone();
            let token = outside.answer(Arc::new(TokenQuestion { settings })).await?;
            let url = format!("{}/compute/v1/{}", self.settings.compute, self.place);
            let failed = |kind| CallError::new(origin(&url), OPERATION, kind);
            let content = |why| failed(CallErrorKind::Content(why));
            let token = core::str::from_utf8(&token).map_err(|_| content("no access token"))?;
            let bearer = Zeroizing::new(format!("Bearer {token}"));
            let request = Request {
                headers: vec![
                    Header::new("authorization", bearer.as_str()),
                    Header::new("accept", "application/json"),
                ],
                max_body: MAX_BODY,
                roots: self.settings.roots.clone(),
                any_status: true,
                ..Request::get(url.clone(), Reach::OPERATORS)
            };
            let response = outside.fetch(&request).await;
            let response = response.map_err(|error| CallError::outside(OPERATION, error))?;
            let (found, kept) = match response.status {
                200 => {
                    let body = Zeroizing::new(response.body);
                    let instance = self.read(&body).map_err(content)?;
                    let instance = Some(instance);
                    (Found { instance }, self.settings.cache_ttl)
                }
                404 => (Found { instance: None }, Answer::NEGATIVE),
                _ => return Err(error(&url, OPERATION, &response)),
            };
            let body = serde_json::to_vec(&found).map_err(|_| failed(CallErrorKind::Lost))?;
            Ok(Answer::new(body, kept))
        })
    }
}

/// The API's own form; it has more than this.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    id: String,
    name: String,
    status: String,
    machine_type: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    metadata: WireMetadata,
    #[serde(default)]
    tags: WireTags,
    #[serde(default)]
    network_interfaces: Vec<WireNic>,
}

#[derive(Default, Deserialize)]
struct WireMetadata {
    #[serde(default)]
    items: Vec<WireItem>,
}

#[derive(Deserialize)]
struct WireItem {
    key: String,
    #[serde(default, deserialize_with = "super::secret")]
    value: Zeroizing<String>,
}

#[derive(Default, Deserialize)]
struct WireTags {
    #[serde(default)]
    items: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireNic {
    #[serde(default)]
    network: String,
    #[serde(default)]
    subnetwork: String,
    #[serde(default, rename = "networkIP")]
    address: Option<String>,
    #[serde(default)]
    access_configs: Vec<WireAccess>,
}

impl WireNic {
    /// Inside and outside, as far as they are addresses.
    fn addresses(&self) -> Vec<IpAddr> {
        let outside = self.access_configs.iter().take(MOST_ADDRESSES);
        let outside = outside.filter_map(|access| access.address.as_ref());
        let all = self.address.iter().chain(outside);
        all.filter_map(|text| text.parse().ok()).collect()
    }
}

/// How an interface is reached from outside.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAccess {
    #[serde(default, rename = "natIP")]
    address: Option<String>,
}

impl InstanceQuestion {
    fn read(&self, body: &[u8]) -> Result<Instance, &'static str> {
        let wire: Wire = serde_json::from_slice(body).map_err(|_| "no instance")?;
        if wire.name != self.place.name {
            return Err("it is another instance's");
        }
        let digits = wire.id.bytes().all(|b| b.is_ascii_digit());
        if !digits || !(1..=20).contains(&wire.id.len()) {
            return Err("the instance has no ID");
        }
        let lengths = [
            wire.labels.len(),
            wire.tags.items.len(),
            wire.network_interfaces.len(),
        ];
        let texts = wire.tags.items.iter().chain(wire.labels.values());
        if lengths.iter().any(|len| *len > MOST) || { texts }.any(|text| text.len() > MOST) {
            return Err("the instance has more than instances have");
        }
        let nics = wire.network_interfaces.iter().map(|nic| {
            Ok::<_, &'static str>(Nic {
                network: resource(&nic.network)?,
                subnetwork: match nic.subnetwork.is_empty() {
                    true => String::new(),
                    false => resource(&nic.subnetwork)?,
                },
                addresses: nic.addresses(),
            })
        });
        let mut metadata = BTreeMap::new();
        for WireItem { key, value } in wire.metadata.items {
            if self.metadata.binary_search(&key).is_err() {
                continue;
            }
            let value = match value.len() {
                0..=MAX_VALUE => Value::Text(value.to_string()),
                len => Value::Long(len),
            };
            if metadata.insert(key, value).is_some() {
                return Err("a metadata key is there twice");
            }
        }
        let machine_type = resource(&wire.machine_type)?;
        let machine_type = machine_type.rsplit('/').next().unwrap_or_default();
        Ok(Instance {
            id: wire.id,
            status: wire.status,
            machine_type: machine_type.to_owned(),
            nics: nics.collect::<Result<_, _>>()?,
            tags: wire.tags.items,
            labels: wire.labels,
            metadata,
        })
    }
}

/// A resource's name, from `projects/` on: the API writes it behind its own URL, by whichever name it was asked.
fn resource(url: &str) -> Result<String, &'static str> {
    let wrong = "it refers to no resource";
    let name = match url.strip_prefix("https://") {
        None => url,
        Some(rest) => {
            let at = rest.find("/projects/").ok_or(wrong)?;
            rest.get(at + 1..).ok_or(wrong)?
        }
    };
    match name.starts_with("projects/") && name.len() <= 512 {
        true => Ok(name.to_owned()),
        false => Err(wrong),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{Place, PlaceError, resource};

    #[test]
    fn a_place_is_of_names_that_lead_nowhere_else() {
        let place = Place::new("my-project-prod", "us-central1-a", "node-7").unwrap();
        let path = "projects/my-project-prod/zones/us-central1-a/instances/node-7";
        assert_eq!(place.to_string(), path);
        assert!(Place::new("example.com:rack", "z", "n").is_ok());
        for wrong in [
            "", "a/b", "..", ".", "a?b", "a#b", "A", "-a", "a-", "a%2fb", "a b", "ä",
        ] {
            assert_eq!(
                Place::new(wrong, "z", "n"),
                Err(PlaceError::Project),
                "{wrong}"
            );
            assert_eq!(
                Place::new("p", wrong, "n"),
                Err(PlaceError::Zone),
                "{wrong}"
            );
            assert_eq!(
                Place::new("p", "z", wrong),
                Err(PlaceError::Name),
                "{wrong}"
            );
        }
        for wrong in [":a", "a:", "a..b:c", "a:b:c", "../a:b"] {
            assert_eq!(
                Place::new(wrong, "z", "n"),
                Err(PlaceError::Project),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_resource_is_named_from_its_project_on() {
        let own = "projects/p/global/networks/n";
        for url in [
            "https://www.googleapis.com/compute/v1/projects/p/global/networks/n",
            "https://compute.googleapis.com/compute/beta/projects/p/global/networks/n",
            own,
        ] {
            assert_eq!(resource(url).unwrap(), own, "{url}");
        }
        for url in [
            "",
            "n",
            "global/networks/n",
            "https://compute.googleapis.com/networks/n",
        ] {
            assert!(resource(url).is_err(), "{url}");
        }
    }
}
