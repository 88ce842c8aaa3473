//! A TPM made of keys: enough to be challenged, activated and quoted, and every part of it can be bent.
//!
//! Written from [TPM2.0 1.83 Part 1] chapter 24 (credentials), 11.4.10 (key derivation) and Part 2
//! (structures), apart from the verifier's code.

use assay_common::tpm::public::templates::{AK_P256, EK_P256_L2};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use aws_lc_rs::{digest, hmac};

/// One TPM.
pub(crate) struct FakeTpm {
    ek: PrivateKey,
    ek_point: Vec<u8>,
    ak: EcdsaKeyPair,
    pub(crate) pcrs: [[u8; 32]; 24],
    pub(crate) clock: u64,
    pub(crate) reset_count: u32,
    pub(crate) restart_count: u32,
    pub(crate) firmware_version: u64,
}

impl FakeTpm {
    pub(crate) fn new() -> Self {
        let ek = PrivateKey::generate(&ECDH_P256).unwrap();
        let ek_point = ek.compute_public_key().unwrap().as_ref().to_vec();
        Self {
            ek,
            ek_point,
            ak: new_ak(),
            pcrs: [[0; 32]; 24],
            clock: 1000,
            reset_count: 7,
            restart_count: 0,
            firmware_version: 0x2024_0001_0000_0000,
        }
    }

    /// Another AK in the same TPM.
    pub(crate) fn replace_ak(&mut self) {
        self.ak = new_ak();
    }

    pub(crate) fn ek_public(&self) -> Vec<u8> {
        with_point(&EK_P256_L2[..54], &self.ek_point)
    }

    pub(crate) fn ak_public(&self) -> Vec<u8> {
        with_point(&AK_P256[..20], self.ak.public_key().as_ref())
    }

    pub(crate) fn ak_name(&self) -> Vec<u8> {
        [&[0, 0x0b], sha256(&[&self.ak_public()]).as_slice()].concat()
    }

    /// Lower-case hex SHA-256 of the EK's SubjectPublicKeyInfo.
    pub(crate) fn ek_hash(&self) -> String {
        const PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
        hex::encode(sha256(&[&hex::decode(PREFIX).unwrap(), &self.ek_point]))
    }

    /// `TPM2_ActivateCredential` for this TPM's AK.
    pub(crate) fn activate(&self, blob: &[u8], secret: &[u8]) -> Option<[u8; 32]> {
        self.activate_for(&self.ak_name(), blob, secret)
    }

    pub(crate) fn activate_for(&self, name: &[u8], blob: &[u8], secret: &[u8]) -> Option<[u8; 32]> {
        let (x, rest) = tpm2b(secret)?;
        let (y, rest) = tpm2b(rest)?;
        assert!(rest.is_empty());
        let point = [&[4], x, y].concat();
        let peer = UnparsedPublicKey::new(&ECDH_P256, &point);
        let z = agreement::agree(&self.ek, peer, (), |z| Ok(z.to_vec())).ok()?;
        let seed = sha256(&[&[0, 0, 0, 1], &z, b"IDENTITY\0", x, &self.ek_point[1..33]]);
        let (mac, enc_identity) = tpm2b(blob)?;
        let hmac_key = kdf_a(&seed, b"INTEGRITY", &[], 256);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &hmac_key);
        hmac::verify(&key, &[enc_identity, name].concat(), mac).ok()?;
        let aes = kdf_a(&seed, b"STORAGE", name, 128);
        let key = DecryptingKey::cfb128(UnboundCipherKey::new(&AES_128, &aes).unwrap()).unwrap();
        let mut identity = enc_identity.to_vec();
        let iv = DecryptionContext::Iv128(FixedLength::from([0; 16]));
        let identity = key.decrypt(&mut identity, iv).unwrap();
        tpm2b(identity)?.0.try_into().ok()
    }

    /// `TPM2_Quote`: (TPMS_ATTEST, TPMT_SIGNATURE, PCR values).
    pub(crate) fn quote(&self, banks: &[(u16, u32)], nonce: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let values = self.selected(banks);
        let attest = self.attest(banks, nonce, &values);
        (attest.clone(), self.sign(&attest), values)
    }

    pub(crate) fn selected(&self, banks: &[(u16, u32)]) -> Vec<u8> {
        let indices = banks
            .iter()
            .flat_map(|(_, mask)| (0..24usize).filter(move |index| mask & (1 << index) != 0));
        indices.flat_map(|index| self.pcrs[index]).collect()
    }

    pub(crate) fn attest(&self, banks: &[(u16, u32)], nonce: &[u8], values: &[u8]) -> Vec<u8> {
        let qualified = sha256(&[&[0x40, 0, 0, 0x0b], &self.ak_name()]);
        let mut out = b"\xffTCG\x80\x18".to_vec();
        put_2b(&mut out, &[&[0, 0x0b], qualified.as_slice()].concat());
        put_2b(&mut out, nonce);
        out.extend(self.clock.to_be_bytes());
        out.extend(self.reset_count.to_be_bytes());
        out.extend(self.restart_count.to_be_bytes());
        out.push(1);
        out.extend(self.firmware_version.to_be_bytes());
        out.extend(u32::try_from(banks.len()).unwrap().to_be_bytes());
        for (bank, mask) in banks {
            out.extend(bank.to_be_bytes());
            out.push(3);
            out.extend(&mask.to_le_bytes()[..3]);
        }
        put_2b(&mut out, &sha256(&[values]));
        out
    }

    /// A TPMT_SIGNATURE by the AK over anything: this TPM does not know what restricted means.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.ak.sign(&SystemRandom::new(), message).unwrap();
        let (r, s) = signature.as_ref().split_at(32);
        let mut out = vec![0, 0x18, 0, 0x0b];
        put_2b(&mut out, r);
        put_2b(&mut out, s);
        out
    }
}

fn new_ak() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn with_point(head: &[u8], point: &[u8]) -> Vec<u8> {
    let mut out = head.to_vec();
    put_2b(&mut out, &point[1..33]);
    put_2b(&mut out, &point[33..]);
    out
}

pub(crate) fn put_2b(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}

fn tpm2b(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

fn kdf_a(key: &[u8], label: &[u8], context: &[u8], bits: u32) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let message = [&[0, 0, 0, 1], label, &[0], context, &bits.to_be_bytes()].concat();
    hmac::sign(&key, &message).as_ref()[..bits as usize / 8].to_vec()
}

pub(crate) fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    digest::digest(&digest::SHA256, &parts.concat())
        .as_ref()
        .to_vec()
}
