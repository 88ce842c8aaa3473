//! What lets nobody in: the signature, the account, and what AWS says of the instance. Everything else about each case is right:
//! with the one thing changed back, it passes (`positive`).

use assay_host_verifier::attestor::{Attestor as _, Fault};
use assay_host_verifier::cloud::CallErrorKind;
use serde_json::{Value, json};

use super::positive::over;
use super::{
    ACCOUNT, Cloud, INSTANCE, ORGANIZATION, OWN, attestor, aws, certificate, describe, document,
    enveloped, honest, in_lines, judge, listed, member, node, profile, refused, sign, signed_by,
};
use crate::cms::build::Message;
use crate::pki::Pki;

/// A payload that must be refused before anybody is asked.
fn at_once(payload: &Value) -> &'static str {
    let cloud = Cloud::honest();
    let check = refused(judge(listed(), payload, &cloud));
    assert_eq!(cloud.asked(), [""; 0], "nobody may be asked");
    check
}

/// The honest message with a byte changed where this stands in it.
fn flipped(at: &[u8], offset: usize) -> Value {
    let text = document(|_| {});
    let mut blob = sign(&Message::aws(text.as_bytes()), "ireland");
    let found = blob.windows(at.len()).position(|part| part == at).unwrap();
    blob[found + offset] ^= 1;
    enveloped(&blob)
}

#[test]
fn the_certificate_of_another_region() {
    // Virginia's key says that the instance is in Ireland.
    assert_eq!(
        at_once(&signed_by("virginia", &document(|_| {}))),
        "signer-not-pinned"
    );
}

#[test]
fn a_flipped_bit_in_the_content() {
    assert_eq!(at_once(&flipped(b"m5.large", 1)), "cms-digest");
}

#[test]
fn a_flipped_bit_in_the_signed_attributes() {
    assert_eq!(at_once(&flipped(b"260216003830Z", 11)), "cms-signature");
}

#[test]
fn a_flipped_bit_in_the_signature() {
    let text = document(|_| {});
    let mut blob = sign(&Message::aws(text.as_bytes()), "ireland");
    // Before the ends of three structures of indefinite length.
    let last = blob.len() - 7;
    blob[last] ^= 1;
    assert_eq!(at_once(&enveloped(&blob)), "cms-signature");
}

/// SPIRE before 1.14.6: the signature was verified over what is inside, and what stood beside it was believed.
#[test]
fn a46_a_document_beside_the_message_that_is_another_one() {
    let mut payload = honest();
    let other = document(|document| document["instanceId"] = "i-0fedcba9876543210".into());
    payload["document"] = other.into();
    assert_eq!(at_once(&payload), "document-mismatch");
    // Not even one that means the same.
    payload["document"] = format!("{} ", document(|_| {})).into();
    assert_eq!(at_once(&payload), "document-mismatch");
    payload["document"] = document(|_| {}).into();
    judge(listed(), &payload, &Cloud::honest()).unwrap();
}

#[test]
fn two_signers() {
    let mut message = Message::aws(document(|_| {}).as_bytes());
    message.signers = 2;
    let blob = sign(&message, "ireland");
    assert_eq!(at_once(&enveloped(&blob)), "cms-signers");
}

#[test]
fn a_certificate_in_the_message_with_the_pinned_ones_names_and_another_key() {
    let impostor = Pki::new();
    let twin = impostor.root("ireland", "rsa2048", "");
    let pinned = certificate("ireland");
    assert_eq!(
        (twin.issuer(), twin.serial()),
        (pinned.issuer(), pinned.serial())
    );
    let mut message = Message::aws(document(|_| {}).as_bytes());
    message.certificates = vec![twin.der().to_vec()];
    let blob = message.sign(&impostor, "ireland", &twin);
    assert_eq!(at_once(&enveloped(&blob)), "cms-signature");
}

/// The document and its raw signature, as old agents send it.
fn raw(key: &str) -> Value {
    let text = document(|_| {});
    aws().write("raw.json", &text);
    let signature = aws().openssl(&format!("dgst -sha256 -sign {key}.key raw.json"));
    json!({"document": text, "signature": in_lines(&signature)})
}

#[test]
fn a_signature_of_1024_bits_only() {
    assert_eq!(at_once(&raw("old")), "legacy-signature");
    // Where an operator lets it in, it counts, and nothing else under its name.
    let legacy = json!({"awsAccountsAllowed": [ACCOUNT], "legacySignatures": true});
    judge(legacy.clone(), &raw("old"), &Cloud::honest()).unwrap();
    let other = judge(legacy.clone(), &raw("virginia"), &Cloud::honest());
    assert_eq!(refused(other), "signature");
    let mut changed = raw("old");
    changed["document"] = document(|document| document["instanceType"] = "m5.xlarge".into()).into();
    assert_eq!(
        refused(judge(legacy, &changed, &Cloud::honest())),
        "signature"
    );
}

#[test]
fn a_signature_of_dsa_only() {
    let payload = json!({"document": document(|_| {}), "pkcs7": "MIAGCSqGSIb3DQEHAqCA"});
    assert_eq!(at_once(&payload), "dsa-signature");
    let legacy = json!({"awsAccountsAllowed": [ACCOUNT], "legacySignatures": true});
    let result = judge(legacy, &payload, &Cloud::honest());
    assert_eq!(refused(result), "dsa-signature");
}

#[test]
fn no_signature() {
    assert_eq!(
        at_once(&json!({"document": document(|_| {})})),
        "no-signature"
    );
}

#[test]
fn an_unknown_region() {
    let elsewhere = document(|document| {
        document["region"] = "ap-east-2".into();
        document["availabilityZone"] = "ap-east-2a".into();
    });
    let error = judge(
        listed(),
        &signed_by("ireland", &elsewhere),
        &Cloud::honest(),
    )
    .unwrap_err();
    assert_eq!(
        (error.check, error.fault),
        ("region-not-pinned", Fault::Misconfigured)
    );
    assert!(error.detail.contains("regions-certs.md"), "{error}");
}

#[test]
fn a_region_that_is_none() {
    let none = document(|document| {
        document["region"] = "eu-west-1.evil.example/".into();
        document["availabilityZone"] = "eu-west-1.evil.example/a".into();
    });
    assert_eq!(at_once(&signed_by("ireland", &none)), "document-malformed");
}

#[test]
fn an_account_that_nothing_lets_in_and_nobody_is_asked() {
    let cloud = Cloud::honest();
    let settings = json!({"awsAccountsAllowed": ["222222222222"], "allowOwnAccount": false});
    let error = judge(settings, &honest(), &cloud).unwrap_err();
    assert_eq!(
        (error.check, error.fault),
        ("account-not-allowed", Fault::Refused)
    );
    assert_eq!(cloud.asked(), [""; 0]);
}

#[test]
fn an_account_that_is_not_the_verifiers_own_and_nothing_is_asked_in_it() {
    let cloud = Cloud::honest();
    assert_eq!(
        refused(judge(json!({}), &honest(), &cloud)),
        "account-not-allowed"
    );
    // Who the verifier itself is, and no more.
    assert_eq!(cloud.asked(), ["sts/own GetCallerIdentity"]);
}

#[test]
fn the_verifiers_own_account_where_that_is_switched_off() {
    let own = document(|document| document["accountId"] = OWN.into());
    let settings = json!({"awsAccountsAllowed": [ACCOUNT], "allowOwnAccount": false});
    let result = judge(settings, &signed_by("ireland", &own), &Cloud::honest());
    assert_eq!(refused(result), "account-not-allowed");
}

fn state(state: &str) -> &'static str {
    let cloud = Cloud::honest().described(|instance| instance["state"] = state.into());
    let check = refused(judge(listed(), &honest(), &cloud));
    assert_eq!(cloud.asked(), [describe()], "nothing more is asked");
    check
}

#[test]
fn a_stopped_instance() {
    assert_eq!(state("stopped"), "instance-not-running");
    assert_eq!(state("stopping"), "instance-not-running");
}

#[test]
fn an_ended_instance() {
    assert_eq!(state("terminated"), "instance-not-running");
    assert_eq!(state("shutting-down"), "instance-not-running");
}

#[test]
fn an_instance_that_is_still_being_started() {
    assert_eq!(state("pending"), "instance-not-running");
}

#[test]
fn an_instance_that_is_not_there() {
    let cloud = Cloud::honest().with(&describe(), json!({}));
    assert_eq!(
        refused(judge(listed(), &honest(), &cloud)),
        "instance-not-found"
    );
}

#[test]
fn the_description_of_another_instance() {
    let cloud = Cloud::honest().described(|instance| instance["id"] = "i-0fedcba9876543210".into());
    assert_eq!(
        refused(judge(listed(), &honest(), &cloud)),
        "instance-mismatch"
    );
}

fn by_organization(answer: bool) -> (Cloud, Value) {
    let cloud = Cloud::honest().with(&member(ORGANIZATION), json!({"member": answer}));
    (cloud, json!({"assumeOrgRoleArns": [ORGANIZATION]}))
}

/// Suspended, closing, or another organisation's: what is not active is no member.
#[test]
fn an_account_that_is_not_active_in_the_organization() {
    let (cloud, settings) = by_organization(false);
    assert_eq!(
        refused(judge(settings, &honest(), &cloud)),
        "account-not-allowed"
    );
    assert_eq!(
        cloud.asked(),
        ["sts/own GetCallerIdentity".to_owned(), member(ORGANIZATION)],
        "nothing is asked in the account"
    );
    let (cloud, settings) = by_organization(true);
    judge(settings, &honest(), &cloud).unwrap();
}

#[test]
fn an_organization_that_cannot_be_asked() {
    let (cloud, settings) = by_organization(true);
    let cloud = cloud.failing(&member(ORGANIZATION), CallErrorKind::Denied);
    let error = judge(settings, &honest(), &cloud).unwrap_err();
    assert_eq!(
        (error.check, error.fault),
        ("cloud-api", Fault::Misconfigured)
    );
}

#[test]
fn an_instance_in_a_cluster_of_that_name_in_another_account() {
    let settings = json!({"awsAccountsAllowed": [ACCOUNT], "eksClusterNames": ["prod"]});
    let cloud = Cloud::honest()
        .with(&node("222222222222", "prod"), json!({"member": true}))
        .with(&node(ACCOUNT, "prod"), json!({"member": false}));
    assert_eq!(
        refused(judge(settings.clone(), &honest(), &cloud)),
        "not-in-cluster"
    );
    assert!(!cloud.asked().contains(&profile()), "no more is asked");
    let cloud = Cloud::honest().with(&node(ACCOUNT, "prod"), json!({"member": true}));
    judge(settings, &honest(), &cloud).unwrap();
}

/// An empty list is an answer: there is nobody in it.
#[test]
fn an_instance_where_the_cluster_has_no_nodes() {
    let settings = json!({"awsAccountsAllowed": [ACCOUNT], "eksClusterNames": ["prod", "web"]});
    let cloud = Cloud::honest()
        .with(&node(ACCOUNT, "prod"), json!({"member": false}))
        .with(&node(ACCOUNT, "web"), json!({"member": false}));
    assert_eq!(
        refused(judge(settings, &honest(), &cloud)),
        "not-in-cluster"
    );
}

fn attached(root: Value) -> Result<(), &'static str> {
    let cloud = Cloud::honest().described(|instance| instance["rootAttached"] = root);
    judge(listed(), &honest(), &cloud)
        .map(drop)
        .map_err(|error| error.check)
}

#[test]
fn a_root_volume_that_was_attached_long_after_the_network_interface() {
    // The interface was attached at 00:38:28.
    assert_eq!(attached("2026-02-16T00:39:28Z".into()), Ok(()));
    assert_eq!(attached("2026-02-16T00:39:29Z".into()), Err("device-times"));
    assert_eq!(attached("2026-02-16T00:37:27Z".into()), Err("device-times"));
}

#[test]
fn a_root_volume_of_which_nothing_is_known() {
    assert_eq!(attached(Value::Null), Err("device-times"));
    let cloud = Cloud::honest().described(|instance| instance["interfaces"] = json!([]));
    assert_eq!(refused(judge(listed(), &honest(), &cloud)), "device-times");
}

#[test]
fn a_role_that_is_missing_in_the_account() {
    let cloud = Cloud::honest().failing(&describe(), CallErrorKind::Denied);
    let error = judge(listed(), &honest(), &cloud).unwrap_err();
    assert_eq!(
        (error.check, error.fault),
        ("cloud-api", Fault::Misconfigured)
    );
}

#[test]
fn an_api_that_throttles() {
    let throttled = CallErrorKind::Throttled { retry_after: None };
    for question in [describe(), profile()] {
        let cloud = Cloud::honest().failing(&question, throttled);
        let error = judge(listed(), &honest(), &cloud).unwrap_err();
        assert_eq!(
            (error.check, error.fault),
            ("cloud-api", Fault::Unavailable)
        );
    }
}

/// The document of one instance from two hosts is one identity, which its first key binds.
#[test]
fn a_document_that_is_sent_again_from_another_host() {
    let settings = json!({"awsAccountsAllowed": [ACCOUNT], "tofu": true});
    assert!(attestor(settings.clone()).binds_first_use());
    assert!(!attestor(listed()).binds_first_use());
    assert!(!attestor(settings.clone()).is_fresh());
    let name = || {
        let claims = judge(settings.clone(), &honest(), &Cloud::honest()).unwrap();
        claims.facts.identity.unwrap()
    };
    assert_eq!(name(), format!("aws:aws:{ACCOUNT}:eu-west-1:{INSTANCE}"));
    assert_eq!(name(), name());
}

#[test]
fn an_answer_about_another_instance() {
    // What was kept of one login is no answer in another.
    let kept = json!({
        "account": ACCOUNT, "region": "eu-west-1", "instanceId": "i-0fedcba9876543210", "asked": true,
        "instance": super::described(),
    });
    let result = over(&attestor(listed()), &honest(), &kept);
    assert_eq!(refused(result), "answer-kept");
}
