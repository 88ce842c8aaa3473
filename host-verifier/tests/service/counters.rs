//! A TPM's counters outlive its attestation keys: what the rules of `tpm_quote` on them are held against.

use assay_common::protocol::DenyCode;
use assay_host_verifier::store::Store;

use crate::agent::{Answer, EK};
use crate::desk::{Desk, ek_and_quote, ek_only, granted};
use crate::fake_tpm::FakeTpm;

/// A policy that wants a quote, with `rule` for `resetCount`.
fn quoted(rule: &str, tpm: &FakeTpm) -> Desk {
    let entries = ek_and_quote(&[tpm]);
    let with_rule = entries.replace("{pcrs:", &format!("{{resetCount: {rule}, pcrs:"));
    assert_ne!(entries, with_rule);
    Desk::new(&with_rule)
}

async fn refused(desk: &mut Desk, tpm: &FakeTpm, check: &str) {
    let sessions = desk.sessions().await;
    let answer = desk.login(tpm).await;
    assert!(
        matches!(answer, Answer::Denied(DenyCode::REFUSED, _)),
        "{answer:?}"
    );
    let detail = desk.last_denial();
    assert!(
        detail.contains(&format!("tpm_quote failed: {check}: ")),
        "{detail}"
    );
    assert_eq!(desk.sessions().await, sessions);
}

#[tokio::test]
async fn another_ak_does_not_hide_that_the_reset_count_went_back() {
    let mut tpm = FakeTpm::new();
    let mut desk = quoted("monotonic", &tpm);
    granted(desk.login(&tpm).await);
    tpm.replace_ak();
    tpm.reset_count -= 1;
    refused(&mut desk, &tpm, "reset-count").await;
    // The new AK is no offence by itself.
    tpm.reset_count += 1;
    granted(desk.login(&tpm).await);
}

#[tokio::test]
async fn another_ak_does_not_hide_a_reset_where_none_is_allowed() {
    let mut tpm = FakeTpm::new();
    let mut desk = quoted("unchanged", &tpm);
    granted(desk.login(&tpm).await);
    tpm.replace_ak();
    tpm.reset_count += 1;
    refused(&mut desk, &tpm, "reset-count").await;
    tpm.reset_count -= 1;
    granted(desk.login(&tpm).await);
}

#[tokio::test]
async fn another_ak_does_not_hide_that_restart_count_or_clock_went_back() {
    let mut tpm = FakeTpm::new();
    tpm.restart_count = 2;
    let mut desk = quoted("monotonic", &tpm);
    granted(desk.login(&tpm).await);
    tpm.replace_ak();
    tpm.restart_count -= 1;
    refused(&mut desk, &tpm, "restart-count").await;
    tpm.restart_count += 1;
    tpm.clock -= 1;
    refused(&mut desk, &tpm, "clock-backwards").await;
}

#[tokio::test]
async fn a_login_without_a_quote_erases_no_counters_whichever_ak_it_uses() {
    let mut tpm = FakeTpm::new();
    let mut desk = quoted("monotonic", &tpm);
    granted(desk.login(&tpm).await);

    let mut unquoted = Desk::new(&ek_only("weaker", &[&tpm]));
    unquoted.server.store = desk.store.clone();
    tpm.replace_ak();
    let (mut link, mut agent) = (unquoted.link(), unquoted.agent());
    agent.methods = vec![EK.0];
    granted(unquoted.login_over(&mut link, &mut agent, &tpm).await);
    let node = desk.store.node(&tpm.ek_hash()).await.unwrap().unwrap();
    assert_eq!(node.ak_name, tpm.ak_name());
    assert_eq!(node.boot.unwrap().reset_count, 7);

    tpm.reset_count -= 1;
    refused(&mut desk, &tpm, "reset-count").await;
}
