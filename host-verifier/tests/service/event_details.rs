//! What the event stream says of a login that was granted in spite of something.

use assay_host_verifier::transport::connection::Conversation;

use crate::agent::EK;
use crate::desk::{Desk, asked_of, ek_only, granted, tell};
use crate::fake_tpm::FakeTpm;
use crate::vendor::{Vendor, certified_payload};

#[tokio::test]
async fn a_certificate_that_failed_beside_a_listed_hash_stands_in_the_evidence_step() {
    let tpm = FakeTpm::new();
    let with_cas = format!(
        "manufacturerCAs: [{}], allowed",
        Vendor::new("vendor").yaml()
    );
    let entries = ek_only("rack", &[&tpm]).replace("allowed", &with_cas);
    let mut desk = Desk::new(&entries);
    let (mut link, mut agent, asked) = desk.at_round_0().await;

    let (payload, blobs) = certified_payload(&tpm, b"0\x03\x02\x01\x05");
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
