//! `tpm_ek`: the EK with its certificates, the AK, and the credential.

use assay_common::login::LoginKeys;
use assay_common::method::tpm_ek::{EkChallenge, MAX_CHAIN, SECRET_LEN};
use assay_common::protocol::{BlobRef, MessageWriter, TroubleCode, decode};
use assay_common::tpm::public::templates::EkTemplate;
use sha2::{Digest, Sha256};

use super::{LoadedKeys, TpmEvidence};
use crate::evidence::{EvidenceError, Request};
use crate::fmt::warning;
use crate::keys::{Ak, AkTemplate, Certificate, Ek, EkIndices, KeyError, activate};
use crate::link::{BlobSink, LinkError};
use crate::tpm::{Tpm, TpmTransport};

impl<T: TpmTransport> TpmEvidence<T> {
    /// Makes EK and AK and writes an `EkPayload`, field by field as its parts come out of the TPM.
    pub(super) fn identify(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        if !request.payload.is_empty() || self.keys.is_some() {
            return Err(EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST));
        }
        let indices = EkIndices::read(&mut self.tpm).map_err(|error| self.blame(error))?;
        let ek = Ek::create(&mut self.tpm, &indices, &EkTemplate::ALL)
            .map_err(|error| self.blame(error))?;
        let ak = match Ak::create(&mut self.tpm, &AkTemplate::ALL) {
            Ok(ak) => ak,
            Err(error) => {
                let error = self.blame(error);
                let _ = ek.flush(&mut self.tpm);
                return Err(error);
            }
        };
        let keys = self.keys.insert(LoadedKeys { ek, ak });
        out.bytes(keys.ek.public());
        out.bytes(keys.ak.public());

        // A damaged certificate is passed over like a missing one: a policy that pins the EK's hash needs none.
        let certificate = keys.ek.certificate(&mut self.tpm);
        let certificate = match certificate {
            Ok(Some(certificate)) => send(&mut self.tpm, certificate, 0, blobs),
            Ok(None) => Ok(None),
            Err(error) => skip_damaged(error),
        };
        out.value(&certificate.map_err(|error| self.blame(error))?);

        let mut chain = heapless::Vec::<BlobRef, MAX_CHAIN>::new();
        for index in indices.chain().take(MAX_CHAIN) {
            let blob = chain.len() as u8 + 1;
            let sent = Certificate::open(&mut self.tpm, index)
                .map_or_else(skip_damaged, |certificate| {
                    send(&mut self.tpm, certificate, blob, blobs)
                });
            if let Some(sent) = sent.map_err(|error| self.blame(error))? {
                // As many as were taken above.
                let _ = chain.push(sent);
            }
        }
        out.value(&chain);
        Ok(())
    }

    /// Opens a credential and writes an `EkResponse`.
    pub(super) fn activate(
        &mut self,
        request: &Request<'_>,
        out: &mut MessageWriter<'_>,
    ) -> Result<LoginKeys, EvidenceError> {
        let protocol = EvidenceError::new(TroubleCode::PROTOCOL);
        let challenge: EkChallenge<'_> = decode(request.payload).map_err(|_| protocol)?;
        let keys = self
            .keys
            .as_ref()
            .ok_or(EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST))?;
        let secret = activate(
            &mut self.tpm,
            &keys.ek,
            &keys.ak,
            challenge.credential_blob,
            challenge.encrypted_secret,
        )
        .map_err(|error| self.blame(error))?;
        let secret: [u8; SECRET_LEN] = secret.as_bytes().try_into().map_err(|_| protocol)?;
        let login = LoginKeys::new(secret);
        out.value(&login.proof(request.transcript));
        Ok(login)
    }
}

/// A failure to send a certificate.
enum SendError {
    Key(KeyError),
    Link,
}

impl From<KeyError> for SendError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<LinkError> for SendError {
    fn from(_: LinkError) -> Self {
        Self::Link
    }
}

/// Streams a certificate from NV to the line.
fn send<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    certificate: Certificate,
    blob: u8,
    blobs: &mut dyn BlobSink,
) -> Result<Option<BlobRef>, EvidenceError> {
    let mut hash = Sha256::new();
    let streamed = certificate.stream::<T, SendError>(tpm, &mut |offset, piece| {
        hash.update(piece);
        Ok(blobs.chunk(blob, offset.into(), piece)?)
    });
    match streamed {
        Ok(len) => Ok(Some(BlobRef {
            blob,
            len: len.into(),
            sha256: hash.finalize().into(),
        })),
        Err(SendError::Key(error)) => skip_damaged(error),
        Err(SendError::Link) => Err(EvidenceError::new(TroubleCode::LINK)),
    }
}

fn skip_damaged(error: KeyError) -> Result<Option<BlobRef>, EvidenceError> {
    match error {
        KeyError::NotACertificate(index) => {
            warning!("NV index {=u32:x} holds no certificate", index.0);
            let _ = index;
            Ok(None)
        }
        other => Err(other.into()),
    }
}
