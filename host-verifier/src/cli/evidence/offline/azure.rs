//! Azure's methods: Entra's keys, roots and what the resource manager said stand in files.

use assay_common::policy::AttestorKind;
use serde_json::{Value, json};

use super::{Case, Failure, Offline, without_login};
use crate::{
    attestor::{AttestError, Attestor as _, Claims, Fault, azure_msi},
    cli::report::Unreadable,
    document::Files,
    jwt::JwkSet,
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
