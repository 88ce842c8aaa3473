//! A record judged again is judged as it was, and any changed byte of it is found.

use std::time::{Duration, SystemTime};

use assay_host_verifier::audit::again::Check;
use assay_host_verifier::audit::kept::{Kept, Said};
use assay_host_verifier::clock::Clock;
use assay_host_verifier::transport::connection::Conversation;

use super::{judge, last_record, office, verdict};
use crate::agent::EK;
use crate::desk::{Desk, asked_of, ek_and_quote, granted, policies, tell};
use crate::fake_tpm::FakeTpm;
use crate::vendor::{Vendor, certified_payload};

#[tokio::test]
async fn a_stored_login_is_judged_as_it_was_and_any_changed_byte_is_found() {
    let tpm = FakeTpm::new();
    let entries = ek_and_quote(&[&tpm]);
    let (desk, folder) = office(&entries);
    granted(desk.login(&tpm).await);
    let kept = Kept::of(&last_record(&folder)).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(&entries);
    let judge = |kept: &Kept| verdict(judge(kept, &set, kept.time, &key));
    assert_eq!(judge(&kept).as_deref(), Ok("rack"));

    let last = kept.said.len() - 1;
    let mut survived = Vec::new();
    for (n, said) in kept.said.iter().enumerate() {
        let len = match said {
            Said::Agent(bytes) | Said::Verifier(bytes) | Said::Blob(_, bytes) => bytes.len(),
            Said::Outside(answered) => panic!("nobody outside was asked: {answered:?}"),
        };
        for byte in 0..len {
            let mut changed = kept.clone();
            match &mut changed.said[n] {
                Said::Agent(bytes) | Said::Verifier(bytes) | Said::Blob(_, bytes) => {
                    bytes[byte] ^= 1
                }
                Said::Outside(_) => unreachable!(),
            }
            if judge(&changed).is_ok() {
                survived.push((n, byte));
            }
        }
    }
    // The answer to the activation, in the last message, could be judged with the secret only, which is not kept: 32 bytes.
    // What protects them is the chain of the trail.
    assert!(survived.iter().all(|(n, _)| *n == last), "{survived:?}");
    assert_eq!(survived.len(), 32, "{survived:?}");
}

#[tokio::test]
async fn messages_that_do_not_follow_from_one_another_are_no_login() {
    let tpm = FakeTpm::new();
    let entries = ek_and_quote(&[&tpm]);
    let (desk, folder) = office(&entries);
    granted(desk.login(&tpm).await);
    let kept = Kept::of(&last_record(&folder)).unwrap();
    granted(desk.login(&tpm).await);
    let other = Kept::of(&last_record(&folder)).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(&entries);
    let failed = |kept: &Kept, key: &[u8]| {
        let judgement = judge(kept, &set, kept.time, key);
        assert!(judgement.decision.is_none());
        match judgement.checks.last().unwrap() {
            (name, Check::Failed(_)) => *name,
            other => panic!("{other:?}"),
        }
    };
    let bent = |bend: &dyn Fn(&mut Vec<Said>)| {
        let mut kept = kept.clone();
        bend(&mut kept.said);
        kept
    };
    assert_eq!(
        failed(&bent(&|said| said.swap(1, 3)), &key),
        "challenge-signature"
    );
    assert_eq!(
        failed(&bent(&|said| drop(said.remove(0))), &key),
        "challenge-signature"
    );
    assert_eq!(
        failed(&bent(&|said| drop(said.remove(1))), &key),
        "transcript"
    );
    let doubled = bent(&|said| said.push(said[said.len() - 1].clone()));
    assert_eq!(failed(&doubled, &key), "transcript");
    // A whole login under another's name, and under a key that did not sign it.
    let renamed = Kept {
        login_id: other.login_id.clone(),
        ..kept.clone()
    };
    assert_eq!(failed(&renamed, &key), "transcript");
    let stranger = Desk::new(&entries);
    let stranger = stranger.server.verifier.current();
    let stranger = stranger.key.public();
    assert_eq!(failed(&kept, stranger), "challenge-signature");
}

#[tokio::test]
async fn what_nobody_kept_is_taken_from_the_record_and_named() {
    let tpm = FakeTpm::new();
    let entries = ek_and_quote(&[&tpm]);
    let (desk, folder) = office(&entries);
    granted(desk.login(&tpm).await);
    let mut kept = Kept::of(&last_record(&folder)).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(&entries);
    let judgement = judge(&kept, &set, kept.time, &key);
    let skipped = judgement.checks.iter().any(|(name, check)| {
        *name == "activation" && matches!(check, Check::Skipped(why) if why.contains("never kept"))
    });
    assert!(skipped, "{:?}", judgement.checks);
    kept.answered.clear();
    let why = verdict(judge(&kept, &set, kept.time, &key)).unwrap_err();
    assert!(why.contains("tpm_ek failed: response-not-kept"), "{why}");
}

#[tokio::test]
async fn a_login_by_certificate_ends_with_its_certificate() {
    let vendor = Vendor::new("vendor");
    let tpm = FakeTpm::new();
    let entries = format!(
        "- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{require: certificate, manufacturerCAs: [{}]}}\n",
        vendor.yaml()
    );
    let (desk, folder) = office(&entries);
    // The certificates begin now.
    let now = desk.clock.now().wall.as_second();
    let real = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let ahead = real.saturating_sub(now.unsigned_abs()) + 60;
    desk.clock.advance(Duration::from_secs(ahead));
    let (payload, blobs) = certified_payload(&tpm, &vendor.certify(&tpm));
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    let message = agent.proofs(&asked, &[(EK, payload)]);
    let answer = link.message(&message, &blobs).await.unwrap();
    let asked = asked_of(agent.hear(&answer));
    let message = agent.answer(&tpm, &asked);
    granted(tell(&mut link, &mut agent, &message).await);

    let kept = Kept::of(&last_record(&folder)).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(&entries);
    assert_eq!(
        verdict(judge(&kept, &set, kept.time, &key)).as_deref(),
        Ok("rack")
    );
    for (at, why) in [
        ("2200-01-01T00:00:00Z", "expired at"),
        ("2001-01-01T00:00:00Z", "not-yet-valid"),
    ] {
        let said = verdict(judge(&kept, &set, at.parse().unwrap(), &key)).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    // Under another vendor's authority.
    let other = policies(&entries.replace(&vendor.yaml(), &Vendor::new("other").yaml()));
    assert!(verdict(judge(&kept, &other, kept.time, &key)).is_err());
    // Without the certificate that was sent ahead.
    let mut bare = kept.clone();
    bare.said.retain(|said| !matches!(said, Said::Blob(..)));
    assert!(verdict(judge(&bare, &set, kept.time, &key)).is_err());
}
