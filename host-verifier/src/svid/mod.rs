//! SPIFFE identities: the authorities that sign them, X.509-SVIDs, JWT-SVIDs, and the bundle that others trust them by.
//!
//! Everything here knows nothing of logins, transports and the API. Whoever has decided that a node may have an identity asks
//! the [`Issuer`]; who may have which is decided elsewhere, and [`crate::session::PathTemplate`] names it.
//!
//! * [`keys`]: where private keys are: on disk, in memory, later in an HSM or a cloud's KMS.
//! * [`rotation`]: which authority signs now and when the next is made; a pure function of time.
//! * [`authority`], [`upstream`]: own authorities, self-signed or below one that exists.
//! * [`csr`], [`x509`], [`jwt`]: a request read and verified, and what is issued.
//! * [`bundle`]: the SPIFFE bundle, JWKS, the OIDC discovery document, PEM.
//! * [`issuer`]: all of it together, over a store that several replicas share.
//!
//! Sources: the SPIFFE standards X509-SVID, JWT-SVID, SPIFFE-ID, SPIFFE Trust Domain and Bundle; RFC 5280, RFC 2986,
//! RFC 7515, RFC 7517.

pub mod authority;
pub mod bundle;
mod certificate;
pub mod csr;
pub mod issuer;
pub mod jwt;
pub mod keys;
pub mod rotation;
pub mod upstream;
pub mod x509;

pub use bundle::Bundle;
pub use csr::{CsrError, VerifiedKey, verify_csr};
pub use issuer::{IssueError, Issuer, RotateError, Settings};
pub use jwt::JwtSvid;
pub use x509::X509Svid;
