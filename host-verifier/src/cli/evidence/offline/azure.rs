//! Azure's methods: Entra's keys, roots and what the resource manager said stand in files.

use assay_common::policy::AttestorKind;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::answers::Answers;
use super::token::compact;
use super::{Case, Failure, Nonce, Offline, without_login};
use crate::{
    attestor::{
        AttestError, Attestor, Claims, Judged, LoginContext, azure_imds, azure_msi, issuer::payload,
    },
    cli::report::Unreadable,
    cloud::azure::Found,
    document::{Files, Provided},
    x509::{decode, files::CertificateSource},
};

/// `assay evidence verify azure_msi`.
pub(in super::super) struct AzureMsi;

impl Offline for AzureMsi {
    const KIND: AttestorKind = AttestorKind::AZURE_MSI;
    const TAKES_KEYS: bool = true;
    const TAKES_CLOUD_ANSWERS: bool = true;
    const NONCE: Nonce = Nonce::None;
    type Config = azure_msi::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let answers: Answers<Found> = Answers::read(Self::KIND, &case)?;
        let attestor = config.attestor(files)?;
        // An editor's line end is no part of a payload.
        let payload = case.payload.trim_ascii_end();
        compact(payload::token(payload))?;
        without_login(&attestor, payload, case.at, || {
            let (source, kid) = attestor.key_of(payload).map_err(Failure::Refused)?;
            let jwk = answers.jwk(&source, Some(&kid))?;
            let kept = json!({"key": {"source": source, "jwk": jwk}, "machine": answers.api()});
            Ok(kept.to_string().into_bytes())
        })
    }
}

/// What a login would have fetched, or have had of the operator.
const NOT_FETCHED: &str = "give the signer's intermediate, and its root where the system's store has it not, with --keys (PEM); or what the login fetched with --cloud-answers";

/// `assay evidence verify azure_imds`. The nonce is the document's: 16 bytes, which stand in it as 32 digits.
pub(in super::super) struct AzureImds;

impl Offline for AzureImds {
    const KIND: AttestorKind = AttestorKind::AZURE_IMDS;
    const TAKES_KEYS: bool = true;
    const TAKES_CLOUD_ANSWERS: bool = true;
    const NONCE: Nonce = Nonce::Half;
    const MENDS: &'static [(&'static str, &'static str)] = &[("unknown-issuer", NOT_FETCHED)];
    type Config = azure_imds::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let Some(nonce) = &case.nonce else {
            let unreadable = Unreadable::new("--nonce", "the document's nonce is not given");
            return Err(unreadable
                .with_hint("give the nonce that the agent was to ask with, 32 hexadecimal digits: --nonce \"$(cat azure_imds.nonce.hex)\"")
                .into());
        };
        let answers: Answers<Found> = Answers::read(Self::KIND, &case)?;
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
        let judged = without_login(&nonced, payload, case.at, || {
            let kept = json!({"certificates": answers.certificates(), "machine": answers.api()});
            Ok(kept.to_string().into_bytes())
        });
        judged.map_err(|failure| match failure {
            // Nothing was decided about the document.
            Failure::Refused(error) if error.check == "roots" => {
                let why = "no roots are given, and the system's store has none of Azure's";
                Unreadable::new("--keys", why).with_hint(NOT_FETCHED).into()
            }
            failure => failure,
        })
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
