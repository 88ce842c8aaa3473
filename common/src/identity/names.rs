//! Cluster names.

use crate::protocol::message::MAX_CLUSTER;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NameError {
    /// Empty.
    Empty,
    /// Longer than the limit.
    TooLong,
    /// A character other than `a-z`, `A-Z`, `0-9`, `-`, `_`, `.`.
    Character,
}

impl core::fmt::Display for NameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Empty => f.write_str("empty name"),
            Self::TooLong => write!(f, "name longer than {MAX_CLUSTER} bytes"),
            Self::Character => f.write_str("a name has only letters, digits, `-`, `_` and `.`"),
        }
    }
}

impl core::error::Error for NameError {}

/// A cluster's name: 1 to 64 bytes of letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ClusterName<'a>(&'a str);

impl<'a> ClusterName<'a> {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`NameError`].
    pub fn parse(name: &'a str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_CLUSTER {
            return Err(NameError::TooLong);
        }
        if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        {
            return Err(NameError::Character);
        }
        Ok(Self(name))
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl core::fmt::Display for ClusterName<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}
