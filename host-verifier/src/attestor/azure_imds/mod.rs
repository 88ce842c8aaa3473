#![doc = include_str!("../../../../docs/methods/azure_imds.md")]

pub mod config;
pub mod document;
pub mod error;
pub mod payload;
pub mod verify;

use std::borrow::Cow;
use std::sync::Arc;

use assay_common::login::proof_nonce;
use assay_common::policy::AttestorKind;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use config::Config;

use self::error::ImdsError;
use self::verify::{MOST_FETCHED, Rules, Signed};
use super::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Fault, Judged,
    LoginContext, Running,
};
use crate::attestor::source::SourceRule;
use crate::cloud::azure::{FindMachine, Found, Guid, Machine};
use crate::outside::Outside;
use crate::x509::Certificate;

/// The attributes that are always given.
const NAMES: [&str; 3] = [
    "azure_imds.tenant.id",
    "azure_imds.subscription.id",
    "azure_imds.vm.id",
];
/// Those that the resource manager knows.
const OF_MACHINES: [&str; 8] = [
    "azure_imds.vm.name",
    "azure_imds.vm.size",
    "azure_imds.vmss.name",
    "azure_imds.location",
    "azure_imds.resource_group",
    "azure_imds.network_security_group",
    "azure_imds.virtual_network",
    "azure_imds.virtual_network_subnet",
];
/// What those of tags begin with.
const TAG: &str = "azure_imds.vm.tag.";

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let tag = attribute.strip_prefix(TAG);
    NAMES.contains(&attribute)
        || OF_MACHINES.contains(&attribute)
        || tag.is_some_and(|key| !key.is_empty())
}

/// The nonce that the agent asks with: of this login, as Azure takes one (letters and digits, at most 32).
#[must_use]
pub fn nonce(proof_nonce: &[u8; 32]) -> String {
    let (half, _) = proof_nonce.split_at(16);
    hex::encode(half)
}

/// The attestor of an `azure_imds` entry.
#[derive(Debug)]
pub struct AzureImds {
    rules: Arc<Rules>,
    tofu: bool,
    source: SourceRule,
}

impl AzureImds {
    /// Judges a payload with this nonce.
    ///
    /// # Errors
    ///
    /// Any failed check.
    pub fn judge_with(
        &self,
        payload: &[u8],
        nonce: &str,
        now: Timestamp,
    ) -> Result<Judged, AttestError> {
        let signed = self.rules.read(payload, nonce, now)?;
        self.rules
            .lists
            .check_subscription(&signed.document.subscription)?;
        let asks = self.rules.machine_to_ask_for(&signed).is_some();
        match self.rules.trusted(&signed, &[], now) {
            Ok(()) if !asks => {
                let claims = claims(&self.rules, &signed, None)?;
                return Ok(Judged::Proven(Box::new(claims)));
            }
            Ok(()) => {}
            // A certificate may be missing, and Microsoft has it.
            Err(error) if self.rules.missing(&signed, &[], &error).is_some() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Judged::Errand(Box::new(Ask {
            rules: self.rules.clone(),
            signed: Box::new(signed),
        })))
    }
}

impl Attestor for AzureImds {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AZURE_IMDS
    }

    fn attributes(&self) -> Vec<String> {
        let mut names = NAMES.to_vec();
        if self
            .rules
            .tenants
            .iter()
            .any(|tenant| tenant.access.is_some())
        {
            names.extend(OF_MACHINES);
        }
        let tags = self.rules.tag_keys.iter();
        let tags = tags.map(|key| [TAG, key].concat());
        names.into_iter().map(str::to_owned).chain(tags).collect()
    }

    fn binds_first_use(&self) -> bool {
        self.tofu
    }

    fn source_rule(&self) -> SourceRule {
        self.source
    }

    /// Nothing to say: both sides know the nonce.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let nonce = nonce(&proof_nonce(AttestorKind::AZURE_IMDS, cx.transcript));
        self.judge_with(payload, &nonce, cx.now)
    }
}

/// A document whose signer's issuer, or whose machine, is still to be asked for.
#[derive(Debug)]
struct Ask {
    rules: Arc<Rules>,
    signed: Box<Signed>,
}

/// The answers as they are kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// In the order in which they were fetched.
    certificates: Vec<Fetched>,
    /// Absent where the resource manager is not asked, or nobody vouches for the signer.
    machine: Option<Found>,
}

/// A certificate that was fetched.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fetched {
    /// Where.
    url: String,
    /// In DER, base64.
    certificate: String,
}

impl Ask {
    async fn ask(&self, outside: &dyn Outside, now: Timestamp) -> Result<Answer, AttestError> {
        let mut answer = Answer {
            certificates: Vec::new(),
            machine: None,
        };
        let mut fetched: Vec<Certificate> = Vec::new();
        while let Err(error) = self.rules.trusted(&self.signed, &fetched, now) {
            let Some(question) = self.rules.missing(&self.signed, &fetched, &error) else {
                // Nobody is asked for the sake of a document that nobody vouches for.
                return Ok(answer);
            };
            let url = question.url();
            let der = outside.answer(Arc::new(question)).await;
            let der = der.map_err(|error| error.failed("intermediate"))?;
            let certificate = Certificate::from_der(&der)
                .map_err(|_| ImdsError::Kept("a certificate is none"))?;
            answer.certificates.push(Fetched {
                url,
                certificate: STANDARD.encode(&**der),
            });
            fetched.push(certificate);
        }
        if let Some((access, wanted)) = self.rules.machine_to_ask_for(&self.signed) {
            let question = FindMachine {
                access: access.clone(),
                wanted,
                addresses: self.rules.addresses,
            };
            let known = outside.answer(Arc::new(question)).await;
            let known = known.map_err(|error| error.failed("azure-api"))?;
            let found = Found::read(&known).map_err(|error| error.failed("azure-api"))?;
            answer.machine = Some(found.with_tags(&self.rules.tag_keys));
        }
        Ok(answer)
    }
}

fn kept(why: &'static str) -> AttestError {
    ImdsError::Kept(why).into()
}

impl Errand for Ask {
    fn run<'a>(&'a self, outside: &'a dyn Outside, cx: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let answer = self.ask(outside, cx.now).await?;
            serde_json::to_vec(&answer).map_err(|_| kept("it cannot be written"))
        })
    }

    fn judge(self: Box<Self>, cx: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let answer: Answer =
            serde_json::from_slice(answer).map_err(|_| kept("it cannot be read"))?;
        if answer.certificates.len() > MOST_FETCHED {
            return Err(kept("it has too many certificates"));
        }
        let fetched = answer.certificates.iter().map(|fetched| {
            let der = STANDARD.decode(&fetched.certificate).ok();
            let certificate = der.and_then(|der| Certificate::from_der(&der).ok());
            certificate.ok_or_else(|| kept("a certificate is none"))
        });
        let fetched: Vec<_> = fetched.collect::<Result<_, _>>()?;
        self.rules.trusted(&self.signed, &fetched, cx.now)?;
        let machine = answer.machine.as_ref();
        let machine = self.rules.check_machine(&self.signed, machine)?;
        claims(&self.rules, &self.signed, machine)
    }
}

/// An attribute's name and value.
type Named = (Cow<'static, str>, String);

fn claims(
    rules: &Rules,
    signed: &Signed,
    machine: Option<&Machine>,
) -> Result<Claims, AttestError> {
    let kind = AttestorKind::AZURE_IMDS;
    let document = &signed.document;
    let text = |id: &Guid| id.as_str().to_owned();
    let [tenant, subscription, vm] = NAMES;
    let mut named: Vec<Named> = vec![
        (tenant.into(), text(&rules.tenant(signed)?.id)),
        (subscription.into(), text(&document.subscription)),
        (vm.into(), text(&document.vm_id)),
    ];
    if let Some(machine) = machine {
        of_machine(machine, &rules.tag_keys, &mut named)?;
    }
    let attribute = |(name, value): Named| Attribute {
        origin: kind,
        name,
        value,
    };
    Ok(Claims {
        kind,
        attributes: named.into_iter().map(attribute).collect(),
        facts: Facts {
            identity: Some([document.subscription.as_str(), document.vm_id.as_str()].join("/")),
            addresses: machine.map(Machine::addresses).unwrap_or_default(),
            ..Facts::default()
        },
    })
}

/// Longest value of an attribute, bytes. Azure's longest is a tag's, of 256 characters.
const MAX_VALUE: usize = 1024;

/// What the resource manager knows. Names of several things are several attributes, each name once.
fn of_machine(
    machine: &Machine,
    tag_keys: &[String],
    named: &mut Vec<Named>,
) -> Result<(), AttestError> {
    let mut put = |name: Cow<'static, str>, value: &str| {
        let one = (name, value.to_owned());
        if !value.is_empty() && !named.contains(&one) {
            named.push(one);
        }
    };
    let [
        name,
        size,
        scale_set,
        location,
        group,
        security,
        network,
        subnetwork,
    ] = OF_MACHINES;
    put(name.into(), &machine.name);
    put(size.into(), &machine.size);
    let of = machine.scale_set.as_deref();
    put(scale_set.into(), of.unwrap_or_default());
    put(location.into(), &machine.location);
    put(group.into(), &machine.resource_group.to_lowercase());
    for group in machine.security_groups() {
        put(security.into(), group.name());
    }
    for subnet in machine.subnets() {
        put(network.into(), subnet.outer_name());
        put(subnetwork.into(), subnet.name());
    }
    for key in tag_keys {
        // The names of tags have no case.
        let mut tags = machine.tags.iter();
        if let Some((_, value)) = tags.find(|(name, _)| name.eq_ignore_ascii_case(key)) {
            put([TAG, key].concat().into(), value);
        }
    }
    let long = named.iter().find(|(_, value)| value.len() > MAX_VALUE);
    match long {
        None => Ok(()),
        Some((name, _)) => Err(AttestError::new(
            Fault::Refused,
            "attribute-too-long",
            format!(
                "{} has more than {MAX_VALUE} bytes",
                name.strip_prefix("azure_imds.").unwrap_or(name)
            ),
        )),
    }
}
