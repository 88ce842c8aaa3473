//! What the verifier's two costly operations cost beside the bare cryptography they cannot do without.
//!
//! * `verify`: a whole quote judged (structures read, nonce, signature, selection, digest) against the
//!   signature verification alone.
//! * `make_credential`: a public area read and a credential made, against OAEP encryption (RSA) or an
//!   ephemeral key and one agreement (P-256).
//!
//! Both are aws-lc. Time is the thread's own processor time, so that a busy machine does not count. Ours and
//! bare run in turns, in slices of a few milliseconds, because a processor may change its speed between two
//! longer runs; the ratio is the median over pairs of slices. One thread.
//!
//! Prints one JSON object on stdout: `verify_ratio` and `make_credential_ratio` (`rsa2048`, `p256`; 1.0 is as
//! fast as the bare operation), `verify_per_second`, `make_credential_per_second` and their `bare_…` twins.
//! `--quick` measures for a tenth of the time, `--bench` is ignored.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark over material of its own making: a panic is how it fails"
)]

#[path = "shared/turns.rs"]
mod turns;

use std::hint::black_box;

use assay_common::tpm::{
    alg::{AlgId, EccCurve},
    attest::{Attest, Attested, ClockInfo, QuoteInfo},
    attributes::ObjectAttributes,
    codec::Writer,
    name::Name,
    pcr::{PcrSelection, PcrSelections},
    public::{Parameters, Public, Scheme, Symmetric, Unique, templates},
    signature::Signature,
};
use assay_host_verifier::{
    attestor::tpm_quote::verify::{Untrusted, verify},
    crypto::HashAlgorithm,
    random::SystemRandom,
    tpm::{AttestationKey, CredentialKey, make_credential},
};
use aws_lc_rs::{
    agreement,
    rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey},
    signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey},
};

use turns::{Measured, in_turns};

const NONCE: [u8; 32] = [0x42; 32];
const SELECTION: &str = "sha256:0,1,2,3,4,5,6,7";

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let pairs = if quick { 25 } else { 250 };

    let mut report = serde_json::Map::new();
    let mut record = |operation: &str, key: &str, measured: Measured| {
        for (field, value) in [
            (format!("{operation}_ratio"), measured.ratio),
            (format!("{operation}_per_second"), measured.ours),
            (format!("bare_{operation}_per_second"), measured.bare),
        ] {
            let entry = report
                .entry(field)
                .or_insert_with(|| serde_json::Map::new().into());
            entry[key] = ((value * 1000.0).round() / 1000.0).into();
        }
    };
    record("verify", "rsa2048", verify_rsa(pairs));
    record("verify", "p256", verify_p256(pairs));
    record("make_credential", "rsa2048", credential_rsa(pairs));
    record("make_credential", "p256", credential_p256(pairs));
    println!("{:#}", serde_json::Value::Object(report));
}

fn encode(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer);
    writer.finish().unwrap().to_vec()
}

/// A quote over eight PCRs and their values.
fn quote() -> (Vec<u8>, Vec<u8>) {
    let selection: PcrSelection = SELECTION.parse().unwrap();
    let selections = encode(|w| PcrSelections::encode(&[selection], w));
    let values = vec![0x77; 8 * 32];
    let digest = HashAlgorithm::Sha256.hash(&[&values]);
    let clock = ClockInfo {
        clock: 1,
        reset_count: 1,
        restart_count: 0,
        safe: true,
    };
    let info = QuoteInfo {
        selection: PcrSelections::parse(&selections).unwrap(),
        pcr_digest: digest.as_ref(),
    };
    let signer = [[0, 0x0b].as_slice(), &[7; 32]].concat();
    let attest = encode(|w| {
        Attest::encode(&signer, &NONCE, &clock, 1, &Attested::Quote(info), w);
    });
    (attest, values)
}

/// The whole judgement of one quote, the key's public area read each time as a login does.
fn judge(
    public: &[u8],
    attest: &[u8],
    signature: &[u8],
    selection: &[PcrSelection],
    values: &[u8],
) {
    let key = AttestationKey::from_public(&Public::parse(public).unwrap()).unwrap();
    let untrusted = Untrusted::parse(attest, signature).unwrap();
    black_box(verify(&untrusted, &key, &NONCE, selection, values).unwrap());
}

fn verify_rsa(pairs: usize) -> Measured {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let (attest, values) = quote();
    let mut raw = vec![0; pair.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    pair.sign(&signature::RSA_PKCS1_SHA256, &random, &attest, &mut raw)
        .unwrap();
    let signature = encode(|w| {
        Signature::Rsassa {
            hash: AlgId::SHA256,
            sig: &raw,
        }
        .encode(w);
    });
    let public = rsa_public(
        pair.public_key(),
        ObjectAttributes::AK,
        Parameters::Rsa {
            symmetric: Symmetric::NULL,
            scheme: Scheme::new(AlgId::RSASSA, AlgId::SHA256),
            key_bits: 2048,
            exponent: 0,
        },
    );
    let selection = [SELECTION.parse().unwrap()];
    let key = pair.public_key().as_ref().to_vec();
    in_turns(
        pairs,
        || judge(&public, &attest, &signature, &selection, &values),
        || {
            UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &key)
                .verify(black_box(&attest), black_box(&raw))
                .unwrap();
        },
    )
}

fn verify_p256(pairs: usize) -> Measured {
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (attest, values) = quote();
    let raw = pair
        .sign(&aws_lc_rs::rand::SystemRandom::new(), &attest)
        .unwrap();
    let (r, s) = raw.as_ref().split_at(32);
    let signature = encode(|w| {
        Signature::Ecdsa {
            hash: AlgId::SHA256,
            r,
            s,
        }
        .encode(w);
    });
    let key = pair.public_key().as_ref().to_vec();
    let public = ecc_public(
        &key,
        ObjectAttributes::AK,
        &[],
        Symmetric::NULL,
        Scheme::new(AlgId::ECDSA, AlgId::SHA256),
    );
    let selection = [SELECTION.parse().unwrap()];
    in_turns(
        pairs,
        || judge(&public, &attest, &signature, &selection, &values),
        || {
            UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &key)
                .verify(black_box(&attest), black_box(raw.as_ref()))
                .unwrap();
        },
    )
}

const AES_128_CFB: Symmetric = Symmetric {
    alg: AlgId::AES,
    key_bits: 128,
    mode: AlgId::CFB,
};

/// Reads the EK and makes a credential, as a login does.
fn credential(ek: &[u8], name: &Name) {
    let ek = CredentialKey::from_public(&Public::parse(ek).unwrap()).unwrap();
    black_box(make_credential(&ek, name.as_bytes(), &[0x5a; 32], &SystemRandom).unwrap());
}

fn some_name() -> Name {
    let public = templates::AK_P256;
    Name::of(&Public::parse(&public).unwrap()).unwrap()
}

fn credential_rsa(pairs: usize) -> Measured {
    use aws_lc_rs::encoding::AsDer as _;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let ek = rsa_public(
        pair.public_key(),
        ObjectAttributes::EK_LOW,
        Parameters::Rsa {
            symmetric: AES_128_CFB,
            scheme: Scheme::NULL,
            key_bits: 2048,
            exponent: 0,
        },
    );
    let name = some_name();
    let der = pair.public_key().as_der().unwrap();
    let mut encrypted = [0; 256];
    in_turns(
        pairs,
        || credential(&ek, &name),
        || {
            let key = PublicEncryptingKey::from_der(der.as_ref()).unwrap();
            let key = OaepPublicEncryptingKey::new(key).unwrap();
            let mut seed = [0; 32];
            aws_lc_rs::rand::fill(&mut seed).unwrap();
            let label = Some(b"IDENTITY\0".as_slice());
            black_box(
                key.encrypt(&OAEP_SHA256_MGF1SHA256, &seed, &mut encrypted, label)
                    .unwrap(),
            );
        },
    )
}

fn credential_p256(pairs: usize) -> Measured {
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let ek = ecc_public(
        &point,
        ObjectAttributes::EK_LOW,
        &templates::POLICY_A_SHA256,
        AES_128_CFB,
        Scheme::NULL,
    );
    let name = some_name();
    in_turns(
        pairs,
        || credential(&ek, &name),
        || {
            let ephemeral = agreement::PrivateKey::generate(&agreement::ECDH_P256).unwrap();
            black_box(ephemeral.compute_public_key().unwrap());
            let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, &point);
            agreement::agree(&ephemeral, peer, (), |z| {
                black_box(z[0]);
                Ok(())
            })
            .unwrap();
        },
    )
}

fn rsa_public(
    key: &signature::RsaSubjectPublicKey,
    attributes: ObjectAttributes,
    parameters: Parameters,
) -> Vec<u8> {
    let modulus = key.modulus();
    encode(|w| {
        Public::encode(
            AlgId::SHA256,
            attributes,
            &[],
            &parameters,
            &Unique::Rsa(modulus.big_endian_without_leading_zero()),
            w,
        );
    })
}

fn ecc_public(
    point: &[u8],
    attributes: ObjectAttributes,
    policy: &[u8],
    symmetric: Symmetric,
    scheme: Scheme,
) -> Vec<u8> {
    let parameters = Parameters::Ecc {
        symmetric,
        scheme,
        curve: EccCurve::NIST_P256,
        kdf: Scheme::NULL,
    };
    let unique = Unique::Ecc {
        x: &point[1..33],
        y: &point[33..],
    };
    encode(|w| Public::encode(AlgId::SHA256, attributes, policy, &parameters, &unique, w))
}
