//! Honest proofs in another login, at another time, and proofs by others.

use std::path::Path;

use super::login::Wrong;
use super::{each, logins, name};

#[test]
fn a_proof_is_of_one_login_or_its_document_says_that_it_is_not() {
    let (_, other) = logins();
    each(|method, login| {
        let replayed = method.prove(&other);
        let wrong = Wrong {
            made_for: other,
            ..login.nothing_wrong()
        };
        let result = login.judge(&replayed, wrong).map(|done| done.claims);
        if login.attestor().is_fresh() {
            login.refused(result, &name(method));
            return;
        }
        result.unwrap();
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/methods");
        let document = document.join(format!("{}.md", method.kind()));
        let document = std::fs::read_to_string(&document).unwrap();
        let (_, weak) = document.split_once("# What it does not prove").unwrap();
        let weak = weak.split("\n# ").next().unwrap();
        assert!(weak.contains("bearer"), "{}: {weak}", name(method));
    });
}

#[test]
fn a_proof_is_refused_before_its_time_and_after_it() {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        for at in method.wrong_times() {
            let wrong = Wrong {
                at,
                ..login.nothing_wrong()
            };
            let result = login.judge(&sent, wrong).map(|done| done.claims);
            login.refused(result, &format!("{} at {at}", name(method)));
        }
    });
}

#[test]
fn a_proof_by_another_key_is_refused() {
    each(|method, login| {
        let forged = method.forge(&login.transcript);
        let result = login.judge(&forged, login.nothing_wrong());
        let result = result.map(|done| done.claims);
        login.refused(result, &name(method));
    });
}
