//! Which issuers of tokens a policy may name, besides a cloud's own.

use std::collections::BTreeSet;

/// Issuers that the operator of the service lists beside a cloud's own: `tokenIssuers` in `clouds` of `assayd.yaml`.
///
/// Whoever says which issuer signs decides who is which node. So a policy, which may be a tenant's, chooses among these and the
/// cloud's own, and adds none. The default lists none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenIssuers {
    /// These, byte for byte.
    Listed(BTreeSet<String>),
    /// No service is behind the document, as when a file is checked by itself: what its operator lists is not known.
    Unknown,
}

impl Default for TokenIssuers {
    fn default() -> Self {
        Self::Listed(BTreeSet::new())
    }
}

impl TokenIssuers {
    /// Whether a policy may name it.
    #[must_use]
    pub fn allow(&self, issuer: &str) -> bool {
        match self {
            Self::Listed(listed) => listed.contains(issuer),
            Self::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TokenIssuers;

    #[test]
    fn nobody_is_listed_who_is_not() {
        assert!(!TokenIssuers::default().allow("https://a.example"));
        let listed = TokenIssuers::Listed(["https://a.example".to_owned()].into());
        assert!(listed.allow("https://a.example"));
        assert!(!listed.allow("https://a.example/"));
    }
}
