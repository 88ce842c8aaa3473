//! The TPM: there, open to this user, and answering.

use assay_common::login::Transcript;
use assay_common::method::tpm_ek::EkPayload;
use assay_common::policy::AttestorKind;
use assay_common::protocol::{MessageWriter, decode};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::public::Public;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::evidence::{EvidenceError, EvidenceSource as _, Request};
use assay_firmware::link::{BlobSink, LinkError};

use crate::finding::Finding;
use crate::method::{Offer, PUBLIC_HASH};
use crate::tpm::{PlacedTpm, TpmPlace, key_sha256};

const SUBJECT: &str = "tpm";

/// Certificates are not looked at here.
struct Unread;

impl BlobSink for Unread {
    fn chunk(&mut self, _: u8, _: u32, _: &[u8]) -> Result<(), LinkError> {
        Ok(())
    }
}

/// For a node of which nothing is said yet: a TPM is a way in, and none is no fault.
pub(super) fn chance(place: &TpmPlace) -> Vec<Finding> {
    if place.device().is_some_and(std::path::Path::exists) {
        return examine(place);
    }
    let mend =
        "a node without a TPM proves itself by tokens, keys or names: docs/methods has them all";
    vec![Finding::warn(SUBJECT, format!("{place}: none"), mend)]
}

/// Opens it, and has it make its keys.
pub(super) fn examine(place: &TpmPlace) -> Vec<Finding> {
    let opened = match place.open() {
        Ok(opened) => opened,
        Err(error) => return vec![Finding::fail(SUBJECT, error.what, error.hint)],
    };
    let mut evidence = TpmEvidence::new(opened);
    let identified = identify(&mut evidence);
    evidence.end();
    match identified {
        Err(error) => {
            let mend = "look at it with `tpm2_getcap properties-variable` and `tpm2_selftest -f`";
            vec![Finding::fail(SUBJECT, format!("{place}: {error}"), mend)]
        }
        Ok(seen) => {
            let details = seen
                .details
                .iter()
                .map(|(name, value)| format!("{name} {value}"));
            let details: Vec<_> = details.collect();
            let mut findings = vec![Finding::ok(
                SUBJECT,
                format!("{place}: {}", details.join(", ")),
            )];
            if !seen.details.iter().any(|(name, _)| name == CERTIFICATE) {
                findings.push(Finding::warn(
                    "tpm certificate",
                    "the TPM holds no certificate of its endorsement key",
                    "policies by `manufacturerCAs` refuse it; put the key's hash into `allowedHashes`",
                ));
            }
            findings
        }
    }
}

const CERTIFICATE: &str = "certificate";

/// What would be offered of the TPM at this place.
///
/// # Errors
///
/// Why nothing.
pub(crate) fn show(place: &TpmPlace) -> Result<Offer, String> {
    let opened = place.open().map_err(|error| error.what)?;
    let mut evidence = TpmEvidence::new(opened);
    let identified = identify(&mut evidence);
    evidence.end();
    identified.map_err(|error| format!("{place}: {error}"))
}

/// The payload that a login would begin with, in words. Its transcript is that of no login.
fn identify(evidence: &mut TpmEvidence<PlacedTpm>) -> Result<Offer, EvidenceError> {
    const ROOM: usize = 4096;
    evidence.begin()?;
    let mut buffer = [0; ROOM];
    let mut out = MessageWriter::new(&mut buffer);
    let request = Request {
        kind: AttestorKind::TPM_EK,
        version: 3,
        round: 0,
        payload: &[],
        transcript: &Transcript::new(),
    };
    evidence.prove(&request, &mut Unread, &mut out)?;
    let mut offer = Offer::default();
    let payload = out.finish().unwrap_or_default();
    if let Ok(payload) = decode::<EkPayload<'_>>(payload) {
        let public = Public::parse(payload.ek_public).ok();
        let kind = match public.map(|public| public.object_type) {
            Some(AlgId::RSA) => "RSA",
            Some(AlgId::ECC) => "ECC",
            _ => "unknown",
        };
        offer = offer.with("endorsement key", kind);
        if let Some(hash) = public.as_ref().and_then(key_sha256) {
            offer = offer.with(PUBLIC_HASH, hex::encode(hash));
        }
        if let Some(certificate) = payload.ek_certificate {
            let digest = hex::encode(certificate.sha256);
            offer = offer.with(CERTIFICATE, format!("SHA-256 {digest}"));
        }
    }
    Ok(offer)
}
