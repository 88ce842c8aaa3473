//! Which tenant a token means, and every check on it. Pure.

use core::time::Duration;

use jiff::Timestamp;

use super::Answer;
use super::resource::{self, GivenTo};
use crate::attestor::azure::lists::Lists;
use crate::attestor::issuer;
use crate::attestor::source::SourceRule;
use crate::attestor::{AttestError, Fault};
use crate::cloud::azure::{Access, Found, Guid, ResourceId, Version};
use crate::jwt::json::{Json, Object};
use crate::jwt::{
    self, Algorithm, Expectations, JwtError, LONGEST_LEEWAY, Prepared, Unverified, shown,
};
use crate::outside::KeySource;

/// What Entra signs with.
const ALGORITHMS: [Algorithm; 1] = [Algorithm::RS256];

/// The rules of one entry, checked.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) tenants: Vec<Tenant>,
    pub(super) lists: Lists,
    pub(super) managed_only: bool,
    pub(super) source: SourceRule,
    pub(super) max_token_age: Option<Duration>,
    pub(super) prepared: Prepared,
}

/// An entry of `tenants`.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) position: usize,
    pub(super) id: Guid,
    pub(super) principal: Option<Guid>,
    /// Those whose machines are let in.
    pub(super) subscriptions: Option<Vec<Guid>>,
    pub(super) audiences: Vec<String>,
    pub(super) issuers: Vec<Issuer>,
    pub(super) access: Access,
}

/// An issuer of a tenant's tokens.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) position: usize,
    pub(super) name: String,
    /// `ver` of its tokens, where it is one of Entra's own.
    pub(super) version: Option<Version>,
    pub(super) source: KeySource,
}

/// Which entry of `tenants` and which of its issuers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) tenant: usize,
    pub(super) issuer: usize,
}

/// Where the key is that a token is judged by.
pub(super) enum Key<'a> {
    Jwk(&'a [u8]),
    /// In a whole answer, of which nothing else is looked at.
    Answer(&'a [u8]),
}

/// A token that passed, but for what only Azure's API says.
#[derive(Debug)]
pub(super) struct Proven<'a> {
    judge: &'a Judge,
    pub(super) tenant: &'a Tenant,
    pub(super) principal: Guid,
    pub(super) resource: Option<ResourceId>,
    shared: bool,
}

fn refused(check: &'static str, detail: String) -> AttestError {
    AttestError::new(Fault::Refused, check, detail)
}

fn failed(error: JwtError) -> AttestError {
    issuer::failed(error)
}

impl Judge {
    /// Whether Azure's API is asked for the machine.
    pub(super) fn asks_machine(&self) -> bool {
        self.lists.need_machine() || self.source != SourceRule::Ignore
    }

    /// Finds the entry that an unverified token means, and the issuer whose key decides about it. Nobody is asked for the
    /// sake of a token of another tenant or issuer.
    ///
    /// # Errors
    ///
    /// The form of the claims; a tenant, principal, issuer or algorithm that is not let in.
    pub(super) fn choose<'t>(
        &self,
        token: &'t Unverified<'_>,
    ) -> Result<(&Tenant, &Issuer, &'t str), AttestError> {
        let algorithm = token.header().algorithm;
        if !ALGORITHMS.contains(&algorithm) {
            return Err(failed(JwtError::AlgorithmNotAllowed(algorithm)));
        }
        let kid = token.header().kid.as_deref();
        let kid = kid.ok_or_else(|| {
            let detail = "token missing key id: it has no `kid`".to_owned();
            refused("token-key-unknown", detail)
        })?;
        let texts = jwt::untrusted_texts(token, ["tid", "oid", "iss"]);
        let [tid, oid, iss] = texts.map_err(failed)?;
        let tid = tid.ok_or_else(|| failed(JwtError::Missing("tenant ID (tid)")))?;
        let listed = || self.tenants.iter().filter(|tenant| tenant.id.is(&tid));
        if listed().next().is_none() {
            let detail = format!("tenant {} is not authorized", shown(&tid));
            return Err(refused("tenant-not-allowed", detail));
        }
        let oid = oid.ok_or_else(|| failed(JwtError::Missing("principal (oid)")))?;
        let names = |tenant: &&Tenant| {
            let wanted = tenant.principal.as_ref();
            wanted.is_some_and(|wanted| wanted.is(&oid))
        };
        let names_none = |tenant: &&Tenant| tenant.principal.is_none();
        // An entry that names the principal before one that does not.
        let found = listed().find(names);
        let Some(tenant) = found.or_else(|| listed().find(names_none)) else {
            let detail = format!("principal {} is not authorized", shown(&oid));
            return Err(refused("principal-not-allowed", detail));
        };
        let iss = iss.ok_or_else(|| failed(JwtError::Missing("issuer (iss)")))?;
        let found = tenant.issuers.iter().find(|issuer| issuer.name == iss);
        let issuer = found.ok_or_else(|| {
            let names: Vec<_> = tenant.issuers.iter().map(|one| one.name.as_str()).collect();
            let expected = names.join(" or ");
            failed(JwtError::Issuer {
                found: iss.to_string(),
                expected,
            })
        })?;
        Ok((tenant, issuer, kid))
    }

    /// The entry and the issuer that were chosen.
    pub(super) fn at(&self, place: Place) -> Result<(&Tenant, &Issuer), AttestError> {
        let tenant = self.tenants.get(place.tenant);
        let found = tenant.and_then(|tenant| Some((tenant, tenant.issuers.get(place.issuer)?)));
        found.ok_or_else(|| issuer::internal("the entry is not there any more".to_owned()))
    }

    /// Judges a token by the key of the issuer that was chosen.
    ///
    /// # Errors
    ///
    /// Any failed check.
    pub(super) fn prove(
        &self,
        place: Place,
        token: &Unverified<'_>,
        key: Key<'_>,
        now: Timestamp,
    ) -> Result<Proven<'_>, AttestError> {
        let (tenant, issuer) = self.at(place)?;
        let expected = Expectations {
            issuer: &issuer.name,
            audiences: &tenant.audiences,
            subject: None,
            typ: None,
            algorithms: Some(&ALGORITHMS),
            leeway: LONGEST_LEEWAY,
            max_lifetime: None,
        };
        jwt::check_allowed(token, &expected).map_err(issuer::problem)?;
        let algorithm = token.header().algorithm;
        let key = match key {
            Key::Jwk(jwk) => self.prepared.key(jwk, algorithm).map_err(issuer::problem),
            Key::Answer(answer) => {
                let read = |answer| {
                    let answer = Answer::read(answer)?;
                    answer.key.check(&issuer.source)?;
                    Ok(answer.key.jwk)
                };
                let source = &issuer.source;
                self.prepared
                    .answered(source, answer, algorithm, read, issuer::problem)
            }
        };
        let claims = jwt::judge_prepared(token, &*key?, &expected, now);
        let claims = claims.map_err(issuer::problem)?;
        self.check_age(claims.issued, now)?;
        let claims = &claims.all;
        let tid = claims.get("tid").and_then(Json::text);
        if !tid.is_some_and(|tid| tenant.id.is(tid)) {
            let tid = guid(claims, "tid", "tenant ID (tid)")?;
            let detail = format!("tenant {tid} is not authorized");
            return Err(refused("tenant-not-allowed", detail));
        }
        let principal = guid(claims, "oid", "principal (oid)")?;
        if tenant
            .principal
            .as_ref()
            .is_some_and(|wanted| *wanted != principal)
        {
            let detail = format!("principal {principal} is not authorized");
            return Err(refused("principal-not-allowed", detail));
        }
        check_version(claims, issuer.version)?;
        check_application(claims)?;
        let given_to = resource::given_to(claims)?;
        self.check_resource(tenant, &given_to)?;
        Ok(Proven {
            judge: self,
            tenant,
            principal,
            resource: given_to.resource,
            shared: given_to.shared,
        })
    }

    fn check_age(&self, issued: Option<Timestamp>, now: Timestamp) -> Result<(), AttestError> {
        let Some(most) = self.max_token_age else {
            return Ok(());
        };
        let issued = issued.ok_or_else(|| failed(JwtError::Missing("issue time (iat)")))?;
        let age = now.as_second().saturating_sub(issued.as_second());
        match u64::try_from(age).is_ok_and(|age| age > most.as_secs()) {
            true => Err(refused(
                "token-age",
                format!(
                    "the token is {age} s old, more than {} s; Azure gives a cached one again",
                    most.as_secs()
                ),
            )),
            false => Ok(()),
        }
    }

    fn check_resource(&self, tenant: &Tenant, given_to: &GivenTo) -> Result<(), AttestError> {
        if self.managed_only && !given_to.managed {
            let detail = "the token is of no managed identity: it has no xms_mirid".to_owned();
            return Err(refused("token-not-managed", detail));
        }
        let own = tenant.subscriptions.as_ref();
        let needed = own.is_some() || self.lists.need_resource() || self.asks_machine();
        let resource = given_to.resource.as_ref();
        if let (Some(own), Some(resource)) = (own, resource)
            && !own.contains(resource.subscription())
        {
            let (subscription, position) = (resource.subscription(), tenant.position);
            let detail = format!(
                "subscription {subscription} is not among `tenants[{position}].subscriptionIDs`"
            );
            return Err(refused("subscription-not-allowed", detail));
        }
        match resource {
            None if needed => Err(refused(
                "token-resource",
                "the token does not say which resource it was given to: xms_az_rid is absent, and \
                 xms_mirid is absent or a user-assigned identity"
                    .to_owned(),
            )),
            Some(resource) if self.lists.need_resource() => {
                self.lists.check_subscription(resource.subscription())?;
                self.lists.check_group(resource.group())?;
                match resource.is_machine() || resource.is_scale_set() {
                    true => self.lists.check_name(resource.outer_name()),
                    // It has no machine's name, so a list of those lets it in only where there is none.
                    false => self.lists.check_name(""),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Proven<'_> {
    /// The machine that Azure must be asked for.
    pub(super) fn machine_to_ask_for(&self) -> Option<&ResourceId> {
        let needed = self.judge.asks_machine();
        self.resource.as_ref().filter(|_| needed)
    }

    /// What Azure's API said of the machine.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`]: there is no such machine, it does not have this identity, or the lists do not let it in.
    pub(super) fn check_machine(&self, found: Option<&Found>) -> Result<(), AttestError> {
        let Some(resource) = self.machine_to_ask_for() else {
            return Ok(());
        };
        let whom = &self.tenant.access.resource_manager;
        let none = || issuer::internal(format!("{whom} was not asked for {:?}", resource.as_str()));
        let found = found.ok_or_else(none)?;
        if found.asked != *whom {
            let why = "it is the answer of another resource manager".to_owned();
            return Err(issuer::internal(why));
        }
        let Some(machine) = &found.machine else {
            let detail = format!(
                "Azure knows no virtual machine and no scale set {:?}",
                resource.as_str()
            );
            return Err(refused("vm-not-found", detail));
        };
        let same = ResourceId::parse(&machine.id).map(|id| id.folded());
        if same != Some(resource.folded()) {
            return Err(issuer::internal("it is about another machine".to_owned()));
        }
        // Another machine may bear the name by now.
        if !machine.principals.contains(&self.principal) {
            let detail = format!(
                "{:?} does not have the identity {}",
                resource.as_str(),
                self.principal
            );
            return Err(refused("vm-identity", detail));
        }
        self.judge.lists.check_machine(machine)
    }

    /// The principal; of one that several machines may have, with the machine where the token names it.
    pub(super) fn identity(&self) -> String {
        let (tenant, principal) = (&self.tenant.id, &self.principal);
        match &self.resource {
            Some(resource) if self.shared => {
                format!("{tenant}/{principal}#{}", resource.folded())
            }
            _ => [tenant.as_str(), "/", principal.as_str()].concat(),
        }
    }
}

fn guid(claims: &Object<'_>, name: &str, what: &'static str) -> Result<Guid, AttestError> {
    let text = claims.get(name).and_then(Json::text);
    let guid = text.and_then(Guid::parse);
    guid.ok_or_else(|| failed(JwtError::Missing(what)))
}

/// `ver` says which form a token has, and each form has an issuer of its own.
fn check_version(claims: &Object<'_>, expected: Option<Version>) -> Result<(), AttestError> {
    let expected = match expected {
        None => return Ok(()),
        Some(Version::V1) => "1.0",
        Some(Version::V2) => "2.0",
    };
    let found = claims.get("ver").and_then(Json::text);
    match found == Some(expected) {
        true => Ok(()),
        false => Err(refused(
            "token-version",
            format!(
                "version (ver) is {}, not {expected:?}",
                found.map_or_else(|| "absent".to_owned(), shown)
            ),
        )),
    }
}

/// Where a token says whether a person or an application has it, it is an application: a person's token, for the same
/// audience, proves nothing about a machine.
fn check_application(claims: &Object<'_>) -> Result<(), AttestError> {
    match claims.get("idtyp") {
        None => Ok(()),
        Some(Json::Text(kind)) if kind == "app" => Ok(()),
        Some(_) => Err(refused(
            "token-not-application",
            "the token is not of an application: idtyp is not \"app\"".to_owned(),
        )),
    }
}
