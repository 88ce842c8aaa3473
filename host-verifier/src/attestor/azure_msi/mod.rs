#![doc = include_str!("../../../../docs/methods/azure_msi.md")]

pub mod config;
pub mod resource;
pub mod verify;

use std::sync::Arc;

use assay_common::policy::AttestorKind;
use serde::{Deserialize, Serialize};

pub use config::Config;

use self::verify::{Judge, Key, Place, Proven, Tenant};
use super::issuer::question::{self, KeyAnswer};
use super::issuer::{self, payload};
use super::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Judged, LoginContext,
    Running,
};
use crate::attestor::source::SourceRule;
use crate::cloud::azure::{FindMachine, Found, Machine, Wanted};
use crate::jwt::{self, Waiting};
use crate::outside::Outside;

/// The attributes. The first two are always given.
const NAMES: [&str; 6] = [
    "azure_msi.tenant.id",
    "azure_msi.identity.principal_id",
    "azure_msi.subscription.id",
    "azure_msi.resource_group",
    "azure_msi.vm.name",
    "azure_msi.vmss.name",
];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    NAMES.contains(&attribute)
}

/// The attestor of an `azure_msi` entry.
#[derive(Debug)]
pub struct AzureMsi {
    judge: Arc<Judge>,
    tofu: bool,
}

impl AzureMsi {
    /// Whose key decides about a payload: the place where its issuer's keys are, and the key's name.
    ///
    /// # Errors
    ///
    /// As [`Attestor::judge`].
    pub fn key_of(&self, payload: &[u8]) -> Result<(String, String), AttestError> {
        let token = payload::token(payload)?;
        let token = jwt::parse(token).map_err(issuer::failed)?;
        let (_, issuer, kid) = self.judge.choose(&token)?;
        Ok((issuer.source.location.url().to_owned(), kid.to_owned()))
    }

    /// Whether Azure is asked for the machine.
    #[must_use]
    pub fn asks_for_machine(&self) -> bool {
        self.judge.asks_machine()
    }
}

impl Attestor for AzureMsi {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AZURE_MSI
    }

    fn attributes(&self) -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }

    fn binds_first_use(&self) -> bool {
        self.tofu
    }

    fn source_rule(&self) -> SourceRule {
        self.judge.source
    }

    /// Nothing to say: the agent's configuration says for whom it asks for a token.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, _: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let token = payload::token(payload)?;
        let token = jwt::parse_and_read(token).map_err(issuer::failed)?;
        let (tenant, issuer, _) = self.judge.choose(&token)?;
        let place = Place {
            tenant: tenant.position,
            issuer: issuer.position,
        };
        Ok(Judged::Errand(Box::new(Ask {
            judge: self.judge.clone(),
            place,
            token: token.wait(),
        })))
    }
}

/// A token that waits for its key, and for what Azure knows of the machine where the policy wants to know that.
struct Ask {
    judge: Arc<Judge>,
    place: Place,
    token: Waiting,
}

/// Without the token.
impl core::fmt::Debug for Ask {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ask")
            .field("token", &self.token)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The answers as they are kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer<'a> {
    #[serde(borrow)]
    key: KeyAnswer<'a>,
    /// Absent where nothing asks for it, or the token was refused before.
    machine: Option<Found>,
}

impl<'a> Answer<'a> {
    fn read(answer: &'a [u8]) -> Result<Self, AttestError> {
        serde_json::from_slice(answer).map_err(|error| issuer::internal(error.to_string()))
    }
}

impl Ask {
    fn prove(&self, key: &KeyAnswer<'_>, now: jiff::Timestamp) -> Result<Proven<'_>, AttestError> {
        key.check(&self.judge.at(self.place)?.1.source)?;
        let (token, jwk) = (self.token.unverified(), Key::Jwk(key.jwk.as_bytes()));
        self.judge.prove(self.place, &token, jwk, now)
    }

    /// Asks on only as long as nothing refuses the token: what an answer lacks then is never looked at.
    async fn ask(
        &self,
        outside: &dyn Outside,
        cx: &ErrandContext,
    ) -> Result<Answer<'_>, AttestError> {
        let (_, issuer) = self.judge.at(self.place)?;
        let kid = self.token.header().kid.as_deref();
        let mut answer = Answer {
            key: question::ask(outside, &issuer.source, kid).await?,
            machine: None,
        };
        let Ok(proven) = self.prove(&answer.key, cx.now) else {
            return Ok(answer);
        };
        if let Some(resource) = proven.machine_to_ask_for() {
            let question = FindMachine {
                access: proven.tenant.access.clone(),
                wanted: Wanted::ByResource(resource.clone()),
                addresses: self.judge.source != SourceRule::Ignore,
            };
            let known = outside.answer(Arc::new(question)).await;
            let known = known.map_err(|error| error.failed("azure-api"))?;
            let found = Found::read(&known).map_err(|error| error.failed("azure-api"))?;
            answer.machine = Some(found.with_tags(&[]));
        }
        Ok(answer)
    }
}

impl Errand for Ask {
    fn run<'a>(&'a self, outside: &'a dyn Outside, cx: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let answer = self.ask(outside, cx).await?;
            serde_json::to_vec(&answer).map_err(|error| issuer::internal(error.to_string()))
        })
    }

    fn judge(self: Box<Self>, cx: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        if !self.judge.asks_machine() {
            let (token, key) = (self.token.unverified(), Key::Answer(answer));
            let proven = self.judge.prove(self.place, &token, key, cx.now)?;
            return Ok(claims(proven, None));
        }
        let answer = Answer::read(answer)?;
        let proven = self.prove(&answer.key, cx.now)?;
        let found = answer.machine.as_ref();
        proven.check_machine(found)?;
        let machine = found.and_then(|found| found.machine.as_ref());
        Ok(claims(proven, machine))
    }
}

fn claims(proven: Proven<'_>, machine: Option<&Machine>) -> Claims {
    let kind = AttestorKind::AZURE_MSI;
    let identity = proven.identity();
    let [
        tenant,
        principal,
        subscription,
        group,
        machine_name,
        scale_set,
    ] = NAMES;
    let mut attributes = Vec::with_capacity(NAMES.len());
    let mut give = |name: &'static str, value: String| {
        attributes.push(Attribute {
            origin: kind,
            name: name.into(),
            value,
        });
    };
    let Tenant { id, .. } = proven.tenant;
    give(tenant, id.as_str().to_owned());
    give(principal, proven.principal.into());
    if let Some(resource) = &proven.resource {
        give(subscription, resource.subscription().as_str().to_owned());
        give(group, resource.group().to_lowercase());
        if resource.is_machine() {
            give(machine_name, resource.name().to_owned());
        } else if resource.is_scale_set() {
            give(scale_set, resource.outer_name().to_owned());
        }
    }
    Claims {
        kind,
        attributes,
        facts: Facts {
            identity: Some(identity),
            addresses: machine.map(Machine::addresses).unwrap_or_default(),
            ..Facts::default()
        },
    }
}
