//! A login that succeeded.

use assay_common::identity::SpiffeId;
use zeroize::Zeroize;

use super::renewing::Term;

/// A session. Its secret is wiped when it is dropped.
pub struct Session<'m> {
    spiffe_id: SpiffeId<'m>,
    term: Term,
    svid: &'m [u8],
    secret: [u8; 32],
}

impl<'m> Session<'m> {
    pub(super) const fn new(
        spiffe_id: SpiffeId<'m>,
        term: Term,
        svid: &'m [u8],
        secret: [u8; 32],
    ) -> Self {
        Self {
            spiffe_id,
            term,
            svid,
            secret,
        }
    }

    /// The session's name.
    #[must_use]
    pub const fn id(&self) -> &[u8; 16] {
        &self.term.session_id
    }

    /// The identity that was granted.
    #[must_use]
    pub const fn spiffe_id(&self) -> &SpiffeId<'m> {
        &self.spiffe_id
    }

    /// How long it lasts, and how it is renewed.
    #[must_use]
    pub const fn term(&self) -> &Term {
        &self.term
    }

    /// How long it lasts from its issue, seconds.
    #[must_use]
    pub const fn lifetime_s(&self) -> u64 {
        self.term.lifetime_s
    }

    /// The SVID for the key that this login made in the TPM: DER certificates one after the other, the leaf first. Empty when
    /// the verifier certified none.
    #[must_use]
    pub const fn svid(&self) -> &'m [u8] {
        self.svid
    }

    /// What only this node and the verifier know.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl core::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session")
            .field("spiffe_id", &self.spiffe_id)
            .finish_non_exhaustive()
    }
}
