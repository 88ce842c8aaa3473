//! What is sent after a login was decided changes nothing of what its record says: renewals, answers that are played back,
//! renewals that somebody made up.

use std::time::Duration;

use assay_common::protocol::{AgentMessage, DenyCode, Renew};
use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::login::{ChallengeKey, Verifier};
use assay_host_verifier::server::{Live, Reply, RequestLogins};
use serde_json::{Value, json};

use crate::agent::{Opened, encode};
use crate::desk::{Desk, asked_of, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;
use crate::faults::{renew, renewed_until};
use crate::site::Site;

/// A desk that writes the trail of a site, whose commands read it.
struct House {
    site: Site,
    desk: Desk,
    tpm: FakeTpm,
    logins: RequestLogins,
}

impl House {
    fn new() -> Self {
        let tpm = FakeTpm::new();
        let site = Site::new(&[&tpm]);
        let data = site.path("data");
        std::fs::create_dir(&data).unwrap();
        let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
        let mut verifier = Verifier::clone(&desk.server.verifier.current());
        verifier.key = ChallengeKey::load_or_create(&data).unwrap();
        desk.server.verifier = Live::from(verifier);
        desk.server.audit = AuditLog::open(&data.join(audit::FILE)).unwrap().0;
        Self {
            site,
            desk,
            tpm,
            logins: RequestLogins::default(),
        }
    }

    async fn turn(&self, state: &[u8], message: &[u8]) -> Reply {
        let blobs = Blobs::default();
        let link = "https:192.0.2.1";
        self.logins
            .turn(&self.desk.server, link, state, &blobs, message)
            .await
    }

    /// A login: (login, session, every request with its state).
    async fn login(&self) -> (String, Opened, Vec<(Vec<u8>, Vec<u8>)>) {
        let mut agent = self.desk.agent();
        let hello = agent.hello();
        let mut reply = self.turn(&[], &hello).await;
        let (mut login, mut said) = (String::new(), Vec::new());
        while !reply.state.is_empty() {
            let asked = asked_of(agent.hear(&reply.message));
            login = hex::encode(asked.login_id);
            let proofs = agent.answer(&self.tpm, &asked);
            said.push((reply.state.clone(), proofs.clone()));
            reply = self.turn(&reply.state, &proofs).await;
        }
        (login, granted(agent.hear(&reply.message)), said)
    }

    /// Half an hour goes by, and the node renews: the next nonce.
    async fn renewed(&mut self, session: &Opened, nonce: &[u8; 32]) -> [u8; 32] {
        self.desk.clock.advance(Duration::from_secs(1800));
        self.tpm.clock += 1_800_000;
        let reply = self
            .turn(&[], &renew(&self.tpm, session.session_id, nonce))
            .await;
        assert!(renewed_until(&reply.message).is_some());
        crate::faults::next_nonce(&reply.message)
    }

    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.site.path("data").join(audit::FILE)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    fn said(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.site.assay(arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    /// The commands agree that the login was granted, by its rule and checks.
    fn assert_granted(&self, login: &str, session: &str) {
        for name in [["--login", login], ["--session", session]] {
            let (status, told) = self.said(&["policy", "explain", name[0], name[1]]);
            assert_eq!(status, Some(0), "{told}");
            for part in [
                &format!("login {login}: granted"),
                "rack: satisfied, and the first: it won",
                "tpm_quote  requiredAttestors  satisfied",
                "tpm_ek.public_hash = ",
            ] {
                assert!(told.contains(part), "{name:?} {part}: {told}");
            }
        }
        let (status, told) = self.said(&[
            "evidence", "verify", "--login", login, "--policy", "lab.yaml",
        ]);
        assert_eq!(status, Some(0), "{told}");
        assert!(told.contains("ok    policy"), "{told}");
        let _ = std::fs::remove_dir_all(self.site.path("kept"));
        let (status, told) = self.said(&["audit", "evidence", login, "--out", "kept"]);
        assert_eq!(status, Some(0), "{told}");
        let (status, told) = self.said(&[
            "evidence",
            "verify",
            "--evidence",
            "kept",
            "--policy",
            "lab.yaml",
        ]);
        assert_eq!(status, Some(0), "{told}");
    }
}

fn made_up(session: &Opened) -> Vec<u8> {
    encode(&AgentMessage::Renew(Renew {
        session_id: session.session_id,
        agent_nonce: [0x6e; 32],
        quote: &[0x71; 300],
    }))
}

#[tokio::test]
async fn a_login_stays_granted_whatever_is_sent_after_it() {
    let mut house = House::new();
    let (login, opened, said) = house.login().await;
    let session = hex::encode(opened.session_id);
    house.assert_granted(&login, &session);

    // Each of its answers is played back.
    for (state, proofs) in &said {
        let reply = house.turn(state, proofs).await;
        assert_eq!(reply.denied.unwrap().code, DenyCode::REFUSED);
    }
    house.assert_granted(&login, &session);
    // Somebody who has seen the session's name makes up a renewal.
    let reply = house.turn(&[], &made_up(&opened)).await;
    assert!(reply.denied.is_some());
    house.assert_granted(&login, &session);
    // And the node renews, twice.
    let nonce = opened.renewal.as_ref().unwrap().1;
    let nonce = house.renewed(&opened, &nonce).await;
    house.assert_granted(&login, &session);
    house.renewed(&opened, &nonce).await;
    house.assert_granted(&login, &session);

    let explained = house
        .site
        .json(&["policy", "explain", "--session", &session]);
    let later = explained["later"].as_array().unwrap();
    let kinds: Vec<_> = later
        .iter()
        .map(|record| {
            (
                record["kind"].as_str().unwrap(),
                record["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("replay", "denied"),
            ("replay", "denied"),
            ("renewal", "denied"),
            ("renewal", "renewed"),
            ("renewal", "renewed"),
        ]
    );
    let (_, told) = house.said(&["policy", "explain", "--login", &login]);
    for part in [
        "2026-01-01T00:00:00Z  replayed answer refused: the challenge was answered before",
        "renewal refused to somebody who named the session: ",
        "2026-01-01T00:30:00Z  renewed",
        "2026-01-01T01:00:00Z  renewed",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // The renewals are judged again, too.
    let (_, told) = house.said(&[
        "evidence", "verify", "--login", &login, "--policy", "lab.yaml",
    ]);
    for time in ["2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z"] {
        let part = format!("ok    renewal  {time}: the TPM's clock");
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(&part), "{part}: {told}");
    }
}

#[tokio::test]
async fn a_name_that_nobody_proved_to_have_is_recorded_as_such() {
    let mut house = House::new();
    let (login, opened, said) = house.login().await;
    let session = hex::encode(opened.session_id);
    let (state, proofs) = said.last().unwrap();
    house.turn(state, proofs).await;
    house.turn(&[], &made_up(&opened)).await;
    // The node itself, after a reset: its key has signed, so that it is known whose renewal was refused.
    house.desk.clock.advance(Duration::from_secs(1800));
    house.tpm.clock += 1_800_000;
    house.tpm.reset_count += 1;
    let nonce = opened.renewal.as_ref().unwrap().1;
    let own = renew(&house.tpm, opened.session_id, &nonce);
    assert!(house.turn(&[], &own).await.denied.is_some());

    let records = house.records();
    let [granted, replay, stray, own] = records.as_slice() else {
        panic!("{records:#?}")
    };
    assert_eq!(
        (&granted["kind"], &granted["login_id"]),
        (&json!("login"), &json!(login))
    );
    assert_eq!(
        (&replay["kind"], &replay["login_id"]),
        (&json!("replay"), &json!(""))
    );
    assert_eq!(replay["untrusted_login_id"], login);
    assert_eq!(
        (&stray["kind"], &stray["outcome"]),
        (&json!("renewal"), &json!("denied"))
    );
    assert_eq!(
        (stray.get("session_id"), &stray["login_id"]),
        (None, &json!(""))
    );
    assert_eq!(stray["untrusted_session_id"], session);
    assert_eq!(
        (&own["kind"], &own["outcome"]),
        (&json!("renewal"), &json!("denied"))
    );
    assert_eq!(
        (&own["session_id"], &own["login_id"]),
        (&json!(session), &json!(login))
    );
    assert!(
        own["detail"].as_str().unwrap().contains("renewal-boot"),
        "{own}"
    );
    assert_eq!(own["judged_by"]["nonce"], hex::encode(nonce));
    // Nor do the events say that the login was refused after all.
    let mut events = Vec::new();
    while let Ok(event) = house.desk.events.try_recv() {
        events.push(serde_json::to_value(&event).unwrap());
    }
    let of_login = events.iter().filter(|event| event["login_id"] == login);
    let denied: Vec<_> = of_login.filter(|event| event["step"] == "denied").collect();
    assert_eq!(denied, [&Value::Null; 0]);
}

#[tokio::test]
async fn a_renewal_that_was_changed_or_exchanged_in_the_record_is_found() {
    let mut house = House::new();
    let (login, opened, _) = house.login().await;
    let nonce = opened.renewal.as_ref().unwrap().1;
    let nonce = house.renewed(&opened, &nonce).await;
    house.renewed(&opened, &nonce).await;
    house
        .site
        .json(&["audit", "evidence", &login, "--out", "kept"]);
    let path = house.site.path("kept/record.json");
    let whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let verify = |bend: &dyn Fn(&mut Value)| {
        let mut record = whole.clone();
        bend(&mut record);
        std::fs::write(&path, record.to_string()).unwrap();
        house.said(&[
            "evidence",
            "verify",
            "--evidence",
            "kept",
            "--policy",
            "lab.yaml",
        ])
    };
    assert_eq!(verify(&|_| {}).0, Some(0));
    let stranger = hex::encode([1; 32]);
    let other_key = Value::from("AAAA");
    for (bend, why) in [
        (
            (&|record: &mut Value| {
                record["later"][0]["judged_by"]["nonce"] = stranger.clone().into()
            }) as &dyn Fn(&mut Value),
            "nonce",
        ),
        (
            &|record| record["later"][1]["judged_by"]["basis"]["boot"]["clock"] = 1.into(),
            "not judged by what the renewal before it left",
        ),
        (
            &|record| record["later"][0]["judged_by"]["basis"]["akPublic"] = other_key.clone(),
            "another key than the login has proven",
        ),
        (
            &|record| {
                record["later"][0]["judged_by"]["basis"]["valuesSha256"] = stranger.clone().into()
            },
            "renewal-pcrs",
        ),
        (
            &|record| record["later"][1]["session_id"] = "00".repeat(16).into(),
            "the message renews session",
        ),
    ] {
        let (status, told) = verify(bend);
        assert_eq!(status, Some(1), "{why}: {told}");
        assert!(told.contains(why), "{why}: {told}");
    }
}

#[tokio::test]
async fn renewals_that_were_told_again_are_judged_once_and_in_their_order() {
    let mut house = House::new();
    let (login, opened, _) = house.login().await;
    house.desk.clock.advance(Duration::from_secs(1800));
    house.tpm.clock += 1_800_000;
    let nonce = opened.renewal.as_ref().unwrap().1;
    let message = renew(&house.tpm, opened.session_id, &nonce);
    let nonce = crate::faults::next_nonce(&house.turn(&[], &message).await.message);
    // The answer was lost twice.
    for _ in 0..2 {
        let again = house.turn(&[], &message).await;
        assert_eq!(crate::faults::next_nonce(&again.message), nonce);
    }
    house.renewed(&opened, &nonce).await;
    let kinds: Vec<_> = house
        .records()
        .iter()
        .map(|record| record["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["login", "renewal", "repeat", "repeat", "renewal"]);
    house
        .site
        .json(&["audit", "evidence", &login, "--out", "kept"]);
    let verify = [
        "evidence",
        "verify",
        "--evidence",
        "kept",
        "--policy",
        "lab.yaml",
    ];
    let (status, told) = house.said(&verify);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(told.matches("the TPM's clock at").count(), 2, "{told}");

    // Where the first record of a renewal is missing, since the disk was full, that is said, and what follows is judged.
    let path = house.site.path("kept/record.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let later = record["later"].as_array_mut().unwrap();
    assert_eq!(later.remove(0)["kind"], "renewal");
    std::fs::write(&path, record.to_string()).unwrap();
    let (status, told) = house.said(&verify);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("told again; what it was judged by"), "{told}");
}
