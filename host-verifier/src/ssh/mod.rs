//! OpenSSH's formats, as far as host certificates need them: public keys, certificates, signatures, revocation lists.
//!
//! The format is small and read here byte by byte, so that everything a decision rests on has been looked at: every byte
//! belongs to a field, every number has one encoding, lists are bounded, and nothing is skipped because it is not known.
//!
//! * [`wire`]: strings, integers and lists (RFC 4251 section 5).
//! * [`key`]: public keys (RFC 4253, 5656, 8709) and lines of `authorized_keys`.
//! * [`certificate`]: OpenSSH's PROTOCOL.certkeys.
//! * [`signature`]: signatures (RFC 4253, 5656, 8332, 8709), verified by [`crate::crypto`].
//! * [`krl`]: OpenSSH's PROTOCOL.krl.
//!
//! What it does not do: DSA, security keys (`sk-…`), user certificates' meaning, private keys.

pub mod certificate;
pub mod key;
pub mod krl;
pub mod signature;
pub mod wire;

pub use certificate::{Certificate, CertificateError};
pub use key::{HostKey, KeyError};
pub use krl::{Krl, KrlError};
pub use signature::{Signature, SignatureError};
