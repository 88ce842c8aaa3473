//! What a login sent by each method, as the files that `assay evidence verify METHOD` reads. Nothing is judged here.

use assay_common::login::{Direction, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, decode};

use super::offline::{self, Nonce, Offline};
use crate::attestor::errand::Answered;
use crate::audit::kept::Said;

/// The methods that can be judged from files, and their nonces.
const METHODS: [(AttestorKind, Nonce); 10] = [
    of::<offline::X509Pop>(),
    of::<offline::SshPop>(),
    of::<offline::CustomJwt>(),
    of::<offline::K8sToken>(),
    of::<offline::TpmDevid>(),
    of::<offline::AwsIid>(),
    of::<offline::AwsToken>(),
    of::<offline::AzureImds>(),
    of::<offline::AzureMsi>(),
    of::<offline::GcpIit>(),
];

const fn of<M: Offline>() -> (AttestorKind, Nonce) {
    (M::KIND, M::NONCE)
}

/// `METHOD.payload` of each of them that the login has, `METHOD.nonce.hex` where the method has one, and `METHOD.answers.json`
/// where a cloud was asked; `METHOD.answers.2.json` and so on where several entries of the policies asked otherwise. A payload may
/// let in whoever reads it.
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
            Said::Outside(answered) => {
                answers(answered, &mut files);
                continue;
            }
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
                let known = METHODS.iter().find(|(kind, _)| *kind == item.kind);
                let Some((_, nonce)) = known.filter(|_| first) else {
                    continue;
                };
                let payload = match item.kind {
                    AttestorKind::TPM_DEVID => offline::devid_file(item.payload, &blobs),
                    _ => Some(item.payload.to_vec()),
                };
                let Some(payload) = payload else { continue };
                files.push((name, payload));
                if let Some(nonce) = nonce.of(&proof_nonce(item.kind, &transcript)) {
                    files.push((
                        format!("{}.nonce.hex", item.kind),
                        format!("{}\n", hex::encode(nonce)).into_bytes(),
                    ));
                }
            }
        }
        transcript = transcript.then(direction, message);
    }
    files
}

/// What a cloud answered, unless it stands in a file already.
fn answers(answered: &Answered, files: &mut Vec<(String, Vec<u8>)>) {
    let kind = AttestorKind(answered.kind);
    let Ok(kept) = &answered.result else { return };
    let Some(file) = offline::answers_file(kind, kept) else {
        return;
    };
    let begin = format!("{kind}.answers.");
    let earlier = files.iter().filter(|(name, _)| name.starts_with(&begin));
    let earlier: Vec<_> = earlier.map(|(_, known)| known).collect();
    if earlier.contains(&&file) {
        return;
    }
    let name = match earlier.len() {
        0 => format!("{begin}json"),
        before => format!("{begin}{}.json", before + 1),
    };
    files.push((name, file));
}
