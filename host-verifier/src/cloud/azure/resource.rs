//! The names that the resource manager gives its resources.

use core::fmt::Write as _;
use core::ops::Range;

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
    /// E.g. `microsoft.compute/virtualmachinescalesets/virtualmachines`.
    kind: String,
    text: String,
    /// Where these stand in the text: the group, the name of the outermost resource, and that of the resource itself.
    group: Range<usize>,
    outer: Range<usize>,
    own: Range<usize>,
}

impl ResourceId {
    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_RESOURCE_ID {
            return None;
        }
        let mut parts = Parts { text, at: 0 };
        parts.keyword("subscriptions")?;
        let subscription = Guid::parse(parts.next()?.0)?;
        parts.keyword("resourceGroups")?;
        let group = parts.name()?;
        parts.keyword("providers")?;
        let mut kind = String::with_capacity(text.len());
        kind.push_str(word(parts.next()?.0)?);
        let (mut outer, mut pairs) = (None, 0);
        let mut own = 0..0;
        while let Some((next, _)) = parts.next() {
            kind.push('/');
            kind.push_str(word(next)?);
            own = parts.name()?;
            outer.get_or_insert_with(|| own.clone());
            pairs += 1;
        }
        if pairs > MOST_PAIRS {
            return None;
        }
        kind.make_ascii_lowercase();
        Some(Self {
            subscription,
            kind,
            text: text.to_owned(),
            group,
            outer: outer?,
            own,
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
        self.part(&self.group)
    }

    /// Namespace and types in lower case, e.g. `microsoft.compute/virtualmachines`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name of the outermost resource: of an instance in a scale set, the scale set's.
    #[must_use]
    pub fn outer_name(&self) -> &str {
        self.part(&self.outer)
    }

    /// The name of the resource itself.
    #[must_use]
    pub fn name(&self) -> &str {
        self.part(&self.own)
    }

    fn part(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
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

/// The parts of a text, each with a slash before it, and where they stand.
struct Parts<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parts<'a> {
    fn next(&mut self) -> Option<(&'a str, Range<usize>)> {
        let rest = self.text.get(self.at..)?.strip_prefix('/')?;
        let part = rest.split('/').next()?;
        let start = self.at + 1;
        self.at = start + part.len();
        Some((part, start..self.at))
    }

    fn keyword(&mut self, wanted: &str) -> Option<()> {
        let (part, _) = self.next()?;
        part.eq_ignore_ascii_case(wanted).then_some(())
    }

    fn name(&mut self) -> Option<Range<usize>> {
        let (part, place) = self.next()?;
        is_name(part).then_some(place)
    }
}

/// A name that people give: letters of whatever script, digits and a few signs. Never one of dots alone, which a path would
/// resolve.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
    let fits = text.chars().count() <= MAX_NAME && text.chars().all(plain);
    fits && text.chars().any(|c| c != '.')
}

/// A word of Azure's own.
fn word(text: &str) -> Option<&str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    let fits = text.len() <= MAX_NAME && text.bytes().all(plain);
    let some = text.bytes().any(|b| b != b'.');
    (fits && some).then_some(text)
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
