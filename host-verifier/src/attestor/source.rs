//! Where a login comes from, beside where the cloud says that the instance is.
//!
//! A hint, and no proof: addresses are translated on the way and shared behind proxies, and whoever is in the same network may
//! have the same one. But who shows evidence that was stolen from an instance comes from elsewhere, as a rule.

use std::net::IpAddr;

use assay_common::policy::AttestorKind;
use schemars::JsonSchema;
use serde::Deserialize;

/// `sourceAddress`: what becomes of a login that comes from none of the instance's addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "sourceAddress")]
pub enum SourceRule {
    /// Nothing: it is not looked at.
    #[default]
    Ignore,
    /// The login's record says so.
    Warn,
    /// It is refused.
    Require,
}

/// The addresses that a cloud knows of an instance, and what a policy wants of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The method that has them.
    pub kind: AttestorKind,
    /// What the policy wants.
    pub rule: SourceRule,
    /// The addresses.
    pub known: Vec<IpAddr>,
}

impl Source {
    /// What is wrong with a login that comes from `peer`; `None` for one over a line that has no addresses.
    #[must_use]
    pub fn contradicts(&self, peer: Option<IpAddr>) -> Option<String> {
        let kind = self.kind;
        let known: Vec<_> = self.known.iter().map(IpAddr::to_string).collect();
        let known = known.join(", ");
        match peer.map(|peer| peer.to_canonical()) {
            _ if self.rule == SourceRule::Ignore => None,
            _ if self.known.is_empty() => Some(format!("{kind} tells no address of the instance")),
            None => Some("the login came over a line that has no address".to_owned()),
            Some(peer) if self.known.contains(&peer) => None,
            Some(peer) => Some(format!(
                "the login came from {peer}, and the instance that {kind} names is at {known}"
            )),
        }
    }
}

/// The addresses out of a cloud's texts. What is none is passed over: then there is one less to come from.
pub(super) fn addresses<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = texts
        .into_iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{AttestorKind, Source, SourceRule, addresses};

    #[test]
    fn only_one_of_the_instances_own_addresses_contradicts_nothing() {
        let source = |rule, known: &[&str]| Source {
            kind: AttestorKind::AWS_IID,
            rule,
            known: addresses(known.iter().copied()),
        };
        let from = |text: &str| Some(text.parse().unwrap());
        let two = ["10.0.0.7", "203.0.113.9", "", "no address"];
        for rule in [SourceRule::Warn, SourceRule::Require] {
            let source = source(rule, &two);
            assert_eq!(source.known.len(), 2);
            for own in ["10.0.0.7", "203.0.113.9", "::ffff:10.0.0.7"] {
                assert_eq!(source.contradicts(from(own)), None, "{own}");
            }
            for other in ["10.0.0.8", "::1", "2001:db8::a00:7"] {
                let told = source.contradicts(from(other)).unwrap();
                assert!(told.contains("is at 10.0.0.7, 203.0.113.9"), "{told}");
            }
            assert!(source.contradicts(None).is_some());
        }
        let nothing = source(SourceRule::Require, &[]);
        assert!(nothing.contradicts(from("10.0.0.7")).is_some());
        let ignored = source(SourceRule::Ignore, &two);
        assert_eq!(ignored.contradicts(from("10.0.0.8")), None);
        assert_eq!(ignored.contradicts(None), None);
    }
}
