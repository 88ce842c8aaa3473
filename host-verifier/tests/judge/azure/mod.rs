//! Azure's methods, judged with an outside that answers whatever a test wants.
//!
//! * `entra`: an issuer of Azure's form. `arm`: a resource manager.
//! * `world`: pages and keys outside; questions to clouds are asked at once, without a cache.
//! * `documents`: `azure_imds`. `operators`: what a policy cannot say.
//! * `tokens`: `azure_msi`, what a token must say. `machines`: and what the resource manager must say.

pub(crate) mod arm;
pub(crate) mod documents;
pub(crate) mod entra;
pub(crate) mod machines;
mod offline;
mod operators;
mod tokens;
mod world;

pub(crate) use entra::Entra;
