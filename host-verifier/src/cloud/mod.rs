//! What the clouds say about their instances, asked for through their APIs.
//!
//! A cloud's answer costs a round trip and counts against a quota that the whole account shares, and thousands of nodes ask the
//! same at once. So a method does not call an API. It describes what it wants to know as a [`Question`], and hands that to
//! [`Outside::answer`](crate::outside::Outside::answer), which asks once for all who want to know the same, keeps the answer for
//! a while, and looks after retries, deadlines and limits (`Answers`).
//!
//! * [`Question`], [`Key`], [`Answer`], [`CallError`]: the seam.
//! * `Answers`, with the feature `service`: the cache behind it.
//! * [`Clouds`]: how the operator of the service set it up. No policy can change that.

#[cfg(feature = "service")]
pub mod answers;
pub mod aws;
pub mod azure;
mod error;
pub mod gcp;
mod question;
#[cfg(feature = "service")]
mod quota;
mod settings;
mod token_issuers;

#[cfg(feature = "service")]
pub use answers::{Answers, Counts, NoCounts, Times};
pub use error::{CallError, CallErrorKind, Code};
pub use question::{Answer, Asking, Cloud, Key, Known, Question, Quota};
pub use settings::Clouds;
pub use token_issuers::TokenIssuers;
