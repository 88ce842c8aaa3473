//! Somebody on the line.

use super::*;

/// Lets `change` work on the proofs of one round, item by item.
fn change_proofs(
    loopback: &Loopback,
    round: u8,
    mut change: impl FnMut(AttestorKind, &[u8]) -> Vec<u8> + 'static,
) {
    loopback.line.meddle(Box::new(move |frame| {
        let body = frame.body.clone();
        let Ok(AgentMessage::Proofs(proofs)) = decode(&body) else {
            return vec![frame];
        };
        if frame.toward == Toward::Agent || proofs.round != round {
            return vec![frame];
        }
        let payloads: Vec<_> = proofs
            .items
            .iter()
            .map(|item| change(item.kind, item.payload))
            .collect();
        let mut items = proofs.items.clone();
        for (item, payload) in items.iter_mut().zip(&payloads) {
            item.payload = payload;
        }
        let changed = AgentMessage::Proofs(Proofs { items, ..proofs });
        let body = encode(&changed, &mut [0; 4_096]).unwrap().to_vec();
        vec![Frame { body, ..frame }]
    }));
}

/// The proofs of one round of a clean login, by kind.
fn recorded(
    loopback: &Loopback,
    node: &mut LoopbackNode<'_>,
    round: u8,
) -> Vec<(AttestorKind, Vec<u8>)> {
    let tape = Arc::new(Mutex::new(Vec::new()));
    let pen = Arc::clone(&tape);
    change_proofs(loopback, round, move |kind, payload| {
        pen.lock().unwrap().push((kind, payload.to_vec()));
        payload.to_vec()
    });
    node.attempt().unwrap();
    loopback.line.calm();
    let tape = tape.lock().unwrap();
    tape.clone()
}

fn of_kind(items: &[(AttestorKind, Vec<u8>)], kind: AttestorKind) -> Vec<u8> {
    items
        .iter()
        .find(|(other, _)| *other == kind)
        .unwrap()
        .1
        .clone()
}

/// CVE-2023-3674: a signature that does not verify ends the login, and is not merely logged.
#[test]
fn a07_a_quote_with_a_broken_signature_is_refused() {
    let lab = Lab::new();
    let loopback = lab.node_with(lab.power(0));
    let mut node = loopback.node().unwrap();
    change_proofs(&loopback, 1, |kind, payload| {
        let mut payload = payload.to_vec();
        if kind == AttestorKind::TPM_QUOTE {
            *payload.last_mut().unwrap() ^= 1;
        }
        payload
    });
    refused(&loopback, &mut node, "signature");
    loopback.line.calm();
    node.attempt().unwrap();
}

/// GHSA-r2h5-3hgw-8j34: a good quote of the same TPM and key, made for another login.
#[test]
fn a22_a_quote_made_under_another_transcript_is_refused() {
    let lab = Lab::new();
    let loopback = lab.node_with(lab.power(0));
    let mut node = loopback.node().unwrap();
    let old = of_kind(&recorded(&loopback, &mut node, 1), AttestorKind::TPM_QUOTE);
    change_proofs(&loopback, 1, move |kind, payload| {
        if kind == AttestorKind::TPM_QUOTE {
            old.clone()
        } else {
            payload.to_vec()
        }
    });
    refused(&loopback, &mut node, "nonce");
}

/// The same from the other side: who changes what the agent said gets a challenge that the agent does not take.
#[test]
fn a22_a_hello_that_was_changed_on_the_line_gives_nothing_that_the_agent_answers() {
    let lab = Lab::new();
    let loopback = lab.node_with(lab.power(0));
    let mut node = loopback.node().unwrap();
    loopback.line.meddle(Box::new(|frame| {
        let body = frame.body.clone();
        let Ok(AgentMessage::Hello(hello)) = decode(&body) else {
            return vec![frame];
        };
        if frame.toward == Toward::Agent {
            return vec![frame];
        }
        let changed = AgentMessage::Hello(assay_common::protocol::Hello {
            untrusted_board: "another",
            ..hello
        });
        let body = encode(&changed, &mut [0; 1_024]).unwrap().to_vec();
        vec![Frame { body, ..frame }]
    }));
    let (failure, _) = node.attempt().unwrap_err();
    assert_eq!(failure, Failure::UntrustedVerifier);
    let commands = loopback.tpm.with(|model| model.stats().snapshot().commands);
    assert!(
        commands
            .iter()
            .all(|command| !["CreatePrimary", "Quote"].contains(&command.name().as_str()))
    );
}

/// The cuckoo on the line: somebody names B's AK as A's. What A said and what the verifier heard are two transcripts.
#[test]
fn a23_the_ak_of_another_node_cannot_be_slipped_in_on_the_line() {
    let lab = Lab::new();
    let bad = lab.node_with(lab.power(0));
    let good = lab.node_with(lab.power(1));
    let theirs = of_kind(
        &recorded(&good, &mut good.node().unwrap(), 0),
        AttestorKind::TPM_EK,
    );
    let mut node = bad.node().unwrap();
    change_proofs(&bad, 0, move |_, payload| {
        let (own, other): (EkPayload<'_>, EkPayload<'_>) =
            (decode(payload).unwrap(), decode(&theirs).unwrap());
        assert_ne!(own.ak_public, other.ak_public);
        let mixed = EkPayload {
            ak_public: other.ak_public,
            ..own
        };
        encode(&mixed, &mut [0; 2_048]).unwrap().to_vec()
    });
    let (failure, _) = node.attempt().unwrap_err();
    assert_eq!(failure, Failure::UntrustedVerifier);
    assert_eq!(granted(&bad), 0);
}

/// The cuckoo on the line, one round later: A's credential is opened, and B's AK quotes.
#[test]
fn a23_the_quote_of_another_node_does_not_serve() {
    let lab = Lab::new();
    let bad = lab.node_with(lab.power(0));
    let good = lab.node_with(lab.power(1));
    let theirs = of_kind(
        &recorded(&good, &mut good.node().unwrap(), 1),
        AttestorKind::TPM_QUOTE,
    );
    let mut node = bad.node().unwrap();
    change_proofs(&bad, 1, move |kind, payload| {
        if kind == AttestorKind::TPM_QUOTE {
            theirs.clone()
        } else {
            payload.to_vec()
        }
    });
    refused(&bad, &mut node, "tpm_quote");
}
