//! What the event stream says of a login that was granted in spite of something.

use assay_common::method::tpm_ek::EkPayload;
use assay_common::protocol::{BlobRef, Chunk};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::transport::connection::Conversation;

use crate::agent::{EK, encode};
use crate::desk::{Desk, asked_of, ek_only, granted, tell};
use crate::fake_tpm::{FakeTpm, sha256};

/// A CA that vouches for nobody here, PEM as one line of YAML.
fn manufacturer() -> String {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "36500"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=vendor"])
        .args(["-keyout", "ca.key", "-out", "ca.crt"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let pem = std::fs::read_to_string(folder.path().join("ca.crt")).unwrap();
    format!("\"{}\"", pem.replace('\n', "\\n"))
}

#[tokio::test]
async fn a_certificate_that_failed_beside_a_listed_hash_stands_in_the_evidence_step() {
    let tpm = FakeTpm::new();
    let with_cas = format!("manufacturerCAs: [{}], allowed", manufacturer());
    let entries = ek_only("rack", &[&tpm]).replace("allowed", &with_cas);
    let mut desk = Desk::new(&entries);
    let (mut link, mut agent, asked) = desk.at_round_0().await;

    let certificate = b"0\x03\x02\x01\x05".as_slice();
    let mut blobs = Blobs::default();
    blobs
        .add(&Chunk {
            blob: 0,
            offset: 0,
            bytes: certificate,
        })
        .unwrap();
    let payload = encode(&EkPayload {
        ek_public: &tpm.ek_public(),
        ak_public: &tpm.ak_public(),
        ek_certificate: Some(BlobRef {
            blob: 0,
            len: certificate.len() as u32,
            sha256: sha256(&[certificate]).try_into().unwrap(),
        }),
        ek_chain: Default::default(),
    });
    let message = agent.proofs(&asked, &[(EK, payload)]);
    let answer = link.message(&message, &blobs).await.unwrap();
    let asked = asked_of(agent.hear(&answer));
    let message = agent.answer(&tpm, &asked);
    granted(tell(&mut link, &mut agent, &message).await);

    let mut evidence = Vec::new();
    while let Ok(event) = desk.events.try_recv() {
        let event = serde_json::to_value(&event).unwrap();
        if event["step"] == "evidence" {
            evidence.push((event["outcome"].clone(), event["detail"].clone()));
        }
    }
    let [(outcome, detail)] = evidence.as_slice() else {
        panic!("{evidence:?}")
    };
    assert_eq!(outcome, "ok");
    let detail = detail.as_str().unwrap();
    assert!(detail.contains(": ek-certificate-unreadable: "), "{detail}");
}
