//! What holds for every method: one suite, and one adapter per method that says how an honest proof is made.
//!
//! * `methods`: the adapters, and the one list of them. A method that is built and has none fails the first test here.
//! * `login`: one proof judged as a login judges it, with a challenge or an errand where the method wants one.
//! * `world`: what an errand finds outside.
//! * `bytes`, `members`, `outsiders`, `time_and_place`: the cases.

mod bytes;
mod login;
mod members;
mod methods;
mod mutations;
mod outsiders;
mod time_and_place;
mod world;

use std::collections::BTreeSet;

use assay_common::login::{Direction, Transcript};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{Facts, registry};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::document::Provided;
use jiff::Timestamp;
use serde_json::Value;

use self::login::Login;
pub(crate) use self::login::at_once;
use self::world::World;

/// What an agent sends.
pub(crate) struct Sent {
    pub(crate) payload: Vec<u8>,
    pub(crate) blobs: Blobs,
}

impl Sent {
    pub(crate) fn payload(payload: impl Into<Vec<u8>>) -> Self {
        Self {
            payload: payload.into(),
            blobs: Blobs::default(),
        }
    }
}

/// A method with settings, and a node that is what they ask for.
pub(crate) trait Method: Send + Sync {
    fn kind(&self) -> AttestorKind;

    /// Which of the method's ways this is, where it has several.
    fn way(&self) -> &'static str {
        ""
    }

    /// `config:` of the entry.
    fn config(&self) -> Value;

    /// When the honest proof is judged.
    fn now(&self) -> Timestamp;

    /// Times at which it must not pass: before it is valid, and after.
    fn wrong_times(&self) -> Vec<Timestamp> {
        Vec::new()
    }

    /// The longest payload that is read; `None` where no payload of the method is longer than what it must hold, since it
    /// is no text.
    fn limit(&self) -> Option<usize>;

    /// What other methods have proven before.
    fn facts(&self) -> Facts {
        Facts::default()
    }

    /// Whether the payload is somebody else's to read, who says no to what he does not know.
    fn is_opaque(&self) -> bool {
        false
    }

    /// Whether the method knows nobody again. Its document says so.
    fn is_new_at_each_login(&self) -> bool {
        false
    }

    /// The AK in the honest node's TPM, which opens what is hidden for it and nothing else.
    fn attestation_key(&self) -> Option<&[u8]> {
        None
    }

    /// The honest node's payload in a login.
    fn prove(&self, login: &Transcript) -> Sent;

    /// The payload of one who says the same and has another key, which nobody has vouched for.
    fn forge(&self, login: &Transcript) -> Sent;

    /// What is outside, while the node takes part in this login.
    fn world(&self, login: &Transcript) -> World {
        let _ = login;
        World::default()
    }

    /// The same settings, but for whom they ask.
    fn asking_elsewhere(&self) -> Option<Value> {
        None
    }

    /// What the operator of the service has set up.
    fn provided(&self) -> Provided {
        Provided::default()
    }

    /// What they have set up for [`Method::asking_elsewhere`].
    fn provided_elsewhere(&self) -> Provided {
        self.provided()
    }

    /// What must be in no error, no answer that is kept and no debug output.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What documents are compared with: a method in one of its ways, after an honest proof.
pub(crate) struct Known {
    pub(crate) kind: AttestorKind,
    pub(crate) is_fresh: bool,
    /// Whether somebody outside was asked; the verifier's own store is not outside.
    pub(crate) asks: bool,
    pub(crate) announced: Vec<String>,
    pub(crate) given: Vec<String>,
}

pub(crate) fn known() -> Vec<Known> {
    let (transcript, _) = logins();
    let known = methods::all().iter().map(|method| {
        let login = Login::of(method.as_ref(), transcript);
        let done = login.honest().unwrap();
        let given = done.claims.attributes.into_iter();
        Known {
            kind: method.kind(),
            is_fresh: login.attestor().is_fresh(),
            asks: done.answer.is_some() && method.kind() != AttestorKind::JOIN_TOKEN,
            announced: login.attestor().attributes(),
            given: given.map(|attribute| attribute.name.into_owned()).collect(),
        }
    });
    known.collect()
}

fn name(method: &dyn Method) -> String {
    format!("{} {}", method.kind(), method.way())
}

/// One login, and another.
fn logins() -> (Transcript, Transcript) {
    let begun = |hello: &[u8]| Transcript::new().then(Direction::Agent, hello);
    (begun(b"one hello"), begun(b"another hello"))
}

/// Runs a case over every method.
fn each(case: impl Fn(&dyn Method, &Login<'_>)) {
    let (transcript, _) = logins();
    for method in methods::all() {
        eprintln!("{}", name(method.as_ref()));
        let login = Login::of(method.as_ref(), transcript);
        case(method.as_ref(), &login);
    }
}

#[test]
fn every_method_that_is_built_is_in_the_suite() {
    let built: BTreeSet<_> = registry::BUILT.iter().map(|kind| kind.name()).collect();
    let adapted: BTreeSet<_> = methods::all()
        .iter()
        .map(|method| method.kind().name())
        .collect();
    assert_eq!(adapted, built);
}

#[test]
fn an_honest_proof_is_accepted_and_says_what_was_announced() {
    each(|method, login| {
        let claims = login.honest().unwrap().claims;
        let kind = method.kind();
        assert_eq!(claims.kind, kind);
        let announced = login.attestor().attributes();
        let origin = format!("{}.", kind.origin().unwrap());
        for attribute in &claims.attributes {
            assert_eq!(attribute.origin, kind);
            let named = &attribute.name;
            assert!(named.starts_with(&origin), "{attribute}");
            let is_announced = announced.iter().any(|name| match name.strip_suffix('*') {
                Some(beginning) => named.starts_with(beginning),
                None => name == named,
            });
            assert!(is_announced, "{attribute} is not among {announced:?}");
            assert_eq!(registry::may_give(kind, named), Some(true), "{attribute}");
        }
    });
}

#[test]
fn a_node_has_one_name_at_every_login() {
    let (one, other) = logins();
    each(|method, _| {
        let named = |login| {
            let facts = Login::of(method, login).honest().unwrap().claims.facts;
            (facts.subject, facts.identity)
        };
        let first = named(one);
        assert_eq!(named(other) != first, method.is_new_at_each_login());
        // A method that stands on another one leaves the naming to it.
        let alone = Login::of(method, one).attestor().stands_on().is_empty();
        assert!(
            !alone || first.0.is_some() || first.1.is_some(),
            "nobody could ban it"
        );
    });
}
