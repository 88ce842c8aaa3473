//! X.509 for hardware vendors' material: a lenient but bounded reader, and one path validator.
//!
//! Everything that judges certificates here goes through this module: EK certificates of TPMs,
//! DevID certificates, and `x509pop` chains, each with its own [`Policy`] as data.
//!
//! # Why not an existing validator
//!
//! TPM vendors' certificates are signed by machines built in 2012 to 2024 and many are not quite
//! what strict libraries read: unordered SETs in names, serial numbers with leading zeros or of 21
//! bytes, RSA keys labelled `id-RSAES-OAEP`, bytes after the certificate, padding up to the size of
//! an NV index, trust anchors that are not self-signed. A generic validator refuses to read them,
//! or ignores exactly the fields that matter for an EK (the directory name in the subject
//! alternative name). The reader here is lenient in *encoding* and strict in *meaning*: signatures
//! are verified over the bytes as received, and whatever it does not understand and is marked
//! critical refuses the certificate.
//!
//! # Layout
//!
//! * [`der`]: elements with tag, length and contents; no recursion, no panic.
//! * [`certificate`], [`name`], [`extensions`], [`spki`], [`algorithm`], [`time`], [`oid`]: what a
//!   certificate says.
//! * [`decode`]: the wrappings a certificate comes in (PEM, NV padding, old TPM headers).
//! * [`store`]: trust anchors and intermediates. [`policy`]: what is demanded. [`path`]: the
//!   validator. [`error`]: why not, by stable names.
//!
//! * [`crl`], [`revocation`]: revocation lists, where a policy gives some.
//!
//! What it does not do: OCSP, delta and indirect revocation lists, certificate policies beyond "any policy".

pub mod algorithm;
pub mod certificate;
pub mod crl;
pub mod decode;
pub mod der;
pub mod error;
pub mod extensions;
pub mod files;
pub mod name;
pub mod oid;
pub mod path;
pub mod policy;
pub mod revocation;
pub mod spki;
pub mod store;
pub mod time;

mod checks;
mod name_constraints;

pub use certificate::{Certificate, MAX_CERTIFICATE_LEN, ParseError};
pub use error::PathError;
pub use oid::Oid;
pub use path::{VerifiedChain, validate, validate_unrevoked};
pub use policy::Policy;
pub use revocation::Revocation;
pub use store::TrustStore;
pub use time::UnixTime;
