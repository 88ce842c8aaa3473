//! Payloads in JSON: each member once, of its type, and no other.

use assay_host_verifier::attestor::Fault;

use super::mutations::{Changed, doubled, nested, object, retyped, unknown};
use super::{each, name};

/// All of them are refused as something that cannot be read.
fn all_refused(changes: impl Fn(&serde_json::Value) -> Vec<Changed>, fault: Option<Fault>) {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        let Some(payload) = object(&sent.payload) else {
            return;
        };
        let changes = changes(&payload);
        assert!(!changes.is_empty());
        for Changed { what, text, .. } in changes {
            let what = format!("{}: {what}", name(method));
            let error = login.refused(login.payload(&sent, text), &what);
            if let Some(fault) = fault {
                assert_eq!(error.fault, fault, "{what}: {error}");
            }
        }
    });
}

#[test]
fn no_member_is_there_twice() {
    all_refused(doubled, Some(Fault::Malformed));
}

#[test]
fn no_member_is_unknown() {
    all_refused(unknown, Some(Fault::Malformed));
}

#[test]
fn a_value_of_another_type_is_refused() {
    all_refused(retyped, None);
}

#[test]
fn nesting_is_refused_and_costs_no_stack() {
    all_refused(|payload| nested(payload, 100), Some(Fault::Malformed));
    all_refused(|payload| nested(payload, 10_000), Some(Fault::Malformed));
}

/// Texts are compared after they are read: the same proof in another spelling is the same proof.
#[test]
fn the_order_of_members_and_blanks_say_nothing() {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        let Some(payload) = object(&sent.payload) else {
            return;
        };
        let honest = login.payload(&sent, sent.payload.clone()).unwrap();
        let members = payload.as_object().unwrap().iter().rev();
        let members: Vec<String> = members
            .map(|(key, value)| format!(" {} :\n{value}", serde_json::Value::from(key.as_str())))
            .collect();
        let text = format!("{{{}\t}}\r\n", members.join(" ,"));
        let spelt = login.payload(&sent, text.into_bytes()).unwrap();
        assert_eq!(spelt, honest, "{}", name(method));
    });
}
