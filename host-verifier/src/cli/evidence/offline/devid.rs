//! `tpm_devid`: SPIRE's members, with the signature over the nonce beside them.

use assay_common::{
    method::{
        tpm_devid::{CERTIFICATES_BLOB, DevidPayload},
        tpm_ek::EkPayload,
    },
    policy::AttestorKind,
    protocol::BlobRef,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Case, Failure, HOW_TO_GET, Offline};
use crate::{
    attestor::{Claims, tpm_devid},
    blobs::Blobs,
    cli::report::Unreadable,
    crypto::sha256,
    document::Files,
    x509::UnixTime,
};

/// `assay evidence verify tpm_devid`.
pub(in super::super) struct TpmDevid;

#[derive(Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object of DevIDCert and the others"
)]
struct Wire {
    #[serde(rename = "DevIDCert")]
    devid_cert: Vec<String>,
    #[serde(rename = "DevIDPub")]
    devid_pub: String,
    #[serde(rename = "EKCert", default, skip_serializing_if = "Option::is_none")]
    ek_cert: Option<String>,
    #[serde(rename = "EKChain", default, skip_serializing_if = "Vec::is_empty")]
    ek_chain: Vec<String>,
    #[serde(rename = "EKPub")]
    ek_pub: String,
    #[serde(rename = "AKPub")]
    ak_pub: String,
    #[serde(rename = "CertifiedDevID")]
    certified: String,
    #[serde(rename = "CertificationSignature")]
    certification_signature: String,
    #[serde(rename = "Possession")]
    possession: String,
}

impl Offline for TpmDevid {
    const KIND: AttestorKind = AttestorKind::TPM_DEVID;
    const SKIPPED: &'static [(&'static str, &'static str)] = &[(
        "credential-activation",
        "no file can prove that one TPM holds both keys; a login does",
    )];
    type Config = tpm_devid::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let attestor = config.attestor(files)?;
        let wire: Wire = serde_json::from_slice(&case.payload)
            .map_err(|error| format!("not JSON of this method: {error}"))
            .map_err(|why| Unreadable::new("--payload", why).with_hint(HOW_TO_GET))?;
        let Some(nonce) = case.nonce32() else {
            let unreadable = Unreadable::new("--nonce", "the verifier's nonce is needed");
            let hint = "`assay audit evidence` writes it as tpm_devid.nonce.hex";
            return Err(unreadable.with_hint(hint).into());
        };
        let mut blobs = Blobs::default();
        let mut certificates = Vec::new();
        for certificate in &wire.devid_cert {
            certificates.extend(bytes(certificate)?);
        }
        let devid_certificates = put(&mut blobs, CERTIFICATES_BLOB, &certificates)?;
        let ek_certificate = match &wire.ek_cert {
            Some(certificate) => Some(put(&mut blobs, 0, &bytes(certificate)?)?),
            None => None,
        };
        let (ek, ak) = (bytes(&wire.ek_pub)?, bytes(&wire.ak_pub)?);
        let mut endorsement = EkPayload {
            ek_public: &ek,
            ak_public: &ak,
            ek_certificate,
            ek_chain: Default::default(),
        };
        for (number, certificate) in (1..CERTIFICATES_BLOB).zip(&wire.ek_chain) {
            let blob = put(&mut blobs, number, &bytes(certificate)?)?;
            let pushed = endorsement.ek_chain.push(blob);
            pushed.map_err(|_| Unreadable::new("--payload", "EKChain is too long"))?;
        }
        let devid = bytes(&wire.devid_pub)?;
        let attest = bytes(&wire.certified)?;
        let attest_signature = bytes(&wire.certification_signature)?;
        let possession = bytes(&wire.possession)?;
        let payload = DevidPayload {
            endorsement,
            devid_certificates,
            devid_public: &devid,
            attest: &attest,
            attest_signature: &attest_signature,
            possession: &possession,
        };
        let payload =
            postcard::to_allocvec(&payload).map_err(|error| Unreadable::new("--payload", error))?;
        let claims = attestor.if_activated(&payload, &blobs, &nonce, UnixTime::from(case.at));
        claims.map_err(Failure::Refused)
    }
}

/// A login's payload and its long fields as the file that is read here; `None` for what cannot be read.
pub(in super::super) fn file(payload: &[u8], blobs: &[(u8, &[u8])]) -> Option<Vec<u8>> {
    let payload: DevidPayload<'_> = postcard::from_bytes(payload).ok()?;
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    let blob = |field: &BlobRef| {
        let (_, bytes) = blobs.iter().find(|(number, _)| *number == field.blob)?;
        Some(text(bytes))
    };
    let ek_cert = match &payload.endorsement.ek_certificate {
        Some(field) => Some(blob(field)?),
        None => None,
    };
    let chain = payload.endorsement.ek_chain.iter().map(blob);
    let wire = Wire {
        // All of them one after the other, as they are read.
        devid_cert: vec![blob(&payload.devid_certificates)?],
        devid_pub: text(payload.devid_public),
        ek_cert,
        ek_chain: chain.collect::<Option<_>>()?,
        ek_pub: text(payload.endorsement.ek_public),
        ak_pub: text(payload.endorsement.ak_public),
        certified: text(payload.attest),
        certification_signature: text(payload.attest_signature),
        possession: text(payload.possession),
    };
    serde_json::to_vec(&wire).ok()
}

fn bytes(text: &str) -> Result<Vec<u8>, Unreadable> {
    STANDARD
        .decode(text)
        .map_err(|error| Unreadable::new("--payload", error))
}

fn put(blobs: &mut Blobs, blob: u8, bytes: &[u8]) -> Result<BlobRef, Unreadable> {
    blobs
        .put(blob, bytes)
        .map_err(|error| Unreadable::new("--payload", error))?;
    Ok(BlobRef {
        blob,
        len: bytes.len() as u32,
        sha256: sha256(&[bytes]),
    })
}
