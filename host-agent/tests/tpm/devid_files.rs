//! The DevID's files: what is taken, what is refused, and what is said about it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use assay_common::tpm::handle::Handle;
use assay_firmware::keys::DevidParent;
use assay_host_agent::tpm::devid::Config;
use serde::Deserialize as _;
use serde_json::json;

/// A P-256 signing key's public area with no key in it, and the sizes that tpm2-tools put in front.
const PUBLIC: &str = "0018\
    0023000b00040072000000100018000b0003001000000000";
const PEM: &str =
    "text before\n-----BEGIN CERTIFICATE-----\nMAMC\nAQU=\n-----END CERTIFICATE-----\n";

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("devid.pem", PEM.as_bytes());
        files.write("devid.pub", &hex::decode(PUBLIC).unwrap());
        files.write("devid.priv", &[0, 2, 7, 7]);
        files
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn load(&self, more: serde_json::Value) -> Result<assay_host_agent::tpm::devid::Devid, String> {
        let config = config(more).map_err(|error| error.to_string())?;
        config
            .load(self.0.path())
            .map_err(|error| format!("{error}; {}", error.hint))
    }

    fn refused(&self, names: &str) {
        let error = self.load(json!({})).unwrap_err();
        assert!(error.contains(names), "{error}");
    }
}

fn config(more: serde_json::Value) -> Result<Config, serde_json::Error> {
    let mut config = json!({
        "devidCertPath": "devid.pem", "devidPubPath": "devid.pub", "devidPrivPath": "devid.priv",
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    Config::deserialize(config)
}

#[test]
fn files_of_tpm2_tools_and_openssl_make_a_key() {
    let files = Files::new();
    let devid = files.load(json!({})).unwrap();
    assert_eq!(devid.key.public(), &hex::decode(PUBLIC).unwrap()[2..]);
    assert_eq!(devid.key.certificates(), [0x30, 3, 2, 1, 5]);
    assert!(devid.passwords.is_empty());
    files.write("devid.pem", PEM.repeat(5).as_bytes());
    assert_eq!(files.load(json!({})).unwrap().key.certificates().len(), 25);
}

#[test]
fn passwords_come_out_of_files_that_nobody_else_reads() {
    let files = Files::new();
    let path = files.write("owner", b"s3cret\n");
    let named = json!({"ownerPasswordFile": "owner"});
    let mode =
        |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let error = files.load(named.clone()).unwrap_err();
    assert!(error.contains("0644") && error.contains("chmod 0400") && !error.contains("s3cret"));
    mode(0o400);
    let devid = files.load(named.clone()).unwrap();
    assert_eq!(devid.passwords[0].0, Handle::OWNER);
    assert_eq!(devid.passwords[0].1.as_slice(), b"s3cret");
    assert!(!format!("{:?}", devid.key).contains("s3cret"));
    mode(0o600);
    files.write("owner", &[b'x'; 65]);
    assert!(files.load(named).unwrap_err().contains("64 bytes"));
}

#[test]
fn a_parent_is_named_or_found_out() {
    let parent =
        |text: &str| config(json!({"devidParent": text})).map(|config| config.devid_parent);
    assert_eq!(parent("srk-rsa").unwrap(), Some(DevidParent::SrkRsa2048));
    assert_eq!(parent("srk-ecc").unwrap(), Some(DevidParent::SrkP256));
    let handle = Handle(0x8101_0002);
    assert_eq!(
        parent("0x81010002").unwrap(),
        Some(DevidParent::Persistent(handle))
    );
    for wrong in [
        "",
        "srk",
        "81010002",
        "0x80000000",
        "0x40000001",
        "0x181010002",
    ] {
        assert!(parent(wrong).is_err(), "{wrong}");
    }
    assert_eq!(config(json!({})).unwrap().devid_parent, None);
    assert!(
        config(json!({"devidPath": "x"})).is_err(),
        "unknown fields are refused"
    );
}

#[test]
fn what_is_in_the_files_is_checked_before_a_tpm_sees_it() {
    let files = Files::new();
    let public = hex::decode(PUBLIC).unwrap();
    for (bytes, names) in [
        (&public[..public.len() - 1], "tpm2_create -u"),
        (&[][..], "tpm2_create -u"),
        (&[0, 0], "tpm2_create -u"),
        (&[&public[..], &[0]].concat(), "tpm2_create -u"),
        (&[0, 2, 9, 9], "public area"),
    ] {
        files.write("devid.pub", bytes);
        files.refused(names);
    }
    // A decryption key, then a restricted one.
    for attributes in ["00020072", "00050072"] {
        let other = PUBLIC.replace("00040072", attributes);
        files.write("devid.pub", &hex::decode(other).unwrap());
        files.refused("not a signing key, or a restricted one");
    }
    files.write("devid.pub", &public);
    files.write("devid.priv", &[0, 3, 1]);
    files.refused("tpm2_create -r");
    files.write("devid.priv", &[0, 1, 1]);
    for (pem, names) in [
        ("", "no certificate in it"),
        ("-----BEGIN CERTIFICATE-----\nMAMC", "without its end line"),
        (
            "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----",
            "not base64",
        ),
        (&PEM.repeat(6), "at most 5 are sent"),
        (&"x".repeat(65 * 1024), "longer than 64 KiB"),
    ] {
        files.write("devid.pem", pem.as_bytes());
        files.refused(names);
    }
    std::fs::remove_file(files.0.path().join("devid.pem")).unwrap();
    files.refused("devid.pem");
}

/// Runs `openssl` in the folder.
fn openssl(files: &Files, args: &str) {
    let made = std::process::Command::new("openssl")
        .args(args.split(' '))
        .current_dir(files.0.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "openssl {args}: {made:?}");
}

#[test]
fn the_certificate_is_for_the_key() {
    let files = Files::new();
    for name in ["own", "other"] {
        openssl(
            &files,
            &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"),
        );
        openssl(
            &files,
            &format!("req -x509 -new -key {name}.key -subj /CN=node -days 9 -out {name}.pem"),
        );
    }
    openssl(&files, "pkey -in own.key -pubout -outform DER -out own.der");
    let spki = std::fs::read(files.0.path().join("own.der")).unwrap();
    let (x, y) = spki[spki.len() - 64..].split_at(32);
    let header = hex::decode(PUBLIC).unwrap();
    let area = [&header[2..header.len() - 4], &[0, 32], x, &[0, 32], y].concat();
    let sized = [&u16::try_from(area.len()).unwrap().to_be_bytes()[..], &area].concat();
    files.write("devid.pub", &sized);
    let pem = |name: &str| std::fs::read(files.0.path().join(name)).unwrap();
    let (own, other) = (pem("own.pem"), pem("other.pem"));
    files.write("devid.pem", &own);
    files.load(json!({})).unwrap();
    files.write("devid.pem", &[&own[..], &other].concat());
    files.load(json!({})).unwrap();
    for wrong in [other.clone(), [&other[..], &own].concat()] {
        files.write("devid.pem", &wrong);
        files.refused("is not for the key in");
    }
}
