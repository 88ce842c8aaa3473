//! Names that identify: trust domain, SPIFFE ID, cluster; and the record that ties a node to them.
//!
//! Each is checked once, where it enters, and is a type from then on.

mod names;
pub mod provisioning;
mod spiffe;

pub use names::{ClusterName, NameError};
pub use provisioning::{Pins, Provisioning, ProvisioningError};
pub use spiffe::{
    MAX_SPIFFE_ID, MAX_TRUST_DOMAIN, SpiffeId, SpiffeIdError, TrustDomain, check_segment,
};
