//! Keys of the kinds that proofs are made with, and the bare verification of a signature.

use std::hint::black_box;

use assay_host_verifier::crypto::{Curve, ecdsa_signature_der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, VerificationAlgorithm,
};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa2048,
    P256,
    Ed25519,
}

/// How a method has a key sign.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// X.509: PKCS #1 with SHA-256, ECDSA in DER.
    Certificate,
    /// RFC 7518: PKCS #1 with SHA-256, ECDSA as two numbers of 32 bytes.
    Token,
    /// `x509pop`: PSS with SHA-256, ECDSA in DER.
    Pss,
    /// SSH: PKCS #1 with SHA-512, ECDSA in DER.
    Ssh,
}

/// A signature, and the key that verifies it.
pub(crate) struct Bare {
    key: ParsedPublicKey,
    message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Bare {
    pub(crate) fn verify(&self) {
        let (message, signature) = (black_box(&self.message), black_box(&self.signature));
        self.key.verify_sig(message, signature).unwrap();
    }
}

/// A key pair.
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) rcgen: rcgen::KeyPair,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn new(kind: Kind) -> Self {
        let algorithm = match kind {
            Kind::Rsa2048 => &PKCS_RSA_SHA256,
            Kind::P256 => &PKCS_ECDSA_P256_SHA256,
            Kind::Ed25519 => &PKCS_ED25519,
        };
        let rcgen = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let pkcs8 = rcgen.serialize_der();
        let pair = match kind {
            Kind::Rsa2048 => Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(&pkcs8).unwrap())),
            Kind::P256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8);
                Pair::P256(pair.unwrap())
            }
            Kind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap()),
        };
        Self { kind, rcgen, pair }
    }

    /// `RSAPublicKey` in DER, an uncompressed point, or the 32 bytes of RFC 8032.
    pub(crate) fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::P256(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    /// Modulus and exponent of an RSA key, big-endian.
    pub(crate) fn numbers(&self) -> (Vec<u8>, Vec<u8>) {
        let Pair::Rsa(pair) = &self.pair else {
            panic!("{:?} has no modulus", self.kind);
        };
        let key = pair.public_key();
        (
            key.modulus().big_endian_without_leading_zero().to_vec(),
            key.exponent().big_endian_without_leading_zero().to_vec(),
        )
    }

    /// Signs as a method wants it.
    pub(crate) fn sign(&self, form: Form, message: &[u8]) -> Bare {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let encoding: &dyn RsaEncoding = match form {
                    Form::Certificate | Form::Token => &RSA_PKCS1_SHA256,
                    Form::Pss => &RSA_PSS_SHA256,
                    Form::Ssh => &RSA_PKCS1_SHA512,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::P256(pair) => {
                let fixed = pair.sign(&random, message).unwrap();
                let (r, s) = fixed.as_ref().split_at(32);
                match form {
                    Form::Token => fixed.as_ref().to_vec(),
                    _ => ecdsa_signature_der(Curve::P256, r, s).unwrap(),
                }
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        };
        self.signed(form, message, signature)
    }

    /// A signature that somebody else made with this key.
    pub(crate) fn signed(&self, form: Form, message: &[u8], signature: Vec<u8>) -> Bare {
        let algorithm: &'static dyn VerificationAlgorithm = match (self.kind, form) {
            (Kind::Rsa2048, Form::Certificate | Form::Token) => &RSA_PKCS1_2048_8192_SHA256,
            (Kind::Rsa2048, Form::Pss) => &RSA_PSS_2048_8192_SHA256,
            (Kind::Rsa2048, Form::Ssh) => &RSA_PKCS1_2048_8192_SHA512,
            (Kind::P256, Form::Token) => &ECDSA_P256_SHA256_FIXED,
            (Kind::P256, _) => &ECDSA_P256_SHA256_ASN1,
            (Kind::Ed25519, _) => &ED25519,
        };
        Bare {
            key: ParsedPublicKey::new(algorithm, self.public()).unwrap(),
            message: message.to_vec(),
            signature,
        }
    }
}

/// The two numbers of an ECDSA signature in DER, big-endian without leading zeros.
pub(crate) fn numbers_of(der: &[u8]) -> [Vec<u8>; 2] {
    let number = |at: usize| {
        let len = usize::from(der[at + 1]);
        let bytes = &der[at + 2..at + 2 + len];
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        (bytes[zeros..].to_vec(), at + 2 + len)
    };
    let (r, after) = number(2);
    let (s, _) = number(after);
    [r, s]
}
