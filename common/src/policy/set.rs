//! Sets of methods.

use super::AttestorKind;

/// A set of methods with numbers below 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AttestorSet(u32);

impl AttestorSet {
    /// No method.
    pub const EMPTY: Self = Self(0);

    /// The set with `kind` added. A number of 32 or more is left out: no such method exists.
    #[must_use]
    pub const fn with(self, kind: AttestorKind) -> Self {
        if kind.0 < 32 {
            Self(self.0 | (1 << kind.0))
        } else {
            self
        }
    }

    /// Whether `kind` is in the set.
    #[must_use]
    pub const fn contains(self, kind: AttestorKind) -> bool {
        kind.0 < 32 && self.0 & (1 << kind.0) != 0
    }

    /// Whether every member of `other` is in this set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Members of both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Members of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, by rising number.
    pub fn iter(self) -> impl Iterator<Item = AttestorKind> {
        (0..32u8)
            .map(AttestorKind)
            .filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<AttestorKind> for AttestorSet {
    fn from_iter<I: IntoIterator<Item = AttestorKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::EMPTY, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::{AttestorKind, AttestorSet};

    #[test]
    fn covers_means_every_member() {
        let both = AttestorSet::EMPTY
            .with(AttestorKind::TPM_EK)
            .with(AttestorKind::TPM_QUOTE);
        let one = AttestorSet::EMPTY.with(AttestorKind::TPM_EK);
        assert!(both.covers(one));
        assert!(!one.covers(both));
        assert!(one.covers(AttestorSet::EMPTY));
    }

    #[test]
    fn a_number_out_of_range_is_not_a_member() {
        let set = AttestorSet::EMPTY
            .with(AttestorKind(32))
            .with(AttestorKind(255));
        assert!(set.is_empty());
        assert!(!set.contains(AttestorKind(32)));
    }
}
