//! Azure's methods: Entra's keys, roots and what the resource manager said stand in files.

use assay_common::policy::AttestorKind;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Case, Failure, Offline, without_login};
use crate::{
    attestor::{AttestError, Attestor, Claims, Fault, Judged, LoginContext, azure_imds, azure_msi},
    cli::report::Unreadable,
    document::{Files, Provided},
    jwt::JwkSet,
    x509::{decode, files::CertificateSource},
};

/// `assay evidence verify azure_msi`.
pub(in super::super) struct AzureMsi;

impl Offline for AzureMsi {
    const KIND: AttestorKind = AttestorKind::AZURE_MSI;
    const TAKES_KEYS: bool = true;
    const TAKES_CLOUD_ANSWERS: bool = true;
    type Config = azure_msi::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let attestor = config.attestor(files)?;
        // An editor's line end is no part of a payload.
        let payload = case.payload.trim_ascii_end();
        without_login(&attestor, payload, case.at, || {
            answer(&attestor, payload, &case)
        })
    }
}

/// The answers as a login keeps them: the key out of the file with Entra's set, the machine out of the one with the cloud's
/// answers, which may be a login's whole, with its key.
fn answer(attestor: &azure_msi::AzureMsi, payload: &[u8], case: &Case) -> Result<Vec<u8>, Failure> {
    let told = match &case.cloud_answers {
        None => Value::Null,
        Some(told) => serde_json::from_slice(told)
            .map_err(|error| Unreadable::new("--cloud-answers", error))?,
    };
    let (known, machine) = match told.get("key") {
        Some(key) => (key.clone(), told.get("machine").cloned()),
        None => (Value::Null, Some(told)),
    };
    let key = match &case.keys {
        Some(set) => key(attestor, payload, set)?,
        None if !known.is_null() => known,
        None => {
            let unreadable = Unreadable::new(
                "--config",
                "Entra publishes its keys, and nobody is asked here",
            );
            return Err(unreadable
                .with_hint("give the tenant's JWK set with --keys")
                .into());
        }
    };
    let machine = machine.unwrap_or_default();
    if machine.is_null() && attestor.asks_for_machine() {
        return Err(super::cloud_answers(case).err().unwrap_or_else(|| {
            let unreadable = Unreadable::new("--cloud-answers", "there is no machine in it");
            unreadable.into()
        }));
    }
    Ok(json!({"key": key, "machine": machine})
        .to_string()
        .into_bytes())
}

fn key(attestor: &azure_msi::AzureMsi, payload: &[u8], set: &[u8]) -> Result<Value, Failure> {
    let set = JwkSet::parse_fetched(set).map_err(|error| Unreadable::new("--keys", error))?;
    let (source, kid) = attestor.key_of(payload).map_err(Failure::Refused)?;
    let key = set.select(Some(&kid)).map_err(|error| {
        let kind = attestor.kind();
        let detail = format!("{kind}: {error}");
        Failure::Refused(AttestError::new(
            Fault::Refused,
            "token-key-unknown",
            detail,
        ))
    })?;
    let jwk = String::from_utf8_lossy(&key.to_json()).into_owned();
    Ok(json!({"source": source, "jwk": jwk}))
}

/// `assay evidence verify azure_imds`. The nonce is the document's: 16 bytes, which stand in it as 32 digits.
pub(in super::super) struct AzureImds;

impl Offline for AzureImds {
    const KIND: AttestorKind = AttestorKind::AZURE_IMDS;
    const TAKES_KEYS: bool = true;
    const TAKES_CLOUD_ANSWERS: bool = true;
    const NONCE_LEN: usize = 16;
    type Config = azure_imds::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let Some(nonce) = &case.nonce else {
            let unreadable = Unreadable::new("--nonce", "the document's nonce is not given");
            return Err(unreadable
                .with_hint("give the nonce that the agent was to ask with: --nonce HEX")
                .into());
        };
        let mut clouds = crate::cloud::Clouds::default();
        clouds.azure.fetch_intermediates = case.cloud_answers.is_some();
        if let Some(pem) = &case.keys {
            let pem = String::from_utf8(pem.clone())
                .map_err(|_| Unreadable::new("--keys", "it is no PEM of certificates"))?;
            // A root is one that signed itself; whatever else is there may stand below it.
            let all = decode::certificates(pem.as_bytes())
                .map_err(|error| Unreadable::new("--keys", error))?;
            for certificate in all {
                let der = STANDARD.encode(certificate.der());
                let pem =
                    format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n");
                let list = match certificate.is_self_signed() {
                    true => &mut clouds.azure.roots,
                    false => &mut clouds.azure.intermediates,
                };
                list.push(CertificateSource(pem));
            }
        }
        let provided = Provided {
            clouds: std::sync::Arc::new(clouds),
            ..Provided::default()
        };
        let attestor = config.attestor(files.provided_by(&provided))?;
        let payload = case.payload.trim_ascii_end();
        let nonced = Nonced {
            nonce: hex::encode(nonce),
            attestor,
        };
        without_login(&nonced, payload, case.at, || imds_answer(&case))
    }
}

/// Judges with the nonce that was given, in place of a login's.
#[derive(Debug)]
struct Nonced {
    attestor: azure_imds::AzureImds,
    nonce: String,
}

impl Attestor for Nonced {
    fn kind(&self) -> AttestorKind {
        self.attestor.kind()
    }

    fn request(&self, so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        self.attestor.request(so_far)
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        self.attestor.judge_with(payload, &self.nonce, cx.now)
    }
}

/// The answers as a login keeps them, or the machine alone.
fn imds_answer(case: &Case) -> Result<Vec<u8>, Failure> {
    let told = super::cloud_answers(case)?;
    let value: Value =
        serde_json::from_slice(&told).map_err(|error| Unreadable::new("--cloud-answers", error))?;
    match value.get("certificates") {
        Some(_) => Ok(told),
        None => Ok(json!({"certificates": [], "machine": value})
            .to_string()
            .into_bytes()),
    }
}
