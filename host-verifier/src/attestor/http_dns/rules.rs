//! Which hosts and ports are let in.

use std::collections::BTreeSet;

use super::{
    payload::Untrusted,
    verify::{ChallengeError, Place},
};
use crate::outside::{TargetError, parse_name};

/// Longest name of an agent, as SPIRE's.
pub const MAX_AGENT_NAME: usize = 32;

/// A host name, or all names one label below one. Nothing between: a pattern that matches a part of a label, or several
/// labels, sooner or later matches a name that somebody else may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// This name.
    Exactly(String),
    /// `*.` and this name.
    Below(String),
}

/// Why a pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// An address.
    #[error("an IP address: only names can be let in")]
    Address,
    /// A `*` elsewhere than alone in the left-most label.
    #[error("`*` stands for one whole label, the left-most")]
    Wildcard,
    /// Everybody may register a name there.
    #[error("everybody can get a name below a public suffix")]
    PublicSuffix,
    /// This machine.
    #[error("`localhost` is the verifier itself")]
    Localhost,
    /// Not ASCII letters, digits and hyphens.
    #[error("no host name; an internationalised one is written as its A-labels (xn--…)")]
    Name,
}

impl Allowed {
    /// Reads a pattern of `allowedHostnames`.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (rest, below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if rest.contains('*') {
            return Err(PatternError::Wildcard);
        }
        let name = parse_name(rest).map_err(|error| match error {
            TargetError::Literal => PatternError::Address,
            _ => PatternError::Name,
        })?;
        if is_localhost(&name) {
            return Err(PatternError::Localhost);
        }
        if !below {
            return Ok(Self::Exactly(name));
        }
        // `home.arpa` is on the list so that nobody's cookies are for all of it; it is one household's own (RFC 8375).
        let is_suffix = |name: &str| {
            let suffix = psl::suffix(name.as_bytes());
            suffix.is_some_and(|suffix| suffix.is_known() && suffix == name)
        };
        // Below some names every name is a suffix: `*.kawasaki.jp` is a rule of the list itself.
        let below = format!("any.{name}");
        if name != "home.arpa" && (is_suffix(&name) || is_suffix(&below)) {
            return Err(PatternError::PublicSuffix);
        }
        Ok(Self::Below(name))
    }

    /// Whether it is this name, which is in its normal form.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        match self {
            Self::Exactly(own) => own == name,
            Self::Below(own) => name
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == own),
        }
    }
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// The settings of an entry, checked.
#[derive(Clone, Debug)]
pub struct Rules {
    /// At least one.
    pub hostnames: Vec<Allowed>,
    /// `None`: every port.
    pub ports: Option<BTreeSet<u16>>,
    /// Whether the names may stand for private addresses.
    pub private: bool,
}

impl Rules {
    /// Where the nonce is to be asked for, when that is allowed.
    ///
    /// # Errors
    /// The first of these that does not hold: a port that is let in, a name for the agent, a name for the host, and one
    /// that is let in.
    pub fn check(&self, untrusted: Untrusted) -> Result<Place, ChallengeError> {
        let port = untrusted.port;
        let allowed = self
            .ports
            .as_ref()
            .is_none_or(|ports| ports.contains(&port));
        if port == 0 || !allowed {
            return Err(ChallengeError::Port(port));
        }
        if !is_agent_name(&untrusted.agentname) {
            return Err(ChallengeError::AgentName);
        }
        let hostname = parse_name(&untrusted.hostname).map_err(|error| match error {
            TargetError::Literal => ChallengeError::Address,
            _ => ChallengeError::Hostname,
        })?;
        if is_localhost(&hostname) {
            return Err(ChallengeError::Localhost);
        }
        if !self.hostnames.iter().any(|allowed| allowed.is(&hostname)) {
            return Err(ChallengeError::NotAllowed(hostname));
        }
        Ok(Place {
            hostname,
            port,
            agentname: untrusted.agentname,
        })
    }
}

/// As SPIRE has it since 1.15.2: a letter, then letters, digits and hyphens.
fn is_agent_name(name: &str) -> bool {
    name.len() <= MAX_AGENT_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::{Allowed, PatternError, is_agent_name};

    #[test]
    fn a_pattern_is_a_name_or_all_names_one_label_below_one() {
        for (pattern, name, fits) in [
            ("node.example.org", "node.example.org", true),
            ("Node.Example.ORG.", "node.example.org", true),
            ("node.example.org", "xnode.example.org", false),
            ("node.example.org", "node.example.org.evil.example", false),
            ("node.example.org", "nodexexample.org", false),
            ("*.example.org", "node.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "a.node.example.org", false),
            ("*.example.org", "evilexample.org", false),
            ("*.example.org", "node.example.org.evil.example", false),
            ("*.lan", "node.lan", true),
            ("*.home.arpa", "node.home.arpa", true),
            ("node", "node", true),
            ("*.xn--bcher-kva.example", "a.xn--bcher-kva.example", true),
        ] {
            let allowed = Allowed::parse(pattern).map(|allowed| allowed.is(name));
            assert_eq!(allowed, Ok(fits), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_lets_too_many_in_is_none() {
        use PatternError::{Address, Localhost, Name, PublicSuffix, Wildcard};
        for (pattern, why) in [
            ("*", Wildcard),
            ("*.*.example.org", Wildcard),
            ("node.*.org", Wildcard),
            ("n*.example.org", Wildcard),
            ("*node.example.org", Wildcard),
            ("**.example.org", Wildcard),
            ("*.", Name),
            ("", Name),
            (".", Name),
            (".example.org", Name),
            ("a..b", Name),
            ("a_b.example.org", Name),
            ("-a.example.org", Name),
            ("b\u{fc}cher.example", Name),
            ("a/b", Name),
            ("a@b.example", Name),
            ("a%2eb", Name),
            ("*.com", PublicSuffix),
            ("*.co.uk", PublicSuffix),
            ("*.CO.UK.", PublicSuffix),
            ("*.github.io", PublicSuffix),
            ("*.kawasaki.jp", PublicSuffix),
            ("localhost", Localhost),
            ("*.localhost", Localhost),
            ("a.localhost", Localhost),
            ("127.0.0.1", Address),
            ("*.0.0.1", Address),
            ("0x7f.1", Address),
            ("2130706433", Address),
            ("[::1]", Address),
            ("::1", Address),
            ("node.example.org:80", Address),
        ] {
            assert_eq!(Allowed::parse(pattern), Err(why), "{pattern}");
        }
    }

    #[test]
    fn an_agents_name_cannot_leave_its_place_in_the_path() {
        for good in ["default", "a", "A-1", "host01", &"a".repeat(32)] {
            assert!(is_agent_name(good), "{good}");
        }
        // `[A-z]` let these through in SPIRE before 1.15.2, and its limit was of another length before 1.13.1.
        let long = "a".repeat(33);
        for bad in [
            "", "1a", "-a", "_a", "^a", "[a", "`a", "\\a", "a/b", "a..", "a.b", "a%2f", "\u{e4}",
            &long,
        ] {
            assert!(!is_agent_name(bad), "{bad}");
        }
    }
}
