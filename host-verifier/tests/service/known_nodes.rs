//! Nodes without a TPM: bans of what they prove themselves by, and live sessions that their own agent would not have left behind.

use std::time::Duration;

use assay_common::policy::AttestorKind;
use assay_common::protocol::DenyCode;
use assay_host_verifier::session::PathTemplate;
use assay_host_verifier::store::{Ban, Lifecycle, identity_hash};

use crate::agent::Answer;
use crate::desk::{Desk, granted};
use crate::fake_tpm::FakeTpm;
use crate::stored_logins::{last_record, office};
use crate::without_tpm::{ENTRIES, Host, renewed, token};

const RACK7: &str = "spiffe://example.org/rack7";

async fn ban(desk: &Desk, identity: &str) {
    let hash = identity_hash(AttestorKind::JOIN_TOKEN, identity);
    let ban = Ban::new(&hash, desk.clock_now(), "test", "stolen").unwrap();
    assert!(desk.store.ban(&ban).await.unwrap());
}

async fn host(desk: &Desk, spiffe_id: &str) -> Host {
    Host::new(desk, token(desk, Some(spiffe_id)).await)
}

#[tokio::test]
async fn what_a_node_is_known_by_is_banned_whatever_it_asks_for() {
    let mut desk = Desk::with_template(ENTRIES, "/joined/{{join_token.id}}");
    let mut first = host(&desk, RACK7).await;
    let session = granted(first.login(&desk).await);
    let (_, nonce, _) = session.renewal.clone().unwrap();
    ban(&desk, RACK7).await;
    // The name is banned for this method, so the node's own hash does not matter.
    let answer = host(&desk, RACK7).await.login(&desk).await;
    assert!(
        matches!(answer, Answer::Denied(DenyCode::REFUSED, _)),
        "{answer:?}"
    );
    let told = desk.last_denial();
    assert!(
        told.contains("is banned since") && told.contains("stolen"),
        "{told}"
    );
    assert_eq!(desk.sessions().await, 1);
    // Its session goes on to its end and no further.
    desk.clock.advance(Duration::from_secs(1800));
    let message = first.renew(&session, &nonce, &first.svid);
    assert_eq!(
        renewed(&desk, &message).await,
        Err(DenyCode::LOGIN_REQUIRED)
    );
    // Others are who they were, and a ban that is lifted bans nobody.
    granted(
        host(&desk, "spiffe://example.org/rack8")
            .await
            .login(&desk)
            .await,
    );
    let hash = identity_hash(AttestorKind::JOIN_TOKEN, RACK7);
    assert!(desk.store.unban(&hash).await.unwrap());
    renewed(&desk, &message).await.unwrap();
    granted(host(&desk, RACK7).await.login(&desk).await);
}

#[test]
fn the_hash_of_a_ban_is_of_one_method_and_one_name() {
    let of = |kind, name| identity_hash(kind, name);
    let own = of(AttestorKind::X509POP, "a");
    assert_eq!(own.len(), 64);
    assert_ne!(own, of(AttestorKind::SSH_POP, "a"));
    assert_ne!(own, of(AttestorKind::X509POP, "b"));
}

#[tokio::test]
async fn a_second_live_session_is_told_unless_its_time_to_be_left_had_come() {
    let (mut desk, folder) = office(ENTRIES);
    let mut verifier = (*desk.server.verifier.current()).clone();
    verifier.path_template = PathTemplate::parse("/one").unwrap();
    desk.server.verifier = verifier.into();
    let beside = async |desk: &Desk| {
        granted(Host::new(desk, token(desk, None).await).login(desk).await);
        last_record(&folder).get("live_beside").cloned()
    };
    assert_eq!(beside(&desk).await, None);
    let told = "assay_sessions_total{change=\"beside\"}";
    assert!(desk.server.metrics.render().contains(&format!("{told} 0")));
    // Just before half of the first one's life: a restart, or somebody else.
    desk.clock.advance(Duration::from_secs(1799));
    assert_eq!(beside(&desk).await, Some(1.into()));
    // The first could be left behind by now, the second not.
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(beside(&desk).await, Some(1.into()));
    // As an agent does by itself.
    desk.clock.advance(Duration::from_secs(1800));
    assert_eq!(beside(&desk).await, None);
    assert!(desk.server.metrics.render().contains(&format!("{told} 2")));
}

/// A TPM cannot be in two places.
#[tokio::test]
async fn a_node_with_a_tpm_logs_in_as_often_as_it_likes() {
    let tpm = FakeTpm::new();
    let entries = format!(
        "- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{allowedHashes: [\"{}\"]}}\n",
        tpm.ek_hash()
    );
    let (desk, folder) = office(&entries);
    for _ in 0..2 {
        granted(desk.login(&tpm).await);
        assert_eq!(last_record(&folder).get("live_beside"), None);
    }
    assert_eq!(desk.sessions().await, 2);
}
