//! Keys in memory, for what has no TPM: the SVID's key and the session's key share. Both are made anew for each login, unless
//! the SVID's is [`kept`](super::kept).

use assay_common::login::session_key::{SHARE_LEN, session_keys};
use assay_common::login::{LoginKeys, renewal_by_key, svid_key_possession};
use assay_common::protocol::MessageWriter;
use assay_firmware::keys::csr;
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use zeroize::Zeroizing;

/// Bytes of both coordinates of a point on P-256.
const POINT: usize = 64;

/// The library could not do it; it does not say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library failed")]
pub struct CryptoError;

impl From<aws_lc_rs::error::Unspecified> for CryptoError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

/// The SVID's key: P-256, in this process' memory.
pub struct SvidKey(EcdsaKeyPair);

impl core::fmt::Debug for SvidKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SvidKey(..)")
    }
}

impl SvidKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// [`CryptoError`].
    pub fn generate() -> Result<Self, CryptoError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        Ok(Self(pair))
    }

    /// The key of a file that [`to_pkcs8`](Self::to_pkcs8) was written to.
    ///
    /// # Errors
    ///
    /// [`CryptoError`]: it is no such key, or of another curve.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, CryptoError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der);
        pair.map(Self).map_err(|_| CryptoError)
    }

    /// PKCS #8, DER: the private key, for files and workloads that are meant to have it.
    ///
    /// # Errors
    ///
    /// [`CryptoError`].
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let der = self.0.to_pkcs8v1()?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// The public key: an uncompressed SEC1 point.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Appends the certificate request, signed by the key.
    ///
    /// # Errors
    ///
    /// [`CryptoError`].
    pub fn request(&self, out: &mut MessageWriter<'_>) -> Result<(), CryptoError> {
        let point = self.public();
        // The first byte says that the point is uncompressed.
        let point = point.get(1..).and_then(|point| point.try_into().ok());
        let point: [u8; POINT] = point.ok_or(CryptoError)?;
        let signature = self.sign(&csr::p256_info(&point).concat())?;
        csr::write_p256(&point, &signature, out);
        Ok(())
    }

    /// The signature that shows that the key is held in the login whose
    /// [`svid_key_nonce`](assay_common::login::svid_key_nonce) this is.
    ///
    /// # Errors
    ///
    /// [`CryptoError`].
    pub fn hold(&self, nonce: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
        self.sign(&svid_key_possession(nonce).concat())
    }

    /// The signature that renews a session which no attestation key stands behind.
    ///
    /// # Errors
    ///
    /// [`CryptoError`].
    pub fn renew(&self, nonce: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
        self.sign(&renewal_by_key(nonce).concat())
    }

    /// ECDSA with SHA-256, DER.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let signature = self.0.sign(&SystemRandom::new(), message)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// The agent's half of a session key.
pub struct KeyShare {
    private: PrivateKey,
    public: [u8; SHARE_LEN],
}

impl core::fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeyShare(..)")
    }
}

impl KeyShare {
    /// A new share.
    ///
    /// # Errors
    ///
    /// [`CryptoError`].
    pub fn generate() -> Result<Self, CryptoError> {
        let private = PrivateKey::generate(&ECDH_P256)?;
        let public = private.compute_public_key()?;
        let public = public.as_ref().try_into().map_err(|_| CryptoError)?;
        Ok(Self { private, public })
    }

    /// The share as it travels.
    #[must_use]
    pub const fn public(&self) -> &[u8; SHARE_LEN] {
        &self.public
    }

    /// The login's keys with the verifier's share; the share is used up.
    ///
    /// # Errors
    ///
    /// [`CryptoError`], also when the verifier's share is no point of the curve.
    pub fn agree(self, verifier_share: &[u8]) -> Result<LoginKeys, CryptoError> {
        let peer = UnparsedPublicKey::new(&ECDH_P256, verifier_share);
        agree(&self.private, peer, CryptoError, |agreed| {
            let x = <[u8; 32]>::try_from(agreed).map_err(|_| CryptoError)?;
            let x = Zeroizing::new(x);
            Ok(session_keys(&x, &self.public, verifier_share))
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{KeyShare, SvidKey};
    use assay_common::login::Transcript;
    use assay_common::protocol::MessageWriter;

    #[test]
    fn both_sides_of_an_agreement_make_the_same_keys() {
        let (ours, theirs) = (KeyShare::generate().unwrap(), KeyShare::generate().unwrap());
        let verifier = *theirs.public();
        let peer = aws_lc_rs::agreement::UnparsedPublicKey::new(
            &aws_lc_rs::agreement::ECDH_P256,
            *ours.public(),
        );
        let agent = *ours.public();
        let x = aws_lc_rs::agreement::agree(&theirs.private, peer, (), |x| {
            Ok(<[u8; 32]>::try_from(x).unwrap())
        });
        let theirs = assay_common::login::session_key::session_keys(&x.unwrap(), &agent, &verifier);
        let transcript = Transcript::new();
        let ours = ours.agree(&verifier).unwrap();
        assert_eq!(ours.proof(&transcript), theirs.proof(&transcript));
    }

    #[test]
    fn a_share_that_is_no_point_is_refused() {
        for share in [&[][..], &[4; 65], &[0; 65], &[4; 64]] {
            assert!(KeyShare::generate().unwrap().agree(share).is_err());
        }
    }

    /// OpenSSL reads the request, finds the key's signature good, and no name in it.
    #[test]
    fn openssl_verifies_the_request_and_reads_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (csr, pem) = (dir.path().join("csr"), dir.path().join("key"));
        let key = SvidKey::generate().unwrap();
        let mut buffer = [0; 512];
        let mut out = MessageWriter::new(&mut buffer);
        key.request(&mut out).unwrap();
        std::fs::write(&csr, out.finish().unwrap()).unwrap();
        std::fs::write(&pem, key.to_pkcs8().unwrap()).unwrap();
        let openssl = |args: &[&str], file: &std::path::Path| {
            let run = std::process::Command::new("openssl")
                .args(args)
                .arg("-in")
                .arg(file)
                .output()
                .unwrap();
            let text = [run.stdout, run.stderr].concat();
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&text));
            String::from_utf8(text).unwrap()
        };
        let args = [
            "req", "-inform", "DER", "-verify", "-noout", "-subject", "-pubkey",
        ];
        let request = openssl(&args, &csr);
        assert!(request.contains("verify OK"), "{request}");
        let public = openssl(&["pkey", "-inform", "DER", "-pubout"], &pem);
        assert!(request.contains(&public), "{request}\n{public}");
    }
}
