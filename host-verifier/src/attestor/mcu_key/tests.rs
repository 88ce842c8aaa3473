//! One test per check; what holds for every method is the conformance suite's.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use assay_common::login::{Direction, LoginKeys, Transcript, proof_nonce};
use assay_common::method::mcu_key::{McuKeyPayload, message};
use assay_common::policy::AttestorKind;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::attestor::{
    AttestError, BootState, Claims, Facts, Judged, LoginContext, Quoted, registry,
};
use crate::blobs::Blobs;
use crate::crypto::sha256;

const EK: &str = "abababababababababababababababababababababababababababababababab";
const QUOTE: [u8; 32] = [5; 32];

struct Mcu(EcdsaKeyPair);

impl Mcu {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn payload(&self, login: &Transcript, quote: &[u8; 32]) -> Vec<u8> {
        let nonce = proof_nonce(AttestorKind::MCU_KEY, login);
        let signed = message(&nonce, quote).concat();
        let signature = self.0.sign(&SystemRandom::new(), &signed).unwrap();
        let payload = McuKeyPayload {
            public: self.0.public_key().as_ref(),
            signature: signature.as_ref(),
        };
        postcard::to_allocvec(&payload).unwrap()
    }

    /// By the library's own SubjectPublicKeyInfo.
    fn hash(&self) -> String {
        use aws_lc_rs::encoding::AsDer as _;
        let spki = self.0.public_key().as_der().unwrap();
        hex::encode(sha256(&[spki.as_ref()]))
    }
}

fn login(hello: &[u8]) -> Transcript {
    Transcript::new().then(Direction::Agent, hello)
}

fn facts() -> Facts {
    Facts {
        subject: Some(EK.to_owned()),
        quoted: Some(Quoted {
            selection: Vec::new(),
            values_sha256: [0; 32],
            boot: BootState {
                clock: 0,
                reset_count: 0,
                restart_count: 0,
                safe: true,
                firmware_version: 0,
            },
            attest_sha256: QUOTE,
        }),
        ..Facts::default()
    }
}

fn judge(
    config: Value,
    facts: &Facts,
    login: &Transcript,
    payload: &[u8],
) -> Result<Claims, AttestError> {
    let config = registry::deserialize_config(AttestorKind::MCU_KEY, config).unwrap();
    let attestor = config.build(Path::new("")).unwrap();
    let context = LoginContext {
        now: jiff::Timestamp::UNIX_EPOCH,
        transcript: login,
        request: &[],
        blobs: &Blobs::default(),
        facts,
        last_boot: None,
        keys: &LoginKeys::new([0; 32]),
    };
    match attestor.judge(&context, payload)? {
        Judged::Proven(claims) => Ok(*claims),
        other => unreachable!("{other:?}"),
    }
}

fn listed(pairs: &[(&str, &str)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(ek, key)| json!({"ekHash": ek, "keyHash": key}));
    json!({"pairs": pairs.collect::<Vec<_>>()})
}

fn refused(claims: Result<Claims, AttestError>) -> String {
    claims.unwrap_err().check.to_owned()
}

#[test]
fn a_microcontroller_that_signs_login_and_quote_is_named_by_its_key() {
    let (mcu, login) = (Mcu::new(), login(b"hello"));
    let claims = judge(json!({}), &facts(), &login, &mcu.payload(&login, &QUOTE)).unwrap();
    assert_eq!(claims.facts.identity, Some(mcu.hash()));
    let bound = claims.facts.mcu_key.unwrap();
    assert_eq!((hex::encode(bound.hash), bound.pairs), (mcu.hash(), true));
    let config = listed(&[(EK, &mcu.hash())]);
    let claims = judge(config, &facts(), &login, &mcu.payload(&login, &QUOTE)).unwrap();
    assert!(!claims.facts.mcu_key.unwrap().pairs);
}

#[test]
fn a_signature_is_of_one_login_and_of_one_quote() {
    let (mcu, now) = (Mcu::new(), login(b"hello"));
    for (signed_in, quote) in [
        (login(b"another"), QUOTE),
        (login(b"hello"), [6; 32]),
        // As if no quote had been asked for.
        (login(b"hello"), [0; 32]),
    ] {
        let payload = mcu.payload(&signed_in, &quote);
        let judged = judge(json!({}), &facts(), &now, &payload);
        assert_eq!(refused(judged), "mcu-key-signature");
    }
}

#[test]
fn where_no_quote_is_asked_for_zeros_are_signed() {
    let (mcu, login) = (Mcu::new(), login(b"hello"));
    let facts = Facts {
        quoted: None,
        ..facts()
    };
    judge(json!({}), &facts, &login, &mcu.payload(&login, &[0; 32])).unwrap();
    let judged = judge(json!({}), &facts, &login, &mcu.payload(&login, &QUOTE));
    assert_eq!(refused(judged), "mcu-key-signature");
}

#[test]
fn without_a_tpm_there_is_no_pair() {
    let (mcu, login) = (Mcu::new(), login(b"hello"));
    let facts = Facts {
        subject: None,
        ..facts()
    };
    let judged = judge(json!({}), &facts, &login, &mcu.payload(&login, &QUOTE));
    assert_eq!(refused(judged), "mcu-key-no-tpm");
}

#[test]
fn a_listed_half_with_another_half_is_refused() {
    let (mcu, other, login) = (Mcu::new(), Mcu::new(), login(b"hello"));
    let payload = mcu.payload(&login, &QUOTE);
    let (elsewhere, hash) = ("cd".repeat(32), mcu.hash());
    for (pairs, check) in [
        (vec![(EK, other.hash())], "mcu-key-other-mcu"),
        (
            vec![(elsewhere.as_str(), hash.clone())],
            "mcu-key-other-tpm",
        ),
        (
            vec![(EK, other.hash()), (elsewhere.as_str(), hash)],
            "mcu-key-other-mcu",
        ),
        (
            vec![(elsewhere.as_str(), other.hash())],
            "mcu-key-not-listed",
        ),
    ] {
        let pairs: Vec<_> = pairs.iter().map(|(ek, key)| (*ek, key.as_str())).collect();
        let judged = judge(listed(&pairs), &facts(), &login, &payload);
        assert_eq!(refused(judged), check);
    }
}

#[test]
fn a_list_that_cannot_be_meant_is_a_mistake() {
    let hash = "ab".repeat(32);
    let upper = "AB".repeat(32);
    let other = "cd".repeat(32);
    for (config, field) in [
        (json!({"pairs": []}), "pairs"),
        (listed(&[("ab", &hash)]), "pairs[0].ekHash"),
        (listed(&[(&hash, &upper)]), "pairs[0].keyHash"),
        (listed(&[(&hash, &hash), (&hash, &other)]), "pairs[1]"),
        (listed(&[(&hash, &hash), (&other, &hash)]), "pairs[1]"),
    ] {
        let config = registry::deserialize_config(AttestorKind::MCU_KEY, config).unwrap();
        assert_eq!(config.build(Path::new("")).unwrap_err().field, field);
    }
}
