//! TPMs that were reset, put back or exchanged between logins.

use super::*;

/// A TPM that was reset between two logins: the count rises by one, and is an attribute that policies can use.
#[test]
fn a16_a_reset_between_two_logins_is_seen_as_its_count() {
    let lab = Lab::new();
    let loopback = lab.node_with(lab.power(0));
    let mut node = loopback.node().unwrap();
    let count = || {
        loopback.line.with_peer(|verifier| {
            let attributes = &verifier.last_granted().unwrap().session.attributes;
            let count = attributes
                .iter()
                .find(|a| a.name == "tpm_quote.reset_count")
                .unwrap();
            count.value.parse::<u32>().unwrap()
        })
    };
    node.attempt().unwrap();
    let first = count();
    node.attempt().unwrap();
    assert_eq!(count(), first, "nothing was reset");
    loopback.tpm.with(|model| {
        model.reset_line(true);
        model.reset_line(false);
    });
    node.attempt().unwrap();
    assert_eq!(count(), first + 1);
}

/// The other way round: an earlier state of the TPM's NV, put back. Its count has been seen before.
#[test]
fn a16_a_tpm_whose_count_went_back_is_refused() {
    let lab = Lab::new();
    let tpm = lab.power(0);
    let process = tpm.process();
    let loopback = lab.node_with(tpm);
    let mut node = loopback.node().unwrap();
    let state = lab.tpms[0].state();
    process.lock().unwrap().power_off();
    let files = |folder: &std::path::Path| {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
    };
    let old: Vec<_> = files(&state)
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let power_on = || loopback.tpm.with(|model| model.power_cycle());
    power_on();
    node.attempt().unwrap();
    power_on();
    node.attempt().unwrap();
    process.lock().unwrap().power_off();
    for (path, bytes) in old {
        std::fs::write(path, bytes).unwrap();
    }
    power_on();
    refused(&loopback, &mut node, "resetCount");
}

/// CVE-2025-13609: another TPM, as genuine as the first, in a node whose name is taken.
#[test]
fn a21_another_genuine_tpm_does_not_take_over_an_identity() {
    let lab = Lab::new();
    let mut verifier = Arc::try_unwrap(lab.verifier()).unwrap();
    // A name that does not come from the EK.
    verifier.path_template = PathTemplate::parse("/rack-1/{{tpm_ek.model}}").unwrap();
    let model =
        SpiTpm::new(lab.power(0), Config::chip(Personality::SLB9672)).with_spare(lab.power(1));
    let loopback = Loopback::with_verifier(model, Arc::new(verifier)).unwrap();
    let mut node = loopback.node().unwrap();
    node.attempt().unwrap();
    let holder = loopback
        .line
        .with_peer(|verifier| verifier.last_granted().unwrap().session.ek_hash.clone());
    loopback
        .tpm
        .with(|model| model.set_faults("swap-tpm@execution/any/once".parse().unwrap()));
    refused(&loopback, &mut node, "belongs to node");
    assert!(denials(&loopback).last().unwrap().contains(&holder));
    let nodes = loopback.line.with_peer(|verifier| {
        verifier
            .nodes()
            .map(|node| node.ek_hash.clone())
            .collect::<Vec<_>>()
    });
    assert_eq!(nodes, [holder], "nothing of the other one was stored");
}

/// Two genuine TPMs under names of their own are two nodes, and a node whose TPM is exchanged is the other one.
#[test]
fn a21_a_node_is_its_tpm() {
    let lab = Lab::new();
    let model =
        SpiTpm::new(lab.power(0), Config::chip(Personality::SLB9672)).with_spare(lab.power(1));
    let loopback = Loopback::with_verifier(model, lab.verifier()).unwrap();
    let mut node = loopback.node().unwrap();
    node.attempt().unwrap();
    let spiffe_id = || {
        loopback
            .line
            .with_peer(|verifier| verifier.last_granted().unwrap().session.spiffe_id.clone())
    };
    let first = spiffe_id();
    loopback
        .tpm
        .with(|model| model.set_faults("swap-tpm@execution/any/once".parse().unwrap()));
    node.attempt().unwrap();
    assert_ne!(spiffe_id(), first);
    assert_eq!(
        loopback.line.with_peer(|verifier| verifier.nodes().count()),
        2
    );
}
