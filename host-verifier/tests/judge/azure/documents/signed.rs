//! What a document must say, and who may have signed it.

use assay_common::login::Transcript;
use assay_host_verifier::attestor::Fault;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::arm::VM_ID;
use super::super::entra::{SUBSCRIPTION, TENANT};
use super::{
    Azure, Case, attributes, config, document, login, now, payload, saying, signed_by, stamp,
};
use crate::cms::build::Message;

#[test]
fn a_machines_document_passes_and_asks_nobody() {
    let case = Case::default();
    let claims = case.judge(&payload(&signed_by("leaf"), json!({}))).unwrap();
    assert_eq!(
        attributes(&claims),
        [
            ("azure_imds.tenant.id", TENANT),
            ("azure_imds.subscription.id", SUBSCRIPTION),
            ("azure_imds.vm.id", VM_ID),
        ]
    );
    assert_eq!(
        claims.facts.identity,
        Some(format!("{SUBSCRIPTION}/{VM_ID}"))
    );
    assert!(case.world.asked().is_empty());
    assert!(case.attestor().is_fresh());
}

#[test]
fn a_nonce_that_is_wrong_absent_or_of_another_login_is_refused() {
    let case = Case::default();
    let other = document(&Transcript::new())["nonce"].clone();
    let own = document(&login())["nonce"].as_str().unwrap().to_owned();
    for nonce in [
        other,
        json!(""),
        json!("20261122-195534"),
        json!(own[..31]),
        json!(format!("{own}0")),
        json!(own.to_uppercase()),
    ] {
        let error = case.refused(&saying("nonce", nonce), "nonce");
        assert_eq!(error.fault, Fault::Refused);
    }
    case.refused(&saying("nonce", Value::Null), "document-malformed");
}

#[test]
fn a_document_counts_in_its_window() {
    let payload = payload(&signed_by("leaf"), json!({}));
    let at = |seconds: i64| Case {
        at: now() + SignedDuration::from_secs(seconds),
        ..Case::default()
    };
    for inside in [-305, 0, 6 * 3600 + 300] {
        at(inside).judge(&payload).unwrap();
    }
    for outside in [-306, 6 * 3600 + 301] {
        at(outside).refused(&payload, "document-time");
    }
    let backwards = json!({"createdOn": stamp(now() + SignedDuration::from_secs(60)), "expiresOn": stamp(now())});
    Case::default().refused(&saying("timeStamp", backwards), "document-time");
    Case::default().refused(
        &saying(
            "timeStamp",
            json!({"createdOn": "now", "expiresOn": "then"}),
        ),
        "document-malformed",
    );
}

#[test]
fn a_document_without_a_subscription_or_of_anothers_is_refused() {
    let case = Case::default();
    case.refused(
        &saying("subscriptionId", Value::Null),
        "document-subscription",
    );
    case.refused(
        &saying("subscriptionId", json!("")),
        "document-subscription",
    );
    case.refused(
        &saying("subscriptionId", json!("all")),
        "document-malformed",
    );
    case.refused(
        &saying("subscriptionId", json!(TENANT)),
        "subscription-not-allowed",
    );
    case.refused(&saying("vmId", Value::Null), "document-malformed");
    case.refused(&saying("vmId", json!("x")), "document-malformed");
    let mut listed = config();
    listed["subscriptionIds"] = json!([TENANT]);
    let case = Case {
        config: listed,
        ..Case::default()
    };
    case.refused(
        &payload(&signed_by("leaf"), json!({})),
        "subscription-not-allowed",
    );
}

#[test]
fn signers_of_other_names_are_refused() {
    for name in ["fake", "evil", "wildcard", "gov"] {
        Case::default().refused(&payload(&signed_by(name), json!({})), "signer-name");
    }
    let mut gov = config();
    gov["azureEnvironment"] = "AzureGovernmentCloud".into();
    let case = Case {
        config: gov,
        ..Case::default()
    };
    case.judge(&payload(&signed_by("gov"), json!({}))).unwrap();
    case.refused(&payload(&signed_by("leaf"), json!({})), "signer-name");
}

/// As Microsoft's own sample is: RSA with 1024 bits and MD5.
#[test]
fn weak_signatures_are_refused() {
    let content = document(&login()).to_string();
    let small = Azure::own().sign("small", content.as_bytes(), "sha256");
    Case::default().refused(&payload(&small, json!({})), "cms-signature");
    for digest in ["md5", "sha1"] {
        let weak = Azure::own().sign("leaf", content.as_bytes(), digest);
        Case::default().refused(&payload(&weak, json!({})), "cms-algorithm");
    }
}

#[test]
fn a_signature_over_something_else_is_refused() {
    let mut signed = signed_by("leaf");
    let nonce = document(&login())["nonce"]
        .as_str()
        .unwrap()
        .as_bytes()
        .to_vec();
    let at = signed
        .windows(nonce.len())
        .position(|part| part == nonce)
        .unwrap();
    signed[at] ^= 1;
    Case::default().refused(&payload(&signed, json!({})), "cms-signature");
}

/// SPIRE before 1.15.1: the chain was built for the first certificate, and the signature checked with another.
#[test]
fn a47_a_signer_that_stands_behind_azures_certificate_is_not_azures() {
    let azure = Azure::own();
    let content = document(&login()).to_string();
    let (leaf, stranger) = (azure.certificate("leaf"), azure.certificate("strange"));
    let mut message = Message::azure(content.as_bytes(), &leaf);
    message.certificates = vec![leaf.der().to_vec(), stranger.der().to_vec()];
    let signed = message.sign(&azure.pki("strange"), "strange", &stranger);
    let case = Case {
        fetch: false,
        ..Case::default()
    };
    case.refused(&payload(&signed, json!({})), "unknown-issuer");
    // And one that calls itself by the name of Azure's.
    let signed = message.sign(&azure.pki("strange"), "strange", &leaf);
    case.refused(&payload(&signed, json!({})), "cms-signature");
}
