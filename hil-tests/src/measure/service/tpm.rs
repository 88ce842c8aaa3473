//! A TPM made of keys: what a login asks of a chip, and none of a chip's slowness.
//!
//! Written from [TPM2.0 1.83 Part 1] chapter 24 (credentials), 11.4.10 (key derivation) and Part 2 (structures).

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use assay_common::tpm::public::templates::{
    AK_P256, AK_RSA2048, EK_P256_L2, EK_RSA2048_L1, SVID_KEY_P256_HEAD,
};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use rcgen::PublicKeyData;

/// Which keys a TPM has, EK and AK alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// ECC P-256.
    P256,
    /// RSA-2048.
    Rsa2048,
}

enum Ek {
    P256 {
        key: PrivateKey,
        point: Vec<u8>,
    },
    Rsa {
        key: OaepPrivateDecryptingKey,
        modulus: Vec<u8>,
    },
}

enum Ak {
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// One TPM, with an SVID key in it. All that does not depend on a login is made once.
pub struct SoftwareTpm {
    ek: Ek,
    ak: Ak,
    clock: AtomicU64,
    ek_public: Vec<u8>,
    ak_public: Vec<u8>,
    ak_name: Vec<u8>,
    certified: EkKey,
    svid_public: Vec<u8>,
    svid: rcgen::KeyPair,
}

/// The EK as a certificate names it.
struct EkKey {
    algorithm: &'static rcgen::SignatureAlgorithm,
    bytes: Vec<u8>,
}

impl PublicKeyData for EkKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

impl SoftwareTpm {
    /// Makes the keys.
    ///
    /// # Errors
    ///
    /// When the library makes none.
    pub fn new(keys: Keys) -> Result<Self> {
        let (ek, certified) = make_ek(keys)?;
        let ak = match keys {
            Keys::P256 => Ak::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Keys::Rsa2048 => Ak::Rsa(RsaKeyPair::generate(KeySize::Rsa2048)?),
        };
        let ek_public = match &ek {
            Ek::P256 { point, .. } => with_point(EK_P256_L2.get(..54), point)?,
            Ek::Rsa { modulus, .. } => with_2b(EK_RSA2048_L1.get(..56), modulus)?,
        };
        let ak_public = match &ak {
            Ak::P256(key) => with_point(AK_P256.get(..20), key.public_key().as_ref())?,
            Ak::Rsa(key) => {
                let modulus = key.public_key().modulus();
                with_2b(
                    AK_RSA2048.get(..22),
                    modulus.big_endian_without_leading_zero(),
                )?
            }
        };
        let svid = rcgen::KeyPair::generate().context("SVID key")?;
        Ok(Self {
            ek,
            ak,
            clock: AtomicU64::new(1_000),
            ek_public,
            ak_name: name(&ak_public),
            ak_public,
            certified,
            svid_public: with_point(Some(&SVID_KEY_P256_HEAD), svid.der_bytes())?,
            svid,
        })
    }

    /// The EK, to be certified.
    #[must_use]
    pub fn ek(&self) -> &impl PublicKeyData {
        &self.certified
    }

    /// The EK's TPMT_PUBLIC.
    #[must_use]
    pub fn ek_public(&self) -> &[u8] {
        &self.ek_public
    }

    /// The AK's TPMT_PUBLIC.
    #[must_use]
    pub fn ak_public(&self) -> &[u8] {
        &self.ak_public
    }

    /// The SVID key's TPMT_PUBLIC.
    #[must_use]
    pub fn svid_public(&self) -> &[u8] {
        &self.svid_public
    }

    /// A certificate request by the SVID's key, DER; signed anew each time, as a board does.
    ///
    /// # Errors
    ///
    /// When the library does not sign.
    pub fn csr(&self) -> Result<Vec<u8>> {
        let request = rcgen::CertificateParams::default().serialize_request(&self.svid)?;
        Ok(request.der().to_vec())
    }

    /// `TPM2_ActivateCredential`.
    ///
    /// # Errors
    ///
    /// When the credential is not for this EK and AK.
    pub fn activate(&self, blob: &[u8], secret: &[u8]) -> Result<[u8; 32]> {
        let seed = match &self.ek {
            Ek::P256 { key, point } => {
                let (x, rest) = take_2b(secret)?;
                let (y, _) = take_2b(rest)?;
                let peer = [&[4], x, y].concat();
                let peer = UnparsedPublicKey::new(&ECDH_P256, &peer);
                let failed = anyhow::anyhow!("the credential's point is none");
                let own = point.get(1..33).context("point")?;
                agreement::agree(key, peer, failed, |z| {
                    Ok(sha256(&[&[0, 0, 0, 1], z, b"IDENTITY\0", x, own]))
                })?
            }
            Ek::Rsa { key, .. } => {
                let mut out = vec![0; key.min_output_size()];
                let label = Some(&b"IDENTITY\0"[..]);
                let seed = key.decrypt(&OAEP_SHA256_MGF1SHA256, secret, &mut out, label);
                seed.ok().context("the secret is not for this EK")?.to_vec()
            }
        };
        let (mac, sealed) = take_2b(blob)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &kdf_a(&seed, b"INTEGRITY", &[], 256)?);
        let fits = hmac::verify(&key, &[sealed, &self.ak_name].concat(), mac);
        fits.ok().context("the credential is for another AK")?;
        let aes = kdf_a(&seed, b"STORAGE", &self.ak_name, 128)?;
        let key = DecryptingKey::cfb128(UnboundCipherKey::new(&AES_128, &aes)?)?;
        let mut identity = sealed.to_vec();
        let iv = DecryptionContext::Iv128(FixedLength::from([0; 16]));
        let identity = key.decrypt(&mut identity, iv)?;
        let secret = take_2b(identity)?.0.try_into();
        secret.ok().context("a secret of another length")
    }

    /// `TPM2_Quote` over `values`, all of which `banks` selects: (TPMS_ATTEST, TPMT_SIGNATURE).
    ///
    /// # Errors
    ///
    /// When the AK does not sign.
    pub fn quote(
        &self,
        banks: &[(u16, u32)],
        values: &[u8],
        nonce: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut out = self.attest(0x18, nonce);
        out.extend(u32::try_from(banks.len())?.to_be_bytes());
        for (bank, mask) in banks {
            out.extend(bank.to_be_bytes());
            out.push(3);
            out.extend(mask.to_le_bytes().iter().take(3));
        }
        put_2b(&mut out, &sha256(&[values]));
        let signature = self.sign(&out)?;
        Ok((out, signature))
    }

    /// `TPM2_Certify` of the SVID key: (TPMS_ATTEST, TPMT_SIGNATURE).
    ///
    /// # Errors
    ///
    /// When the AK does not sign.
    pub fn certify(&self, nonce: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut out = self.attest(0x17, nonce);
        let name = name(&self.svid_public);
        put_2b(&mut out, &name);
        put_2b(&mut out, &name);
        let signature = self.sign(&out)?;
        Ok((out, signature))
    }

    /// A TPMS_ATTEST up to what is attested. The clock never stands still.
    fn attest(&self, kind: u8, nonce: &[u8]) -> Vec<u8> {
        let mut out = b"\xffTCG\x80".to_vec();
        out.push(kind);
        let qualified = sha256(&[&[0x40, 0, 0, 0x0b], &self.ak_name]);
        put_2b(&mut out, &[&[0, 0x0b], qualified.as_slice()].concat());
        put_2b(&mut out, nonce);
        out.extend(self.clock.fetch_add(10, Ordering::Relaxed).to_be_bytes());
        // resetCount, restartCount, safe, firmwareVersion.
        out.extend([0, 0, 0, 7, 0, 0, 0, 0, 1]);
        out.extend([0, 7, 0, 2, 0, 0, 0, 0]);
        out
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.ak {
            Ak::P256(key) => {
                let signature = key.sign(&random, message)?;
                let (r, s) = signature.as_ref().split_at(32);
                let mut out = vec![0, 0x18, 0, 0x0b];
                put_2b(&mut out, r);
                put_2b(&mut out, s);
                Ok(out)
            }
            Ak::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                with_2b(Some(&[0, 0x14, 0, 0x0b]), &signature)
            }
        }
    }
}

fn make_ek(keys: Keys) -> Result<(Ek, EkKey)> {
    match keys {
        Keys::P256 => {
            let key = PrivateKey::generate(&ECDH_P256)?;
            let point = key.compute_public_key()?.as_ref().to_vec();
            let certified = EkKey {
                algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
                bytes: point.clone(),
            };
            Ok((Ek::P256 { key, point }, certified))
        }
        Keys::Rsa2048 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let public = pair.public_key();
            let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
            let certified = EkKey {
                algorithm: &rcgen::PKCS_RSA_SHA256,
                bytes: public.as_ref().to_vec(),
            };
            let pkcs8: Pkcs8V1Der<'_> = pair.as_der()?;
            let key = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref());
            let key = OaepPrivateDecryptingKey::new(key.ok().context("RSA EK")?)?;
            Ok((Ek::Rsa { key, modulus }, certified))
        }
    }
}

fn name(public: &[u8]) -> Vec<u8> {
    [&[0, 0x0b], sha256(&[public]).as_slice()].concat()
}

fn with_point(head: Option<&[u8]>, point: &[u8]) -> Result<Vec<u8>> {
    let (x, y) = point
        .get(1..)
        .and_then(|xy| xy.split_at_checked(32))
        .context("point")?;
    let mut out = with_2b(head, x)?;
    put_2b(&mut out, y);
    Ok(out)
}

fn with_2b(head: Option<&[u8]>, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = head.context("a template is shorter than it was")?.to_vec();
    put_2b(&mut out, bytes);
    Ok(out)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "keys, names and digests are shorter than 64 KiB"
)]
fn put_2b(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

fn take_2b(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk().context("cut off")?;
    rest.split_at_checked(u16::from_be_bytes(*len).into())
        .context("cut off")
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| hash.update(part));
    hash.finish().as_ref().to_vec()
}

/// KDFa with one block, which is enough for 256 bits.
fn kdf_a(seed: &[u8], label: &[u8], context: &[u8], bits: u32) -> Result<Vec<u8>> {
    ensure!(bits <= 256, "one block has 256 bits");
    let key = hmac::Key::new(hmac::HMAC_SHA256, seed);
    let counter = [0, 0, 0, 1];
    let text = [&counter, label, &[0], context, &bits.to_be_bytes()].concat();
    let mut block = hmac::sign(&key, &text).as_ref().to_vec();
    block.truncate(usize::try_from(bits / 8)?);
    Ok(block)
}
