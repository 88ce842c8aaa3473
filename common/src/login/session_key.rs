//! The session key of an agent without a TPM: an ephemeral key agreement instead of an activated credential.
//!
//! The agent's [`Hello`](crate::protocol::Hello) carries a P-256 key share. The verifier draws one of its own for this login
//! and sends it in the first, signed challenge, as the request of [`SESSION_KEY`](crate::policy::AttestorKind::SESSION_KEY);
//! the agent answers with the proof that it knows the secret that both make of it. From then on the secret has the place
//! that an activated one has: [`LoginKeys`] are made of it, the grant is authenticated and its secret is sealed under them.
//!
//! The agent's share is in the transcript before anything is proven, so every proof over the transcript is a proof about
//! whoever holds that share. Methods whose evidence is a bearer token bind nothing; their documents say so.
//!
//! The agreement itself is made by whatever library each side has; only what is made of its result is here.

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::LoginKeys;

/// Length of a key share: an uncompressed SEC1 P-256 point.
pub const SHARE_LEN: usize = 65;

const LABEL: &[u8] = b"assay/session-key/v1";

/// The login's keys, of the x coordinate that the agreement gave and of both shares as they travelled.
#[must_use]
pub fn session_keys(agreed_x: &[u8; 32], agent_share: &[u8], verifier_share: &[u8]) -> LoginKeys {
    let mut secret = session_secret(agreed_x, agent_share, verifier_share);
    let keys = LoginKeys::new(secret);
    secret.zeroize();
    keys
}

/// The secret under [`session_keys`].
#[must_use]
pub fn session_secret(
    agreed_x: &[u8; 32],
    agent_share: &[u8],
    verifier_share: &[u8],
) -> [u8; super::SECRET_LEN] {
    let mut hash = Sha256::new();
    hash.update(LABEL);
    hash.update(agreed_x);
    // Shares of a length that a peer chooses must not run into one another.
    for share in [agent_share, verifier_share] {
        hash.update(u32::try_from(share.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(share);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::session_secret;

    #[test]
    fn the_secret_depends_on_each_part_and_on_where_one_ends() {
        let base = session_secret(&[1; 32], &[2; 65], &[3; 65]);
        assert_ne!(base, session_secret(&[9; 32], &[2; 65], &[3; 65]));
        assert_ne!(base, session_secret(&[1; 32], &[9; 65], &[3; 65]));
        assert_ne!(base, session_secret(&[1; 32], &[2; 65], &[9; 65]));
        assert_ne!(base, session_secret(&[1; 32], &[3; 65], &[2; 65]));
        assert_ne!(
            session_secret(&[1; 32], &[7; 2], &[7; 1]),
            session_secret(&[1; 32], &[7; 1], &[7; 2])
        );
    }
}
