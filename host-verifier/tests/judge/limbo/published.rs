//! The published suite itself (C2SP/x509-limbo), when `ASSAY_LIMBO` names its `limbo.json`. It is no part of this project.

use assay_host_verifier::x509::{
    Certificate, Oid, Policy, Revocation, TrustStore, UnixTime, decode,
    policy::{ExtendedKeyUsageRule, KeyUsageRule, MAX_INTERMEDIATES},
    revocation::{RequireCrl, StaleCrl, crls},
    validate_unrevoked,
};
use serde_json::Value;

/// Cases that do not apply, by the beginning of their names, and why.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    ("pathlen::validation-ignores-pathlen-in-leaf", CA_AS_LEAF),
    ("rfc5280::ca-as-leaf", CA_AS_LEAF),
    (
        "pathlen::max-chain-depth-1-self-issued",
        "the limit bounds work: every certificate counts",
    ),
    ("rfc5280::aki::critical-aki", ANCHOR),
    ("rfc5280::ski::critical-ski", ANCHOR),
    ("rfc5280::ski::root-missing-ski", ANCHOR),
    ("rfc5280::root-non-critical-basic-constraints", ANCHOR),
    ("rfc5280::aki::leaf-missing-aki", BY_SIGNATURE),
    ("rfc5280::aki::intermediate-missing-aki", BY_SIGNATURE),
    ("rfc5280::aki::cross-signed-root-missing-aki", BY_SIGNATURE),
    ("rfc5280::ski::intermediate-missing-ski", BY_SIGNATURE),
    ("webpki::aki::", BY_SIGNATURE),
    (
        "rfc5280::nc::permitted-dns-match-noncritical",
        "constraints are enforced, critical or not",
    ),
    ("rfc5280::san::underscore-dns", NAMES),
    ("rfc5280::san::ip-in-dns", NAMES),
    (
        "rfc5280::ca-empty-subject",
        "authorities without a subject are in use; names find candidates and prove nothing",
    ),
    ("webpki::cn::", NAMES),
    ("webpki::san::mismatch", NAMES),
    ("webpki::san::public-suffix", NAMES),
    ("webpki::san::wildcard", NAMES),
    ("webpki::san::san-wildcard", NAMES),
    ("webpki::san::no-san", NAMES),
    ("webpki::san::san-critical-with-nonempty-subject", WEB),
    ("webpki::eku::", WEB),
    ("webpki::malformed-aia", "the extension is not read"),
    ("webpki::forbidden-rsa-not-divisible-by-8", WEB),
    ("webpki::forbidden-rsa-key-not-divisible-by-8", WEB),
];

const CA_AS_LEAF: &str = "no policy here takes an authority for an end entity";
const ANCHOR: &str = "what the operator trusts as an anchor need not follow the profile";
const BY_SIGNATURE: &str = "issuers are found by signature; key identifiers decide nothing";
const NAMES: &str = "host names are not judged here";
const WEB: &str = "a rule of the CA/Browser Forum for public web servers";

fn texts(case: &Value, field: &str) -> Vec<String> {
    let list = case[field].as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn usage(name: &str) -> Oid {
    // id-kp (1.3.6.1.5.5.7.3) and anyExtendedKeyUsage.
    let last = match name {
        "serverAuth" => 1,
        "clientAuth" => 2,
        "codeSigning" => 3,
        "emailProtection" => 4,
        "timeStamping" => 8,
        "OCSPSigning" => 9,
        "anyExtendedKeyUsage" => return Oid::ANY_EXTENDED_KEY_USAGE,
        other => panic!("unknown usage {other}"),
    };
    Oid::from_contents(&[0x2b, 6, 1, 5, 5, 7, 3, last]).unwrap()
}

/// The verdict: the failed check, or "unreadable".
fn judge(case: &Value) -> Result<(), String> {
    let read = |pem: &String| {
        decode::certificate(pem.as_bytes()).map_err(|error| format!("unreadable: {error}"))
    };
    let all = |field| -> Result<Vec<Certificate>, String> {
        texts(case, field).iter().map(read).collect()
    };
    let leaf = read(&case["peer_certificate"].as_str().unwrap().to_owned())?;
    let store = TrustStore::new(all("trusted_certs")?, []);
    let hints = all("untrusted_intermediates")?;
    let usages = texts(case, "extended_key_usage");
    let policy = Policy {
        extended_key_usage: match usages.first() {
            Some(name) => ExtendedKeyUsageRule::IfPresent(usage(name)),
            None => ExtendedKeyUsageRule::Any,
        },
        key_usage: KeyUsageRule::Any,
        max_intermediates: case["max_chain_depth"]
            .as_u64()
            .map_or(MAX_INTERMEDIATES, |depth| depth as usize),
        ..Policy::proof_of_possession(8192, MAX_INTERMEDIATES)
    };
    let lists = texts(case, "crls");
    let revocation = if lists.is_empty() {
        None
    } else {
        let lists: Result<Vec<_>, String> = lists.iter().map(|pem| crls(pem.as_bytes())).collect();
        let lists = lists.map_err(|error| format!("unreadable: {error}"))?;
        let lists = lists.into_iter().flatten();
        Some(Revocation::new(lists, RequireCrl::Leaf, StaleCrl::Refuse))
    };
    let at = match case["validation_time"].as_str() {
        Some(time) => UnixTime(
            time.parse::<jiff::Timestamp>()
                .unwrap()
                .as_millisecond()
                .div_euclid(1000),
        ),
        None => crate::pki::now(),
    };
    validate_unrevoked(&leaf, &hints, &store, &policy, revocation.as_ref(), at)
        .map(drop)
        .map_err(|error| format!("{}: {error}", error.check()))
}

#[test]
#[cfg_attr(
    not(assay_limbo),
    ignore = "ASSAY_LIMBO is not set: no published suite"
)]
fn the_published_suite_gets_the_verdicts_that_it_expects() {
    let file = std::env::var_os("ASSAY_LIMBO").expect("ASSAY_LIMBO names limbo.json");
    let suite: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let (mut passed, mut skipped, mut failed) = (0, 0, Vec::new());
    for case in suite["testcases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let exempt = NOT_APPLICABLE
            .iter()
            .find(|(start, _)| id.starts_with(start));
        if exempt.is_some() {
            skipped += 1;
            continue;
        }
        let verdict = judge(case);
        if verdict.is_ok() == (case["expected_result"] == "SUCCESS") {
            passed += 1;
        } else {
            failed.push(format!("{id}: {}", verdict.err().unwrap_or_default()));
        }
    }
    println!(
        "{passed} passed, {skipped} not applicable, {} failed",
        failed.len()
    );
    assert!(
        failed.is_empty(),
        "{passed} passed, {skipped} n/a\n{}",
        failed.join("\n")
    );
}
