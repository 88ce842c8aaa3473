//! What a login sent by each method, as the files that `assay evidence verify METHOD` reads. Nothing is judged here.

use assay_common::login::{Direction, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, decode};

use super::offline;
use crate::audit::kept::Said;

/// The methods that can be judged from files.
const METHODS: [AttestorKind; 5] = [
    AttestorKind::X509POP,
    AttestorKind::SSH_POP,
    AttestorKind::CUSTOM_JWT,
    AttestorKind::K8S_TOKEN,
    AttestorKind::TPM_DEVID,
];

/// `METHOD.payload` and `METHOD.nonce.hex` of each of them that the login has. A payload may let in whoever reads it.
pub(in crate::cli) fn files(said: &[Said]) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut blobs: Vec<(u8, &[u8])> = Vec::new();
    let mut transcript = Transcript::new();
    for piece in said {
        let (direction, message) = match piece {
            Said::Blob(number, bytes) => {
                blobs.retain(|(known, _)| known != number);
                blobs.push((*number, bytes));
                continue;
            }
            Said::Outside(_) => continue,
            Said::Agent(message) => (Direction::Agent, message),
            Said::Verifier(message) => (Direction::Verifier, message),
        };
        if direction == Direction::Agent
            && let Ok(AgentMessage::Proofs(proofs)) = decode(message)
        {
            for item in proofs.items.iter() {
                let name = format!("{}.payload", item.kind);
                // What comes later is the answer to a challenge of the method's own.
                let first = !files.iter().any(|(known, _)| *known == name);
                if !METHODS.contains(&item.kind) || !first {
                    continue;
                }
                let payload = match item.kind {
                    AttestorKind::TPM_DEVID => offline::devid_file(item.payload, &blobs),
                    _ => Some(item.payload.to_vec()),
                };
                let Some(payload) = payload else { continue };
                let nonce = hex::encode(proof_nonce(item.kind, &transcript));
                files.push((name, payload));
                files.push((
                    format!("{}.nonce.hex", item.kind),
                    format!("{nonce}\n").into_bytes(),
                ));
            }
        }
        transcript = transcript.then(direction, message);
    }
    files
}
