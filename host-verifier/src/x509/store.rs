//! Trust anchors and known intermediates.

use std::{collections::BTreeMap, sync::Arc};

use super::Certificate;
use crate::crypto::Seen;

/// Anchors and intermediates, indexed by subject.
///
/// Immutable once made; share it behind an [`Arc`].
#[derive(Clone, Debug, Default)]
pub struct TrustStore {
    anchors: Index,
    intermediates: Index,
    /// Signatures of certificates that were verified on the way to an anchor.
    seen: Arc<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Index {
    all: Vec<Arc<Certificate>>,
    /// In an order of its own, so that what is built of the same certificates reads the same.
    by_subject: BTreeMap<Vec<u8>, Vec<usize>>,
}

impl Index {
    fn insert(&mut self, certificate: Certificate) {
        let entry = self.by_subject.entry(certificate.subject().key().to_vec());
        let same_name = entry.or_default();
        // A list assembled from several sources repeats itself.
        let known = same_name
            .iter()
            .filter_map(|i| self.all.get(*i))
            .any(|known| known.der() == certificate.der());
        if !known {
            same_name.push(self.all.len());
            self.all.push(Arc::new(certificate));
        }
    }

    fn named(&self, subject: &[u8]) -> impl Iterator<Item = &Arc<Certificate>> {
        self.by_subject
            .get(subject)
            .into_iter()
            .flatten()
            .filter_map(|i| self.all.get(*i))
    }
}

impl TrustStore {
    /// Anchors and intermediates named apart. An anchor may be any certificate, self-signed or
    /// not: its name and key are trusted because the operator says so.
    #[must_use]
    pub fn new(
        anchors: impl IntoIterator<Item = Certificate>,
        intermediates: impl IntoIterator<Item = Certificate>,
    ) -> Self {
        let mut store = Self::default();
        for certificate in anchors {
            store.anchors.insert(certificate);
        }
        for certificate in intermediates {
            store.intermediates.insert(certificate);
        }
        store
    }

    /// Sorts one mixed list, as vendors and package maintainers publish it.
    ///
    /// * A certificate that its own key signed is an anchor.
    /// * A CA that is not self-signed is an anchor when no certificate of the list bears its
    ///   issuer's name: the top of a chain whose root the vendor does not publish.
    /// * Everything else is an intermediate. So a forged intermediate that names a real issuer
    ///   never becomes an anchor, wherever it came from.
    #[must_use]
    pub fn from_mixed(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        let all: Vec<Certificate> = certificates.into_iter().collect();
        let subjects: std::collections::HashSet<Vec<u8>> =
            all.iter().map(|c| c.subject().key().to_vec()).collect();
        let (anchors, intermediates): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| {
            c.is_self_signed() || (c.is_ca() && !subjects.contains(c.issuer().key()))
        });
        Self::new(anchors, intermediates)
    }

    /// The anchors.
    #[must_use]
    pub fn anchors(&self) -> &[Arc<Certificate>] {
        &self.anchors.all
    }

    /// The intermediates.
    #[must_use]
    pub fn intermediates(&self) -> &[Arc<Certificate>] {
        &self.intermediates.all
    }

    /// True when there is no anchor: such a store accepts nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.all.is_empty()
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(super) fn anchors_named(&self, subject: &[u8]) -> impl Iterator<Item = &Arc<Certificate>> {
        self.anchors.named(subject)
    }

    pub(super) fn intermediates_named(
        &self,
        subject: &[u8],
    ) -> impl Iterator<Item = &Arc<Certificate>> {
        self.intermediates.named(subject)
    }
}
