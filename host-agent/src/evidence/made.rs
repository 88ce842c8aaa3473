//! Proofs that are made and not written yet.

use assay_common::login::LoginKeys;
use assay_common::policy::AttestorKind;
use assay_common::protocol::{MessageWriter, TroubleCode};
use assay_firmware::evidence::EvidenceError;
use zeroize::Zeroizing;

/// Longest proof that is written piece by piece, bytes: as long as a field of a message may be.
const ROOM: usize = 16 * 1024;

/// The proofs of one challenge, one for each method.
#[derive(Default)]
pub(super) struct Made(Vec<(AttestorKind, One)>);

/// A proof may hold what nobody else is to have: a token, the keys of the login.
struct One {
    payload: Zeroizing<Vec<u8>>,
    keys: Option<LoginKeys>,
}

impl Made {
    /// Keeps a proof.
    pub(super) fn keep(&mut self, kind: AttestorKind, payload: Vec<u8>, keys: Option<LoginKeys>) {
        let payload = Zeroizing::new(payload);
        self.0.push((kind, One { payload, keys }));
    }

    /// Keeps a proof that is written piece by piece. One that does not fit is a fault, as it is in a message.
    pub(super) fn by(
        &mut self,
        kind: AttestorKind,
        prove: impl FnOnce(&mut MessageWriter<'_>) -> Result<Option<LoginKeys>, EvidenceError>,
    ) -> Result<(), EvidenceError> {
        let mut room = Zeroizing::new(vec![0; ROOM]);
        let mut writer = MessageWriter::new(&mut room);
        let keys = prove(&mut writer)?;
        let payload = writer.finish();
        let payload = payload.map_err(|_| EvidenceError::new(TroubleCode::PROTOCOL))?;
        self.keep(kind, payload.to_vec(), keys);
        Ok(())
    }

    /// Writes a proof, which is gone afterwards, and hands out its keys; `None` when there is none.
    pub(super) fn write(
        &mut self,
        kind: AttestorKind,
        out: &mut MessageWriter<'_>,
    ) -> Option<Option<LoginKeys>> {
        let at = self.0.iter().position(|(made, _)| *made == kind)?;
        let (_, One { payload, keys }) = self.0.swap_remove(at);
        out.raw(&payload);
        Some(keys)
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
