//! What came of an attack.

use core::fmt;

use assay_common::protocol::{DenyCode, TroubleCode};
use assay_spi_tpm::interposer::Mode;

/// How the node's bus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bus {
    /// Commands as they are.
    Plain,
    /// Sessions salted to the pinned EK.
    Protected,
}

impl Bus {
    /// What an attack is run on, the best last.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Protected];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Protected => "protected",
        }
    }
}

/// What came of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The node noticed, gave up, and said this on the line.
    Node(TroubleCode),
    /// The verifier refused the proofs.
    Verifier(DenyCode),
    /// The login went through, and is in all that is decided by it the one of a node without an attacker; he has
    /// learned nothing that he is not to know.
    Harmless,
    /// The attacker has what he wanted.
    Fell,
    /// There was nothing to attack: the node says no such thing on its bus.
    Absent,
}

impl Verdict {
    /// Whether the attacker has gained nothing.
    #[must_use]
    pub fn is_defeated(self) -> bool {
        self != Self::Fell
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(code) => write!(f, "node: `{code}`"),
            Self::Verifier(code) => write!(f, "verifier: `{code}`"),
            Self::Harmless => f.write_str("harmless"),
            Self::Fell => f.write_str("**falls**"),
            Self::Absent => f.write_str("–"),
        }
    }
}

/// An attack that was run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The attack.
    pub mode: &'static Mode,
    /// On which bus.
    pub bus: Bus,
    /// How often it was carried out.
    pub strikes: u32,
    /// What was done.
    pub deeds: Vec<&'static str>,
    /// What came of it.
    pub verdict: Verdict,
    /// What the node said at its end: a failure, or that it has a session.
    pub node_said: String,
    /// What the verifier said: the refusal's detail, or whom the session is for; nothing when it never had to.
    pub verifier_said: Option<String>,
    /// What the attacker has, where he has something.
    pub gained: Option<String>,
    /// Whether the node had a session by itself once he was gone; not tried after one that was granted.
    pub recovered: Option<bool>,
}
