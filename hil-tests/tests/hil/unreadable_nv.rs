//! NV indices that a real TPM defines and will not let anybody read: a node logs in without them.

use assay_hil_tests::manufacture::commands::TpmCommands;
use assay_hil_tests::manufacture::{
    CHAIN_INDEX, EkKind, ManufactureError, ManufacturedTpm, Recipe,
};
use assay_hil_tests::scenario::loopback::{Loopback, policy};
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::message::{self, TAG_SESSIONS, plain_command};
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{Config, TpmBackend};
use tempfile::TempDir;

use crate::loopback::tpm;

const NV_UNINITIALIZED: u32 = 0x14A;

/// Defines these indices as a certificate's are, and writes nothing to them.
fn leave_unwritten(tpm: &ManufacturedTpm, folder: &TempDir, indices: &[u32]) {
    let process = tpm
        .start(&folder.path().join("define"), Mode::Sockets)
        .unwrap();
    // One connection at a time: swtpm answers no second one.
    let mut commands = TpmCommands::new(process.client());
    commands.startup_clear().unwrap();
    for index in indices {
        commands.nv_remove(*index).unwrap();
    }
    drop(commands);
    let mut socket = process.client();
    for index in indices {
        // Platform and its empty password; no password of the index; SHA-256, attributes, no policy, 100 bytes.
        let mut body = vec![0x40, 0, 0, 0x0C, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0];
        body.extend([0, 0, 0, 14]);
        body.extend(index.to_be_bytes());
        body.extend([0, 0x0B, 0x42, 0x07, 0x20, 0x01, 0, 0, 0, 100]);
        let mut command = plain_command(0x12A, &body);
        command.splice(0..2, TAG_SESSIONS.to_be_bytes());
        let response = socket.execute(&command, 0).unwrap();
        assert_eq!(message::code(&response), Some(0), "{index:x}");
    }
    drop(socket);
    let mut commands = TpmCommands::new(process.client());
    for index in indices {
        let Err(ManufactureError::Refused { rc, .. }) = commands.nv_read(*index) else {
            panic!("{index:x} can be read")
        };
        assert_eq!(rc, NV_UNINITIALIZED);
    }
    commands.shutdown_clear().unwrap();
}

/// One login under `yaml`; the hash of the EK's public key, as the verifier has it.
fn public_hash(tpm: &ManufacturedTpm, folder: &TempDir, yaml: &str) -> String {
    let sockets = folder.path().join("run");
    let backend = SwtpmBackend::new(tpm.start(&sockets, Mode::Sockets).unwrap());
    let loopback = Loopback::new(backend, Config::chip(Personality::SLB9672), yaml).unwrap();
    let granted = loopback.login();
    loopback.line.with_peer(|verifier| {
        assert!(granted.is_ok(), "{granted:?}: {:?}", verifier.outcomes);
        let attributes = &verifier.last_granted().unwrap().session.attributes;
        let hash = attributes.iter().find(|a| a.name == "tpm_ek.public_hash");
        hash.unwrap().value.clone()
    })
}

fn by_certificate(tpm: &ManufacturedTpm) -> String {
    policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], false)
}

#[test]
fn a_chain_nonce_or_template_that_was_never_written_keeps_no_node_out() {
    let kind = EkKind::P256;
    for index in [
        CHAIN_INDEX,
        kind.nonce_index().unwrap(),
        kind.template_index(),
    ] {
        // Without nonce or template the P-256 key cannot be made as it was certified; the RSA key can.
        let (folder, tpm) = tpm(&Recipe::with([kind, EkKind::Rsa2048]));
        leave_unwritten(&tpm, &folder, &[index]);
        public_hash(&tpm, &folder, &by_certificate(&tpm));
    }
}

#[test]
fn a_certificate_that_was_never_written_keeps_no_node_out_that_is_judged_by_hash() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let hash = public_hash(&tpm, &folder, &by_certificate(&tpm));
    let indices = [EkKind::P256.certificate_index(), CHAIN_INDEX];
    leave_unwritten(&tpm, &folder, &indices);
    let yaml = format!(
        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: bare_metal\n      \
         requiredAttestors:\n        - type: tpm_ek\n          config:\n            require: hash\n            \
         allowedHashes:\n              - {hash}\n"
    );
    assert_eq!(public_hash(&tpm, &folder, &yaml), hash);
}
