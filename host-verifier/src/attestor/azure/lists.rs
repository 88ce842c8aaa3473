//! The lists of a policy that restrict which virtual machines are let in. Each is a condition of its own; a list that is not
//! given is none.

use crate::attestor::issuer::config::error;
use crate::attestor::{AttestError, ConfigError, Fault};
use crate::cloud::azure::{Guid, Machine, ResourceId};

use super::glob::Glob;

/// Most entries of one list.
const MOST: usize = 1024;
/// Longest entry, bytes.
const MAX_ENTRY: usize = 128;

/// The lists as a document has them.
#[derive(Debug, Clone, Copy)]
pub struct ListFields<'a> {
    /// `subscriptionIds`.
    pub subscription_ids: Option<&'a [Guid]>,
    /// `resourceGroups`.
    pub resource_groups: Option<&'a [String]>,
    /// `vmNamePatterns`.
    pub vm_name_patterns: Option<&'a [String]>,
    /// `requiredNsgNames`.
    pub required_nsg_names: Option<&'a [String]>,
    /// `vnetNames`.
    pub vnet_names: Option<&'a [String]>,
    /// `subnetNames`.
    pub subnet_names: Option<&'a [String]>,
    /// `vmSizes`.
    pub vm_sizes: Option<&'a [String]>,
    /// `locations`.
    pub locations: Option<&'a [String]>,
}

/// The lists, checked. Texts are in lower case: Azure's names have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    subscriptions: Option<Vec<Guid>>,
    groups: Option<Vec<String>>,
    names: Option<Vec<Glob>>,
    security_groups: Option<Vec<String>>,
    networks: Option<Vec<String>>,
    subnets: Option<Vec<String>>,
    sizes: Option<Vec<String>>,
    locations: Option<Vec<String>>,
}

/// A list of subscriptions, checked.
///
/// # Errors
///
/// [`ConfigError`]: it is empty or too long.
pub fn listed_subscriptions(
    field: &str,
    listed: Option<&[Guid]>,
) -> Result<Option<Vec<Guid>>, ConfigError> {
    sized(field, listed)?;
    Ok(listed.map(<[Guid]>::to_vec))
}

impl ListFields<'_> {
    /// Checks the lists.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: a list is empty or too long, an entry is empty or too long, a pattern is none or lets in all.
    pub fn check(self) -> Result<Lists, ConfigError> {
        Ok(Lists {
            subscriptions: listed_subscriptions("subscriptionIds", self.subscription_ids)?,
            groups: lower("resourceGroups", self.resource_groups)?,
            names: globs(self.vm_name_patterns)?,
            security_groups: lower("requiredNsgNames", self.required_nsg_names)?,
            networks: lower("vnetNames", self.vnet_names)?,
            subnets: lower("subnetNames", self.subnet_names)?,
            sizes: lower("vmSizes", self.vm_sizes)?,
            locations: lower("locations", self.locations)?
                .map(|names| names.iter().map(|name| location(name)).collect()),
        })
    }
}

impl Lists {
    /// Whether the subscriptions are restricted.
    #[must_use]
    pub const fn restrict_subscriptions(&self) -> bool {
        self.subscriptions.is_some()
    }

    /// Whether something is asked that only the machine's resource ID says.
    #[must_use]
    pub const fn need_resource(&self) -> bool {
        self.subscriptions.is_some() || self.groups.is_some() || self.names.is_some()
    }

    /// Whether something is asked that only Azure's API says, even where the resource ID is known.
    #[must_use]
    pub const fn need_machine(&self) -> bool {
        self.security_groups.is_some()
            || self.networks.is_some()
            || self.subnets.is_some()
            || self.sizes.is_some()
            || self.locations.is_some()
    }

    /// The subscription.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`].
    pub fn check_subscription(&self, subscription: &Guid) -> Result<(), AttestError> {
        let listed = self.subscriptions.as_ref();
        match listed.is_none_or(|listed| listed.contains(subscription)) {
            true => Ok(()),
            false => Err(refused(
                "subscription-not-allowed",
                format!("subscription {subscription} is not among `subscriptionIds`"),
            )),
        }
    }

    /// The resource group.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`].
    pub fn check_group(&self, group: &str) -> Result<(), AttestError> {
        one_of(
            self.groups.as_deref(),
            group.to_lowercase(),
            "resource-group-not-allowed",
            "resource group",
            "resourceGroups",
        )
    }

    /// The name of the machine; of an instance of a uniform scale set, the scale set's.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`].
    pub fn check_name(&self, name: &str) -> Result<(), AttestError> {
        let listed = self.names.as_ref();
        match listed.is_none_or(|listed| listed.iter().any(|glob| glob.matches(name))) {
            true => Ok(()),
            false => Err(refused(
                "vm-name-not-allowed",
                format!("no entry of `vmNamePatterns` is {name:?}"),
            )),
        }
    }

    /// All that a resource ID says.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`].
    pub fn check_resource(&self, id: &ResourceId) -> Result<(), AttestError> {
        self.check_subscription(id.subscription())?;
        self.check_group(id.group())?;
        self.check_name(id.outer_name())
    }

    /// All that only Azure's API says: size, location, and of the network that every interface is in listed subnets of listed
    /// networks, and that each required security group filters one of them.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`].
    pub fn check_machine(&self, machine: &Machine) -> Result<(), AttestError> {
        one_of(
            self.sizes.as_deref(),
            machine.size.to_lowercase(),
            "vm-size-not-allowed",
            "size",
            "vmSizes",
        )?;
        one_of(
            self.locations.as_deref(),
            location(&machine.location),
            "location-not-allowed",
            "location",
            "locations",
        )?;
        let subnets = machine.subnets();
        if subnets.is_empty() && (self.networks.is_some() || self.subnets.is_some()) {
            return Err(refused(
                "vnet-not-allowed",
                "the machine is in no virtual network that Azure shows".to_owned(),
            ));
        }
        for subnet in &subnets {
            let (network, name) = (subnet.outer_name(), subnet.name());
            one_of(
                self.networks.as_deref(),
                network.to_lowercase(),
                "vnet-not-allowed",
                "virtual network",
                "vnetNames",
            )?;
            one_of(
                self.subnets.as_deref(),
                name.to_lowercase(),
                "subnet-not-allowed",
                "subnet",
                "subnetNames",
            )?;
        }
        let groups = machine.security_groups();
        let groups: Vec<_> = groups.iter().map(|id| id.name().to_lowercase()).collect();
        let mut required = self.security_groups.iter().flatten();
        match required.find(|name| !groups.contains(name)) {
            None => Ok(()),
            Some(name) => Err(refused(
                "nsg-missing",
                format!("network security group {name:?} filters none of the machine's interfaces"),
            )),
        }
    }
}

/// The regions' display names and their own: `East US` is `eastus`.
fn location(name: &str) -> String {
    name.to_lowercase().replace(' ', "")
}

fn one_of(
    listed: Option<&[String]>,
    found: String,
    check: &'static str,
    what: &str,
    list: &str,
) -> Result<(), AttestError> {
    match listed.is_none_or(|listed| listed.contains(&found)) {
        true => Ok(()),
        false => Err(refused(
            check,
            format!("{what} {found:?} is not among `{list}`"),
        )),
    }
}

fn refused(check: &'static str, detail: String) -> AttestError {
    AttestError::new(Fault::Refused, check, detail)
}

fn sized<T>(field: &str, list: Option<&[T]>) -> Result<(), ConfigError> {
    match list.map(<[T]>::len) {
        Some(0) => Err(ConfigError {
            hint: Some("name what is let in, or leave the list out".to_owned()),
            ..error(field, "the list is empty, so nothing could be let in")
        }),
        Some(length) if length > MOST => Err(error(field, &format!("more than {MOST} entries"))),
        _ => Ok(()),
    }
}

fn lower(field: &str, list: Option<&[String]>) -> Result<Option<Vec<String>>, ConfigError> {
    sized(field, list)?;
    let Some(list) = list else {
        return Ok(None);
    };
    let wrong = |entry: &String| {
        let blank = entry.trim() != entry || entry.is_empty() || entry.len() > MAX_ENTRY;
        blank || entry.chars().any(char::is_control)
    };
    if let Some(at) = list.iter().position(wrong) {
        let field = format!("{field}[{at}]");
        return Err(error(&field, "an entry is a name of 1 to 128 bytes"));
    }
    let lower = list.iter().map(|entry| entry.to_lowercase());
    Ok(Some(lower.collect()))
}

fn globs(list: Option<&[String]>) -> Result<Option<Vec<Glob>>, ConfigError> {
    const FIELD: &str = "vmNamePatterns";
    sized(FIELD, list)?;
    let Some(list) = list else {
        return Ok(None);
    };
    let read = list.iter().enumerate().map(|(at, text)| {
        let field = format!("{FIELD}[{at}]");
        match Glob::parse(text) {
            Some(glob) if glob.is_everything() => Err(ConfigError {
                hint: Some("leave the list out".to_owned()),
                ..error(&field, "it lets in any name")
            }),
            Some(glob) => Ok(glob),
            None => Err(ConfigError {
                hint: Some("e.g. `spire-agent-*`".to_owned()),
                ..error(&field, &format!("{text:?} is no pattern of names"))
            }),
        }
    });
    read.collect::<Result<_, _>>().map(Some)
}
