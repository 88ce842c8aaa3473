//! `x509pop`: a root in the policy, an issuing authority and the node's certificate out of the proof, all keys of one kind.

use assay_common::method::possession::{digest, nonces};
use assay_common::policy::AttestorKind;
use assay_host_verifier::x509::Certificate;
use assay_host_verifier::x509::der::{Reader, tag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use serde_json::json;

use crate::case::{Case, Login};
use crate::keys::{Bare, Form, Key, Kind, numbers_of};

/// Certificates of one authority of two levels, and what verifies them.
pub(crate) struct Chain {
    /// PEM.
    pub(crate) root: String,
    /// DER, the leaf first.
    pub(crate) certificates: [Vec<u8>; 2],
    /// The signatures of both.
    pub(crate) signatures: [Bare; 2],
}

/// Certifies a key.
pub(crate) fn certify(leaf: &Key, kind: Kind) -> Chain {
    let (top, issuing) = (Key::new(kind), Key::new(kind));
    let root = CertifiedIssuer::self_signed(authority("Bench root"), copy(&top)).unwrap();
    let issuer =
        CertifiedIssuer::signed_by(authority("Bench issuer"), copy(&issuing), &root).unwrap();
    let mut params = named("node-17.example.org");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&leaf.rcgen, &issuer).unwrap();
    let certificates = [leaf.der().to_vec(), issuer.der().to_vec()];
    Chain {
        root: root.pem(),
        signatures: [
            signature(&certificates[0], &issuing),
            signature(&certificates[1], &top),
        ],
        certificates,
    }
}

pub(crate) fn case(kind: Kind) -> Case {
    let login = Login::new(AttestorKind::X509POP);
    let key = Key::new(kind);
    let chain = certify(&key, kind);
    let agent = [9; 32];
    let message = match kind {
        Kind::Ed25519 => digest(&login.nonce(), &agent).to_vec(),
        _ => nonces(&login.nonce(), &agent).to_vec(),
    };
    let possession = key.sign(Form::Pss, &message);
    let nonce = STANDARD.encode(agent);
    let plain = STANDARD.encode(&possession.signature);
    let response = match kind {
        Kind::Rsa2048 => json!({"rsa_signature": {"nonce": nonce, "signature": plain}}),
        Kind::Ed25519 => json!({"ed25519_signature": {"nonce": nonce, "signature": plain}}),
        Kind::P256 => {
            let [r, s] = numbers_of(&possession.signature).map(|number| STANDARD.encode(number));
            json!({"ecdsa_signature": {"nonce": nonce, "r": r, "s": s}})
        }
    };
    let payload = json!({
        "certificates": chain.certificates.each_ref().map(|der| STANDARD.encode(der)),
        "response": response,
    });
    Case::new(
        login,
        json!({"caBundle": [chain.root]}),
        payload.to_string(),
    )
    .fresh([possession])
    .lasting(chain.signatures)
}

/// The signature of a certificate.
pub(crate) fn signature(der: &[u8], issuer: &Key) -> Bare {
    let certificate = Certificate::from_der(der).unwrap();
    let mut parts = Reader::new(der).expect(tag::SEQUENCE).unwrap().reader();
    parts.expect(tag::SEQUENCE).unwrap();
    parts.expect(tag::SEQUENCE).unwrap();
    let signature = parts.bit_string_bytes().unwrap().to_vec();
    issuer.signed(Form::Certificate, certificate.tbs(), signature)
}

fn copy(key: &Key) -> KeyPair {
    KeyPair::try_from(key.rcgen.serialize_der()).unwrap()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
