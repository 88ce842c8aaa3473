//! Primitives, one copy of each: what the agent computes itself instead of asking the TPM.
//!
//! * [`curve`]: points of P-256 and P-384, for the verifier's signature and for [`ecdh`], the salt of a session.
//! * [`hash`]: SHA-256 and SHA-384 chosen at run time, HMAC and the TPM's two key derivations over them.
//! * [`cfb`]: AES-CFB, the cipher of parameters.
//! * [`oaep`]: RSA-OAEP to an RSA endorsement key.
//! * [`sign`]: ECDSA by the microcontroller's own key.
//!
//! Whatever sees a secret here takes the same time for every value of it: there is no branch and no index that depends on
//! one. What only sees public values (a signature, a modulus) may be quicker for some.

#[cfg(feature = "secure-bus")]
pub(crate) mod cfb;
pub(crate) mod curve;
#[cfg(feature = "secure-bus")]
pub(crate) mod ecdh;
#[cfg(feature = "secure-bus")]
pub(crate) mod hash;
#[cfg(feature = "secure-bus")]
pub(crate) mod oaep;
#[cfg(feature = "secure-bus")]
pub(crate) mod sign;
