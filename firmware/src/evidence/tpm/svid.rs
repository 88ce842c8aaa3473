//! The SVID key: made, certified by the login's AK, and asked to be named in an SVID.

use assay_common::login::svid_key_nonce;
use assay_common::method::svid_key::SvidKeyRequest;
use assay_common::protocol::{MessageWriter, TroubleCode, read};

use super::{ProofError, TpmEvidence};
use crate::evidence::{EvidenceError, Request};
use crate::keys::{SvidKey, csr};
use crate::tpm::{Tpm, TpmTransport};

/// Longest public area of an SVID key: RSA-2048 has 278 bytes.
const MAX_PUBLIC: usize = 288;

impl<T: TpmTransport> TpmEvidence<T> {
    /// Makes the key and writes an `SvidKeyPayload`, field by field as its parts come out of the TPM.
    ///
    /// In the first round and behind `tpm_ek`: everything that is proven later covers the request for a certificate.
    // Apart from the caller, whose frame lies under the deepest stack of a login: the check of a signature.
    #[inline(never)]
    pub(super) fn certify_svid_key(
        &mut self,
        request: &Request<'_>,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        let (Some(ak), None) = (&self.ak, &self.svid_key) else {
            return Err(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST));
        };
        let wanted: SvidKeyRequest<'_> =
            read(request.payload).map_err(|_| ProofError::new(TroubleCode::PROTOCOL))?;
        let tpm = &mut self.tpm;
        let nonce = svid_key_nonce(request.transcript);
        // Needed in the request, and behind it. One that does not fit stays away, and the request is refused.
        let mut public = heapless::Vec::<u8, MAX_PUBLIC>::new();
        let key = SvidKey::create(tpm, wanted.algorithms, &nonce, &mut |area| {
            let _ = public.extend_from_slice(area);
        })?;
        // Kept as soon as it exists, so that whatever happens next, the login's end unloads it.
        let key = self.svid_key.insert(key);
        let field = out.begin();
        csr::write(tpm, key, &public, out)?;
        out.end(field);
        const RESIDENCE: u8 = 1;
        out.byte(RESIDENCE);
        out.bytes(&public);
        let certified = tpm.certify(key.handle(), ak.handle(), &nonce)?;
        out.bytes(certified.attest);
        out.bytes(certified.signature);
        Ok(())
    }

    /// Signs the SHA-256 digest of what the SVID's holder must prove, and hands the `TPMT_SIGNATURE` to `take`: ECDSA, or
    /// RSASSA-PSS for an RSA key. There is a key from a login's grant until the next login begins.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] with [`TroubleCode::UNSUPPORTED_REQUEST`] when no login has made a key, or what the TPM says.
    pub fn sign_as_svid(
        &mut self,
        digest: &[u8; 32],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), EvidenceError> {
        let signed = sign(&mut self.tpm, self.svid_key.as_ref(), digest).map(take);
        signed.map_err(|error| self.blame(error))
    }
}

fn sign<'t, T: TpmTransport>(
    tpm: &'t mut Tpm<T>,
    key: Option<&SvidKey>,
    digest: &[u8; 32],
) -> Result<&'t [u8], ProofError> {
    let key = key.ok_or(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST))?;
    Ok(key.sign(tpm, digest)?)
}
