//! A node that comes again: what an attestor has kept of its certificates and its key spares it work, and no check.

use assay_host_verifier::{
    attestor::{
        Claims,
        ssh_pop::{self, SshPop},
        x509pop::{self, X509Pop},
    },
    document::{self, Files},
    x509::UnixTime,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    server,
    ssh_pop::{HOST, Ssh},
    text, with,
    x509pop::{LEAF, payload, response},
    x509pop_crl::list,
};
use crate::pki::{CA, Pki, days_from_now, now};

/// One attestor for all proofs of a case.
enum Twice {
    X509(X509Pop),
    Ssh(SshPop),
}

impl Twice {
    fn x509(pki: &Pki, config: &str) -> Self {
        let config: x509pop::Config = document::parse("config", config).unwrap();
        Self::X509(config.attestor(Files::beside(&pki.path(""))).unwrap())
    }

    fn ssh(ssh: &Ssh, config: &str) -> Self {
        let config: ssh_pop::Config = document::parse("config", config).unwrap();
        Self::Ssh(config.attestor(Files::beside(&ssh.path(""))).unwrap())
    }

    fn at(&self, payload: &Value, nonce: &[u8; 32], at: UnixTime) -> Result<Claims, String> {
        let payload = payload.to_string();
        let payload = payload.as_bytes();
        match self {
            Self::X509(attestor) => {
                let claims = attestor.prove(payload, nonce, at);
                claims.map_err(|error| error.check().to_owned())
            }
            Self::Ssh(attestor) => {
                let claims = attestor.prove(payload, nonce, at);
                claims.map_err(|error| error.check().to_owned())
            }
        }
    }

    /// A good proof, twice: the second says what the first said.
    #[track_caller]
    fn known(&self, payload: &Value) {
        let first = self.at(payload, &server(), now()).unwrap();
        let second = self.at(payload, &server(), now()).unwrap();
        assert_eq!(first.attributes, second.attributes);
        assert_eq!(first.facts.identity, second.facts.identity);
    }

    #[track_caller]
    fn refused(&self, payload: &Value, check: &str) {
        let claims = self.at(payload, &server(), now());
        assert_eq!(claims.err().as_deref(), Some(check));
    }
}

/// With one bit of what was certified changed, a third of the way in; the end, by which a certificate is found, is as it was.
fn altered(certificate: &Value) -> Value {
    let mut bytes = STANDARD.decode(certificate.as_str().unwrap()).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    json!(text(&bytes))
}

#[test]
fn a_known_certificate_ends_when_it_ends() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.issue("middle", "root", CA);
    let good = {
        pki.issue("leaf", "middle", LEAF);
        payload(&pki, &["leaf", "middle"], "p256")
    };
    let attestor = Twice::x509(&pki, "caBundle: [root.crt]");
    attestor.known(&good);
    let ends = ["leaf", "middle", "root"].map(|name| pki.read(name).not_after());
    let end = ends.into_iter().min().unwrap();
    assert!(attestor.at(&good, &server(), end).is_ok());
    let late = attestor.at(&good, &server(), UnixTime(end.0 + 1));
    assert_eq!(late.err().as_deref(), Some("expired"));
    let begin = pki.read("leaf").not_before();
    let early = attestor.at(&good, &server(), UnixTime(begin.0 - 1));
    assert_eq!(early.err().as_deref(), Some("not-yet-valid"));
    assert!(attestor.at(&good, &server(), now()).is_ok());
}

#[test]
fn a_known_certificate_needs_a_list_that_is_fresh_and_does_not_have_it() {
    let pki = Pki::new();
    let authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";
    pki.root("root", "p256", authority);
    pki.issue("leaf", "root", LEAF);
    let good = payload(&pki, &["leaf"], "p256");
    list(&pki, "root", &[], "authorityKeyIdentifier=keyid", "");
    let config = "caBundle: [root.crt]\ncrls: [root.crl]\n";
    let attestor = Twice::x509(&pki, config);
    attestor.known(&good);
    let stale = attestor.at(&good, &server(), days_from_now(31));
    assert_eq!(stale.err().as_deref(), Some("crl-stale"));
    // The policy is read anew with the new list, and nothing that was kept before survives that.
    list(&pki, "root", &["leaf"], "authorityKeyIdentifier=keyid", "");
    Twice::x509(&pki, config).refused(&good, "revoked");
}

#[test]
fn a_known_certificate_proves_nothing_without_its_key() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    for kind in ["rsa2048", "p256", "ed25519"] {
        let other = format!("x{kind}");
        pki.issue_as(kind, kind, kind, "root", LEAF, "-sha256");
        pki.issue_as(&other, &other, kind, "root", LEAF, "-sha256");
        let good = payload(&pki, &[kind], kind);
        let attestor = Twice::x509(&pki, "caBundle: [root.crt]");
        attestor.known(&good);
        let theirs = with(&good, "response", response(&pki, &other, kind, "max"));
        attestor.refused(&theirs, "x509pop-signature");
        let replayed = attestor.at(&good, &[7; 32], now());
        assert_eq!(replayed.err().as_deref(), Some("x509pop-signature"));
        // Nor does the key of one prove another.
        let swapped = with(&good, "certificates.0", json!(text(pki.read(&other).der())));
        attestor.refused(&swapped, "x509pop-signature");
        attestor.known(&good);
    }
}

#[test]
fn a_known_key_verifies_every_usual_salt_and_no_other() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.issue_as("leaf", "leaf", "rsa2048", "root", LEAF, "-sha256");
    let whole = payload(&pki, &["leaf"], "rsa2048");
    let salted = |salt: &str| with(&whole, "response", response(&pki, "leaf", "rsa", salt));
    // Whichever came first, and is ready.
    for first in ["max", "digest", "20"] {
        let attestor = Twice::x509(&pki, "caBundle: [root.crt]");
        attestor.known(&salted(first));
        for salt in ["digest", "max", "0", "20", "48", "64"] {
            assert!(
                attestor.at(&salted(salt), &server(), now()).is_ok(),
                "{first} {salt}"
            );
        }
        attestor.refused(&salted("33"), "x509pop-signature");
    }
}

#[test]
fn a_certificate_like_a_known_one_is_another() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.issue("middle", "root", CA);
    pki.issue("leaf", "middle", LEAF);
    let good = payload(&pki, &["leaf", "middle"], "p256");
    let attestor = Twice::x509(&pki, "caBundle: [root.crt]");
    attestor.known(&good);
    for member in ["certificates.0", "certificates.1"] {
        let pointer = format!("/{}", member.replace('.', "/"));
        let changed = altered(good.pointer(&pointer).unwrap());
        let claims = attestor.at(&with(&good, member, changed), &server(), now());
        assert!(claims.is_err(), "{member}");
    }
    attestor.known(&good);

    let ssh = Ssh::new();
    ssh.key("host", "ed25519");
    ssh.certify("host", HOST);
    let good = ssh.payload("host", "ssh-ed25519");
    let attestor = Twice::ssh(&ssh, &ssh.config(""));
    attestor.known(&good);
    let changed = altered(&good["Certificate"]);
    let claims = attestor.at(&with(&good, "Certificate", changed), &server(), now());
    assert!(claims.is_err());
    attestor.known(&good);
}

#[test]
fn a_known_host_certificate_ends_and_needs_its_key() {
    let ssh = Ssh::new();
    for (kind, format) in [
        ("rsa-2048", "rsa-sha2-512"),
        ("ecdsa-256", "ecdsa-sha2-nistp256"),
        ("ed25519", "ssh-ed25519"),
    ] {
        let other = format!("other-{kind}");
        for name in [kind, &other] {
            ssh.key(name, kind);
            let validity = ["-V", "20260101000000Z:20990101000000Z"];
            ssh.certify(name, &[HOST, &validity].concat());
        }
        let good = ssh.payload(kind, format);
        let attestor = Twice::ssh(&ssh, &ssh.config(""));
        attestor.known(&good);
        // 2099-01-01.
        let end = 4_070_908_800;
        assert!(attestor.at(&good, &server(), UnixTime(end - 1)).is_ok());
        let late = attestor.at(&good, &server(), UnixTime(end));
        assert_eq!(late.err().as_deref(), Some("sshpop-expired"));
        let replayed = attestor.at(&good, &[7; 32], now());
        assert_eq!(replayed.err().as_deref(), Some("sshpop-signature"));
        let theirs = ssh.payload(&other, format);
        let forged = with(&good, "Response", theirs["Response"].clone());
        attestor.refused(&forged, "sshpop-signature");
        attestor.known(&good);
    }
}
