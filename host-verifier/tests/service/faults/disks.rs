//! A disk that is full, under logins over HTTPS: refused with the word that says "later" until there is room.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use assay_common::protocol::DenyCode;
use assay_host_verifier::audit;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::house::{House, Replica, Wire};
use super::{renew, renewed_until};
use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;

/// From here on no file of the process grows beyond `bytes`, as on a disk without room; `None` lifts it.
fn room(replica: &Replica, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(
        Some(Pid::from_child(&replica.process)),
        Resource::Fsize,
        limit,
    )
    .unwrap();
}

#[test]
fn a_full_disk_refuses_logins_until_there_is_room() {
    let mut tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let replica = house.serve(&[]);
    let mut told = BTreeSet::new();
    let mut note = |answer: Answer| told.insert(hex::encode(granted(answer).session_id));
    note(house.login(&replica, &tpm));
    let trail = house.site.path("data").join(audit::FILE);
    let written = || std::fs::metadata(&trail).unwrap().len();
    // Nothing at all; less than the database's log has; room for half a record.
    for bytes in [0, 4096, written() + 100] {
        room(&replica, Some(bytes));
        for _ in 0..2 {
            tpm.clock += 1;
            let (status, code) = refused(&house, &replica, &tpm);
            assert_eq!((status, code), (503, "unavailable"), "{bytes}");
        }
        room(&replica, None);
        // The service finds out by itself that there is room again.
        let began = Instant::now();
        loop {
            tpm.clock += 1;
            match house.login(&replica, &tpm) {
                Answer::Denied(..) if began.elapsed() < Duration::from_secs(30) => {}
                other => {
                    note(other);
                    break;
                }
            }
        }
    }
    let verified = house.site.json(&["audit", "verify"]);
    assert_eq!(verified["unfinished_bytes"], 0);
    let records = house.site.json(&["audit", "list"]);
    let recorded: BTreeSet<_> = records
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["outcome"] == "granted")
        .map(|record| record["session_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(recorded, told);
    let stored = house.site.json(&["session", "list"]).to_string();
    assert!(told.iter().all(|id| stored.contains(id)), "{stored}");
}

#[test]
fn a_renewal_on_a_full_disk_is_refused_and_prolongs_nothing_that_is_not_recorded() {
    let mut tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let replica = house.serve(&[]);
    let trail = house.site.path("data").join(audit::FILE);
    let written = || std::fs::metadata(&trail).unwrap().len();
    let mut renewed = 0;
    for bytes in [0, 4096, written() + 100] {
        tpm.clock += 1;
        let session = granted(house.login(&replica, &tpm));
        let (_, nonce, _) = session.renewal.clone().unwrap();
        tpm.clock += 1;
        let message = renew(&tpm, session.session_id, &nonce);
        let mut wire = Wire::connect(replica.address).unwrap();
        room(&replica, Some(bytes));
        for _ in 0..2 {
            let heard = wire.turn(&[], &message).unwrap();
            assert_eq!(heard.status, 503, "{bytes}");
            let mut agent = house.agent();
            let answer = agent.hear(&heard.message);
            let unavailable = matches!(answer, Answer::Denied(DenyCode::UNAVAILABLE, _));
            assert!(unavailable, "{bytes}: {answer:?}");
        }
        room(&replica, None);
        // The same message is good once there is room, unless the store had taken it: then a login is.
        let began = Instant::now();
        loop {
            let heard = wire.turn(&[], &message).unwrap();
            if renewed_until(&heard.message).is_some() {
                renewed += 1;
                break;
            }
            if heard.status != 503 {
                assert_eq!(heard.status, 403, "{bytes}");
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{bytes}");
        }
        tpm.clock += 1;
        granted(house.login(&replica, &tpm));
    }
    println!("{renewed} of 3 renewals went through when there was room");
    assert_eq!(house.site.json(&["audit", "verify"])["unfinished_bytes"], 0);
    let records = house.site.json(&["audit", "list"]);
    let recorded = records.as_array().unwrap().iter();
    let recorded = recorded.filter(|record| record["outcome"] == "renewed");
    assert_eq!(recorded.count(), renewed);
}

/// A login that ends in a refusal: its status and its code.
fn refused(house: &House, replica: &Replica, tpm: &FakeTpm) -> (u16, &'static str) {
    let mut agent = house.agent();
    let mut wire = Wire::connect(replica.address).unwrap();
    let mut heard = wire.turn(&[], &agent.hello()).unwrap();
    loop {
        match agent.hear(&heard.message) {
            Answer::Asked(asked) => {
                let proofs = agent.answer(tpm, &asked);
                heard = wire.turn(&heard.state, &proofs).unwrap();
            }
            Answer::Denied(code, _) => return (heard.status, code.name().unwrap()),
            Answer::Granted(opened) => panic!("granted without room: {opened:?}"),
        }
    }
}
