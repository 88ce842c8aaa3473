//! `tpm_ek` as a login uses it: payload in, challenge out, response in, claims out. EK and AK are those of
//! a TPM that is not ours.

use std::{path::Path, sync::OnceLock};

use assay_common::{
    login::{Direction, LoginKeys, Transcript},
    method::tpm_ek::{EkChallenge, EkPayload, EkResponse},
    protocol::{BlobRef, Chunk, MAX_CHUNK},
    tpm::{attributes::ObjectAttributes, public::Public},
};
use assay_host_verifier::{
    attestor::{
        AttestError, Attestor, Claims, Facts, Fault, Judged, LoginContext, MethodConfig, Pending,
        tpm_ek::Config,
    },
    blobs::Blobs,
    crypto::HashAlgorithm,
    random::SystemRandom,
    tpm::{Credential, key::public_key},
};
use serde_json::json;

use crate::{
    pki::{CA, EK_EC, EK_RSA, Pki},
    swtpm::{AK_ATTRIBUTES, Swtpm},
};

pub(crate) const SECRET: [u8; 32] = [0x5a; 32];

/// Public areas of one TPM.
pub(crate) struct Keys {
    pub(crate) ek_ecc: Vec<u8>,
    pub(crate) ek_ecc_pem: Vec<u8>,
    pub(crate) ek_rsa: Vec<u8>,
    pub(crate) ek_rsa_pem: Vec<u8>,
    pub(crate) ak: Vec<u8>,
}

/// Made once: creating an RSA key takes a while.
pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let tpm = Swtpm::start();
        for (name, alg) in [("ecc", "ecc"), ("rsa", "rsa")] {
            tpm.tool(&format!("tpm2_createek -Q -G {alg} -c {name}.ctx"));
            tpm.describe(name);
        }
        tpm.primary(
            "ak",
            "e",
            "sha256",
            "ecc256:ecdsa-sha256:null",
            AK_ATTRIBUTES,
        );
        Keys {
            ek_ecc: tpm.public("ecc"),
            ek_ecc_pem: tpm.read("ecc.pem"),
            ek_rsa: tpm.public("rsa"),
            ek_rsa_pem: tpm.read("rsa.pem"),
            ak: tpm.public("ak"),
        }
    })
}

pub(crate) fn hash_of(public: &[u8]) -> String {
    let key = public_key(&Public::parse(public).unwrap()).unwrap();
    hex::encode(key.spki_sha256())
}

/// What an agent sends.
pub(crate) struct Sent {
    pub(crate) ek: Vec<u8>,
    pub(crate) ak: Vec<u8>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Sent {
    pub(crate) fn bare() -> Self {
        Self {
            ek: keys().ek_ecc.clone(),
            ak: keys().ak.clone(),
            certificate: None,
            chain: Vec::new(),
        }
    }

    pub(crate) fn with_certificate(certificate: &[u8]) -> Self {
        Self {
            certificate: Some(certificate.to_vec()),
            ..Self::bare()
        }
    }

    /// The message and the blobs sent ahead of it.
    pub(crate) fn encode(&self) -> (Vec<u8>, Blobs) {
        let mut blobs = Blobs::default();
        let mut number = 0;
        let mut send = |bytes: &[u8]| {
            for (i, chunk) in bytes.chunks(MAX_CHUNK).enumerate() {
                let chunk = Chunk {
                    blob: number,
                    offset: (i * MAX_CHUNK) as u32,
                    bytes: chunk,
                };
                blobs.add(&chunk).unwrap();
            }
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(HashAlgorithm::Sha256.hash(&[bytes]).as_ref());
            let reference = BlobRef {
                blob: number,
                len: bytes.len() as u32,
                sha256,
            };
            number += 1;
            reference
        };
        let mut payload = EkPayload {
            ek_public: &self.ek,
            ak_public: &self.ak,
            ek_certificate: self.certificate.as_deref().map(&mut send),
            ek_chain: Default::default(),
        };
        for certificate in &self.chain {
            payload.ek_chain.push(send(certificate)).unwrap();
        }
        let mut buffer = [0; 4096];
        (
            postcard::to_slice(&payload, &mut buffer).unwrap().to_vec(),
            blobs,
        )
    }
}

/// One login's surroundings.
pub(crate) struct Login {
    pub(crate) transcript: Transcript,
    pub(crate) blobs: Blobs,
    pub(crate) facts: Facts,
    pub(crate) keys: LoginKeys,
    pub(crate) request: Vec<u8>,
    pub(crate) now: jiff::Timestamp,
}

impl Login {
    pub(crate) fn new(blobs: Blobs) -> Self {
        Self {
            transcript: Transcript::new().then(Direction::Agent, b"hello"),
            blobs,
            facts: Facts::default(),
            keys: LoginKeys::new(SECRET),
            request: Vec::new(),
            now: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60),
        }
    }

    pub(crate) fn context(&self) -> LoginContext<'_> {
        LoginContext {
            now: self.now,
            transcript: &self.transcript,
            request: &self.request,
            blobs: &self.blobs,
            facts: &self.facts,
            last_boot: None,
            keys: &self.keys,
        }
    }
}

pub(crate) fn attestor(config: serde_json::Value) -> std::sync::Arc<dyn Attestor> {
    let config: Config = serde_json::from_value(config).unwrap();
    config.build(Path::new("/nonexistent")).unwrap()
}

/// Judges what was sent.
pub(crate) fn judge(
    config: serde_json::Value,
    sent: &Sent,
) -> Result<(Login, Box<dyn Pending>), AttestError> {
    let (payload, blobs) = sent.encode();
    let login = Login::new(blobs);
    match attestor(config).judge(&login.context(), &payload)? {
        Judged::Challenge(pending) => Ok((login, pending)),
        Judged::Proven(_) => panic!("proven without a challenge"),
    }
}

/// Judges, and answers the challenge as the right TPM would.
pub(crate) fn claims(config: serde_json::Value, sent: &Sent) -> Result<Claims, AttestError> {
    let (mut login, pending) = judge(config, sent)?;
    let challenge = pending.challenge(&SECRET, &SystemRandom)?;
    login.transcript = login.transcript.then(Direction::Verifier, &challenge);
    let mac = LoginKeys::new(SECRET).proof(&login.transcript);
    let response = postcard::to_slice(&EkResponse { mac }, &mut [0; 64])
        .unwrap()
        .to_vec();
    pending.finish(&login.context(), &response)
}

#[track_caller]
pub(crate) fn refused(config: serde_json::Value, sent: &Sent, check: &str) {
    let error = judge(config, sent).map(drop).unwrap_err();
    assert_eq!(error.check, check, "{error}");
    assert_eq!(error.fault, Fault::Refused, "{error}");
}

fn attribute(claims: &Claims, name: &str) -> Option<String> {
    let found = claims.attributes.iter().find(|a| a.name == name);
    found.map(|a| a.value.clone())
}

pub(crate) fn listed() -> serde_json::Value {
    json!({"allowedHashes": [hash_of(&keys().ek_ecc)]})
}

/// A manufacturer and its certificate for the TPM's P-256 EK.
pub(crate) fn manufactured() -> (Pki, Vec<u8>, String) {
    let pki = Pki::new();
    pki.root("vendor", "p256", CA);
    let certificate = pki.certify("ek", &keys().ek_ecc_pem, "vendor", EK_EC);
    let anchor = String::from_utf8(pki.pem("vendor")).unwrap();
    (pki, certificate.der().to_vec(), anchor)
}

#[test]
fn a_listed_ek_gives_its_hash_and_nothing_that_was_not_verified() {
    let (_pki, certificate, _) = manufactured();
    for sent in [Sent::bare(), Sent::with_certificate(&certificate)] {
        let claims = claims(listed(), &sent).unwrap();
        let names: Vec<&str> = claims.attributes.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["tpm_ek.public_hash"]);
        let subject = claims.facts.subject.as_deref();
        assert_eq!(subject, Some(hash_of(&keys().ek_ecc).as_str()));
        assert_eq!(claims.facts.attestation_key.unwrap().public, keys().ak);
    }
}

#[test]
fn the_public_hash_is_what_openssl_and_sha256sum_print() {
    let pki = Pki::new();
    for (pem, public) in [
        (&keys().ek_ecc_pem, &keys().ek_ecc),
        (&keys().ek_rsa_pem, &keys().ek_rsa),
    ] {
        pki.write("ek.pem", pem);
        let der = pki.openssl("pkey -pubin -in ek.pem -outform DER");
        let digest = HashAlgorithm::Sha256.hash(&[&der]);
        assert_eq!(hash_of(public), hex::encode(digest));
    }
}

#[test]
fn a_verified_certificate_gives_all_attributes() {
    let (_pki, certificate, anchor) = manufactured();
    let config = json!({"require": "certificate", "manufacturerCAs": [anchor]});
    let claims = claims(config, &Sent::with_certificate(&certificate)).unwrap();
    assert_eq!(
        attribute(&claims, "tpm_ek.manufacturer").as_deref(),
        Some("id:4E544300")
    );
    assert_eq!(
        attribute(&claims, "tpm_ek.model").as_deref(),
        Some("NPCT75x")
    );
    assert_eq!(
        attribute(&claims, "tpm_ek.firmware_version").as_deref(),
        Some("id:00070002")
    );
    let serial = attribute(&claims, "tpm_ek.serial_number").unwrap();
    assert!(
        serial
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{serial}"
    );
    assert_eq!(claims.attributes.len(), 5);
}

#[test]
fn an_rsa_ek_works_the_same_way() {
    let pki = Pki::new();
    pki.root("vendor", "rsa2048", CA);
    let certificate = pki.certify("ek", &keys().ek_rsa_pem, "vendor", EK_RSA);
    let anchor = String::from_utf8(pki.pem("vendor")).unwrap();
    let sent = Sent {
        ek: keys().ek_rsa.clone(),
        ..Sent::with_certificate(certificate.der())
    };
    let claims = claims(
        json!({"require": "certificate", "manufacturerCAs": [anchor]}),
        &sent,
    );
    assert_eq!(claims.unwrap().attributes.len(), 5);
}

#[test]
fn a_certificate_as_read_from_nv_and_its_chain_are_used() {
    let pki = Pki::new();
    pki.root("vendor", "p256", CA);
    let middle = pki.issue("middle", "vendor", CA);
    let certificate = pki.certify("ek", &keys().ek_ecc_pem, "middle", EK_EC);
    let mut padded = certificate.der().to_vec();
    padded.resize(1600, 0xff);
    let anchor = String::from_utf8(pki.pem("vendor")).unwrap();
    let config = json!({"manufacturerCAs": [anchor]});
    let mut sent = Sent::with_certificate(&padded);
    refused(config.clone(), &sent, "unknown-issuer");
    // An unreadable hint beside the good one does no harm.
    sent.chain = vec![b"garbage".to_vec(), middle.der().to_vec()];
    assert!(claims(config, &sent).is_ok());
}

#[test]
fn require_decides_which_proofs_are_needed() {
    let (_pki, good, anchor) = manufactured();
    let (_other, foreign, _) = manufactured();
    let listed = hash_of(&keys().ek_ecc);
    let unlisted = "00".repeat(32);
    for (require, hash, certificate, wanted) in [
        ("hash", &listed, None, Ok(())),
        ("hash", &listed, Some(&foreign), Ok(())),
        ("hash", &unlisted, Some(&good), Err("ek-not-allowed")),
        ("certificate", &listed, None, Err("ek-certificate-missing")),
        ("certificate", &unlisted, Some(&good), Ok(())),
        ("certificate", &listed, Some(&foreign), Err("bad-signature")),
        ("both", &listed, Some(&good), Ok(())),
        ("both", &listed, None, Err("ek-certificate-missing")),
        ("both", &unlisted, Some(&good), Err("ek-not-allowed")),
        ("both", &listed, Some(&foreign), Err("bad-signature")),
        ("either", &listed, None, Ok(())),
        ("either", &listed, Some(&foreign), Ok(())),
        ("either", &unlisted, Some(&good), Ok(())),
        ("either", &unlisted, Some(&foreign), Err("bad-signature")),
        ("either", &unlisted, None, Err("ek-not-allowed")),
    ] {
        let config = json!({
            "require": require, "allowedHashes": [hash], "manufacturerCAs": [&anchor],
        });
        let sent = Sent {
            certificate: certificate.cloned(),
            ..Sent::bare()
        };
        let judged = claims(config, &sent).map(drop).map_err(|e| e.check);
        assert_eq!(judged, wanted, "{require} {hash} {}", certificate.is_some());
    }
}

#[test]
fn hashes_match_in_either_letter_case() {
    let upper = hash_of(&keys().ek_ecc).to_uppercase();
    assert!(claims(json!({"allowedHashes": [upper]}), &Sent::bare()).is_ok());
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let (pki, _, anchor) = manufactured();
    let other = pki.issue("other", "vendor", EK_EC);
    let config = json!({"manufacturerCAs": [anchor]});
    refused(config, &Sent::with_certificate(other.der()), "key-mismatch");
}

#[test]
fn an_unreadable_certificate_is_refused_where_one_is_needed() {
    let (_pki, _, anchor) = manufactured();
    let config = json!({"manufacturerCAs": [anchor]});
    refused(
        config,
        &Sent::with_certificate(b"0\x03\x02\x01\x05"),
        "ek-certificate-unreadable",
    );
}

#[test]
fn a_blob_that_did_not_come_is_malformed() {
    let (payload, _) = Sent::with_certificate(b"certificate").encode();
    let login = Login::new(Blobs::default());
    let error = attestor(listed())
        .judge(&login.context(), &payload)
        .map(drop)
        .unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Malformed, "blob-missing")
    );
}

fn with_attributes(public: &[u8], change: impl Fn(u32) -> u32) -> Vec<u8> {
    let mut out = public.to_vec();
    let attributes = u32::from_be_bytes(out[4..8].try_into().unwrap());
    out[4..8].copy_from_slice(&change(attributes).to_be_bytes());
    out
}

#[test]
fn every_attribute_of_the_ek_counts() {
    for bit in [
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::ADMIN_WITH_POLICY,
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::DECRYPT,
        ObjectAttributes::SIGN,
    ] {
        let sent = Sent {
            ek: with_attributes(&keys().ek_ecc, |a| a ^ bit.0),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ek-attributes");
    }
}

#[test]
fn every_attribute_of_the_ak_counts() {
    for bit in [
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::SIGN,
        ObjectAttributes::DECRYPT,
    ] {
        let sent = Sent {
            ak: with_attributes(&keys().ak, |a| a ^ bit.0),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ak-attributes");
    }
}

/// Replaces the first occurrence of `from`, of the same length.
fn patched(public: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = public.windows(from.len()).position(|w| w == from).unwrap();
    let mut out = public[..at].to_vec();
    out.extend(to);
    out.extend(&public[at + from.len()..]);
    out
}

#[test]
fn an_ek_without_a_cipher_or_with_another_is_refused() {
    let aes = [0x00, 0x06, 0x00, 0x80, 0x00, 0x43];
    for cipher in [
        &[0x00, 0x10][..],
        &[0x00, 0x06, 0x00, 0x80, 0x00, 0x42],
        &[0x00, 0x06, 0x00, 0xc0, 0x00, 0x43],
        &[0x00, 0x13, 0x00, 0x80, 0x00, 0x43],
    ] {
        let sent = Sent {
            ek: patched(&keys().ek_ecc, &aes, cipher),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ek-symmetric");
    }
}

#[test]
fn an_ek_with_a_weak_or_unknown_name_algorithm_is_refused() {
    for name_alg in [[0x00, 0x04], [0x00, 0x12], [0x00, 0x10]] {
        let mut ek = keys().ek_ecc.clone();
        ek[2..4].copy_from_slice(&name_alg);
        refused(listed(), &Sent { ek, ..Sent::bare() }, "ek-name-alg");
    }
}

#[test]
fn an_ek_that_is_no_point_or_no_modulus_is_refused() {
    let mut ek = keys().ek_ecc.clone();
    *ek.last_mut().unwrap() ^= 1;
    refused(listed(), &Sent { ek, ..Sent::bare() }, "ek-key");
    let mut ek = keys().ek_rsa.clone();
    *ek.last_mut().unwrap() ^= 1;
    refused(listed(), &Sent { ek, ..Sent::bare() }, "ek-key");
}

#[test]
fn an_ak_without_a_signing_scheme_is_refused() {
    for scheme in [
        &[0x00, 0x10][..],
        &[0x00, 0x18, 0x00, 0x04],
        &[0x00, 0x1b, 0x00, 0x0b],
    ] {
        let sent = Sent {
            ak: patched(&keys().ak, &[0x00, 0x18, 0x00, 0x0b], scheme),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ak-scheme");
    }
}

#[test]
fn truncated_or_continued_payloads_are_malformed() {
    let (payload, blobs) = Sent::bare().encode();
    let login = Login::new(blobs);
    let attestor = attestor(listed());
    let judge = |payload: &[u8]| attestor.judge(&login.context(), payload).map(drop);
    assert!(judge(&payload).is_ok());
    for n in 0..payload.len() {
        assert_eq!(
            judge(&payload[..n]).unwrap_err().fault,
            Fault::Malformed,
            "{n}"
        );
    }
    let longer = [&payload[..], &[0]].concat();
    assert_eq!(judge(&longer).unwrap_err().check, "payload-malformed");
    // A structure inside with a byte too many.
    for (ek, ak) in [(1, 0), (0, 1)] {
        let mut sent = Sent::bare();
        sent.ek.extend(vec![0; ek]);
        sent.ak.extend(vec![0; ak]);
        let (payload, _) = sent.encode();
        assert_eq!(judge(&payload).unwrap_err().fault, Fault::Malformed);
    }
}

#[test]
fn only_the_right_response_in_the_right_login_proves_anything() {
    let (mut login, pending) = judge(listed(), &Sent::bare()).unwrap();
    let challenge = pending.challenge(&SECRET, &SystemRandom).unwrap();
    login.transcript = login.transcript.then(Direction::Verifier, &challenge);
    let right = LoginKeys::new(SECRET).proof(&login.transcript);

    let answer = |mac: [u8; 32], tail: &[u8]| {
        let (_, pending) = judge(listed(), &Sent::bare()).unwrap();
        let mut response = postcard::to_slice(&EkResponse { mac }, &mut [0; 64])
            .unwrap()
            .to_vec();
        response.extend(tail);
        pending
            .finish(&login.context(), &response)
            .map(drop)
            .map_err(|e| (e.fault, e.check))
    };
    assert_eq!(answer(right, &[]), Ok(()));
    assert_eq!(
        answer(right, &[0]),
        Err((Fault::Malformed, "payload-malformed"))
    );
    let refused = Err((Fault::Refused, "credential-activation"));
    for i in 0..32 {
        let mut wrong = right;
        wrong[i] ^= 0x80;
        assert_eq!(answer(wrong, &[]), refused);
    }
    // The secret of another login, or this one's in another transcript.
    assert_eq!(
        answer(LoginKeys::new([1; 32]).proof(&login.transcript), &[]),
        refused
    );
    let elsewhere = login.transcript.then(Direction::Agent, b"more");
    assert_eq!(
        answer(LoginKeys::new(SECRET).proof(&elsewhere), &[]),
        refused
    );
}

#[test]
fn the_right_tpm_answers_and_another_cannot() {
    let tpm = Swtpm::start();
    tpm.tool("tpm2_createek -Q -G ecc -c ek.ctx");
    tpm.describe("ek");
    tpm.ak("ak", "sha256", "ecc256:ecdsa-sha256:null");
    let sent = Sent {
        ek: tpm.public("ek"),
        ak: tpm.public("ak"),
        ..Sent::bare()
    };
    let config = json!({"allowedHashes": [hash_of(&sent.ek)]});
    let (mut login, pending) = judge(config, &sent).unwrap();
    let challenge = pending.challenge(&SECRET, &SystemRandom).unwrap();
    login.transcript = login.transcript.then(Direction::Verifier, &challenge);

    let wire: EkChallenge<'_> = postcard::from_bytes(&challenge).unwrap();
    let credential = Credential {
        id_object: wire.credential_blob.to_vec(),
        encrypted_secret: wire.encrypted_secret.to_vec(),
    };
    tpm.write("credential", &crate::credential::file(&credential));
    tpm.activate("ak", "ek", "credential", "secret");
    let secret: [u8; 32] = tpm.read("secret").try_into().unwrap();
    let mac = LoginKeys::new(secret).proof(&login.transcript);
    let response = postcard::to_slice(&EkResponse { mac }, &mut [0; 64])
        .unwrap()
        .to_vec();
    assert!(pending.finish(&login.context(), &response).is_ok());

    // The same TPM refuses to open it for another key: the Name is part of the credential.
    tpm.ak("other", "sha256", "ecc256:ecdsa-sha384:null");
    assert!(!tpm.try_activate("other", "ek", "credential", "secret2"));
    // And another TPM holds another EK.
    let stranger = Swtpm::start();
    stranger.tool("tpm2_createek -Q -G ecc -c ek.ctx");
    stranger.ak("ak", "sha256", "ecc256:ecdsa-sha256:null");
    stranger.write("credential", &tpm.read("credential"));
    assert!(!stranger.try_activate("ak", "ek", "credential", "secret"));
}

#[test]
fn settings_that_let_nothing_or_anything_in_are_errors() {
    let (pki, _, _) = manufactured();
    pki.write("empty.pem", "no certificate in here\n");
    pki.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n",
    );
    let leaf = String::from_utf8(pki.pem("ek")).unwrap();
    for (config, field) in [
        (json!({}), "allowedHashes"),
        (json!({"allowedHashes": []}), "allowedHashes"),
        (json!({"allowedHashes": ["abcd"]}), "allowedHashes[0]"),
        (
            json!({"allowedHashes": ["00".repeat(32), "zz".repeat(32)]}),
            "allowedHashes[1]",
        ),
        (json!({"manufacturerCAs": []}), "manufacturerCAs"),
        (
            json!({"manufacturerCAs": ["missing.pem"]}),
            "manufacturerCAs[0]",
        ),
        (json!({"manufacturerCAs": ["."]}), "manufacturerCAs[0]"),
        (
            json!({"manufacturerCAs": ["empty.pem"]}),
            "manufacturerCAs[0]",
        ),
        (
            json!({"manufacturerCAs": ["vendor.crt", "broken.pem"]}),
            "manufacturerCAs[1]",
        ),
        (json!({"manufacturerCAs": [leaf]}), "manufacturerCAs"),
        (
            json!({"manufacturerCAs": {"anchors": []}}),
            "manufacturerCAs.anchors",
        ),
        (
            json!({"manufacturerCAs": {"anchors": ["vendor.crt"], "intermediates": ["x"]}}),
            "manufacturerCAs.intermediates[0]",
        ),
        (
            json!({"require": "hash", "manufacturerCAs": ["vendor.crt"]}),
            "allowedHashes",
        ),
        (
            json!({"require": "certificate", "allowedHashes": ["00".repeat(32)]}),
            "manufacturerCAs",
        ),
        (
            json!({"require": "both", "allowedHashes": ["00".repeat(32)]}),
            "manufacturerCAs",
        ),
        (
            json!({"require": "both", "manufacturerCAs": ["vendor.crt"]}),
            "allowedHashes",
        ),
    ] {
        let parsed: Config = serde_json::from_value(config.clone()).unwrap();
        let error = parsed.build(&pki.path(".")).map(drop).unwrap_err();
        assert_eq!(error.field, field, "{config}: {error}");
    }
    for config in [
        json!({"allowedHashes": ["00".repeat(32)], "unknown": 1}),
        json!({"require": "neither"}),
        json!({"manufacturerCAs": {"anchor": []}}),
        json!({"allowedHashes": "00"}),
    ] {
        assert!(
            serde_json::from_value::<Config>(config.clone()).is_err(),
            "{config}"
        );
    }
    let good =
        json!({"manufacturerCAs": {"anchors": ["vendor.crt"]}, "allowedHashes": ["00".repeat(32)]});
    let good: Config = serde_json::from_value(good).unwrap();
    assert!(good.build(&pki.path(".")).is_ok());
}
