//! The log against what was quoted.

use assay_common::measurement::{BOOT_PCR, Event, EventLog, IMAGE_PCR, Image, PcrBank};
use assay_common::tpm::pcr::PcrIndex;
use assay_host_verifier::attestor::Fault;
use serde_json::json;

use super::{Rig, app, attribute, boot, wants};

#[test]
fn a_log_must_come_where_it_is_required_and_may_stay_away_where_it_is_accepted() {
    let mut rig = Rig::good();
    rig.names_log = false;
    rig.refused(wants(json!(["rack-node"])), "event-log-missing");
    rig.refused(json!({"eventLog": "require"}), "event-log-missing");
    let claims = rig.judge(json!({"eventLog": "accept"})).unwrap();
    assert_eq!(attribute(&claims, "tpm_quote.image.digest").len(), 0);
    let claims = Rig::good().judge(json!({"eventLog": "accept"})).unwrap();
    assert_eq!(attribute(&claims, "tpm_quote.image.name"), ["rack-node"]);
}

#[test]
fn a_log_that_is_not_looked_at_asks_for_no_pcr_and_gives_nothing() {
    let mut rig = Rig::good();
    rig.values = Some(vec![0; 32]);
    let claims = rig.judge(json!({"anyValue": [0]})).unwrap();
    assert_eq!(attribute(&claims, "tpm_quote.measurements").len(), 0);
    let selection = &rig.bound.statement.selection;
    assert_eq!(selection[0].to_string(), "sha256:0");
}

#[test]
fn the_log_must_lead_to_what_was_quoted() {
    let wanted = || wants(json!(["rack-node"]));
    // A record left out, at the end or altogether, which each is a log of its own.
    let mut rig = Rig::good();
    let one = Rig::empty().with(IMAGE_PCR, app());
    rig.sent = Some(one.log.bytes().to_vec());
    let told = rig.refused(wanted(), "event-log-replay");
    assert!(told.contains("sha256:9"), "{told}");
    // One too many.
    let mut rig = Rig::good();
    let more = Rig::good().with(IMAGE_PCR, app());
    rig.sent = Some(more.log.bytes().to_vec());
    rig.refused(wanted(), "event-log-replay");
    // In another order.
    let mut rig = Rig::empty()
        .with(IMAGE_PCR, app())
        .with(IMAGE_PCR, Event::Image(Image::measure("b", "1.0.0", b"b")));
    let other = Rig::empty()
        .with(IMAGE_PCR, Event::Image(Image::measure("b", "1.0.0", b"b")))
        .with(IMAGE_PCR, app());
    rig.sent = Some(other.log.bytes().to_vec());
    rig.refused(wanted(), "event-log-replay");
    // Nothing in the PCR, as after a reset of the TPM.
    let mut rig = Rig::good();
    rig.values = Some(vec![0; 64]);
    rig.refused(wanted(), "event-log-replay");
}

#[test]
fn content_that_was_not_extended_is_refused_although_the_digests_replay() {
    let mut rig = Rig::good();
    let mut log = rig.log.bytes().to_vec();
    let at = log.windows(5).position(|w| w == b"1.4.2").unwrap();
    log[at..at + 5].copy_from_slice(b"1.5.0");
    rig.sent = Some(log);
    rig.refused(wants(json!(["rack-node"])), "event-log-content");
}

#[test]
fn a_log_that_cannot_be_read_or_did_not_come_is_malformed() {
    let mut rig = Rig::good();
    let log = rig.log.bytes().to_vec();
    rig.sent = Some(log[..log.len() - 1].to_vec());
    let error = rig.judge(wants(json!(["rack-node"]))).unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Malformed, "event-log-malformed")
    );
    let mut rig = Rig::good();
    rig.sent = Some(Vec::new());
    let error = rig.judge(wants(json!(["rack-node"]))).unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Malformed, "event-log-blob")
    );
}

#[test]
fn a_bank_that_the_log_leaves_out_is_refused() {
    let mut rig = Rig::good();
    rig.bank = PcrBank::Sha384;
    let mut config = wants(json!(["rack-node"]));
    config["bank"] = json!("sha384");
    rig.judge(config.clone()).unwrap();
    let mut log = EventLog::<1024>::new();
    log.append(IMAGE_PCR, &app(), false).unwrap();
    rig.sent = Some(log.bytes().to_vec());
    rig.refused(config, "event-log-bank");
}

#[test]
fn events_belong_into_their_pcrs_and_a_boot_comes_once() {
    let wanted = || wants(json!(["rack-node"]));
    Rig::good()
        .with(BOOT_PCR, app())
        .refused(wanted(), "event-log-place");
    Rig::good()
        .with(IMAGE_PCR, Event::Boot(boot(7, 5, 1)))
        .refused(wanted(), "event-log-place");
    Rig::good()
        .with(BOOT_PCR, Event::Boot(boot(7, 5, 1)))
        .refused(wanted(), "event-log-place");
    // A PCR that was not quoted says nothing, whatever the log has for it.
    let elsewhere = PcrIndex::new(14).unwrap();
    let mut rig = Rig::good().with(elsewhere, Event::Image(Image::measure("x", "1.0.0", b"x")));
    let claims = rig.judge(wanted()).unwrap();
    assert_eq!(attribute(&claims, "tpm_quote.measurements").len(), 1);
}
