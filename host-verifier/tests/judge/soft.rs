//! An attestation key in software: what an attacker can make, and what no TPM would sign.

use assay_common::tpm::{
    alg::{AlgId, EccCurve},
    attest::{Attest, Attested, ClockInfo, QuoteInfo},
    attributes::ObjectAttributes,
    codec::Writer,
    handle::Handle,
    name::Name,
    pcr::{PcrSelection, PcrSelections},
    public::{Parameters, Public, Scheme, Symmetric, Unique},
    signature::Signature,
};
use assay_host_verifier::{crypto::HashAlgorithm, tpm::AttestationKey};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};

/// Runs an encoder of the shared crate.
pub(crate) fn encode(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer);
    writer.finish().unwrap().to_vec()
}

/// A P-256 key whose public area says whatever a test wants it to say.
pub(crate) struct SoftKey {
    pair: EcdsaKeyPair,
    /// The public area of a proper attestation key.
    pub(crate) public: Vec<u8>,
}

/// What a public area states besides the key.
#[derive(Clone, Copy)]
pub(crate) struct Stated {
    pub(crate) name_alg: AlgId,
    pub(crate) attributes: ObjectAttributes,
    pub(crate) scheme: Scheme,
    pub(crate) curve: EccCurve,
}

/// What a proper attestation key states.
pub(crate) const PROPER: Stated = Stated {
    name_alg: AlgId::SHA256,
    attributes: ObjectAttributes::AK,
    scheme: Scheme::new(AlgId::ECDSA, AlgId::SHA256),
    curve: EccCurve::NIST_P256,
};

impl SoftKey {
    pub(crate) fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let mut key = Self {
            pair,
            public: Vec::new(),
        };
        key.public = key.stating(PROPER);
        key
    }

    /// Its public area with other statements.
    pub(crate) fn stating(&self, stated: Stated) -> Vec<u8> {
        let point = self.pair.public_key().as_ref();
        public_area(stated, &point[1..33], &point[33..])
    }

    pub(crate) fn key(&self) -> AttestationKey {
        AttestationKey::from_public(&Public::parse(&self.public).unwrap()).unwrap()
    }

    /// ECDSA over any bytes, as TPMT_SIGNATURE.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), message).unwrap();
        let (r, s) = signature.as_ref().split_at(32);
        ecdsa_signature(AlgId::SHA256, r, s)
    }

    /// The Qualified Name it would have as a primary of the Endorsement hierarchy.
    pub(crate) fn qualified_name(&self) -> Vec<u8> {
        let name = Name::of(&Public::parse(&self.public).unwrap()).unwrap();
        let name = Name::qualified_of_primary(Handle::ENDORSEMENT, &name).unwrap();
        name.as_bytes().to_vec()
    }
}

/// A TPMT_PUBLIC of a curve key.
pub(crate) fn public_area(stated: Stated, x: &[u8], y: &[u8]) -> Vec<u8> {
    encode(|w| {
        let parameters = Parameters::Ecc {
            symmetric: Symmetric::NULL,
            scheme: stated.scheme,
            curve: stated.curve,
            kdf: Scheme::NULL,
        };
        let unique = Unique::Ecc { x, y };
        Public::encode(
            stated.name_alg,
            stated.attributes,
            &[],
            &parameters,
            &unique,
            w,
        );
    })
}

/// A TPMT_SIGNATURE with any scalars.
pub(crate) fn ecdsa_signature(hash: AlgId, r: &[u8], s: &[u8]) -> Vec<u8> {
    encode(|w| Signature::Ecdsa { hash, r, s }.encode(w))
}

/// A quote as a TPM would write it, every field free.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) signer: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) clock: ClockInfo,
    pub(crate) firmware: u64,
    pub(crate) selection: Vec<PcrSelection>,
    pub(crate) values: Vec<u8>,
}

pub(crate) const NONCE: [u8; 32] = [0x42; 32];

impl Statement {
    /// PCRs 0, 1 and 7 of the SHA-256 bank with the values 00…, 11…, 77….
    pub(crate) fn proper(key: &SoftKey) -> Self {
        Self {
            signer: key.qualified_name(),
            nonce: NONCE.to_vec(),
            clock: ClockInfo {
                clock: 100_000,
                reset_count: 5,
                restart_count: 2,
                safe: true,
            },
            firmware: 0x0007_0002_0000_0000,
            selection: vec!["sha256:0,1,7".parse().unwrap()],
            values: [[0x00; 32], [0x11; 32], [0x77; 32]].concat(),
        }
    }

    /// Its TPMS_ATTEST.
    pub(crate) fn attest(&self) -> Vec<u8> {
        let selections = encode(|w| PcrSelections::encode(&self.selection, w));
        let digest = HashAlgorithm::Sha256.hash(&[&self.values]);
        let info = QuoteInfo {
            selection: PcrSelections::parse(&selections).unwrap(),
            pcr_digest: digest.as_ref(),
        };
        self.with(&Attested::Quote(info))
    }

    /// The same with another body.
    pub(crate) fn with(&self, attested: &Attested<'_>) -> Vec<u8> {
        encode(|w| {
            Attest::encode(
                &self.signer,
                &self.nonce,
                &self.clock,
                self.firmware,
                attested,
                w,
            );
        })
    }
}
