#![doc = include_str!("../../../../docs/methods/tpm_ek.md")]

pub mod certificate;
pub mod config;
pub mod payload;
pub mod verify;

use std::{collections::BTreeSet, sync::Arc};

use assay_common::{
    method::tpm_ek::EkChallenge, policy::AttestorKind, protocol::MAX_VERIFIER_MESSAGE,
};

pub use config::{Config, Require};
pub use verify::Rules;

use self::{
    certificate::Dangers,
    verify::{Acceptable, EkError},
};
use super::{
    AttestError, Attestor, Attribute, BoundKey, Claims, Facts, Fault, Judged, LoginContext, Pending,
};
use crate::{
    random::SecureRandom,
    tpm::make_credential,
    x509::{TrustStore, UnixTime},
};

/// The attribute that is always given, without the method's name.
const PUBLIC_HASH: &str = "public_hash";
/// Those of a verified certificate.
const OF_CERTIFICATE: &[&str] = &["serial_number", "manufacturer", "model", "firmware_version"];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let name = attribute.strip_prefix("tpm_ek.");
    name.is_some_and(|name| name == PUBLIC_HASH || OF_CERTIFICATE.contains(&name))
}

/// One `tpm_ek` entry of a policy.
#[derive(Debug)]
pub struct TpmEk {
    require: Require,
    allowed_hashes: Option<BTreeSet<[u8; 32]>>,
    manufacturers: Option<Arc<TrustStore>>,
    dangers: Dangers,
}

impl TpmEk {
    /// The settings as [`verify::verify`] takes them.
    #[must_use]
    pub fn rules(&self) -> Rules<'_> {
        Rules {
            require: self.require,
            allowed_hashes: self.allowed_hashes.as_ref(),
            manufacturers: self.manufacturers.as_deref(),
            dangers: self.dangers,
        }
    }
}

impl Attestor for TpmEk {
    fn kind(&self) -> AttestorKind {
        AttestorKind::TPM_EK
    }

    /// Those of the certificate only where one can be verified.
    fn attributes(&self) -> Vec<String> {
        let certificate = match self.manufacturers {
            Some(_) => OF_CERTIFICATE,
            None => &[],
        };
        let names = core::iter::once(&PUBLIC_HASH).chain(certificate);
        names.map(|name| format!("tpm_ek.{name}")).collect()
    }

    /// Nothing to say: the agent knows which EK it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let untrusted = payload::parse(payload, cx.blobs)?;
        let acceptable = verify::verify(&untrusted, &self.rules(), UnixTime::from(cx.now))?;
        Ok(Judged::Challenge(Box::new(AwaitActivation { acceptable })))
    }
}

/// An EK and an AK that wait for the TPM to show that it holds both.
#[derive(Debug)]
struct AwaitActivation {
    acceptable: Acceptable,
}

impl Pending for AwaitActivation {
    fn untrusted_subject(&self) -> Option<String> {
        Some(hex::encode(self.acceptable.ek_hash()))
    }

    fn remark(&self) -> Option<String> {
        remark(&self.acceptable)
    }

    fn if_answered(&self) -> Option<Claims> {
        Some(claims(&self.acceptable))
    }

    fn challenge(
        &self,
        secret: &[u8; 32],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, AttestError> {
        challenge(&self.acceptable, secret, random)
    }

    fn finish(
        self: Box<Self>,
        cx: &LoginContext<'_>,
        response: &[u8],
    ) -> Result<Claims, AttestError> {
        check_response(cx, response)?;
        Ok(claims(&self.acceptable))
    }
}

/// What the operator should know of an EK that was let in.
pub(super) fn remark(acceptable: &Acceptable) -> Option<String> {
    let error = acceptable.refused_certificate()?;
    Some(format!(
        "let in by its hash beside a certificate that failed: {}: {error}",
        error.check()
    ))
}

/// Hides `secret` so that only the TPM with this EK finds it, and only for this AK.
pub(super) fn challenge(
    acceptable: &Acceptable,
    secret: &[u8; 32],
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, AttestError> {
    let internal = |detail: &str| AttestError::new(Fault::Internal, "make-credential", detail);
    let ak = acceptable.ak();
    let name = ak.name().ok_or_else(|| internal("the ak has no name"))?;
    let credential = make_credential(acceptable.ek(), name.as_bytes(), secret, random)
        .map_err(EkError::MakeCredential)?;
    let challenge = EkChallenge {
        credential_blob: &credential.id_object,
        encrypted_secret: &credential.encrypted_secret,
    };
    postcard::to_slice(&challenge, &mut [0; MAX_VERIFIER_MESSAGE])
        .map(|bytes| bytes.to_vec())
        .map_err(|_| internal("the challenge is longer than a message"))
}

/// Whether the response shows that the secret was found.
pub(super) fn check_response(cx: &LoginContext<'_>, response: &[u8]) -> Result<(), EkError> {
    let response = payload::parse_response(response)?;
    if cx.keys.proof_fits(cx.transcript, &response.mac) {
        Ok(())
    } else {
        Err(EkError::Activation)
    }
}

/// What other methods build on once the secret came back: this TPM, and the AK in it.
pub(super) fn facts(acceptable: &Acceptable) -> Facts {
    Facts {
        subject: Some(hex::encode(acceptable.ek_hash())),
        attestation_key: acceptable.ak().name().map(|name| BoundKey {
            public: acceptable.ak_public().to_vec(),
            name: name.as_bytes().to_vec(),
        }),
        ..Facts::default()
    }
}

/// What is known once the secret came back. Certificate attributes only from a verified certificate.
fn claims(acceptable: &Acceptable) -> Claims {
    let kind = AttestorKind::TPM_EK;
    let mut attributes = Vec::new();
    let mut emit = |name: &str, value: Option<String>| {
        attributes.extend(value.map(|value| Attribute {
            origin: kind,
            name: format!("tpm_ek.{name}").into(),
            value,
        }));
    };
    emit("public_hash", Some(hex::encode(acceptable.ek_hash())));
    if let Some(certificate) = acceptable.certificate() {
        let identity = certificate.identity().clone();
        emit("serial_number", Some(certificate.serial_number()));
        emit("manufacturer", identity.manufacturer);
        emit("model", identity.model);
        emit("firmware_version", identity.firmware_version);
    }
    Claims {
        kind,
        attributes,
        facts: facts(acceptable),
    }
}
