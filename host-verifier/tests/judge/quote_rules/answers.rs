//! What is asked, and which answers to it are judged at all.

use assay_common::login::quote_nonce;
use assay_common::method::tpm_quote::QuotePayload;
use assay_common::policy::AttestorKind;
use assay_common::tpm::pcr::PcrSelection;
use assay_host_verifier::attestor::Fault;
use assay_host_verifier::attestor::tpm_quote::payload::parse_request;
use assay_host_verifier::blobs::Blobs;
use serde_json::json;

use super::{Bound, ONES, SEVENS, ZERO, attestor, good};
use crate::ek::Login;
use crate::soft::SoftKey;

#[test]
fn good_values_give_all_attributes() {
    let mut bound = Bound::new();
    let claims = bound.judge(good()).unwrap();
    let shown: Vec<(String, String)> = claims
        .attributes
        .into_iter()
        .map(|a| (a.name.into_owned(), a.value))
        .collect();
    let wanted = [
        ("tpm_quote.pcr.sha256.0", ZERO),
        ("tpm_quote.pcr.sha256.1", ONES),
        ("tpm_quote.pcr.sha256.7", SEVENS),
        ("tpm_quote.clock_safe", "true"),
        ("tpm_quote.firmware_version", "0007000200000000"),
        ("tpm_quote.reset_count", "5"),
        ("tpm_quote.restart_count", "2"),
    ];
    assert_eq!(shown, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(claims.facts.boot.unwrap().reset_count, 5);
    assert!(claims.facts.attestation_key.is_none());
}

#[test]
fn a_value_that_is_not_among_the_good_ones_is_refused() {
    let config = json!({"pcrs": {"0": [ONES, SEVENS], "1": ONES, "7": SEVENS}});
    Bound::new().refused(config, "pcr-value");
}

#[test]
fn a_pcr_whose_value_is_free_is_quoted_and_reported() {
    let config = json!({"pcrs": {"0": ZERO}, "anyValue": [1, 7], "selection": [0, 1, 7]});
    let claims = Bound::new().judge(config).unwrap();
    assert!(
        claims
            .attributes
            .iter()
            .any(|a| a.name == "tpm_quote.pcr.sha256.7")
    );
}

#[test]
fn the_nonce_is_that_of_this_login_and_no_other() {
    let mut bound = Bound::new();
    let elsewhere = bound
        .login
        .transcript
        .then(assay_common::login::Direction::Agent, b"x");
    bound.statement.nonce = quote_nonce(&elsewhere).to_vec();
    bound.refused(good(), "nonce");
}

#[test]
fn without_a_bound_key_nothing_is_judged() {
    let mut bound = Bound::new();
    bound.login.facts.attestation_key = None;
    bound.refused(good(), "ak-not-bound");
    assert!(attestor(good()).stands_on().contains(AttestorKind::TPM_EK));
}

#[test]
fn a_quote_by_another_key_than_the_bound_one_is_refused() {
    let mut bound = Bound::new();
    bound.key = SoftKey::new();
    bound.refused(good(), "signature");
}

#[test]
fn a_bound_key_whose_name_is_not_its_own_is_our_fault() {
    let mut bound = Bound::new();
    bound.login.facts.attestation_key.as_mut().unwrap().name[5] ^= 1;
    let error = bound.judge(good()).map(drop).unwrap_err();
    assert_eq!((error.fault, error.check), (Fault::Internal, "ak-name"));
}

#[test]
fn wishes_of_several_policies_fold_into_one_quote() {
    let first = attestor(json!({"pcrs": {"0": ZERO}}));
    let second = attestor(json!({"anyValue": [1, 7]}));
    let third = attestor(json!({"bank": "sha384", "anyValue": [4]}));
    let one = first.request(None).unwrap();
    let two = second.request(Some(&one)).unwrap();
    let folded = parse_request(&third.request(Some(&two)).unwrap()).unwrap();
    let wanted: Vec<PcrSelection> = ["sha256:0,1,7", "sha384:4"]
        .map(|s| s.parse().unwrap())
        .to_vec();
    assert_eq!(folded, wanted);

    // Each finds its own PCRs in the common quote and reports no others.
    let mut bound = Bound::new();
    bound.login.request = two;
    let claims = bound.answer(first.as_ref()).unwrap();
    let pcrs = claims
        .attributes
        .iter()
        .filter(|a| a.name.starts_with("tpm_quote.pcr."));
    assert_eq!(pcrs.count(), 1);
    assert!(bound.answer(second.as_ref()).is_ok());
}

#[test]
fn a_quote_of_fewer_or_more_pcrs_than_asked_for_is_refused() {
    for (selection, values) in [
        ("sha256:0,1", 2),
        ("sha256:0,1,2,7", 4),
        ("sha384:0,1,7", 3),
    ] {
        let mut bound = Bound::new();
        bound.statement.selection = vec![selection.parse().unwrap()];
        bound.statement.values = vec![0; 32 * values];
        bound.refused(good(), "pcr-selection");
    }
    // The same PCRs and an empty bank beside them.
    let mut bound = Bound::new();
    let empty = PcrSelection::new(
        assay_common::tpm::alg::AlgId::SHA384,
        assay_common::tpm::pcr::PcrMask::NONE,
    );
    bound.statement.selection.push(empty);
    bound.refused(good(), "pcr-selection");
}

#[test]
fn truncated_or_continued_payloads_are_malformed() {
    let bound = Bound::new();
    let attestor = attestor(good());
    let mut login = Login::new(Blobs::default());
    login.request = attestor.request(None).unwrap();
    login.facts = bound.login.facts.clone();
    let attest = bound.statement.attest();
    let signature = bound.key.sign(&attest);
    let payload = QuotePayload {
        pcr_values: &bound.statement.values,
        attest: &attest,
        signature: &signature,
    };
    let mut buffer = [0; 4096];
    let payload = postcard::to_slice(&payload, &mut buffer).unwrap();
    let judge = |payload: &[u8]| attestor.judge(&login.context(), payload).map(drop);
    assert!(judge(payload).is_ok());
    for n in 0..payload.len() {
        assert_eq!(
            judge(&payload[..n]).unwrap_err().fault,
            Fault::Malformed,
            "{n}"
        );
    }
    let longer = [&payload[..], &[0]].concat();
    assert_eq!(judge(&longer).unwrap_err().check, "payload-malformed");
}
