//! `ssh_pop`: what is proven, and one refusal for each check. `ssh-keygen` makes keys and certificates; `openssl` signs.

use std::path::PathBuf;

use assay_host_verifier::{
    attestor::{Claims, ssh_pop::Config},
    crypto::Seen,
    document::{self, Files},
    ssh::Certificate,
    x509::UnixTime,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{agent, digest, server, text, with};
use crate::{pki::now, swtpm::run};

/// A folder of `ssh-keygen`'s.
pub(super) struct Ssh {
    folder: TempDir,
}

impl Ssh {
    pub(super) fn new() -> Self {
        let ssh = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        ssh.key("ca", "ed25519");
        ssh
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn keygen(&self, args: &[&str]) {
        run("ssh-keygen", args, self.folder.path(), &[]);
    }

    /// `name` and `name.pub`; in PKCS#8 or PEM where openssl is to sign with it.
    pub(super) fn key(&self, name: &str, kind: &str) {
        let (kind, bits) = match kind.split_once('-') {
            Some((kind, bits)) => (kind, bits),
            None => (kind, "0"),
        };
        let mut args = vec!["-q", "-N", "", "-C", "test", "-f", name, "-t", kind];
        if bits != "0" {
            args.extend(["-b", bits]);
        }
        self.keygen(&args);
    }

    /// Certifies `name.pub` as a host's.
    pub(super) fn certify(&self, name: &str, options: &[&str]) {
        self.certify_by("ca", name, options);
    }

    pub(super) fn certify_by(&self, ca: &str, name: &str, options: &[&str]) {
        let mut args = vec!["-q", "-s", ca];
        args.extend(options);
        let file = format!("{name}.pub");
        args.push(&file);
        self.keygen(&args);
    }

    pub(super) fn blob(&self, file: &str) -> Vec<u8> {
        let line = std::fs::read_to_string(self.path(file)).unwrap();
        STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap()
    }

    /// Signs as an agent does: the agent's own code is the other side's, so `ssh-keygen -Y` cannot be used (it signs another
    /// message), and openssl signs with the key that `ssh-keygen` exports.
    fn sign(&self, name: &str, format: &str, message: &[u8]) -> Vec<u8> {
        std::fs::write(self.path("message"), message).unwrap();
        // A copy in a form that openssl reads.
        std::fs::copy(self.path(name), self.path("plain")).unwrap();
        let openssl = |args: &str| {
            let args: Vec<&str> = args.split_whitespace().collect();
            run("openssl", &args, self.folder.path(), &[])
        };
        let number = |contents: &[u8]| {
            let mut out = (contents.len() as u32).to_be_bytes().to_vec();
            out.extend_from_slice(contents);
            out
        };
        if format == "ssh-ed25519" {
            self.ed25519_pem(name);
            return openssl("pkeyutl -sign -rawin -inkey plain -in message");
        }
        self.keygen(&["-q", "-p", "-N", "", "-m", "PEM", "-f", "plain"]);
        let hash = match format {
            "rsa-sha2-512" | "ecdsa-sha2-nistp521" => "sha512",
            "ecdsa-sha2-nistp384" => "sha384",
            "ssh-rsa" => "sha1",
            _ => "sha256",
        };
        let signature = openssl(&format!("dgst -{hash} -sign plain message"));
        if !format.starts_with("ecdsa") {
            return signature;
        }
        let der = assay_host_verifier::x509::der::Reader::new(&signature)
            .any()
            .unwrap();
        let mut numbers = der.reader();
        let r = number(numbers.any().unwrap().contents);
        [r, number(numbers.any().unwrap().contents)].concat()
    }

    /// PKCS#8 of an Ed25519 key, which `ssh-keygen` does not write: the seed stands in its own format at a known distance
    /// from the end of the public key's second copy.
    fn ed25519_pem(&self, name: &str) {
        let public = self.blob(&format!("{name}.pub"));
        let public = &public[public.len() - 32..];
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let key = STANDARD.decode(body).unwrap();
        // The private part is the seed and the public key, 64 bytes together.
        let at = key
            .windows(32)
            .rposition(|window| window == public)
            .unwrap();
        let seed = &key[at - 32..at];
        let mut der = vec![
            0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
        ];
        der.extend_from_slice(seed);
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der)
        );
        std::fs::write(self.path("plain"), pem).unwrap();
    }

    pub(super) fn payload(&self, name: &str, format: &str) -> Value {
        json!({
            "Certificate": text(&self.blob(&format!("{name}-cert.pub"))),
            "Response": {
                "Nonce": text(&agent()),
                "Signature": {
                    "Format": format,
                    "Blob": text(&self.sign(name, format, &digest())),
                    "Rest": null
                }
            }
        })
    }

    pub(super) fn config(&self, more: &str) -> String {
        let ca = std::fs::read_to_string(self.path("ca.pub")).unwrap();
        format!("certAuthorities: [{:?}]\n{more}", ca.trim())
    }

    pub(super) fn judge(&self, config: &str, payload: &Value) -> Result<Claims, String> {
        self.judge_bytes(config, payload.to_string().as_bytes(), &server(), now())
    }

    fn judge_bytes(
        &self,
        config: &str,
        payload: &[u8],
        nonce: &[u8; 32],
        at: UnixTime,
    ) -> Result<Claims, String> {
        let config: Config = document::parse("config", config).unwrap();
        let attestor = config.attestor(Files::beside(self.folder.path())).unwrap();
        let claims = attestor.prove(payload, nonce, at);
        claims.map_err(|error| error.check().to_owned())
    }

    #[track_caller]
    pub(super) fn refused(&self, config: &str, payload: &Value, check: &str) {
        assert_eq!(self.judge(config, payload).err().as_deref(), Some(check));
    }
}

pub(super) const HOST: &[&str] = &["-h", "-I", "host1", "-n", "host1.example.org", "-z", "7"];

#[test]
fn accepts_every_key_and_every_authority() {
    let ssh = Ssh::new();
    for (kind, formats) in [
        ("ed25519", &["ssh-ed25519"][..]),
        ("ecdsa-256", &["ecdsa-sha2-nistp256"]),
        ("ecdsa-384", &["ecdsa-sha2-nistp384"]),
        ("ecdsa-521", &["ecdsa-sha2-nistp521"]),
        ("rsa-2048", &["rsa-sha2-256", "rsa-sha2-512"]),
        ("rsa-3072", &["rsa-sha2-512"]),
    ] {
        ssh.key(kind, kind);
        ssh.certify(kind, HOST);
        for format in formats {
            let claims = ssh.judge(&ssh.config(""), &ssh.payload(kind, format));
            assert!(claims.is_ok(), "{kind} {format}: {claims:?}");
        }
        // And as an authority.
        ssh.key(&format!("{kind}-host"), "ed25519");
        ssh.certify_by(kind, &format!("{kind}-host"), HOST);
        let line = std::fs::read_to_string(ssh.path(&format!("{kind}.pub"))).unwrap();
        let config = format!("certAuthorities: [{:?}]", line.trim());
        let claims = ssh.judge(
            &config,
            &ssh.payload(&format!("{kind}-host"), "ssh-ed25519"),
        );
        assert!(claims.is_ok(), "authority {kind}: {claims:?}");
    }
}

#[test]
fn gives_the_attributes_of_the_certificate() {
    let ssh = Ssh::new();
    ssh.key("host", "ed25519");
    let validity = ["-V", "20260101000000Z:20990101000000Z"];
    let names = [
        "-h",
        "-I",
        "rack 7",
        "-n",
        "a.example.org,b.example.org",
        "-z",
        "18446744073709551615",
    ];
    ssh.certify("host", &[&names[..], &validity].concat());
    let claims = ssh
        .judge(&ssh.config(""), &ssh.payload("host", "ssh-ed25519"))
        .unwrap();
    let shown: Vec<String> = claims.attributes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "ssh_pop:ssh_pop.type=\"host_cert\"",
            "ssh_pop:ssh_pop.key.type=\"ed25519\"",
            "ssh_pop:ssh_pop.key.id=\"rack 7\"",
            "ssh_pop:ssh_pop.serial=\"18446744073709551615\"",
            "ssh_pop:ssh_pop.principal=\"a.example.org\"",
            "ssh_pop:ssh_pop.principal=\"b.example.org\"",
            "ssh_pop:ssh_pop.valid.after=\"1767225600\"",
            "ssh_pop:ssh_pop.valid.before=\"4070908800\"",
        ]
    );
    let first = claims.facts.identity;
    // A renewed certificate is of the same node.
    ssh.certify("host", &["-h", "-I", "x", "-n", "c.example.org"]);
    let claims = ssh
        .judge(&ssh.config(""), &ssh.payload("host", "ssh-ed25519"))
        .unwrap();
    assert_eq!(claims.facts.identity, first);
    let forever = claims.attributes.last().unwrap();
    assert_eq!(forever.value, "18446744073709551615");
}

#[test]
fn a59_refuses_each_way_that_a_certificate_can_be_wrong() {
    let ssh = Ssh::new();
    ssh.key("other", "ed25519");
    let good = ["-h", "-I", "x", "-n", "host1.example.org"];
    let cases: &[(&str, &str, &[&str], &str)] = &[
        (
            "user",
            "ca",
            &["-I", "x", "-n", "root"],
            "sshpop-user-certificate",
        ),
        ("stranger", "other", &good, "sshpop-authority"),
        ("nobody", "ca", &["-h", "-I", "x"], "sshpop-no-principal"),
        (
            "wild",
            "ca",
            &["-h", "-I", "x", "-n", "*.example.org"],
            "sshpop-principal",
        ),
        (
            "second",
            "ca",
            &["-h", "-I", "x", "-n", "a.example.org,b.example.com"],
            "sshpop-domain",
        ),
        (
            "itself",
            "ca",
            &["-h", "-I", "x", "-n", "example.org"],
            "sshpop-domain",
        ),
        (
            "sibling",
            "ca",
            &["-h", "-I", "x", "-n", "a.badexample.org"],
            "sshpop-domain",
        ),
        (
            "address",
            "ca",
            &[
                "-h",
                "-I",
                "x",
                "-n",
                "a.example.org",
                "-O",
                "critical:source-address=10.0.0.0/8",
            ],
            "sshpop-source-address",
        ),
        (
            "option",
            "ca",
            &[
                "-h",
                "-I",
                "x",
                "-n",
                "a.example.org",
                "-O",
                "critical:more=1",
            ],
            "sshpop-critical-option",
        ),
        (
            "past",
            "ca",
            &[
                "-h",
                "-I",
                "x",
                "-n",
                "a.example.org",
                "-V",
                "20200101:20200102",
            ],
            "sshpop-expired",
        ),
        (
            "future",
            "ca",
            &[
                "-h",
                "-I",
                "x",
                "-n",
                "a.example.org",
                "-V",
                "20980101:20990102",
            ],
            "sshpop-not-yet-valid",
        ),
    ];
    let config = ssh.config("canonicalDomain: Example.org");
    for (name, ca, options, check) in cases {
        ssh.key(name, "ed25519");
        ssh.certify_by(ca, name, options);
        ssh.refused(&config, &ssh.payload(name, "ssh-ed25519"), check);
    }
    ssh.key("fine", "ed25519");
    ssh.certify(
        "fine",
        &[
            "-h",
            "-I",
            "x",
            "-n",
            "A.EXAMPLE.ORG",
            "-O",
            "extension:more@example.org=1",
        ],
    );
    assert!(
        ssh.judge(&config, &ssh.payload("fine", "ssh-ed25519"))
            .is_ok()
    );
    ssh.key("small", "rsa-1024");
    ssh.certify("small", &good);
    ssh.refused(
        &config,
        &ssh.payload("small", "rsa-sha2-256"),
        "sshpop-key-size",
    );
}

#[test]
fn sha1_counts_only_where_it_is_let_in() {
    let ssh = Ssh::new();
    ssh.key("host", "rsa-2048");
    ssh.certify("host", HOST);
    let payload = ssh.payload("host", "ssh-rsa");
    ssh.refused(&ssh.config(""), &payload, "sshpop-signature");
    assert!(
        ssh.judge(&ssh.config("danger_allow_sha1: true"), &payload)
            .is_ok()
    );
    // An authority's, too.
    ssh.key("old", "rsa-2048");
    ssh.key("below", "ed25519");
    ssh.certify_by(
        "old",
        "below",
        &["-t", "ssh-rsa", "-h", "-I", "x", "-n", "a.example.org"],
    );
    let line = std::fs::read_to_string(ssh.path("old.pub")).unwrap();
    let config = format!("certAuthorities: [{:?}]\n", line.trim());
    let payload = ssh.payload("below", "ssh-ed25519");
    ssh.refused(&config, &payload, "sshpop-authority-signature");
    assert!(
        ssh.judge(&format!("{config}danger_allow_sha1: true"), &payload)
            .is_ok()
    );
}

#[test]
fn every_byte_of_a_certificate_is_covered() {
    let ssh = Ssh::new();
    ssh.key("host", "ed25519");
    ssh.certify("host", HOST);
    let payload = ssh.payload("host", "ssh-ed25519");
    let config = ssh.config("");
    let blob = ssh.blob("host-cert.pub");
    for at in 0..blob.len() {
        let mut altered = blob.clone();
        altered[at] ^= 1;
        let altered = with(&payload, "Certificate", json!(text(&altered)));
        assert!(ssh.judge(&config, &altered).is_err(), "byte {at}");
        assert!(Certificate::from_blob(&blob[..at]).is_err(), "cut at {at}");
    }
    let longer = [&blob[..], &[0]].concat();
    let longer = with(&payload, "Certificate", json!(text(&longer)));
    ssh.refused(&config, &longer, "sshpop-certificate");
    let plain = with(&payload, "Certificate", json!(text(&ssh.blob("host.pub"))));
    ssh.refused(&config, &plain, "sshpop-certificate");
}

#[test]
fn refuses_each_way_that_a_response_can_be_wrong() {
    let ssh = Ssh::new();
    ssh.key("host", "ed25519");
    ssh.certify("host", HOST);
    ssh.key("copy", "ed25519");
    ssh.certify("copy", HOST);
    let config = ssh.config("");
    let payload = ssh.payload("host", "ssh-ed25519");
    let changed = |path, value| with(&payload, path, value);
    let other = ssh.payload("copy", "ssh-ed25519")["Response"].clone();
    ssh.refused(&config, &changed("Response", other), "sshpop-signature");
    let nonce = |bytes: &[u8]| changed("Response.Nonce", json!(text(bytes)));
    ssh.refused(&config, &nonce(&[1; 32]), "sshpop-signature");
    ssh.refused(&config, &nonce(&[1; 31]), "sshpop-response-nonce");
    let format = json!("rsa-sha2-256");
    ssh.refused(
        &config,
        &changed("Response.Signature.Format", format),
        "sshpop-signature",
    );
    let rest = json!("AAAA");
    ssh.refused(
        &config,
        &changed("Response.Signature.Rest", rest),
        "sshpop-signature-rest",
    );
    let whole = payload.to_string();
    let judge =
        |bytes: &str, nonce: [u8; 32]| ssh.judge_bytes(&config, bytes.as_bytes(), &nonce, now());
    assert!(judge(&whole, server()).is_ok());
    assert_eq!(judge(&whole, [9; 32]).unwrap_err(), "sshpop-signature");
    for n in (0..whole.len()).step_by(5) {
        assert_eq!(judge(&whole[..n], server()).unwrap_err(), "sshpop-payload");
    }
    // Letter case as Go's agents have it; no member twice in two cases, none that nobody knows.
    let small = whole.replacen("\"Certificate\"", "\"certificate\"", 1);
    assert!(judge(&small, server()).is_ok());
    for wrong in [
        whole.replacen('{', "{\"certificate\":\"\",", 1),
        whole.replacen('{', "{\"Certificates\":\"\",", 1),
        format!("{whole}{whole}"),
    ] {
        assert_eq!(judge(&wrong, server()).unwrap_err(), "sshpop-payload");
    }
}

#[test]
fn reads_what_ssh_keygen_shows() {
    let ssh = Ssh::new();
    ssh.key("host", "ecdsa-384");
    ssh.certify(
        "host",
        &[
            "-h",
            "-I",
            "some id",
            "-n",
            "a,b",
            "-z",
            "12",
            "-V",
            "19700101000100Z:forever",
        ],
    );
    let shown = run(
        "ssh-keygen",
        &["-L", "-f", "host-cert.pub"],
        &ssh.path(""),
        &[("TZ", "UTC")],
    );
    let shown = String::from_utf8(shown).unwrap();
    let read = Certificate::from_blob(&ssh.blob("host-cert.pub")).unwrap();
    let fingerprint =
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(read.authority().sha256());
    assert!(
        shown.contains(&format!("ED25519 SHA256:{fingerprint}")),
        "{shown}"
    );
    let fingerprint = base64::engine::general_purpose::STANDARD_NO_PAD.encode(read.key().sha256());
    assert!(
        shown.contains(&format!("ECDSA-CERT SHA256:{fingerprint}")),
        "{shown}"
    );
    assert!(shown.contains("Key ID: \"some id\"") && read.key_id() == "some id");
    assert!(shown.contains("Serial: 12") && read.serial() == 12);
    assert_eq!((read.valid_after(), read.valid_before()), (60, u64::MAX));
    assert_eq!(read.principals(), ["a", "b"]);
    assert!(read.verify_signature(false, &Seen::default()).is_ok());
}

#[test]
fn settings_that_could_let_in_nobody_or_everybody_are_errors() {
    let ssh = Ssh::new();
    std::fs::write(ssh.path("comments"), "# none\n\n").unwrap();
    ssh.key("small", "rsa-1024");
    let small = std::fs::read_to_string(ssh.path("small.pub")).unwrap();
    let ca = std::fs::read_to_string(ssh.path("ca.pub")).unwrap();
    let small = format!("certAuthorities: [{:?}]", small.trim());
    let options = format!(
        "certAuthorities: [{:?}]",
        format!("cert-authority {}", ca.trim())
    );
    for (text, field) in [
        ("{}", "certAuthorities"),
        ("certAuthorities: []", "certAuthorities"),
        ("certAuthorities: [ssh-ed25519]", "certAuthorities[0]"),
        (small.as_str(), "certAuthorities[0]"),
        (options.as_str(), "certAuthorities[0]"),
        ("certAuthoritiesFile: none", "certAuthoritiesFile"),
        ("certAuthoritiesFile: comments", "certAuthoritiesFile"),
        ("certAuthoritiesFile: ca.pub\nkrls: []", "krls"),
        ("certAuthoritiesFile: ca.pub\nkrls: [ca.pub]", "krls[0]"),
        (
            "certAuthoritiesFile: ca.pub\nrevokedSerials: []",
            "revokedSerials",
        ),
        (
            "certAuthoritiesFile: ca.pub\nrevokedKeyIds: []",
            "revokedKeyIds",
        ),
        (
            "certAuthoritiesFile: ca.pub\ncanonicalDomain: ''",
            "canonicalDomain",
        ),
        (
            "certAuthoritiesFile: ca.pub\ncanonicalDomain: '*.org'",
            "canonicalDomain",
        ),
    ] {
        let config: Config = document::parse("config", text).unwrap();
        let error = config.attestor(Files::beside(&ssh.path(""))).unwrap_err();
        assert_eq!(error.field, field, "{text}");
    }
    let file: Config = document::parse("config", "certAuthoritiesFile: ca.pub").unwrap();
    assert!(file.attestor(Files::beside(&ssh.path(""))).is_ok());
}
