//! CMS `SignedData` (RFC 5652), as far as clouds sign documents with it.
//!
//! * [`ber`]: what clouds send is BER with indefinite lengths and strings in pieces; it is turned into DER once.
//! * [`signed`]: the structure, strictly.
//! * [`profile`]: which message counts, and under which certificate.
//! * [`error`]: why not, by stable names.
//!
//! # Why not an existing library
//!
//! None of the crates for it reads what the clouds write: one refuses indefinite lengths below the outermost structure, another
//! the object identifier that Azure puts where a digest's belongs. And each decides too much of what has gone wrong elsewhere
//! and is decided here, in the open: whose certificate counts, whether a message may come without signed attributes, and that
//! the document in use is the one that was signed. Reader, names, keys and signatures are those of [`crate::x509`] and
//! [`crate::crypto`], so it takes less code than a dependency would.
//!
//! # How it is used
//!
//! ```
//! # use assay_host_verifier::cms::{CmsError, Profile, SignedData, to_der};
//! # use assay_host_verifier::x509::Certificate;
//! # fn example(blob: &[u8], pinned: &Certificate) -> Result<(), CmsError> {
//! let der = to_der(blob)?;
//! let message = SignedData::read(&der)?;
//! let signed = message.verify(pinned, Profile::AWS)?;
//! // Only now is it known who wrote this.
//! let document = signed.content;
//! # Ok(())
//! # }
//! ```

pub mod ber;
pub mod error;
pub mod profile;
pub mod signed;

pub use ber::{MAX_DEPTH, MAX_LEN, to_der};
pub use error::CmsError;
pub use profile::{Profile, Signed};
pub use signed::{MAX_CERTIFICATES, SignedData};
