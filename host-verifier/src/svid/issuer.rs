//! The whole of it: own authorities, kept and rotated, and what they sign.
//!
//! [`Issuer::rotate`] is called at the start and once a minute. It reads what all verifiers of the trust domain have published,
//! makes and publishes the next authority when it is due, and removes what has ended. [`Issuer::issue_x509`] and
//! [`Issuer::issue_jwt`] need neither store nor files: they work on what the last rotation found, and which authority signs
//! they find out themselves, from the time.
//!
//! # When the clock is wrong
//!
//! Set back, the authority of that time signs again ([`super::rotation`]). Set forward, a new one is made, and everything
//! else would be removed as ended; therefore nothing is removed before it has been seen to have ended for an hour that no
//! calendar counts, and what another verifier removed wrongly its owner publishes again.

mod rotate;

pub use rotate::MAX_OF_REPLICA;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_common::identity::SpiffeId;
use jiff::Timestamp;

use super::authority::{AuthorityError, JwtAuthority, Own, Subject, X509Authority};
use super::keys::{KeyError, KeyManager, KeyType, Signer};
use super::rotation::{self, Life};
use super::upstream::{UpstreamDisk, UpstreamError};
use super::{Bundle, JwtSvid, VerifiedKey, X509Svid, jwt, x509};
use crate::random::{RandomError, SecureRandom};
use crate::store::{Authorities, AuthorityKind, AuthorityStore, StoreError};

/// What an issuer is told by the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whose identities are issued.
    pub trust_domain: String,
    /// How long an authority lives.
    pub ca_ttl: Duration,
    /// The keys of X.509 authorities.
    pub x509_key: KeyType,
    /// The keys of JWT authorities.
    pub jwt_key: KeyType,
    /// The names in the certificates of authorities.
    pub subject: Subject,
    /// How long an X.509-SVID lives unless less is asked for.
    pub x509_ttl: Duration,
    /// How long a JWT-SVID lives unless less is asked for.
    pub jwt_ttl: Duration,
    /// The `iss` of JWT-SVIDs, and the issuer of the OIDC discovery document.
    pub jwt_issuer: Option<String>,
}

impl Settings {
    /// The defaults for a trust domain.
    #[must_use]
    pub fn new(trust_domain: impl Into<String>) -> Self {
        Self {
            trust_domain: trust_domain.into(),
            ca_ttl: Duration::from_secs(24 * 3600),
            x509_key: KeyType::default(),
            jwt_key: KeyType::default(),
            subject: Subject::default(),
            x509_ttl: x509::DEFAULT_TTL,
            jwt_ttl: jwt::DEFAULT_TTL,
            jwt_issuer: None,
        }
    }
}

/// How long those that sign go on; `None` for one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The own authority of X.509-SVIDs.
    pub x509: Option<Term>,
    /// The own authority of JWT-SVIDs.
    pub jwt: Option<Term>,
    /// The authority above that of X.509-SVIDs, as it was when its files could be read last. Another must be there before
    /// it cuts the life of an own one short.
    pub upstream: Option<Term>,
}

/// How long an authority that signs goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// When another takes over, if one is there by then.
    pub hands_over: Timestamp,
    /// When it ends, and with it everything that it signed.
    pub ends: Timestamp,
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The identity belongs to another trust domain.
    #[error("{0} is not in this trust domain")]
    TrustDomain(String),
    /// No authority is valid now: none could be made, or the clock is wrong.
    #[error("no authority is valid now")]
    NoAuthority,
    /// The lifetime is less than a second.
    #[error("a lifetime of {0:?} ends before it begins")]
    Lifetime(Duration),
    /// The end lies beyond the calendar.
    #[error("the lifetime ends beyond the calendar")]
    Calendar,
    /// No audience, too many, or one that is empty, too long or not printable.
    #[error(
        "a JWT-SVID needs 1 to {} audiences of 1 to {} printable bytes",
        jwt::MAX_AUDIENCES,
        jwt::MAX_AUDIENCE
    )]
    Audience,
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
    /// See [`RandomError`].
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why a rotation did not come to its end. What could be done was done; the next one tries the rest again.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Another rotation is under way.
    #[error("another rotation is under way")]
    Busy,
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This verifier has left too many authorities behind.
    #[error("{MAX_OF_REPLICA} authorities of this verifier are in the bundle")]
    TooManyOwn,
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
    /// See [`AuthorityError`].
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// See [`UpstreamError`].
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl RotateError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Upstream(error) | Self::Authority(AuthorityError::Upstream(error)) => {
                error.hint()
            }
            Self::Key(error) | Self::Authority(AuthorityError::Key(error)) => error.hint(),
            Self::TooManyOwn => Some(
                "it starts anew over and over: keep its keys with keyManager disk, and remove what nobody needs with `assay authority remove`",
            ),
            #[cfg(feature = "service")]
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }
}

/// Issues SVIDs for one trust domain.
#[derive(Debug)]
pub struct Issuer {
    settings: Settings,
    keys: Arc<dyn KeyManager>,
    upstream: Option<UpstreamDisk>,
    store: Arc<dyn AuthorityStore>,
    random: Arc<dyn SecureRandom>,
    shared: Mutex<Shared>,
    rotating: AtomicBool,
}

/// What a rotation leaves behind. Held only while it is read or replaced.
#[derive(Debug)]
struct Shared {
    found: Arc<Found>,
    /// Since when, in a time that no calendar counts, something has been seen to be of no more use.
    ended: BTreeMap<String, Duration>,
    /// Keys that were made and whose authority could not be published: the next try takes them.
    spare: BTreeMap<AuthorityKind, Arc<dyn Signer>>,
}

/// What issuing needs.
#[derive(Debug)]
struct Found {
    x509: OwnSet<X509Authority>,
    jwt: OwnSet<JwtAuthority>,
    /// When the upstream authority ends, if there is one.
    upstream_ends: Option<Timestamp>,
    bundle: Arc<Bundle>,
}

/// Own authorities beside what decides about them.
#[derive(Debug)]
struct OwnSet<A> {
    lives: Vec<Life>,
    all: Vec<Arc<A>>,
}

impl<A: Own> OwnSet<A> {
    fn new(all: Vec<Arc<A>>, outdated: impl Fn(&A) -> bool) -> Self {
        Self {
            lives: all.iter().map(|one| one.life(outdated(one))).collect(),
            all,
        }
    }

    fn active(&self, now: Timestamp) -> Option<&Arc<A>> {
        self.all.get(rotation::active(now, &self.lives)?)
    }

    fn term(&self, now: Timestamp) -> Option<Term> {
        let life = self.lives.get(rotation::active(now, &self.lives)?)?;
        Some(Term {
            hands_over: life.hands_over(),
            ends: life.not_after,
        })
    }
}

impl Issuer {
    /// An issuer without authorities: [`Issuer::rotate`] makes them.
    #[must_use]
    pub fn new(
        settings: Settings,
        keys: Arc<dyn KeyManager>,
        upstream: Option<UpstreamDisk>,
        store: Arc<dyn AuthorityStore>,
        random: Arc<dyn SecureRandom>,
    ) -> Self {
        let found = Found {
            x509: OwnSet::new(Vec::new(), |_| false),
            jwt: OwnSet::new(Vec::new(), |_| false),
            upstream_ends: None,
            bundle: Arc::new(Bundle::new(&settings.trust_domain, &Authorities::default())),
        };
        Self {
            settings,
            keys,
            upstream,
            store,
            random,
            shared: Mutex::new(Shared {
                found: Arc::new(found),
                ended: BTreeMap::new(),
                spare: BTreeMap::new(),
            }),
            rotating: AtomicBool::new(false),
        }
    }

    /// What it was told.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Issues an X.509-SVID for a key whose holder was seen to have it.
    ///
    /// It lives for `ttl`, at most for what is configured, and never longer than the authority. That `id` is what the holder
    /// of the key was attested as is the caller's business.
    ///
    /// # Errors
    ///
    /// [`IssueError`].
    pub async fn issue_x509(
        &self,
        id: &SpiffeId<'_>,
        key: &VerifiedKey,
        now: Timestamp,
        ttl: Option<Duration>,
    ) -> Result<X509Svid, IssueError> {
        self.check_domain(id)?;
        let found = self.found();
        let authority = found.x509.active(now).ok_or(IssueError::NoAuthority)?;
        let longest = self.settings.x509_ttl;
        let ttl = ttl.map_or(longest, |ttl| ttl.min(longest));
        x509::issue(authority, id, key, (now, ttl), self.random.as_ref()).await
    }

    /// Issues a JWT-SVID for these audiences.
    ///
    /// It lives for `ttl`, at most for what is configured, and never longer than the authority.
    ///
    /// # Errors
    ///
    /// [`IssueError`].
    pub async fn issue_jwt(
        &self,
        id: &SpiffeId<'_>,
        audience: &[&str],
        now: Timestamp,
        ttl: Option<Duration>,
    ) -> Result<JwtSvid, IssueError> {
        self.check_domain(id)?;
        let found = self.found();
        let authority = found.jwt.active(now).ok_or(IssueError::NoAuthority)?;
        let longest = self.settings.jwt_ttl;
        let ttl = ttl.map_or(longest, |ttl| ttl.min(longest));
        let issuer = self.settings.jwt_issuer.as_deref();
        jwt::issue(authority, id, audience, (now, ttl), issuer).await
    }

    /// How long an X.509-SVID lives unless somebody asks for less.
    #[must_use]
    pub const fn x509_ttl(&self) -> Duration {
        self.settings.x509_ttl
    }

    /// The bundle as the last rotation found it.
    #[must_use]
    pub fn bundle(&self) -> Arc<Bundle> {
        self.found().bundle.clone()
    }

    /// The OIDC discovery document, when an issuer is configured; `keys` is the path of its JWKS, with its first slash.
    #[must_use]
    pub fn discovery(&self, keys: &str) -> Option<String> {
        let issuer = self.settings.jwt_issuer.as_deref()?;
        let jwks_uri = format!("{}{keys}", issuer.trim_end_matches('/'));
        Some(self.bundle().discovery(issuer, &jwks_uri))
    }

    /// Whether SVIDs can be issued at `now`: for readiness.
    #[must_use]
    pub fn ready(&self, now: Timestamp) -> bool {
        let found = self.found();
        found.x509.active(now).is_some() && found.jwt.active(now).is_some()
    }

    /// How long the authorities go on that sign at `now`.
    #[must_use]
    pub fn terms(&self, now: Timestamp) -> Terms {
        let found = self.found();
        Terms {
            x509: found.x509.term(now),
            jwt: found.jwt.term(now),
            upstream: found.upstream_ends.map(|ends| Term {
                hands_over: ends.checked_sub(self.settings.ca_ttl).unwrap_or(ends),
                ends,
            }),
        }
    }

    fn check_domain(&self, id: &SpiffeId<'_>) -> Result<(), IssueError> {
        match id.trust_domain().as_str() == self.settings.trust_domain {
            true => Ok(()),
            false => Err(IssueError::TrustDomain(id.to_string())),
        }
    }

    fn found(&self) -> Arc<Found> {
        self.shared().found.clone()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Every change is one assignment.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One rotation at a time.
    fn begin(&self) -> Option<Rotating<'_>> {
        self.rotating
            .compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire)
            .ok()
            .map(|_| Rotating(&self.rotating))
    }
}

struct Rotating<'a>(&'a AtomicBool);

impl Drop for Rotating<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
