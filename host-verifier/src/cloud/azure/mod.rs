//! Azure: the names of its resources, its clouds, and what is asked of its APIs.
//!
//! * [`Guid`], [`ResourceId`]: the names of tenants, subscriptions, principals, virtual machines.
//! * [`Environment`]: which of the Azures, each with its own hosts. [`Settings`]: what the operator made of it.
//! * [`Settings::trust`]: whose signatures are Azure's; [`IntermediateQuestion`]: certificates below them.
//! * [`FindMachine`]: the question for a virtual machine; [`Machine`], what is known of it then.

mod arm;
mod environment;
mod find;
mod guid;
mod intermediate;
mod machine;
mod resource;
mod roots;
mod settings;
mod token;

pub use environment::{Environment, Version};
pub use find::{FindMachine, Found, ScaleSetName, Wanted};
pub use guid::Guid;
pub use intermediate::IntermediateQuestion;
pub use machine::{Interface, MOST_ADDRESSES, MOST_INTERFACES, MOST_TAGS, Machine};
pub use resource::{MAX_RESOURCE_ID, ResourceId};
pub use roots::TrustError;
pub use settings::{Access, Credentials, Endpoints, OtherEnvironment, Proof, Settings};
