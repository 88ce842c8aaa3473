//! Answers from outside: none, cut, with more in them than was asked for; and the answers that are kept.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::errand::MAX_ANSWER;
use assay_host_verifier::attestor::{AttestError, Claims, Fault};

use super::login::{Login, Wrong};
use super::mutations::{doubled, object, retyped, unknown};
use super::world::World;
use super::{Method, each, name};

/// What has members of any name in answers that are kept.
const MAPS: [&str; 9] = [
    "/attributes",
    "/bound",
    "/clusters",
    "/encrypted",
    "/labels",
    "/metadata",
    "/organizations",
    "/proven",
    "/tags",
];

/// Runs a case over the methods that ask, with the answer that is kept and what it proved.
fn each_that_asks(case: impl Fn(&dyn Method, &Login<'_>, Vec<u8>, Claims)) {
    let asked = core::cell::Cell::new(0);
    each(|method, login| {
        let done = login.honest().unwrap();
        if let Some(answer) = done.answer {
            asked.set(asked.get() + 1);
            case(method, login, answer, done.claims);
        }
    });
    assert!(asked.get() > 0);
}

/// Judges the honest payload over a kept answer.
fn over(method: &dyn Method, login: &Login<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
    let kept = |_: Vec<u8>| answer.to_vec();
    let wrong = Wrong {
        answer: &kept,
        ..login.nothing_wrong()
    };
    let sent = method.prove(&login.transcript);
    login.judge(&sent, wrong).map(|done| done.claims)
}

/// Judges the honest payload in a world whose answers are spoilt.
fn in_a_world(method: &dyn Method, login: &Login<'_>, world: World) -> Result<Claims, AttestError> {
    let wrong = Wrong {
        world: Some(world),
        ..login.nothing_wrong()
    };
    let sent = method.prove(&login.transcript);
    login.judge(&sent, wrong).map(|done| done.claims)
}

#[test]
fn where_nobody_answers_nothing_is_proven() {
    each_that_asks(|method, login, _, _| {
        let result = in_a_world(method, login, World::default());
        let error = login.refused(result, &name(method));
        // A node that does not answer has itself to blame.
        let of_the_node = method.kind() == AttestorKind::HTTP_DNS;
        let expected = match of_the_node {
            true => Fault::Refused,
            false => Fault::Unavailable,
        };
        assert_eq!(error.fault, expected, "{error}");
    });
}

#[test]
fn an_answer_that_breaks_off_proves_nothing_wherever_it_breaks_off() {
    each_that_asks(|method, login, _, _| {
        for len in 0..4096 {
            let cut = Arc::new(AtomicBool::new(false));
            let was_cut = cut.clone();
            let world = method.world(&login.transcript).spoilt(move |mut body| {
                was_cut.fetch_or(body.len() > len, Ordering::Relaxed);
                body.truncate(len);
                body
            });
            let result = in_a_world(method, login, world);
            if !cut.load(Ordering::Relaxed) {
                result.unwrap();
                return;
            }
            login.refused(result, &format!("{}: {len} bytes", name(method)));
        }
    });
}

/// Servers of others grow members; what is not known is not read.
#[test]
fn more_in_an_answer_than_was_asked_for_changes_nothing() {
    each_that_asks(|method, login, _, honest| {
        for nth in 0..64 {
            let world = method.world(&login.transcript).spoilt(move |body| {
                let Some(value) = object(&body) else {
                    return body;
                };
                let mut added = unknown(&value);
                let nth = nth % added.len();
                added.swap_remove(nth).text
            });
            let result = in_a_world(method, login, world);
            login.nothing_else(result, &honest, &name(method));
        }
    });
}

#[test]
fn an_answer_in_which_something_is_there_twice_proves_nothing_else() {
    each_that_asks(|method, login, _, honest| {
        for nth in 0..64 {
            let world = method.world(&login.transcript).spoilt(move |body| {
                let Some(value) = object(&body) else {
                    return body;
                };
                let mut twice = doubled(&value);
                let nth = nth % twice.len();
                twice.swap_remove(nth).text
            });
            let result = in_a_world(method, login, world);
            login.nothing_else(result, &honest, &name(method));
        }
    });
}

#[test]
fn an_answer_that_is_kept_is_read_strictly() {
    each_that_asks(|method, login, answer, honest| {
        assert!(answer.len() <= MAX_ANSWER);
        assert_eq!(over(method, login, &answer).unwrap(), honest);
        let refused = |answer: &[u8], what: &str| {
            if let Ok(claims) = over(method, login, answer) {
                panic!("{}: {what}: {claims:?}", name(method));
            }
        };
        for len in 0..answer.len() {
            refused(&answer[..len], &format!("{len} bytes"));
        }
        refused(&[&answer[..], b"x"].concat(), "one byte behind it");
        let value = object(&answer).expect("kept answers are JSON");
        let is_map = |place: &str| MAPS.iter().any(|name| place.ends_with(name));
        let changes = unknown(&value).into_iter().chain(doubled(&value));
        for changed in changes.filter(|changed| !is_map(&changed.place)) {
            refused(&changed.text, &changed.what);
        }
        // Nobody but the verifier writes these: another value is another answer. None of them may end the process.
        for changed in retyped(&value) {
            drop(over(method, login, &changed.text));
        }
    });
}

/// An answer is judged again under other settings. It must not be taken for the answer of somebody who was never asked.
#[test]
fn a_kept_answer_is_of_whoever_was_asked() {
    each_that_asks(|method, login, answer, _| {
        let Some(config) = method.asking_elsewhere() else {
            return;
        };
        let elsewhere = Login::with(
            method,
            login.transcript,
            config,
            &method.provided_elsewhere(),
        );
        if let Ok(claims) = over(method, &elsewhere, &answer) {
            panic!("{}: {claims:?}", name(method));
        }
    });
}
