//! The names that the resource manager gives its resources.

use core::fmt::Write as _;

use super::Guid;

/// Longest name of a resource, bytes.
pub const MAX_RESOURCE_ID: usize = 1024;
/// Longest name of one part of it, characters: a resource group may have 90, nothing that is asked for more than 128.
const MAX_NAME: usize = 128;
/// Most pairs of type and name: an interface of an instance of a scale set has three.
const MOST_PAIRS: usize = 4;

/// `/subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME[/TYPE/NAME]…`, read without regard to case, since Azure
/// writes the same resource in several ways. The names are kept as they stand, the rest in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceId {
    subscription: Guid,
    group: String,
    /// E.g. `microsoft.compute/virtualmachinescalesets/virtualmachines`.
    kind: String,
    names: Vec<String>,
    text: String,
}

impl ResourceId {
    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_RESOURCE_ID {
            return None;
        }
        let mut parts = text.strip_prefix('/')?.split('/');
        let mut keyword = |wanted: &str| {
            parts
                .next()
                .filter(|part| part.eq_ignore_ascii_case(wanted))
        };
        keyword("subscriptions")?;
        let subscription = Guid::parse(parts.next()?)?;
        let mut keyword = |wanted: &str| {
            parts
                .next()
                .filter(|part| part.eq_ignore_ascii_case(wanted))
        };
        keyword("resourceGroups")?;
        let group = name(parts.next()?)?.to_owned();
        let mut keyword = |wanted: &str| {
            parts
                .next()
                .filter(|part| part.eq_ignore_ascii_case(wanted))
        };
        keyword("providers")?;
        let mut kind = word(parts.next()?)?;
        let mut names = Vec::new();
        while let Some(next) = parts.next() {
            kind.push('/');
            kind.push_str(&word(next)?);
            names.push(name(parts.next()?)?.to_owned());
        }
        if names.is_empty() || names.len() > MOST_PAIRS {
            return None;
        }
        Some(Self {
            subscription,
            group,
            kind,
            names,
            text: text.to_owned(),
        })
    }

    /// The subscription.
    #[must_use]
    pub const fn subscription(&self) -> &Guid {
        &self.subscription
    }

    /// The resource group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Namespace and types in lower case, e.g. `microsoft.compute/virtualmachines`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name of the outermost resource: of an instance in a scale set, the scale set's.
    #[must_use]
    pub fn outer_name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The name of the resource itself.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// As it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As it stands in a URL behind the resource manager's host.
    #[must_use]
    pub fn path(&self) -> String {
        encoded(&self.text)
    }

    /// The same for the same resource, in whatever case it was written.
    #[must_use]
    pub fn folded(&self) -> String {
        self.text.to_lowercase()
    }

    /// Whether it is a virtual machine by itself, or an instance of a scale set whose instances are machines of their own
    /// (flexible orchestration).
    #[must_use]
    pub fn is_machine(&self) -> bool {
        self.kind == "microsoft.compute/virtualmachines"
    }

    /// Whether it is a scale set, or an instance of one with uniform orchestration.
    #[must_use]
    pub fn is_scale_set(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "microsoft.compute/virtualmachinescalesets"
                | "microsoft.compute/virtualmachinescalesets/virtualmachines"
        )
    }
}

/// A name that people give: letters of whatever script, digits and a few signs. Never one of dots alone, which a path would
/// resolve.
fn name(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
    let fits = text.chars().count() <= MAX_NAME && text.chars().all(plain);
    let some = text.chars().any(|c| c != '.');
    (fits && some).then_some(text)
}

/// A word of Azure's own, in lower case.
fn word(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    let fits = text.len() <= MAX_NAME && text.bytes().all(plain);
    let some = text.bytes().any(|b| b != b'.');
    (fits && some).then(|| text.to_ascii_lowercase())
}

/// Names of other scripts in percent-encoding.
fn encoded(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii() {
            true => path.push(char::from(byte)),
            false => drop(write!(path, "%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{MAX_RESOURCE_ID, ResourceId};

    const SUBSCRIPTION: &str = "0c7d2b1a-0000-4abc-8def-0123456789ab";

    fn id(rest: &str) -> String {
        format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/{rest}")
    }

    #[test]
    fn a_machine_is_known_in_whatever_case() {
        for text in [
            id("rg-prod/providers/Microsoft.Compute/virtualMachines/vm-7"),
            id("rg-prod/providers/Microsoft.Compute/virtualMachines/vm-7").to_uppercase(),
        ] {
            let vm = ResourceId::parse(&text).unwrap();
            assert!(vm.is_machine() && !vm.is_scale_set());
            assert_eq!(vm.subscription().as_str(), SUBSCRIPTION);
            assert!(vm.group().eq_ignore_ascii_case("rg-prod"));
            assert!(vm.name().eq_ignore_ascii_case("vm-7"));
            assert_eq!(vm.folded(), text.to_lowercase());
        }
    }

    #[test]
    fn a_scale_set_and_its_instances_are_told_apart_from_machines() {
        for (rest, outer, inner) in [
            ("virtualMachineScaleSets/pool", "pool", "pool"),
            (
                "virtualMachineScaleSets/pool/virtualMachines/3",
                "pool",
                "3",
            ),
        ] {
            let text = id(&format!("rg/providers/Microsoft.Compute/{rest}"));
            let set = ResourceId::parse(&text).unwrap();
            assert!(set.is_scale_set() && !set.is_machine());
            assert_eq!((set.outer_name(), set.name()), (outer, inner));
        }
        let identity = id("rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/me");
        let identity = ResourceId::parse(&identity).unwrap();
        assert!(!identity.is_machine() && !identity.is_scale_set());
    }

    #[test]
    fn what_is_no_name_of_a_resource_is_none() {
        let machine = |name: &str| {
            id(&format!(
                "rg/providers/Microsoft.Compute/virtualMachines/{name}"
            ))
        };
        for wrong in [
            String::new(),
            "/".to_owned(),
            machine(""),
            machine(".."),
            machine("a/b"),
            machine("a?b"),
            machine("a%2fb"),
            machine("a' or true or name == '"),
            machine("a\n"),
            machine("vm/"),
            machine(&"x".repeat(129)),
            format!("https://evil.example{}", machine("vm")),
            machine("vm").replace("subscriptions", "tenants"),
            machine("vm").replace("resourcegroups", "rg"),
            machine("vm").replace("providers", "x"),
            machine("vm").replace(SUBSCRIPTION, "all"),
            id("../providers/Microsoft.Compute/virtualMachines/vm"),
            id("rg/providers/Microsoft.Compute"),
            id("rg"),
            machine("a/b/c/d/e/f/g/h/i/j/k/l"),
            machine("vm") + &"/a/b".repeat(MAX_RESOURCE_ID),
        ] {
            assert_eq!(ResourceId::parse(&wrong), None, "{wrong}");
        }
        let other = machine("knötchen");
        let other = ResourceId::parse(&other).unwrap();
        assert!(other.path().ends_with("/kn%C3%B6tchen"), "{}", other.path());
        assert_eq!(other.name(), "knötchen");
    }
}
