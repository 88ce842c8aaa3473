//! `tpm_devid`: the DevID key, certified by the AK and shown to be at hand, beside the EK.

use alloc::vec::Vec;

use assay_common::login::proof_nonce;
use assay_common::method::tpm_devid::{CERTIFICATES_BLOB, possession_message};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{BlobRef, MAX_CHUNK, MessageWriter, TroubleCode, WriteFields};
use sha2::{Digest, Sha256};

use super::{ProofError, TpmEvidence};
use crate::evidence::Request;
use crate::keys::{Ak, AkTemplate, Devid, DevidKey, KeyError};
use crate::link::BlobSink;
use crate::tpm::{Tpm, TpmTransport};

/// What the TPM says of the DevID key, kept until its turn in the message.
struct Certified {
    attest: Vec<u8>,
    signature: Vec<u8>,
    possession: Vec<u8>,
}

impl<T: TpmTransport> TpmEvidence<T> {
    /// With a DevID key to prove.
    #[must_use]
    pub fn with_devid(mut self, key: DevidKey) -> Self {
        self.devid = Some(key);
        self
    }

    /// Replaces the DevID key; for one that is read anew before each login.
    pub fn set_devid(&mut self, key: Option<DevidKey>) {
        self.devid = key;
    }

    /// Writes a `DevidPayload`.
    ///
    /// The DevID key comes first and is gone before the EK is made, since chips, and the kernel's resource manager, hold
    /// three objects. An EK that `tpm_ek` made in the same login is made again afterwards: the same one.
    pub(super) fn certify_devid(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        let Some(key) = self.devid.take().filter(|_| request.payload.is_empty()) else {
            return Err(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST));
        };
        let written = self.write_devid(&key, request, blobs, out);
        self.devid = Some(key);
        written
    }

    fn write_devid(
        &mut self,
        key: &DevidKey,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        if let Some(ek) = self.ek.take() {
            ek.flush(&mut self.tpm)?;
        }
        let nonce = proof_nonce(AttestorKind::TPM_DEVID, request.transcript);
        let ak = match &self.ak {
            Some(ak) => ak,
            None => {
                let made = Ak::create(&mut self.tpm, &AkTemplate::ALL, &mut |_| {})?;
                self.ak.insert(made)
            }
        };
        let loaded = key.load(&mut self.tpm)?;
        let certified = certify(&mut self.tpm, &loaded, ak, &nonce);
        let flushed = loaded.flush(&mut self.tpm);
        let certified = certified?;
        flushed?;

        self.endorse(blobs, out)?;
        send(key.certificates(), blobs)?.write_fields(out);
        out.bytes(key.public());
        out.bytes(&certified.attest);
        out.bytes(&certified.signature);
        out.bytes(&certified.possession);
        Ok(())
    }
}

fn certify<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    devid: &Devid,
    ak: &Ak,
    nonce: &[u8; 32],
) -> Result<Certified, KeyError> {
    let attested = tpm.certify(devid.handle(), ak.handle(), nonce)?;
    let (attest, signature) = (attested.attest.to_vec(), attested.signature.to_vec());
    let possession = devid.sign(tpm, &possession_message(nonce))?.to_vec();
    Ok(Certified {
        attest,
        signature,
        possession,
    })
}

fn send(certificates: &[u8], blobs: &mut dyn BlobSink) -> Result<BlobRef, ProofError> {
    let mut offset = 0;
    for piece in certificates.chunks(MAX_CHUNK) {
        let sent = blobs.chunk(CERTIFICATES_BLOB, offset, piece);
        sent.map_err(|_| ProofError::new(TroubleCode::LINK))?;
        offset += piece.len() as u32;
    }
    Ok(BlobRef {
        blob: CERTIFICATES_BLOB,
        len: offset,
        sha256: Sha256::digest(certificates).into(),
    })
}
