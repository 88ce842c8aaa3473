//! Revocation under `ssh_pop`: lists by `ssh-keygen -k`, and the settings' own.

use assay_host_verifier::ssh::{Krl, KrlError};

use super::ssh_pop::Ssh;

/// Two hosts of one authority with serial numbers 7 and 70 and key ids of their own.
fn world() -> Ssh {
    let ssh = Ssh::new();
    for (name, serial) in [("leaf", "7"), ("gone", "70")] {
        ssh.key(name, "ed25519");
        let principal = format!("{name}.example.org");
        ssh.certify(name, &["-h", "-I", name, "-n", &principal, "-z", serial]);
    }
    ssh
}

fn check(ssh: &Ssh, more: &str, name: &str) -> Result<(), String> {
    let payload = ssh.payload(name, "ssh-ed25519");
    ssh.judge(&ssh.config(more), &payload).map(drop)
}

#[test]
fn every_form_of_entry_that_ssh_keygen_writes_revokes() {
    let ssh = world();
    let revoked = Err("sshpop-revoked".to_owned());
    let many: String = (60..200)
        .step_by(2)
        .map(|n| format!("serial: {n}\n"))
        .collect();
    for (form, spec) in [
        ("serial", "serial: 70\n"),
        ("range", "serial: 50-90\n"),
        ("bitmap", many.as_str()),
        ("key id", "id: gone\n"),
        ("sha1", "sha1: gone.pub\n"),
        ("sha256", "sha256: gone.pub\n"),
        ("key", "key: gone.pub\n"),
    ] {
        // Names of keys stand in the specification as their texts or their hashes.
        let spec = match spec.split_once(": gone.pub") {
            Some((kind, _)) => {
                let line = std::fs::read_to_string(ssh.path("gone.pub")).unwrap();
                format!("{kind}: {line}")
            }
            None => spec.to_owned(),
        };
        std::fs::write(ssh.path("spec"), spec).unwrap();
        ssh.keygen(&["-q", "-k", "-f", "list.krl", "-s", "ca.pub", "spec"]);
        assert_eq!(check(&ssh, "krls: [list.krl]", "gone"), revoked, "{form}");
        assert_eq!(check(&ssh, "krls: [list.krl]", "leaf"), Ok(()), "{form}");
    }
}

#[test]
fn a_list_of_another_authority_says_nothing_about_ours() {
    let ssh = world();
    ssh.key("other", "ed25519");
    std::fs::write(ssh.path("spec"), "serial: 70\nid: gone\n").unwrap();
    ssh.keygen(&["-q", "-k", "-f", "list.krl", "-s", "other.pub", "spec"]);
    assert_eq!(check(&ssh, "krls: [list.krl]", "gone"), Ok(()));
    // One for every authority does, and one of several lists is enough.
    ssh.keygen(&["-q", "-k", "-f", "all.krl", "-s", "none", "spec"]);
    let more = "krls: [list.krl, all.krl]";
    assert_eq!(check(&ssh, more, "gone"), Err("sshpop-revoked".to_owned()));
}

#[test]
fn a_revoked_authority_takes_its_certificates_along() {
    let ssh = world();
    ssh.keygen(&["-q", "-k", "-f", "list.krl", "ca.pub"]);
    let revoked = Err("sshpop-revoked".to_owned());
    assert_eq!(check(&ssh, "krls: [list.krl]", "leaf"), revoked);
}

#[test]
fn serial_numbers_and_key_ids_of_the_settings_revoke() {
    let ssh = world();
    let revoked = Err("sshpop-revoked".to_owned());
    for more in ["revokedSerials: [1, 70]", "revokedKeyIds: [gone]"] {
        assert_eq!(check(&ssh, more, "gone"), revoked, "{more}");
        assert_eq!(check(&ssh, more, "leaf"), Ok(()), "{more}");
    }
    assert_eq!(check(&ssh, "revokedKeyIds: [Gone, on]", "gone"), Ok(()));
}

#[test]
fn no_part_of_a_list_is_a_list_of_less() {
    let ssh = world();
    std::fs::write(ssh.path("spec"), "serial: 70\nid: gone\n").unwrap();
    ssh.keygen(&[
        "-q", "-k", "-f", "list.krl", "-s", "ca.pub", "spec", "leaf.pub",
    ]);
    let list = std::fs::read(ssh.path("list.krl")).unwrap();
    assert!(Krl::from_bytes(&list).is_ok());
    // The header alone is a list of nothing, and so is it with whole sections.
    let whole: Vec<usize> = (0..list.len())
        .filter(|n| Krl::from_bytes(&list[..*n]).is_ok())
        .collect();
    assert!(whole.len() <= 2, "{whole:?}");
    let with = |section: u8| [&list[..], &[section, 0, 0, 0, 0]].concat();
    assert_eq!(Krl::from_bytes(&with(4)).unwrap_err(), KrlError::Signed);
    assert_eq!(Krl::from_bytes(&with(9)).unwrap_err(), KrlError::Section(9));
    assert_eq!(Krl::from_bytes(b"SSHKRL").unwrap_err(), KrlError::Magic);
}
