//! Keys in every form that `openssl` and `ssh-keygen` write, and their signatures verified by `openssl`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use aws_lc_rs::signature::RSA_PKCS1_SHA512;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;

use super::{HostCertificate, Leaf, PrivateKey, certificates};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, command: &str) {
        let mut words = command.split(' ');
        let mut process = Command::new(words.next().unwrap());
        // An empty word stands for an empty argument: no passphrase.
        let output = process
            .args(words)
            .current_dir(self.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {error}");
    }

    fn key(&self, name: &str) -> PrivateKey {
        let path = self.path().join(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        PrivateKey::read(&path).unwrap()
    }

    /// Signs with the key and has openssl verify it with `public`.
    fn check(&self, key: &PrivateKey, public: &str) {
        std::fs::write(self.path().join("message"), b"message").unwrap();
        let put = |signature: &[u8]| std::fs::write(self.path().join("sig"), signature).unwrap();
        let verify = |how: &str| self.run(&format!("openssl {how} -signature sig message"));
        match key {
            PrivateKey::Rsa(_) => {
                put(&key.rsa(&RSA_PKCS1_SHA512, b"message").unwrap());
                verify(&format!("dgst -sha512 -verify {public}"));
            }
            PrivateKey::Ec(..) => {
                put(&der(&key.ecdsa_sha256(b"message").unwrap()));
                verify(&format!("dgst -sha256 -verify {public}"));
                let (curve, numbers) = key.ecdsa_own_hash(b"message").unwrap();
                put(&der(&numbers));
                let hash = match curve {
                    super::Curve::P256 => "sha256",
                    super::Curve::P384 => "sha384",
                    super::Curve::P521 => "sha512",
                };
                verify(&format!("dgst -{hash} -verify {public}"));
            }
            PrivateKey::Ed25519(pair) => {
                put(pair.sign(b"message").as_ref());
                self.run(&format!(
                    "openssl pkeyutl -verify -rawin -pubin -inkey {public} -sigfile sig -in message"
                ));
            }
        }
    }
}

fn der((r, s): &super::Numbers) -> Vec<u8> {
    let integer = |number: &Vec<u8>| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let digits = [&[0][..], number.get(zeros..).unwrap()].concat();
        // A zero too many where the number has no high bit would not be DER.
        let digits = match digits.get(1) {
            Some(high) if high & 0x80 == 0 => digits.get(1..).unwrap().to_vec(),
            _ => digits,
        };
        [&[2, digits.len() as u8][..], &digits].concat()
    };
    let body = [integer(r), integer(s)].concat();
    match body.len() {
        short @ 0..=0x7f => [&[0x30, short as u8][..], &body].concat(),
        long => [&[0x30, 0x81, long as u8][..], &body].concat(),
    }
}

#[test]
fn every_form_of_openssl_is_read() {
    let folder = Folder::new();
    for (name, make, kind) in [
        (
            "p256",
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            "ecdsa-p256",
        ),
        (
            "p384",
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
            "ecdsa-p384",
        ),
        (
            "p521",
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-521",
            "ecdsa-p521",
        ),
        (
            "rsa",
            "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            "rsa-2048",
        ),
        ("ed25519", "-algorithm ED25519", "ed25519"),
    ] {
        folder.run(&format!("openssl genpkey {make} -out {name}"));
        folder.run(&format!("openssl pkey -in {name} -pubout -out {name}.pub"));
        let mut forms = vec![name.to_owned()];
        if name != "ed25519" {
            let old = format!("{name}.old");
            folder.run(&format!("openssl pkey -in {name} -traditional -out {old}"));
            forms.push(old);
        }
        for form in forms {
            let key = folder.key(&form);
            assert_eq!(key.kind(), kind, "{form}");
            folder.check(&key, &format!("{name}.pub"));
        }
    }
}

#[test]
fn opensshs_own_form_is_read() {
    let folder = Folder::new();
    for (name, make, kind) in [
        ("rsa", "rsa -b 2048", "rsa-2048"),
        ("rsa3", "rsa -b 3072", "rsa-3072"),
        ("p256", "ecdsa -b 256", "ecdsa-p256"),
        ("p384", "ecdsa -b 384", "ecdsa-p384"),
        ("p521", "ecdsa -b 521", "ecdsa-p521"),
        ("ed25519", "ed25519", "ed25519"),
    ] {
        folder.run(&format!("ssh-keygen -q -N  -f {name} -t {make}"));
        let key = folder.key(name);
        assert_eq!(key.kind(), kind);
        let line = std::fs::read_to_string(folder.path().join(format!("{name}.pub"))).unwrap();
        let blob = STANDARD
            .decode(line.split_ascii_whitespace().nth(1).unwrap())
            .unwrap();
        assert!(key.is_in(&blob), "{name}");
        // It does not write Ed25519 in a form that openssl reads.
        if name != "ed25519" {
            folder.run(&format!("cp {name} {name}.pem"));
            folder.run(&format!("ssh-keygen -q -p -P  -N  -m PKCS8 -f {name}.pem"));
            folder.run(&format!("openssl pkey -in {name}.pem -pubout -out public"));
            folder.check(&key, "public");
        }
    }
}

#[test]
fn a_key_that_others_read_or_that_is_encrypted_is_refused() {
    let folder = Folder::new();
    folder.run("openssl genpkey -algorithm ED25519 -out key");
    let path = folder.path().join("key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = PrivateKey::read(&path).unwrap_err();
    assert!(error.what.contains("0644"), "{error}");
    assert!(error.hint.contains("chmod"), "{}", error.hint);
    folder.run("openssl pkcs8 -topk8 -in key -passout pass:secret -out sealed");
    folder.run("ssh-keygen -q -N secret -t ed25519 -f ssh");
    folder.run("openssl genrsa -aes128 -passout pass:secret -traditional -out old 2048");
    for name in ["sealed", "ssh", "old"] {
        let path = folder.path().join(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        let error = PrivateKey::read(&path).unwrap_err();
        assert!(error.what.contains("encrypted"), "{name}: {error}");
    }
    folder.run("openssl genpkey -algorithm X25519 -out exchange");
    let path = folder.path().join("exchange");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(PrivateKey::read(&path).is_err());
}

/// What `openssl` or `ssh-keygen` says, without its line end.
fn said(folder: &Folder, command: &str) -> String {
    let mut words = command.split(' ');
    let mut process = Command::new(words.next().unwrap());
    let output = process.args(words).current_dir(folder.path()).output();
    String::from_utf8(output.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn a_certificates_end_and_the_hash_of_its_key_are_as_openssl_has_them() {
    let folder = Folder::new();
    for (name, make) in [
        ("p256", "ec -pkeyopt ec_paramgen_curve:P-256"),
        ("p521", "ec -pkeyopt ec_paramgen_curve:P-521"),
        ("rsa", "rsa:2048"),
        ("ed25519", "ed25519"),
    ] {
        folder.run(&format!(
            "openssl req -x509 -newkey {make} -nodes -keyout {name}.key -out {name}.crt -subj /CN=a -days 20000"
        ));
        let chain = certificates(&folder.path().join(format!("{name}.crt"))).unwrap();
        let leaf = Leaf::read(&chain[0]).unwrap();
        // A UTCTime, and a GeneralizedTime.
        let dates = format!("openssl x509 -in {name}.crt -noout -dates -dateopt iso_8601");
        let told = said(&folder, &dates).replace(' ', "T");
        let (from, until) = (leaf.term.from.unwrap(), leaf.term.until.unwrap());
        assert_eq!(told, format!("notBefore={from}\nnotAfter={until}"));
        folder.run(&format!(
            "openssl pkey -in {name}.key -pubout -outform DER -out public"
        ));
        let told = said(&folder, "openssl dgst -sha256 -r public");
        assert!(told.starts_with(&hex::encode(leaf.key_sha256)), "{told}");
        for len in 0..chain[0].len() {
            assert_eq!(Leaf::read(&chain[0][..len]), None, "{len}");
        }
    }
}

#[test]
fn an_ssh_certificate_is_as_ssh_keygen_has_it() {
    let folder = Folder::new();
    folder.run("ssh-keygen -q -N  -t ed25519 -f ca");
    for (name, make) in [
        ("rsa", "rsa -b 2048"),
        ("p384", "ecdsa -b 384"),
        ("ed25519", "ed25519"),
    ] {
        folder.run(&format!("ssh-keygen -q -N  -f {name} -t {make}"));
        let certified = |options: &str| {
            folder.run(&format!("ssh-keygen -q -s ca -I a {options} {name}.pub"));
            let path = folder.path().join(format!("{name}-cert.pub"));
            let line = std::fs::read_to_string(path).unwrap();
            let blob = line.split_ascii_whitespace().nth(1).unwrap();
            STANDARD.decode(blob).unwrap()
        };
        let blob = certified("-h -n a.example.org,b -V 20260101000000Z:20260201000000Z");
        let host = HostCertificate::read(&blob).unwrap();
        assert!(host.is_hosts);
        assert_eq!(host.principals, ["a.example.org", "b"]);
        let shown = |time: Option<jiff::Timestamp>| time.unwrap().to_string();
        assert_eq!(shown(host.term.from), "2026-01-01T00:00:00Z");
        assert_eq!(shown(host.term.until), "2026-02-01T00:00:00Z");
        let told = said(&folder, &format!("ssh-keygen -l -f {name}.pub"));
        let hash = base64::engine::general_purpose::STANDARD_NO_PAD.encode(host.key_sha256);
        assert!(told.contains(&format!("SHA256:{hash}")), "{told}");
        for len in 0..100 {
            assert_eq!(HostCertificate::read(&blob[..len]), None, "{len}");
        }
        // Without an end, without names, of a user.
        let user = HostCertificate::read(&certified("-V always:forever")).unwrap();
        assert!(!user.is_hosts && user.principals.is_empty());
        assert_eq!((user.term.from, user.term.until), (None, None));
    }
}

#[test]
fn a_term_that_is_over_or_not_yet_is_what_doctor_says() {
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
    let term = super::Term {
        from: Some(at(100)),
        until: Some(at(200)),
    };
    let told = |now: i64| {
        let finding = term.doctor("x509pop", "host.crt", at(now));
        finding.map(|finding| finding.seen)
    };
    assert_eq!((told(100), told(200)), (None, None));
    assert!(told(99).unwrap().contains("counts from"));
    assert!(told(201).unwrap().contains("expired at"));
}
