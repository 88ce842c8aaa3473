//! Google Cloud: what the Compute Engine API says of an instance.
//!
//! * [`Settings`]: `clouds.gcp` of `assayd.yaml`.
//! * [`InstanceQuestion`]: one instance, as `compute.instances.get` has it; [`Instance`] is what is kept of it.
//! * `token`, `service_account`: who asks. Either a service account's key file, whose assertion is signed here (RFC 7523), or the
//!   metadata server of the machine that the verifier runs on.
//!
//! Two calls in all, both plain JSON over HTTPS: no library of Google's is worth its weight for them.

mod error;
mod instance;
mod service_account;
mod settings;
mod token;

pub use instance::{Found, Instance, InstanceQuestion, MAX_VALUE, Nic, Place, PlaceError, Value};
pub use service_account::KeyFileError;
pub use settings::{Credentials, Settings};

/// A text that is erased when it is dropped.
fn secret<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<zeroize::Zeroizing<String>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(zeroize::Zeroizing::new)
}
