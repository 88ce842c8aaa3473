//! A login that succeeded.

use assay_common::identity::SpiffeId;
use zeroize::Zeroize;

/// A session. Its secret is wiped when it is dropped.
pub struct Session<'m> {
    id: [u8; 16],
    spiffe_id: SpiffeId<'m>,
    lifetime_s: u64,
    secret: [u8; 32],
}

impl<'m> Session<'m> {
    pub(super) const fn new(
        id: [u8; 16],
        spiffe_id: SpiffeId<'m>,
        lifetime_s: u64,
        secret: [u8; 32],
    ) -> Self {
        Self {
            id,
            spiffe_id,
            lifetime_s,
            secret,
        }
    }

    /// The session's name.
    #[must_use]
    pub const fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// The identity that was granted.
    #[must_use]
    pub const fn spiffe_id(&self) -> &SpiffeId<'m> {
        &self.spiffe_id
    }

    /// How long it lasts from its issue, seconds.
    #[must_use]
    pub const fn lifetime_s(&self) -> u64 {
        self.lifetime_s
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
