//! Protocol versions: the only place where their numbers live.
//!
//! # Rules
//!
//! 1. The frame layout ([`super::frame`]) is fixed for all versions; a new need is a new frame kind.
//! 2. Enum variants are appended, never reordered, changed or removed; a shipped struct never changes. A new
//!    shape is a new variant, and [`CURRENT`] rises with it.
//! 3. The agent names the range it speaks in its `Hello`; the verifier chooses the highest both know and
//!    says so in the (signed) challenge. An agent refuses a choice outside its own range, so a man in
//!    the middle cannot talk the two down: the range is part of the transcript that the signature covers.
//! 4. A verifier that finds no common version answers `Denied` with
//!    [`DenyCode::UNSUPPORTED_VERSION`](super::DenyCode::UNSUPPORTED_VERSION), never with a guess.
//! 5. A peer skips a frame of a kind it does not know and counts it; it refuses a message variant that it does
//!    not know.
//!
//! # Versions
//!
//! | version | what it brought |
//! |---|---|
//! | 1 | the login: hello, challenge, proofs, grant |
//! | 2 | the node's SVID key ([`crate::method::svid_key`]), `SvidGranted`, `Renew` and `Renewed`; longer messages ([`super::frame`]) |
//! | 3 | the event log beside the quote of a login ([`MeasuredQuote`](crate::method::tpm_quote::MeasuredQuote)) |
//!
//! `Renew` needs no negotiation of its own: only a `SvidGranted` tells a node that it may be sent.

use serde::{Deserialize, Serialize};

/// The oldest protocol version this code speaks.
pub const MIN: u8 = 1;
/// The newest protocol version this code speaks.
pub const CURRENT: u8 = 3;

/// The versions a peer speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VersionRange {
    /// Oldest version spoken.
    pub min: u8,
    /// Newest version spoken.
    pub max: u8,
}

impl VersionRange {
    /// What this build speaks.
    pub const OURS: Self = Self {
        min: MIN,
        max: CURRENT,
    };

    /// The highest version that both ranges contain; `None` when there is none, or a range is empty.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u8> {
        let high = self.max.min(other.max);
        let low = self.min.max(other.min);
        (low <= high).then_some(high)
    }

    /// Whether `version` lies in the range.
    #[must_use]
    pub fn contains(self, version: u8) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::VersionRange;

    const fn range(min: u8, max: u8) -> VersionRange {
        VersionRange { min, max }
    }

    #[test]
    fn the_highest_common_version_wins() {
        assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
        assert_eq!(range(2, 5).common(range(1, 3)), Some(3));
        assert_eq!(range(1, 1).common(range(1, 1)), Some(1));
    }

    #[test]
    fn peers_of_older_versions_are_still_spoken_with() {
        assert_eq!(VersionRange::OURS.common(range(1, 1)), Some(1));
        assert_eq!(VersionRange::OURS.common(range(1, 2)), Some(2));
        assert_eq!(VersionRange::OURS.common(range(1, 200)), Some(3));
    }

    #[test]
    fn disjoint_and_empty_ranges_have_none() {
        assert_eq!(range(1, 2).common(range(3, 4)), None);
        assert_eq!(range(3, 1).common(range(1, 9)), None);
    }
}
