//! What binds one login together: a running hash over every message, and keys that only the right TPM can make.
//!
//! ```text
//! T0     = SHA-256("assay/login/v1")
//! T(n+1) = SHA-256(T(n) | direction u8 | length u32 be | message bytes)
//!
//! challenge signature : ECDSA P-256/SHA-256 over  "assay/challenge/v1" | T | body
//! quote nonce         : SHA-256("assay/quote/v1" | T)         -> qualifyingData
//! SVID key's nonce    : SHA-256("assay/svid-key/v1" | T)      -> qualifyingData of its certification
//! SVID key's proof    : SVID key over  "assay/svid-key-held/v1" | SVID key's nonce, for a key that no TPM certifies
//! a method's nonce    : SHA-256("assay/proof-nonce/v1" | method u8 | T)
//! session key         : SHA-256("assay/session-key/v1" | ECDH x | len u32 be | agent's share | len u32 be | verifier's share)
//! K(label)            : HMAC-SHA-256(activated secret, or session key, label | T)
//! proof               : HMAC-SHA-256(K("assay/proof/v1"), T)  T with the challenge that carried the credential
//! grant               : key K("assay/grant/v1"), mask K("assay/seal/v1"),   T with the proofs
//! ```
//!
//! Every T covers the agent's and the verifier's nonces, so each side contributes freshness to everything that is
//! signed or keyed, proofs of two logins cannot be mixed, and a login cannot be relayed under another key. Labels
//! keep the uses apart. A live session is renewed by one more quote ([`renewal`]). The agent's and the verifier's halves use the same code, so they cannot drift.

mod keys;
pub mod renewal;
pub mod session_key;
mod transcript;

pub use keys::{LoginKeys, SECRET_LEN, SealError};
pub use renewal::{RenewDigest, renewal_by_key, renewal_message, renewal_nonce};
pub use transcript::{
    CHALLENGE_LABEL, Direction, Transcript, challenge_message, proof_nonce, quote_nonce,
    svid_key_nonce, svid_key_possession,
};
