#![doc = include_str!("../../../../docs/methods/tpm_devid.md")]

pub mod config;
mod error;
pub mod payload;
pub mod verify;

use assay_common::{login::proof_nonce, policy::AttestorKind};

pub use config::Config;
pub use verify::Rules;

use self::verify::Acceptable;
use super::{
    AttestError, Attestor, Attribute, Claims, Judged, LoginContext, Pending,
    tpm_ek::{self, TpmEk},
};
use crate::{
    crypto::sha256,
    random::SecureRandom,
    x509::{Oid, TrustStore, UnixTime, name::Name, revocation::Revocation},
};

/// The attributes, without the method's name.
const ATTRIBUTES: &[&str] = &[
    "ca.fingerprint",
    "ek_public_hash",
    "fingerprint",
    "issuer.cn",
    "public_hash",
    "serial_number",
    "subject.cn",
];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let name = attribute.strip_prefix("tpm_devid.");
    name.is_some_and(|name| ATTRIBUTES.contains(&name))
}

/// One `tpm_devid` entry of a policy.
#[derive(Debug)]
pub struct TpmDevid {
    endorsement: TpmEk,
    authorities: TrustStore,
    revocation: Option<Revocation>,
}

impl TpmDevid {
    /// The settings as [`verify::verify`] takes them.
    #[must_use]
    pub fn rules(&self) -> Rules<'_> {
        Rules {
            endorsement: self.endorsement.rules(),
            authorities: &self.authorities,
            revocation: self.revocation.as_ref(),
        }
    }

    /// What a login concludes once the TPM has opened its credential; all other checks are made.
    ///
    /// # Errors
    /// Any failed check.
    pub fn if_activated(
        &self,
        payload: &[u8],
        blobs: &crate::blobs::Blobs,
        nonce: &[u8; 32],
        at: UnixTime,
    ) -> Result<Claims, AttestError> {
        let untrusted = payload::parse(payload, blobs)?;
        let acceptable = verify::verify(&untrusted, &self.rules(), nonce, at)?;
        Ok(claims(&acceptable))
    }
}

impl Attestor for TpmDevid {
    fn kind(&self) -> AttestorKind {
        AttestorKind::TPM_DEVID
    }

    fn attributes(&self) -> Vec<String> {
        let names = ATTRIBUTES.iter();
        names.map(|name| format!("tpm_devid.{name}")).collect()
    }

    /// Nothing to say: the agent knows which DevID it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let nonce = proof_nonce(AttestorKind::TPM_DEVID, cx.transcript);
        let untrusted = payload::parse(payload, cx.blobs)?;
        let at = UnixTime::from(cx.now);
        let acceptable = verify::verify(&untrusted, &self.rules(), &nonce, at)?;
        Ok(Judged::Challenge(Box::new(AwaitActivation { acceptable })))
    }
}

/// A DevID that waits for its TPM to show that it holds the EK, too.
#[derive(Debug)]
struct AwaitActivation {
    acceptable: Acceptable,
}

impl Pending for AwaitActivation {
    fn untrusted_subject(&self) -> Option<String> {
        Some(hex::encode(self.acceptable.endorsed().ek_hash()))
    }

    fn remark(&self) -> Option<String> {
        tpm_ek::remark(self.acceptable.endorsed())
    }

    fn if_answered(&self) -> Option<Claims> {
        Some(claims(&self.acceptable))
    }

    fn challenge(
        &self,
        secret: &[u8; 32],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, AttestError> {
        tpm_ek::challenge(self.acceptable.endorsed(), secret, random)
    }

    fn finish(
        self: Box<Self>,
        cx: &LoginContext<'_>,
        response: &[u8],
    ) -> Result<Claims, AttestError> {
        tpm_ek::check_response(cx, response)?;
        Ok(claims(&self.acceptable))
    }
}

/// What is known once the secret came back, all of it out of verified certificates and proven keys.
fn claims(acceptable: &Acceptable) -> Claims {
    let kind = AttestorKind::TPM_DEVID;
    let mut attributes = Vec::new();
    let mut emit = |name: &str, value: Option<String>| {
        attributes.extend(value.map(|value| Attribute {
            origin: kind,
            name: format!("tpm_devid.{name}").into(),
            value,
        }));
    };
    let chain = acceptable.chain();
    let leaf = chain.leaf();
    emit("subject.cn", common_name(leaf.subject()));
    emit("issuer.cn", common_name(leaf.issuer()));
    emit("serial_number", Some(hex::encode(leaf.serial())));
    emit("fingerprint", Some(hex::encode(sha256(&[leaf.der()]))));
    for issuer in chain.issuers() {
        emit("ca.fingerprint", Some(hex::encode(issuer.sha256())));
    }
    emit("public_hash", Some(hex::encode(acceptable.key_hash())));
    let ek = acceptable.endorsed().ek_hash();
    emit("ek_public_hash", Some(hex::encode(ek)));
    Claims {
        kind,
        attributes,
        facts: tpm_ek::facts(acceptable.endorsed()),
    }
}

fn common_name(name: &Name) -> Option<String> {
    name.text(Oid::COMMON_NAME).map(str::to_owned)
}
