//! Chips whose firmware is known to be broken: which versions are, each vendor counts for itself.

use std::time::{Duration, SystemTime};

use assay_common::protocol::DenyCode;
use assay_host_verifier::clock::Clock;
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::Store;
use assay_host_verifier::transport::connection::Conversation;

use crate::agent::{Answer, EK};
use crate::desk::{Desk, asked_of, tell};
use crate::fake_tpm::FakeTpm;
use crate::vendor::{Vendor, certified_payload};

/// A vendor's CA and the least version of its chips that is not broken.
fn policy(name: &str, vendor: &Vendor, min: &str) -> String {
    format!(
        "- name: {name}\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{require: certificate, \
         manufacturerCAs: [{}]}}\n  - type: tpm_quote\n    config: {{anyValue: [0], firmwareVersion: {{min: \"{min}\"}}}}\n",
        vendor.yaml()
    )
}

/// The policy that lets in a chip of `vendor` with this firmware, or the operator's words for why none does.
async fn judged(desk: &mut Desk, vendor: &Vendor, version: u64) -> Result<String, String> {
    let mut tpm = FakeTpm::new();
    tpm.firmware_version = version;
    let (payload, blobs) = certified_payload(&tpm, &vendor.certify(&tpm));
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    let message = agent.proofs(&asked, &[(EK, payload)]);
    let answer = link.message(&message, &blobs).await.unwrap();
    let asked = asked_of(agent.hear(&answer));
    let message = agent.answer(&tpm, &asked);
    match tell(&mut link, &mut agent, &message).await {
        Answer::Granted(opened) => {
            let session = desk.store.session(SessionId(opened.session_id)).await;
            Ok(session.unwrap().unwrap().policy)
        }
        Answer::Denied(DenyCode::REFUSED, _) => Err(desk.last_denial()),
        other => panic!("{other:?}"),
    }
}

/// CVE-2019-16863, CVE-2023-1017.
#[tokio::test]
async fn a30_a_vendors_chips_are_held_to_that_vendors_versions() {
    let (old, young) = (Vendor::new("old"), Vendor::new("young"));
    let entries =
        policy("old", &old, "0049000000000000") + &policy("young", &young, "0001000200000000");
    let mut desk = Desk::new(&entries);
    // The certificates begin now.
    let now = desk.clock.now().wall.as_second();
    let real = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    desk.clock.advance(Duration::from_secs(
        real.saturating_sub(now.unsigned_abs()) + 60,
    ));

    let at = 0x0049_0000_0000_0000;
    assert_eq!(judged(&mut desk, &old, at).await.as_deref(), Ok("old"));
    assert_eq!(judged(&mut desk, &young, at).await.as_deref(), Ok("young"));
    // Good enough for the other vendor's chips, and broken in this one's.
    let below = at - 1;
    assert_eq!(
        judged(&mut desk, &young, below).await.as_deref(),
        Ok("young")
    );
    let why = judged(&mut desk, &old, below).await.unwrap_err();
    assert!(
        why.contains("policy `old`: tpm_quote failed: firmware-version: "),
        "{why}"
    );
    assert!(why.contains("policy `young`: tpm_ek failed: "), "{why}");
    let why = judged(&mut desk, &young, 0x0001_0001_ffff_ffff)
        .await
        .unwrap_err();
    assert!(
        why.contains("policy `young`: tpm_quote failed: firmware-version: "),
        "{why}"
    );
}
