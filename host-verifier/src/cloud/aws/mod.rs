//! Amazon Web Services, as far as a verifier asks it.
//!
//! Some ten fixed calls: STS, EC2, IAM, Organizations, EKS, Auto Scaling. They are put together here, signed by AWS's own crate
//! (`aws-sigv4`) and sent through [`Outside`], so that every rule about addresses, sizes and times holds for them as for all
//! other requests. The SDK would bring 148 crates, a resolver, a pool and a retry policy of its own, and EC2's part of it takes
//! the compiler eight gigabytes.
//!
//! * [`Aws`]: the questions, typed. What they answer: [`answers`].
//! * [`Settings`]: whose credentials, which role, which endpoints; the operator's, and no policy's.
//! * [`Place`], [`Region`], [`RoleArn`]: names that somebody else wrote, read strictly.
//! * [`hint`]: what to do about a call that failed.
//! * [`Fleet`]: how many calls a number of logins makes.
//!
//! In the account of a node the role [`Settings::role`] is assumed. Its credentials, like the service's own, are answers that
//! are kept: until five minutes before they end, and at most for [`KEYS_KEPT`].

pub mod answers;
mod call;
mod clusters;
mod error;
mod identity;
mod instances;
mod keys;
mod media;
mod metadata;
mod organizations;
mod place;
mod predict;
mod settings;
mod sign;
mod xml;

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::hint;
pub use keys::KEPT as KEYS_KEPT;
pub use place::{
    Partition, Place, PlaceError, Region, RoleArn, is_account, is_cluster_name, is_id, is_role_name,
};
pub use predict::{Calls, Cluster, Fleet};
pub use settings::{
    CredentialSource, DEFAULT_METADATA, DEFAULT_ROLE, DEFAULT_SESSION_NAME, Service, Settings,
};

use self::answers::{
    Caller, ClusterNodes, ImageAnswer, Instance, InstanceAnswer, Membership, ProfileAnswer, Volumes,
};
use super::{Answer, CallError, CallErrorKind, Clouds, Question};
use crate::clock::{Clock, SystemClock};
use crate::outside::Outside;

/// How variables of the environment are read.
type Environment = fn(&str) -> Option<String>;

/// AWS, asked with the service's settings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clouds: Arc<Clouds>,
    clock: Arc<dyn Clock>,
    environment: Environment,
}

impl Aws {
    /// With these settings. Nothing is asked or read yet.
    #[must_use]
    pub fn new(clouds: Arc<Clouds>) -> Self {
        Self(Arc::new(Inner {
            clouds,
            clock: Arc::new(SystemClock::new()),
            environment: |name| std::env::var(name).ok(),
        }))
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.clouds.aws
    }

    /// Whom the verifier's credentials belong to.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn caller(&self, outside: &dyn Outside) -> Result<Caller, CallError> {
        self.known(outside, identity::WhoAmI { aws: self.clone() })
            .await
    }

    /// The instance of this id; `None`: there is none in this account and region, or not any more. What state it is in is in the
    /// answer, and for the caller to judge.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn instance(
        &self,
        outside: &dyn Outside,
        place: &Place,
        id: &str,
    ) -> Result<Option<Instance>, CallError> {
        let question = instances::OfInstance::new(self, place, id)?;
        let answer: InstanceAnswer = self.known(outside, question).await?;
        Ok(answer.instance)
    }

    /// The ARNs of the roles of an instance profile, which is named by its ARN; `None`: there is no such profile any more.
    ///
    /// # Errors
    ///
    /// [`CallError`]; also when the profile is not one of the place's own account.
    pub async fn roles(
        &self,
        outside: &dyn Outside,
        place: &Place,
        profile: &str,
    ) -> Result<Option<BTreeSet<String>>, CallError> {
        let question = instances::OfProfile::new(self, place, profile)?;
        let answer: ProfileAnswer = self.known(outside, question).await?;
        Ok(answer.roles)
    }

    /// Whether an account is an active one of an organisation: of the one that `role` may list, or without a role of the
    /// accounts in [`Settings::account_list_file`].
    ///
    /// # Errors
    ///
    /// [`CallError`]; also when there is no such file, or an empty one.
    pub async fn in_organization(
        &self,
        outside: &dyn Outside,
        role: Option<&RoleArn>,
        account: &str,
    ) -> Result<bool, CallError> {
        let question = organizations::IsMember::new(self, role, account);
        let answer: Membership = self.known(outside, question).await?;
        Ok(answer.member)
    }

    /// Whether an instance is in a managed node group of the EKS cluster of this name in the place's account and region. One
    /// that is not in the list that is known has it asked for anew, at most once in [`CLUSTER_REFRESH`] for
    /// each cluster: it may have been started a moment ago.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn in_cluster(
        &self,
        outside: &dyn Outside,
        place: &Place,
        cluster: &str,
        instance: &str,
    ) -> Result<bool, CallError> {
        let question = clusters::IsNode::new(self, place, cluster, instance)?;
        let answer: Membership = self.known(outside, question).await?;
        Ok(answer.member)
    }

    /// All instances of a cluster's managed node groups, as they are known now.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn cluster_nodes(
        &self,
        outside: &dyn Outside,
        place: &Place,
        cluster: &str,
    ) -> Result<ClusterNodes, CallError> {
        let question = clusters::OfCluster::new(self, place, cluster)?;
        self.known(outside, question).await
    }

    /// Whether these volumes are encrypted. At most 40 (what an instance has at most, and more).
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn volumes(
        &self,
        outside: &dyn Outside,
        place: &Place,
        ids: &[String],
    ) -> Result<Volumes, CallError> {
        // An instance whose root is an instance store may have none; EC2 would take an empty list for all of the account's.
        if ids.is_empty() {
            return Ok(Volumes::default());
        }
        let question = media::OfVolumes::new(self, place, ids)?;
        self.known(outside, question).await
    }

    /// When an image was made.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn image(
        &self,
        outside: &dyn Outside,
        place: &Place,
        id: &str,
    ) -> Result<ImageAnswer, CallError> {
        let question = media::OfImage::new(self, place, id)?;
        self.known(outside, question).await
    }

    /// What to do about a call that failed; see [`hint`].
    #[must_use]
    pub fn hint(&self, error: &CallError) -> Option<String> {
        hint(error, &self.settings().role)
    }

    /// Asks, and reads the answer back.
    async fn known<T: DeserializeOwned>(
        &self,
        outside: &dyn Outside,
        question: impl Question + 'static,
    ) -> Result<T, CallError> {
        let known = outside.answer(Arc::new(question)).await?;
        let unread = CallErrorKind::Content("it was kept in another form");
        answers::read(&known).map_err(|_| CallError::new("aws", "call", unread))
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now().wall
    }

    /// Where STS is asked.
    fn region(&self) -> Region {
        let set = self.settings().region.clone();
        let named = |name: &str| Region::parse(&(self.0.environment)(name)?).ok();
        set.or_else(|| named("AWS_REGION"))
            .or_else(|| named("AWS_DEFAULT_REGION"))
            .unwrap_or_else(Region::first)
    }

    /// How long something that was found is kept.
    fn ttl(&self) -> Duration {
        self.settings().cache_ttl
    }

    /// How long something that is not there, or that may be otherwise in a moment, is kept.
    fn moment(&self) -> Duration {
        self.ttl().min(Answer::NEGATIVE)
    }
}

/// How often the nodes of a cluster are asked for anew because one is not among them.
pub const CLUSTER_REFRESH: Duration = clusters::REFRESH;

/// As it is kept.
fn kept<T: Serialize>(value: &T, ttl: Duration) -> Result<Answer, CallError> {
    let json = serde_json::to_vec(value);
    let json = json
        .map_err(|_| CallError::new("aws", "call", CallErrorKind::Content("it cannot be kept")))?;
    Ok(Answer::new(json, ttl))
}

/// Something that was to be asked is no name of AWS's.
fn misnamed(operation: &'static str, wrong: PlaceError) -> CallError {
    let why = match wrong {
        PlaceError::Profile => "the profile is none of this account",
        _ => "what was to be asked is no name of AWS's",
    };
    CallError::new("aws", operation, CallErrorKind::Content(why))
}
