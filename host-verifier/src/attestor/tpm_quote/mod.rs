#![doc = include_str!("../../../../docs/methods/tpm_quote.md")]

pub mod config;
pub mod files;
pub mod measured;
pub mod payload;
pub mod rules;
pub mod verify;

use assay_common::{
    login::quote_nonce,
    measurement::IMAGE_PCR,
    policy::{AttestorKind, AttestorSet},
    tpm::public::Public,
};

pub use config::Config;
pub use rules::Rules;

use self::{
    measured::{LogRules, ask::Ask},
    rules::RuleError,
    verify::{QuoteError, Untrusted, VerifiedQuote},
};
use super::{
    AttestError, Attestor, Attribute, Claims, Facts, Fault, Judged, LoginContext, Quoted,
    claims::BoundKey,
};
use crate::crypto::sha256;
use crate::tpm::{AkError, AttestationKey};

/// The attributes beside the PCRs, without the method's name.
const COUNTERS: &[&str] = &[
    "clock_safe",
    "firmware_version",
    "reset_count",
    "restart_count",
];

/// The attributes that an event log gives, without the method's name.
const MEASURED: &[&str] = &[
    "boot_counter",
    "image.digest",
    "image.name",
    "image.version",
    "measurements",
];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let name = attribute.strip_prefix("tpm_quote.");
    name.is_some_and(|name| {
        COUNTERS.contains(&name) || MEASURED.contains(&name) || name.starts_with("pcr.")
    })
}

/// One `tpm_quote` entry of a policy.
#[derive(Debug)]
pub struct TpmQuote {
    rules: Rules,
    log: Option<LogRules>,
}

impl TpmQuote {
    /// An attestor that decides by `rules`, and looks at no event log.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, log: None }
    }
}

impl Attestor for TpmQuote {
    fn kind(&self) -> AttestorKind {
        AttestorKind::TPM_QUOTE
    }

    /// The PCRs that it asks for, and the TPM's counters.
    fn attributes(&self) -> Vec<String> {
        let wanted = self.rules.selection();
        let pcrs = wanted.mask.iter();
        let pcrs = pcrs.map(|index| format!("tpm_quote.pcr.{}.{index}", wanted.bank));
        let counters = COUNTERS.iter().map(|name| format!("tpm_quote.{name}"));
        let measured = self.log.iter().flat_map(|_| MEASURED);
        let measured = measured.map(|name| format!("tpm_quote.{name}"));
        pcrs.chain(counters).chain(measured).collect()
    }

    /// A log that nothing is wanted of but that it is there.
    fn weakness(&self) -> Option<(&'static str, &'static str)> {
        let log = self.log.as_ref().filter(|log| log.is_required)?;
        let any_image = log.required.is_empty() && !self.rules.pcrs.contains_key(&IMAGE_PCR);
        any_image.then_some((
            "`eventLog` is required and `requiredMeasurements` names no image, so a node is let in with whatever image it booted",
            "name the images under `requiredMeasurements`, or their PCR 8 under `pcrs`; leave it so only where a module judges `tpm_quote.image.*`",
        ))
    }

    fn stands_on(&self) -> AttestorSet {
        AttestorSet::EMPTY
            .with(AttestorKind::TPM_EK)
            .with(AttestorKind::TPM_DEVID)
    }

    fn request(&self, so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        let mut selection = match so_far {
            Some(request) => payload::parse_request(request).ok_or_else(|| {
                AttestError::new(Fault::Internal, "quote-request", "request cannot be read")
            })?,
            None => Vec::new(),
        };
        payload::fold(&mut selection, self.rules.selection());
        payload::encode_request(&selection).ok_or_else(|| {
            AttestError::new(
                Fault::Misconfigured,
                "quote-request",
                "the policies of this cluster ask for more PCR banks than one quote can have",
            )
        })
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let (payload, log) = payload::parse(payload).ok_or_else(|| {
            AttestError::new(
                Fault::Malformed,
                "payload-malformed",
                "payload cannot be read",
            )
        })?;
        let selection = payload::parse_request(cx.request).ok_or_else(|| {
            AttestError::new(Fault::Internal, "quote-request", "request cannot be read")
        })?;
        let untrusted = Untrusted::parse(payload.attest, payload.signature)?;
        let key = bound_key(cx.facts.attestation_key.as_ref())?;
        let quote = verify::verify(
            &untrusted,
            &key,
            &quote_nonce(cx.transcript),
            &selection,
            payload.pcr_values,
        )?;
        self.rules.decide(&quote, cx.last_boot)?;
        let claims = self.claims(&quote, cx.request, payload.attest);
        let Some(rules) = &self.log else {
            return Ok(Judged::Proven(Box::new(claims)));
        };
        let Some(measured) = rules.read(log, cx.blobs, &quote)? else {
            return Ok(Judged::Proven(Box::new(claims)));
        };
        let boot = rules.witness.decide(measured.boot.as_ref(), quote.boot())?;
        let node = cx.facts.subject.clone();
        Ask::begin(rules, claims, measured, node.zip(boot))
    }
}

/// The key that this login's credential activation bound to the TPM; judged again here, since a
/// signature by another kind of key would prove nothing.
fn bound_key(bound: Option<&BoundKey>) -> Result<AttestationKey, AttestError> {
    let bound = bound.ok_or_else(|| {
        AttestError::new(
            Fault::Refused,
            "ak-not-bound",
            "no method of this login bound an attestation key to the TPM",
        )
    })?;
    let public = Public::parse(&bound.public).map_err(|error| {
        AttestError::new(Fault::Internal, "ak-public-malformed", error.to_string())
    })?;
    let key = AttestationKey::from_public(&public)?;
    if key.name().map(|name| name.as_bytes()) != Some(bound.name.as_slice()) {
        return Err(AttestError::new(
            Fault::Internal,
            "ak-name",
            "the bound key's Name is not that of its public area",
        ));
    }
    Ok(key)
}

impl TpmQuote {
    /// What the quote proves, as far as this entry asked for it.
    fn claims(&self, quote: &VerifiedQuote, request: &[u8], attest: &[u8]) -> Claims {
        let kind = AttestorKind::TPM_QUOTE;
        let mut attributes = Vec::new();
        let mut emit = |name: String, value: String| {
            attributes.push(Attribute {
                origin: kind,
                name: format!("tpm_quote.{name}").into(),
                value,
            });
        };
        let wanted = self.rules.selection();
        for pcr in quote.values() {
            if pcr.bank == wanted.bank && wanted.mask.contains(pcr.index) {
                emit(
                    format!("pcr.{}.{}", pcr.bank, pcr.index),
                    hex::encode(&pcr.value),
                );
            }
        }
        emit("clock_safe".into(), quote.boot_as_signed().safe.to_string());
        if let Some(boot) = quote.boot() {
            emit(
                "firmware_version".into(),
                format!("{:016x}", boot.firmware_version),
            );
            emit("reset_count".into(), boot.reset_count.to_string());
            emit("restart_count".into(), boot.restart_count.to_string());
        }
        Claims {
            kind,
            attributes,
            facts: Facts {
                boot: quote.boot().copied(),
                quoted: Some(Quoted {
                    selection: request.to_vec(),
                    values_sha256: quote.values_sha256(),
                    boot: *quote.boot_as_signed(),
                    attest_sha256: sha256(&[attest]),
                }),
                ..Facts::default()
            },
        }
    }
}

impl From<QuoteError> for AttestError {
    fn from(error: QuoteError) -> Self {
        let fault = match error {
            QuoteError::AttestMalformed(_)
            | QuoteError::SignatureMalformed(_)
            | QuoteError::ValuesLength { .. } => Fault::Malformed,
            _ => Fault::Refused,
        };
        Self::new(fault, error.check(), error.to_string())
    }
}

impl From<RuleError> for AttestError {
    fn from(error: RuleError) -> Self {
        Self::new(Fault::Refused, error.check(), error.to_string())
    }
}

impl From<AkError> for AttestError {
    fn from(error: AkError) -> Self {
        Self::new(Fault::Refused, error.check(), error.to_string())
    }
}
