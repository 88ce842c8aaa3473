//! What is asked of a cloud's API, and what comes back.

use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::CallError;
use crate::outside::Outside;

/// How often a lane is asked at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// So many questions, whatever comes of them; attempts to ask again are not counted.
    pub most: usize,
    /// Within this time. That there is nothing behind a question is kept for as long.
    pub per: Duration,
}

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aws, Self::Azure, Self::Gcp];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }
}

/// Names a question: all that its answer depends on. Those whose keys are equal share one answer, so the account, the region and
/// whatever else tells two answers apart is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose API.
    pub cloud: Cloud,
    /// What shares a quota and an outage, e.g. `ec2/123456789012/eu-west-1`: few questions of one lane are asked at once, and
    /// one lane does not hold up another. A question that asks others while it is asked has them in other lanes.
    pub lane: String,
    /// The operation with its arguments, e.g. `DescribeInstances i-0123456789abcdef0`. Never a secret.
    pub what: String,
}

/// What comes of a question.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// A strict form of the question's own, not what the API sent. May be a secret (credentials are answers too).
    pub body: Zeroizing<Vec<u8>>,
    /// How long it is worth.
    pub kept: Duration,
}

impl Answer {
    /// How long what was found is kept unless the settings say otherwise.
    pub const POSITIVE: Duration = Duration::from_secs(180);
    /// Longest that it is kept that something is not there: it may be there in a moment.
    pub const NEGATIVE: Duration = Duration::from_secs(10);
    /// Longest body, bytes: the accounts of a large organisation, the instances of a large cluster.
    pub const MOST: usize = 1024 * 1024;

    /// An answer that is worth `kept`.
    #[must_use]
    pub fn new(body: Vec<u8>, kept: Duration) -> Self {
        Self {
            body: Zeroizing::new(body),
            kept,
        }
    }
}

/// Without the body.
impl core::fmt::Debug for Answer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "[{} bytes], kept {:?}", self.body.len(), self.kept)
    }
}

/// An answer's body, shared by all who asked.
pub type Known = Arc<Zeroizing<Vec<u8>>>;

/// One attempt under way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send + 'a>>;

/// A question to a cloud.
pub trait Question: Send + Sync + core::fmt::Debug {
    /// Its name.
    fn key(&self) -> Key;

    /// How often its lane is asked at all, where what it asks for is anybody's to make up; the same for all of a lane.
    fn quota(&self) -> Option<Quota> {
        None
    }

    /// Asks, once. Whoever runs it asks again where that is worth it ([`CallError::is_passing`]).
    ///
    /// It may ask for other answers on its way, of other lanes. An answer that says that there is nothing is one.
    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a>;
}
