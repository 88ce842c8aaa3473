//! One rotation: read, publish, make, remove, tell.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Found, Issuer, OwnSet, RotateError};
use crate::clock::Moment;
use crate::store::{Authorities, AuthorityKind, AuthorityRecord};
use crate::svid::Bundle;
use crate::svid::authority::{AuthorityError, JwtAuthority, Making, Own, X509Authority};
use crate::svid::keys::{KeyType, Signer};
use crate::svid::rotation::{self, State};
use crate::svid::upstream::{UpstreamAuthority, UpstreamError};
use crate::telemetry::names;

/// How long something must have been seen to be of no more use before it is removed.
const GRACE: Duration = Duration::from_secs(3600);

/// Ended authorities that are kept for that long. Of more than these the oldest go at once: a service that never runs for an
/// hour must clear up too.
const KEEP_ENDED: usize = 32;

/// Most authorities of one verifier, those whose keys it has lost counted in. With more than these it makes no others, so that
/// one verifier that starts anew over and over takes no other's place in the bundle.
pub const MAX_OF_REPLICA: usize = 64;

/// What the files of the upstream authority gave: nothing where none is configured.
type Upstream = Result<Option<Arc<UpstreamAuthority>>, UpstreamError>;
type Signers = BTreeMap<String, Arc<dyn Signer>>;

impl Issuer {
    /// Brings authorities and bundle up to date. To be called before anything is issued, and then once a minute; cheap when
    /// nothing is due: one read of the store, and of the upstream authority's files.
    ///
    /// # Errors
    ///
    /// [`RotateError`]: the first of what went wrong. Authorities that are there go on signing.
    pub async fn rotate(&self, now: Moment) -> Result<(), RotateError> {
        self.turn(now, true).await
    }

    /// [`Self::rotate`] at the start, before anything can be asked for: an authority that is made counts as one that never
    /// signed until the next rotation. Should the service end before, it withdraws the authority when it starts again.
    ///
    /// # Errors
    ///
    /// As [`Self::rotate`].
    pub async fn prepare(&self, now: Moment) -> Result<(), RotateError> {
        self.turn(now, false).await
    }

    async fn turn(&self, now: Moment, signs: bool) -> Result<(), RotateError> {
        let _rotating = self.begin().ok_or(RotateError::Busy)?;
        let mut trouble = None;
        let before = self.found();
        let signers = self.signers().await?;
        let mut stored = self.stored().await?;
        if self.publish_again(&before, &stored, now.wall).await? {
            stored = self.stored().await?;
        }
        if self.withdraw(&stored, &signers).await? {
            stored = self.stored().await?;
        }
        let upstream = match &self.upstream {
            None => Ok(None),
            Some(files) => files.load(now.wall).map(Some),
        };

        let mut changed = false;
        let mut x509 = self.own_x509(&before, &stored, &signers, &upstream);
        if rotation::due(now.wall, &x509.lives) {
            let made = match self.room(&stored) {
                Ok(()) => self.make_x509(&upstream, now.wall).await,
                Err(error) => Err(error),
            };
            match made {
                Ok(made) => {
                    changed = true;
                    x509.all.push(Arc::new(made));
                    x509 = self.set_x509(x509.all, &upstream);
                }
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        let mut jwt = self.own_jwt(&before, &stored, &signers);
        if rotation::due(now.wall, &jwt.lives) {
            let made = match self.room(&stored) {
                Ok(()) => self.make_jwt(now.wall).await,
                Err(error) => Err(error),
            };
            match made {
                Ok(made) => {
                    changed = true;
                    jwt.all.push(Arc::new(made));
                    jwt = self.set_jwt(jwt.all);
                }
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        let upstream_ends = match upstream {
            Ok(upstream) => upstream.map(|upstream| upstream.ends()),
            Err(error) => {
                trouble = trouble.or(Some(error.into()));
                before.upstream_ends
            }
        };
        match self.remove_ended(&stored, &signers, now).await {
            Ok(removed) => changed |= removed,
            Err(error) => trouble = trouble.or(Some(error)),
        }
        if changed {
            match self.stored().await {
                Ok(all) => stored = all,
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        if signs {
            for result in [
                self.tell_states(&x509, &stored, now.wall).await,
                self.tell_states(&jwt, &stored, now.wall).await,
            ] {
                trouble = trouble.or(result.err());
            }
        }
        let bundle = self.bundle_of(&before, &stored);
        self.shared().found = Arc::new(Found {
            x509,
            jwt,
            upstream_ends,
            bundle,
        });
        trouble.map_or(Ok(()), Err)
    }

    async fn stored(&self) -> Result<Authorities, RotateError> {
        Ok(self.store.authorities(&self.settings.trust_domain).await?)
    }

    async fn signers(&self) -> Result<Signers, RotateError> {
        let keys = self.keys.keys().await?;
        Ok(keys.into_iter().map(|k| (k.id().to_owned(), k)).collect())
    }

    /// Publishes own authorities that were in the store and are not any more: a verifier with a wrong clock may have
    /// removed them, or the store is an older copy.
    async fn publish_again(
        &self,
        before: &Found,
        stored: &Authorities,
        now: Timestamp,
    ) -> Result<bool, RotateError> {
        let known: BTreeSet<_> = stored.records.iter().map(|r| r.id.as_str()).collect();
        let x509 = before.x509.all.iter().map(|one| one.record());
        let jwt = before.jwt.all.iter().map(|one| one.record());
        let mut changed = false;
        for record in x509.chain(jwt) {
            if !known.contains(record.id.as_str()) && now < record.not_after {
                changed |= self.store.publish_authority(record).await?;
                tracing::warn!(authority = record.id, "{}", names::AUTHORITY_MISSED);
            }
        }
        Ok(changed)
    }

    /// Removes own authorities that never signed and whose keys are gone: nobody misses them, and a service that ends again
    /// and again before it serves would fill the store with them, until no verifier could publish one.
    async fn withdraw(&self, stored: &Authorities, signers: &Signers) -> Result<bool, RotateError> {
        let replica = self.keys.replica();
        let never_signed = |record: &&AuthorityRecord| {
            record.replica == replica
                && record.state == State::Prepared
                && !signers.contains_key(&record.id)
        };
        let mut changed = false;
        for record in stored.records.iter().filter(never_signed) {
            let domain = &self.settings.trust_domain;
            let removed = self
                .store
                .remove_authority(domain, &record.id, Timestamp::MAX)
                .await?;
            changed |= removed;
            tracing::info!(authority = record.id, "{}", names::AUTHORITY_REMOVED);
        }
        Ok(changed)
    }

    /// Whether this verifier may make another.
    fn room(&self, stored: &Authorities) -> Result<(), RotateError> {
        let replica = self.keys.replica();
        let own = stored.records.iter().filter(|r| r.replica == replica);
        match own.count() < MAX_OF_REPLICA {
            true => Ok(()),
            false => Err(RotateError::TooManyOwn),
        }
    }

    fn own_x509(
        &self,
        before: &Found,
        stored: &Authorities,
        signers: &Signers,
        upstream: &Upstream,
    ) -> OwnSet<X509Authority> {
        let restore = |record: &AuthorityRecord, signer: &Arc<dyn Signer>| {
            X509Authority::restore(record.clone(), signer.clone())
        };
        let all = own(
            AuthorityKind::X509,
            &before.x509.all,
            stored,
            signers,
            restore,
        );
        self.set_x509(all, upstream)
    }

    fn own_jwt(
        &self,
        before: &Found,
        stored: &Authorities,
        signers: &Signers,
    ) -> OwnSet<JwtAuthority> {
        let restore = |record: &AuthorityRecord, signer: &Arc<dyn Signer>| {
            JwtAuthority::restore(record.clone(), signer.clone())
        };
        let all = own(
            AuthorityKind::Jwt,
            &before.jwt.all,
            stored,
            signers,
            restore,
        );
        self.set_jwt(all)
    }

    fn set_x509(&self, all: Vec<Arc<X509Authority>>, upstream: &Upstream) -> OwnSet<X509Authority> {
        let kind = self.settings.x509_key;
        OwnSet::new(all, |one| match upstream {
            Ok(upstream) => one.outdated(kind, upstream.as_deref()),
            // What stands above cannot be read: nothing can be made either, so nothing is replaced.
            Err(_) => false,
        })
    }

    fn set_jwt(&self, all: Vec<Arc<JwtAuthority>>) -> OwnSet<JwtAuthority> {
        OwnSet::new(all, |one| one.outdated(self.settings.jwt_key))
    }

    async fn make_x509(
        &self,
        upstream: &Upstream,
        now: Timestamp,
    ) -> Result<X509Authority, RotateError> {
        let upstream = upstream.as_ref().map_err(Clone::clone)?.as_deref();
        let signer = self
            .new_key(AuthorityKind::X509, self.settings.x509_key)
            .await?;
        let making = self.making(now);
        let random = self.random.as_ref();
        let made = X509Authority::make(signer, making, upstream, random).await?;
        self.publish(&made).await?;
        Ok(made)
    }

    async fn make_jwt(&self, now: Timestamp) -> Result<JwtAuthority, RotateError> {
        let signer = self
            .new_key(AuthorityKind::Jwt, self.settings.jwt_key)
            .await?;
        let made = JwtAuthority::make(signer, self.making(now))?;
        self.publish(&made).await?;
        Ok(made)
    }

    fn making(&self, now: Timestamp) -> Making<'_> {
        Making {
            trust_domain: &self.settings.trust_domain,
            replica: self.keys.replica(),
            subject: &self.settings.subject,
            ttl: self.settings.ca_ttl,
            now,
        }
    }

    /// A new key, or one that was made for an authority which nobody could be told of.
    async fn new_key(
        &self,
        kind: AuthorityKind,
        key_type: KeyType,
    ) -> Result<Arc<dyn Signer>, AuthorityError> {
        let spare = self.shared().spare.get(&kind).cloned();
        if let Some(key) = spare.filter(|key| key.key_type() == key_type) {
            return Ok(key);
        }
        let key = self.keys.create(key_type).await?;
        self.shared().spare.insert(kind, key.clone());
        Ok(key)
    }

    /// Nothing is signed with an authority before it is published.
    async fn publish(&self, made: &impl Own) -> Result<(), RotateError> {
        let record = made.record();
        let published = self.store.publish_authority(record).await;
        if matches!(published, Ok(false)) {
            // An earlier try was not answered, and had come through: the store's record counts, at the next rotation.
            self.shared().spare.remove(&record.kind);
            return Err(RotateError::Busy);
        }
        published?;
        self.shared().spare.remove(&record.kind);
        tracing::info!(
            authority = record.id,
            kind = record.kind.name(),
            not_after = %record.not_after,
            "{}",
            names::AUTHORITY_PREPARED
        );
        Ok(())
    }

    /// Removes authorities that have ended, whoever made them, and own keys that belong to none.
    async fn remove_ended(
        &self,
        stored: &Authorities,
        signers: &Signers,
        now: Moment,
    ) -> Result<bool, RotateError> {
        let over = stored.records.iter().filter(|r| r.not_after < now.wall);
        let mut over: Vec<_> = over.map(|r| (r.not_after, r.id.as_str())).collect();
        over.sort_unstable();
        let surplus = over.len().saturating_sub(KEEP_ENDED);
        let surplus: BTreeSet<_> = over.iter().take(surplus).map(|(_, id)| *id).collect();
        let ended: BTreeSet<_> = over.into_iter().map(|(_, id)| id).collect();
        let known: BTreeSet<_> = stored.records.iter().map(|r| r.id.as_str()).collect();
        let due = {
            let mut shared = self.shared();
            let spare: Vec<_> = shared.spare.values().cloned().collect();
            let idle = signers
                .keys()
                .map(String::as_str)
                .filter(|id| !known.contains(id) && !spare.iter().any(|key| key.id() == *id));
            let useless: BTreeSet<&str> = ended.iter().copied().chain(idle).collect();
            shared.ended.retain(|id, _| useless.contains(id.as_str()));
            for id in &useless {
                shared
                    .ended
                    .entry((*id).to_owned())
                    .or_insert(now.monotonic);
            }
            let seen_for = |since: &Duration| now.monotonic.saturating_sub(*since);
            let due = shared
                .ended
                .iter()
                .filter(|(id, since)| surplus.contains(id.as_str()) || seen_for(since) >= GRACE);
            due.map(|(id, _)| id.clone()).collect::<Vec<_>>()
        };
        let mut changed = false;
        for id in due {
            let domain = &self.settings.trust_domain;
            if ended.contains(id.as_str())
                && self.store.remove_authority(domain, &id, now.wall).await?
            {
                changed = true;
                tracing::info!(authority = id, "{}", names::AUTHORITY_REMOVED);
            }
            if signers.contains_key(&id) {
                self.keys.remove(&id).await?;
            }
            self.shared().ended.remove(&id);
        }
        Ok(changed)
    }

    /// Notes the states of own authorities for those who look.
    async fn tell_states<A: Own>(
        &self,
        own: &OwnSet<A>,
        stored: &Authorities,
        now: Timestamp,
    ) -> Result<(), RotateError> {
        let told: BTreeMap<_, _> = stored.records.iter().map(|r| (&r.id, r.state)).collect();
        for (one, state) in own.all.iter().zip(rotation::states(now, &own.lives)) {
            let record = one.record();
            if told.get(&record.id).is_none_or(|told| *told == state) {
                continue;
            }
            let domain = &self.settings.trust_domain;
            self.store
                .set_authority_state(domain, &record.id, state)
                .await?;
            if state == State::Active {
                tracing::info!(
                    authority = record.id,
                    kind = record.kind.name(),
                    "{}",
                    names::AUTHORITY_ACTIVE
                );
            }
        }
        Ok(())
    }

    fn bundle_of(&self, before: &Found, stored: &Authorities) -> Arc<Bundle> {
        if before.bundle.sequence() == stored.sequence {
            return before.bundle.clone();
        }
        let bundle = Bundle::new(&self.settings.trust_domain, stored);
        for id in bundle.unreadable() {
            tracing::warn!(authority = id, "{}", names::AUTHORITY_DAMAGED);
        }
        Arc::new(bundle)
    }
}

/// The authorities of the store whose keys are here; those that are known already stay as they are.
fn own<A: Own>(
    kind: AuthorityKind,
    before: &[Arc<A>],
    stored: &Authorities,
    signers: &Signers,
    restore: impl Fn(&AuthorityRecord, &Arc<dyn Signer>) -> Result<A, String>,
) -> Vec<Arc<A>> {
    let mut all = Vec::new();
    for record in stored.records.iter().filter(|record| record.kind == kind) {
        let Some(signer) = signers.get(&record.id) else {
            continue;
        };
        let known = before.iter().find(|one| one.record().id == record.id);
        match known
            .cloned()
            .map_or_else(|| restore(record, signer).map(Arc::new), Ok)
        {
            Ok(one) => all.push(one),
            Err(error) => {
                tracing::warn!(authority = record.id, error, "{}", names::AUTHORITY_DAMAGED);
            }
        }
    }
    all
}
