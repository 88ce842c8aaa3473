//! What judging a login's proof costs, method by method, beside the bare signatures that the proof holds.
//!
//! Every method is judged on the way that a login takes: [`Attestor::judge`], and behind it the judgement of the answer
//! from outside, or of the response to the challenge, out of an attestor that a policy's `config:` made. Bare is the
//! verification of the same signatures over the same bytes by aws-lc with keys that were parsed before.
//!
//! * `warm`: the attestor has judged this node before. Bare is the signatures that must be verified in every login.
//! * `cold`: each judgement is an attestor's first: no key prepared, no certificate seen. Bare is all signatures of the proof.
//!
//! A proof without a signature that the verifier checks (`k8s_psat`, `http_dns`, `extension`: somebody else answers for it)
//! has a rate and no ratio. Nothing is asked: answers are those that the login would have recorded.
//!
//! Time is the thread's own processor time, in turns with the bare operation, see `benches/shared/turns.rs`.
//!
//! Prints one JSON object on stdout: for each method and key `warm` and `cold`, each with `signatures`, `per_second`, and
//! where there are signatures `bare_per_second` and `ratio` (1.0 is as fast as the bare signatures). `--quick` measures for a tenth
//! of the time, `--warm` leaves the cold ones out; a method's name, or `METHOD/KEY`, measures that one alone; `--bench` is
//! ignored.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark over material of its own making: a panic is how it fails"
)]

mod case;
mod clouds;
mod keys;
#[path = "../../tests/judge/cms/build.rs"]
#[allow(
    dead_code,
    clippy::cast_possible_truncation,
    reason = "the tests' own, which need more of it"
)]
mod message;
mod recorded;
mod ssh;
mod tokens;
mod tpm;
#[path = "../shared/turns.rs"]
mod turns;
mod x509;

use assay_host_verifier::attestor::Attestor;
use serde_json::{Value, json};

use case::Case;
use keys::Kind;
use turns::{Measured, prepared_in_turns};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let pairs = if quick { 25 } else { 250 };
    let warm_alone = arguments.iter().any(|argument| argument == "--warm");
    let only: Vec<_> = arguments.iter().filter(|a| !a.starts_with("--")).collect();

    let mut report = serde_json::Map::new();
    for (method, key, make) in cases() {
        let named = format!("{method}/{key}");
        if !only.is_empty() && !only.iter().any(|only| *only == method || **only == named) {
            continue;
        }
        let entry = report.entry(method).or_insert_with(|| json!({}));
        entry[key] = measure(&make(), pairs, warm_alone);
    }
    println!("{:#}", Value::Object(report));
}

/// Makes a case's material.
type Make = fn() -> Case;

fn cases() -> Vec<(&'static str, &'static str, Make)> {
    vec![
        ("x509pop", "rsa2048", || x509::case(Kind::Rsa2048)),
        ("x509pop", "p256", || x509::case(Kind::P256)),
        ("x509pop", "ed25519", || x509::case(Kind::Ed25519)),
        ("ssh_pop", "rsa2048", || ssh::case(Kind::Rsa2048)),
        ("ssh_pop", "p256", || ssh::case(Kind::P256)),
        ("ssh_pop", "ed25519", || ssh::case(Kind::Ed25519)),
        ("k8s_token", "rsa2048", || tokens::kubernetes(Kind::Rsa2048)),
        ("k8s_token", "p256", || tokens::kubernetes(Kind::P256)),
        ("k8s_token", "ed25519", || tokens::kubernetes(Kind::Ed25519)),
        ("custom_jwt", "rsa2048", || tokens::custom(Kind::Rsa2048)),
        ("custom_jwt", "p256", || tokens::custom(Kind::P256)),
        ("custom_jwt", "ed25519", || tokens::custom(Kind::Ed25519)),
        ("tpm_devid", "p256", tpm::devid),
        ("join_token", "ed25519", recorded::join_token),
        ("aws_iid", "rsa2048", clouds::aws_iid),
        ("aws_token", "rsa2048", clouds::aws_token),
        ("azure_imds", "rsa2048", clouds::azure_imds),
        ("azure_msi", "rsa2048", clouds::azure_msi),
        ("gcp_iit", "rsa2048", clouds::gcp_iit),
        ("k8s_psat", "none", recorded::k8s_psat),
        ("http_dns", "none", recorded::http_dns),
        ("extension", "none", recorded::extension),
    ]
}

fn measure(case: &Case, pairs: usize, warm_alone: bool) -> Value {
    let known = case.attestor();
    case.judge(&*known);
    let warm = || prepared_in_turns(pairs, || (), |()| case.judge(&*known), || case.bare(false));
    let cold = || {
        prepared_in_turns(
            pairs,
            || case.attestor(),
            |first: std::sync::Arc<dyn Attestor>| case.judge(&*first),
            || case.bare(true),
        )
    };
    let mut measured = json!({"warm": shown(case.signatures(false), warm())});
    if !warm_alone {
        measured["cold"] = shown(case.signatures(true), cold());
    }
    measured
}

fn shown(signatures: usize, measured: Measured) -> Value {
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    let mut shown = json!({
        "signatures": signatures,
        "per_second": rounded(measured.ours),
    });
    if signatures > 0 {
        shown["bare_per_second"] = rounded(measured.bare).into();
        shown["ratio"] = rounded(measured.ratio).into();
    }
    shown
}
