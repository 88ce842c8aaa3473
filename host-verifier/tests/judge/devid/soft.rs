//! Keys in software that say of themselves whatever a test wants: what an attacker can make. Every check but the last, the
//! credential, is over bytes that he could write as well.

use assay_common::tpm::{
    alg::{AlgId, EccCurve},
    attributes::ObjectAttributes,
    name::Name,
    public::{Parameters, Public, Scheme, Symmetric, Unique},
    signature::Signature,
};
use assay_host_verifier::tpm::key::public_key;
use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::Engine as _;

use crate::soft::encode;

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

/// A key pair with a public area.
pub(super) struct Soft {
    pair: Pair,
}

/// What a public area states besides the key.
#[derive(Clone, Copy)]
pub(super) struct Said {
    pub(super) attributes: ObjectAttributes,
    pub(super) scheme: Option<Scheme>,
}

pub(super) const AK: Said = Said {
    attributes: ObjectAttributes::AK,
    scheme: None,
};
pub(super) const DEVID: Said = Said {
    attributes: ObjectAttributes::SVID_KEY,
    scheme: None,
};

impl Soft {
    pub(super) fn ec() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            pair: Pair::Ec(pair),
        }
    }

    pub(super) fn rsa() -> Self {
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        Self {
            pair: Pair::Rsa(pair),
        }
    }

    pub(super) fn own_scheme(&self) -> Scheme {
        match self.pair {
            Pair::Ec(_) => Scheme::new(AlgId::ECDSA, AlgId::SHA256),
            Pair::Rsa(_) => Scheme::new(AlgId::RSASSA, AlgId::SHA256),
        }
    }

    /// Its TPMT_PUBLIC.
    pub(super) fn public(&self, said: Said) -> Vec<u8> {
        let scheme = said.scheme.unwrap_or(self.own_scheme());
        let modulus;
        let (parameters, unique) = match &self.pair {
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let parameters = Parameters::Ecc {
                    symmetric: Symmetric::NULL,
                    scheme,
                    curve: EccCurve::NIST_P256,
                    kdf: Scheme::NULL,
                };
                let (x, y) = (&point[1..33], &point[33..]);
                (parameters, Unique::Ecc { x, y })
            }
            Pair::Rsa(pair) => {
                modulus = pair
                    .public_key()
                    .modulus()
                    .big_endian_without_leading_zero();
                let parameters = Parameters::Rsa {
                    symmetric: Symmetric::NULL,
                    scheme,
                    key_bits: 2048,
                    exponent: 0,
                };
                (parameters, Unique::Rsa(modulus))
            }
        };
        encode(|w| Public::encode(AlgId::SHA256, said.attributes, &[], &parameters, &unique, w))
    }

    /// A TPMT_SIGNATURE over any bytes.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let hash = AlgId::SHA256;
        match &self.pair {
            Pair::Ec(pair) => {
                let signature = pair.sign(&random, message).unwrap();
                let (r, s) = signature.as_ref().split_at(32);
                encode(|w| Signature::Ecdsa { hash, r, s }.encode(w))
            }
            Pair::Rsa(pair) => {
                let mut sig = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut sig)
                    .unwrap();
                encode(|w| Signature::Rsassa { hash, sig: &sig }.encode(w))
            }
        }
    }

    /// The public key for openssl.
    pub(super) fn pem(&self) -> Vec<u8> {
        let der = match &self.pair {
            Pair::Ec(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").into_bytes()
    }

    pub(super) fn hash(&self) -> String {
        let public = self.public(DEVID);
        let key = public_key(&Public::parse(&public).unwrap()).unwrap();
        hex::encode(key.spki_sha256())
    }
}

/// The Name of a public area.
pub(super) fn name(public: &[u8]) -> Vec<u8> {
    let name = Name::of(&Public::parse(public).unwrap()).unwrap();
    name.as_bytes().to_vec()
}
