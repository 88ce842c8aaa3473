//! `tpm_devid` as the agent makes it: the key by tpm2-tools, the proofs over the TSS, judged here by nothing but the structures
//! and the signatures.

use std::process::Command;

use assay_common::login::{Direction, Transcript, proof_nonce};
use assay_common::method::tpm_devid::{CERTIFICATES_BLOB, DevidPayload, possession_message};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{MessageWriter, decode};
use assay_common::tpm::alg::EccCurve;
use assay_common::tpm::attest::Attest;
use assay_common::tpm::name::Name;
use assay_common::tpm::public::{Public, Unique};
use assay_common::tpm::signature::Signature;
use assay_firmware::evidence::{EvidenceSource, Request};
use assay_firmware::link::{BlobSink, LinkError};
use assay_host_agent::tpm::{HostTpm, TpmSource, devid};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::json;

use crate::swtpm::Swtpm;

#[derive(Default)]
struct Sent(Vec<(u8, Vec<u8>)>);

impl BlobSink for Sent {
    fn chunk(&mut self, blob: u8, offset: u32, bytes: &[u8]) -> Result<(), LinkError> {
        if offset == 0 {
            self.0.retain(|(number, _)| *number != blob);
            self.0.push((blob, Vec::new()));
        }
        let (_, all) = self
            .0
            .iter_mut()
            .find(|(number, _)| *number == blob)
            .ok_or(LinkError)?;
        all.extend(bytes);
        Ok(())
    }
}

fn tool(swtpm: &Swtpm, command: &str) {
    for command in [command, "tpm2_flushcontext -t"] {
        let mut words = command.split_whitespace();
        let output = Command::new(words.next().unwrap())
            .args(words)
            .env("TPM2TOOLS_TCTI", swtpm.place().as_str())
            .current_dir(swtpm.folder.path())
            .output()
            .expect("tpm2-tools (`./x setup` installs them)");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {stderr}");
    }
}

const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n";

fn agent(swtpm: &Swtpm, more: serde_json::Value) -> HostTpm<assay_host_agent::tpm::PlacedTpm> {
    std::fs::write(swtpm.path("devid.crt"), PEM).unwrap();
    let mut config = json!({
        "devidCertPath": "devid.crt", "devidPubPath": "devid.pub", "devidPrivPath": "devid.priv",
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    let config: devid::Config = serde_json::from_value(config).unwrap();
    HostTpm::at(swtpm.place()).with_devid(config, swtpm.folder.path().to_owned())
}

fn prove(
    agent: &mut dyn EvidenceSource,
    kind: AttestorKind,
    payload: &[u8],
    transcript: &Transcript,
) -> Result<(Vec<u8>, Sent), String> {
    let mut buffer = vec![0; 8192];
    let mut out = MessageWriter::new(&mut buffer);
    let mut sent = Sent::default();
    let request = Request {
        kind,
        version: 3,
        round: 0,
        payload,
        transcript,
    };
    let proven = agent.prove(&request, &mut sent, &mut out);
    proven.map_err(|error| error.to_string())?;
    Ok((out.finish().unwrap().to_vec(), sent))
}

/// The point of a P-256 key, as aws-lc takes it.
fn point(public: &[u8]) -> Vec<u8> {
    match Public::parse(public).unwrap().unique {
        Unique::Ecc { x, y } => {
            let full = |n: &[u8]| [&vec![0; 32 - n.len()][..], n].concat();
            [&[4][..], &full(x), &full(y)].concat()
        }
        Unique::Rsa(_) => panic!("a curve key"),
    }
}

#[track_caller]
fn verifies(public: &[u8], message: &[u8], signature: &[u8]) {
    let mut fixed = [0; 64];
    let signature = Signature::parse(signature).unwrap();
    let fixed = signature
        .ecdsa_fixed(EccCurve::NIST_P256, &mut fixed)
        .unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(public))
        .verify(message, fixed)
        .unwrap();
}

/// All that can be said of a payload without its certificates.
fn holds(payload: &[u8], sent: &Sent, transcript: &Transcript, devid_is_p256: bool) {
    let devid: DevidPayload<'_> = decode(payload).unwrap();
    let nonce = proof_nonce(AttestorKind::TPM_DEVID, transcript);
    let attest = Attest::parse(devid.attest).unwrap();
    assert_eq!(attest.extra_data, nonce);
    let name = Name::of(&Public::parse(devid.devid_public).unwrap()).unwrap();
    assert_eq!(attest.certify().unwrap().name, name.as_bytes());
    verifies(
        devid.endorsement.ak_public,
        devid.attest,
        devid.attest_signature,
    );
    if devid_is_p256 {
        let message = possession_message(&nonce).concat();
        verifies(devid.devid_public, &message, devid.possession);
    }
    Public::parse(devid.endorsement.ek_public).unwrap();
    assert_eq!(devid.devid_certificates.blob, CERTIFICATES_BLOB);
    let certificates = sent.0.iter().find(|(blob, _)| *blob == CERTIFICATES_BLOB);
    assert_eq!(certificates.unwrap().1, [0x30, 3, 2, 1, 5]);
}

const SIGNER: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";

fn parent(swtpm: &Swtpm) {
    tool(swtpm, "tpm2_createprimary -Q -C o -G ecc -c srk.ctx");
    tool(swtpm, "tpm2_evictcontrol -Q -C o -c srk.ctx 0x81000001");
}

#[test]
fn a_key_of_tpm2_tools_is_certified_and_signs_in_a_login() {
    let _alone = crate::tcti::alone();
    let swtpm = Swtpm::start();
    parent(&swtpm);
    for (alg, is_p256) in [
        ("ecc256:ecdsa-sha256:null", true),
        ("ecc256", true),
        ("rsa2048:rsassa-sha256:null", false),
        ("rsa2048:rsapss-sha256:null", false),
        ("ecc384:ecdsa-sha384:null", false),
    ] {
        tool(
            &swtpm,
            &format!(
                "tpm2_create -Q -C 0x81000001 -G {alg} -a {SIGNER} -u devid.pub -r devid.priv"
            ),
        );
        let mut agent = agent(&swtpm, json!({}));
        let transcript = Transcript::new().then(Direction::Verifier, alg.as_bytes());
        for _ in 0..2 {
            agent.begin().unwrap();
            assert_eq!(agent.take_troubles(), []);
            // Beside the EK, as a verifier asks whose policies want both, and with the SVID's key behind them.
            let (ek, _) = prove(&mut agent, AttestorKind::TPM_EK, &[], &transcript).unwrap();
            let (payload, sent) =
                prove(&mut agent, AttestorKind::TPM_DEVID, &[], &transcript).unwrap();
            holds(&payload, &sent, &transcript, is_p256);
            assert!(payload.starts_with(&ek[..200]), "the same EK and AK");
            prove(&mut agent, AttestorKind::SVID_KEY, &[1, 1], &transcript).unwrap();
            agent.end();
            // And alone.
            agent.begin().unwrap();
            let (payload, sent) =
                prove(&mut agent, AttestorKind::TPM_DEVID, &[], &transcript).unwrap();
            holds(&payload, &sent, &transcript, is_p256);
            agent.end();
        }
    }
}

#[test]
fn the_tcgs_storage_keys_are_found_without_a_word() {
    let _alone = crate::tcti::alone();
    let swtpm = Swtpm::start();
    let storage = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";
    // tpm2-tools take the TSS' own structs: a length in this machine's order, and room for the longest key.
    let coordinate = [&32_u16.to_ne_bytes()[..], &[0; 128]].concat();
    std::fs::write(swtpm.path("ecc.unique"), coordinate.repeat(2)).unwrap();
    let modulus = [&256_u16.to_ne_bytes()[..], &[0; 256]].concat();
    std::fs::write(swtpm.path("rsa.unique"), modulus).unwrap();
    for (alg, name) in [
        ("ecc256:null:aes128cfb", "ecc"),
        ("rsa2048:null:aes128cfb", "rsa"),
    ] {
        tool(
            &swtpm,
            &format!(
                "tpm2_createprimary -Q -C o -g sha256 -G {alg} -a {storage} -u {name}.unique -c {name}.ctx"
            ),
        );
        tool(
            &swtpm,
            &format!(
                "tpm2_create -Q -C {name}.ctx -G ecc256 -a {SIGNER} -u devid.pub -r devid.priv"
            ),
        );
        for more in [json!({}), json!({"devidParent": format!("srk-{name}")})] {
            let mut agent = agent(&swtpm, more);
            let transcript = Transcript::new();
            agent.begin().unwrap();
            let (payload, sent) =
                prove(&mut agent, AttestorKind::TPM_DEVID, &[], &transcript).unwrap();
            holds(&payload, &sent, &transcript, true);
        }
    }
    // Under another parent than its own it does not load.
    let mut agent = agent(&swtpm, json!({"devidParent": "srk-ecc"}));
    agent.begin().unwrap();
    prove(&mut agent, AttestorKind::TPM_DEVID, &[], &Transcript::new())
        .map(drop)
        .unwrap_err();
}

#[test]
fn passwords_of_key_and_hierarchies_are_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let _alone = crate::tcti::alone();
    let swtpm = Swtpm::start();
    parent(&swtpm);
    tool(
        &swtpm,
        &format!(
            "tpm2_create -Q -C 0x81000001 -G ecc256 -a {SIGNER} -u devid.pub -r devid.priv -p devid-password"
        ),
    );
    tool(&swtpm, "tpm2_changeauth -Q -c o owner-password");
    tool(&swtpm, "tpm2_changeauth -Q -c e endorsement-password");
    for name in ["devid", "owner", "endorsement", "wrong"] {
        let file = swtpm.path(&format!("{name}.password"));
        std::fs::write(&file, format!("{name}-password\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    let proven = |devid: &str, endorsement: &str| {
        let files = json!({
            "devidPasswordFile": format!("{devid}.password"),
            "ownerPasswordFile": "owner.password",
            "endorsementPasswordFile": format!("{endorsement}.password"),
        });
        let mut agent = agent(&swtpm, files);
        // The EK comes first, and with it the password of its hierarchy.
        agent.begin().map_err(|error| error.to_string())?;
        let transcript = Transcript::new();
        let proven = prove(&mut agent, AttestorKind::TPM_DEVID, &[], &transcript);
        proven.map(|(payload, sent)| holds(&payload, &sent, &transcript, true))
    };
    proven("devid", "endorsement").unwrap();
    proven("wrong", "endorsement").unwrap_err();
    proven("devid", "wrong").unwrap_err();
}

#[test]
fn without_its_files_there_is_no_devid_and_the_rest_of_the_tpm_serves() {
    let _alone = crate::tcti::alone();
    let swtpm = Swtpm::start();
    let mut agent = agent(&swtpm, json!({}));
    agent.begin().unwrap();
    let troubles = agent.take_troubles();
    assert_eq!(troubles.len(), 1);
    assert!(troubles[0].what.contains("devid.pub"), "{troubles:?}");
    assert!(!agent.kinds().contains(AttestorKind::TPM_DEVID));
    prove(&mut agent, AttestorKind::TPM_EK, &[], &Transcript::new()).unwrap();
}
