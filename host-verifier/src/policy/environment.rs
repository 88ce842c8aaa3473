//! Which kind of installation a cluster is: set by the operator, never by an agent.

use core::fmt;

/// `environment` of a document, and of a policy that is for some environments only.
///
/// A closed list: a name that is free to choose would turn a slip of the pen into a policy that silently never applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Environment {
    /// `development`.
    Development,
    /// `staging`.
    Staging,
    /// `production`.
    Production,
}

impl Environment {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Development, Self::Staging, Self::Production];

    /// As documents write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// The environment of a name, matched whole and case-sensitively.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|e| e.name() == name)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
