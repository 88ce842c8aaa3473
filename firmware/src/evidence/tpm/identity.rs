//! `tpm_ek`: the EK with its certificates, the AK, and the credential.

use assay_common::login::LoginKeys;
use assay_common::method::tpm_ek::{EkChallenge, MAX_CHAIN, SECRET_LEN};
use assay_common::protocol::{BlobRef, MessageWriter, TroubleCode, WriteFields, read};
use assay_common::tpm::public::templates::EkTemplate;
use sha2::{Digest, Sha256};

use super::{ProofError, TpmEvidence};
use crate::evidence::Request;
use crate::fmt::warning;
use crate::keys::{Ak, AkTemplate, Certificate, Ek, EkIndices, KeyError, activate};
use crate::link::BlobSink;
use crate::tpm::{Tpm, TpmTransport};

impl<T: TpmTransport> TpmEvidence<T> {
    /// Makes EK and AK and writes an `EkPayload`, field by field as its parts come out of the TPM.
    // Apart from the caller, whose frame lies under the deepest stack of a login: the check of a signature.
    #[inline(never)]
    pub(super) fn identify(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        if !request.payload.is_empty() || self.has_endorsed {
            return Err(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST));
        }
        self.endorse(blobs, out)
    }

    /// Makes EK and AK, unless there are such, and writes an `EkPayload`.
    #[inline(never)]
    pub(super) fn endorse(
        &mut self,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        let tpm = &mut self.tpm;
        self.has_endorsed = true;
        #[cfg(feature = "secure-bus")]
        let indices = match self.indices {
            Some(indices) => indices,
            None => EkIndices::read(tpm)?,
        };
        #[cfg(not(feature = "secure-bus"))]
        let indices = EkIndices::read(tpm)?;
        // Each is kept as soon as it exists, so that whatever happens next, the login's end unloads it.
        let mut public = |area: &[u8]| out.bytes(area);
        let ek = match &self.ek {
            // The session is salted to it.
            Some(ek) => {
                public(tpm.read_public(ek.handle())?.public);
                ek
            }
            None => {
                let ek = Ek::create(tpm, &indices, &EkTemplate::ALL, &mut public)?;
                self.ek.insert(ek)
            }
        };
        // Only `tpm_devid` makes an AK before the EK, and only hosts have one: a board has no use for the code.
        #[cfg(feature = "host")]
        let made = match &self.ak {
            Some(ak) => {
                public(tpm.read_public(ak.handle())?.public);
                true
            }
            None => false,
        };
        #[cfg(not(feature = "host"))]
        let made = false;
        if !made {
            self.ak = Some(Ak::create(tpm, &AkTemplate::ALL, &mut public)?);
        }

        let certificate = ek.certificate(tpm);
        let certificate = send(tpm, certificate, 0, blobs)?;
        out.byte(certificate.is_some().into());
        if let Some(certificate) = certificate {
            certificate.write_fields(out);
        }

        let mut chain = heapless::Vec::<BlobRef, MAX_CHAIN>::new();
        for index in indices.chain() {
            if chain.is_full() {
                break;
            }
            let blob = chain.len() as u8 + 1;
            let certificates = Certificate::open_chain(tpm, index).map(Some);
            if let Some(sent) = send(tpm, certificates, blob, blobs)? {
                // There is room for it.
                let _ = chain.push(sent);
            }
        }
        out.number(chain.len() as u32);
        for certificate in &chain {
            certificate.write_fields(out);
        }
        Ok(())
    }

    /// Opens a credential and writes an `EkResponse`.
    // Apart from the caller, whose frame lies under the deepest stack of a login: the check of a signature.
    #[inline(never)]
    pub(super) fn activate(
        &mut self,
        request: &Request<'_>,
        out: &mut MessageWriter<'_>,
    ) -> Result<LoginKeys, ProofError> {
        let protocol = || ProofError::new(TroubleCode::PROTOCOL);
        let challenge: EkChallenge<'_> = read(request.payload).map_err(|_| protocol())?;
        let (Some(ek), Some(ak)) = (&self.ek, &self.ak) else {
            return Err(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST));
        };
        let secret = activate(
            &mut self.tpm,
            ek,
            ak,
            challenge.credential_blob,
            challenge.encrypted_secret,
        )?;
        let secret: [u8; SECRET_LEN] = secret.as_bytes().try_into().map_err(|_| protocol())?;
        let login = LoginKeys::new(secret);
        out.raw(&login.proof(request.transcript));
        Ok(login)
    }
}

/// Streams a certificate, if there is one, from NV to the line.
///
/// One that is damaged or cannot be read is passed over like a missing one: a policy that pins the EK's hash needs
/// none. What was sent of it already is replaced by the next blob of its number, or named by nobody.
fn send<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    certificate: Result<Option<Certificate>, KeyError>,
    blob: u8,
    blobs: &mut dyn BlobSink,
) -> Result<Option<BlobRef>, ProofError> {
    match stream(tpm, certificate, blob, blobs) {
        Err(ProofError::Tpm(error)) if error.is_unreadable() => {
            warning!("no certificate for blob {=u8}", blob);
            Ok(None)
        }
        other => other,
    }
}

fn stream<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    certificate: Result<Option<Certificate>, KeyError>,
    blob: u8,
    blobs: &mut dyn BlobSink,
) -> Result<Option<BlobRef>, ProofError> {
    let Some(certificate) = certificate? else {
        return Ok(None);
    };
    let mut hash = Sha256::new();
    let len = certificate.stream(tpm, &mut |offset, piece| {
        hash.update(piece);
        let sent = blobs.chunk(blob, offset.into(), piece);
        sent.map_err(|_| ProofError::new(TroubleCode::LINK))
    })?;
    Ok(Some(BlobRef {
        blob,
        len: len.into(),
        sha256: hash.finalize().into(),
    }))
}
