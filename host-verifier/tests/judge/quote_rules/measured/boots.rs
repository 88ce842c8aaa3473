//! Resets of the TPM against boots of the node.

use assay_common::measurement::{BOOT_PCR, Boot, Event, IMAGE_PCR};
use assay_host_verifier::store::{MeasuredBoot as _, Store as _};
use serde_json::json;

use super::{APP, Rig, app, boot, digest, run};

fn witness(rule: &str) -> serde_json::Value {
    json!({"requiredMeasurements": ["rack-node"], "resetWitness": rule})
}

fn booted(boot: Boot) -> Rig {
    Rig::empty()
        .with(IMAGE_PCR, app())
        .with(BOOT_PCR, Event::Boot(boot))
        .registered("rack-node", "1.4.2", APP)
}

#[test]
fn a_tpm_that_was_reset_since_its_node_booted_is_found_out_by_one_login() {
    for rule in ["accept", "require"] {
        booted(boot(7, 4, 1)).refused(witness(rule), "reset-witness");
        let mut restarted = boot(7, 5, 1);
        restarted.restart_count = 1;
        booted(restarted).refused(witness(rule), "reset-witness");
        booted(boot(7, 5, 1)).judge(witness(rule)).unwrap();
    }
    booted(boot(7, 4, 1)).judge(witness("ignore")).unwrap();
}

#[test]
fn what_the_witness_needs_must_be_there_where_it_is_required() {
    let without = || {
        Rig::empty()
            .with(IMAGE_PCR, app())
            .registered("rack-node", "1.4.2", APP)
    };
    without().refused(witness("require"), "reset-witness-missing");
    without().judge(witness("accept")).unwrap();
    booted(boot(None, 5, 1)).refused(witness("require"), "reset-witness-missing");
    booted(boot(None, 5, 1)).judge(witness("accept")).unwrap();
    let mut rig = booted(boot(7, 5, 1));
    rig.bound.statement.signer = vec![0, 0x0B, 1];
    let mut config = witness("require");
    config["resetCount"] = json!("any");
    config["restartCount"] = json!("any");
    rig.refused(config, "counters-disguised");
}

#[test]
fn a_tpm_is_not_reset_more_often_than_its_node_boots() {
    let config = || witness("require");
    let mut rig = booted(boot(7, 5, 1));
    rig.judge(config()).unwrap();
    // The same boot once more; the next; one of the node alone; several.
    for next in [boot(7, 5, 1), boot(8, 6, 2), boot(9, 6, 2), boot(12, 9, 3)] {
        rig = rig.rebooted(next);
        rig.judge(config())
            .unwrap_or_else(|e| panic!("{next:?}: {e}"));
    }
    // Twice while the node booted once.
    let mut reset = rig.rebooted(boot(13, 11, 4));
    let told = reset.refused(config(), "reset-witness");
    assert_eq!(
        told,
        "the TPM was reset 2 times while the MCU booted 1 times"
    );
    // Nothing was noted of it, so it does not get in by trying again.
    reset.refused(config(), "reset-witness");
    // In the boot that is known.
    let mut same = reset.rebooted(boot(12, 10, 4));
    same.refused(config(), "reset-witness");
    // Its counters disguised or turned round, the witness is another.
    let mut same = same.rebooted(boot(12, 9, 9));
    same.refused(config(), "reset-witness");
    let mut back = same.rebooted(boot(11, 9, 3));
    back.refused(config(), "boot-counter-backwards");
    // Evicted, it begins anew.
    let node = back.bound.login.facts.subject.clone().unwrap();
    run(back.store.evict_node(&node)).unwrap();
    back.judge(config()).unwrap();
}

/// Or a host that has taken the TPM would leave out what gives it away.
#[test]
fn a_node_that_has_told_its_boots_must_go_on_telling_them() {
    let untold = |rig: Rig| {
        let mut next = Rig::empty()
            .with(IMAGE_PCR, app())
            .registered("rack-node", "1.4.2", APP);
        next.store = rig.store;
        next
    };
    let config = || witness("accept");
    let mut rig = booted(boot(7, 5, 1));
    rig.judge(config()).unwrap();
    let mut silent = untold(rig);
    silent.refused(config(), "reset-witness-missing");
    silent.judge(witness("ignore")).unwrap();
    let mut uncounted = silent.rebooted(boot(None, 6, 2));
    uncounted.refused(config(), "reset-witness-missing");
    let mut disguised = uncounted.rebooted(boot(8, 6, 2));
    disguised.bound.statement.signer = vec![0, 0x0B, 1];
    let mut any = config();
    any["resetCount"] = json!("any");
    any["restartCount"] = json!("any");
    disguised.refused(any.clone(), "reset-witness-missing");
    // An operator has looked, and its boots are forgotten.
    let node = disguised.bound.login.facts.subject.clone().unwrap();
    assert!(run(disguised.store.forget_boot(&node)).unwrap());
    disguised.judge(any).unwrap();
    untold(disguised).judge(config()).unwrap();
}

#[test]
fn counters_that_come_round_are_compared_by_their_difference() {
    let mut rig = booted(boot(u32::MAX, u32::MAX, 1));
    rig.bound.statement.clock.reset_count = u32::MAX;
    rig.judge(witness("require")).unwrap();
    let mut rig = rig.rebooted(boot(0, 0, 2));
    rig.judge(witness("require")).unwrap();
    let mut rig = rig.rebooted(boot(1, 2, 3));
    rig.refused(witness("require"), "reset-witness");
}

/// Each TPM has its own counters.
#[test]
fn boots_are_noted_by_node() {
    let mut rig = booted(boot(7, 5, 1));
    rig.judge(witness("require")).unwrap();
    let mut other = rig.rebooted(boot(3, 90, 1));
    other.bound.login.facts.subject = Some("cd".repeat(32));
    other.judge(witness("require")).unwrap();
}

#[test]
fn an_answer_for_other_images_or_another_boot_is_not_taken() {
    let config = || witness("require");
    let mut answers = Vec::new();
    for rig in [booted(boot(7, 5, 1)), booted(boot(8, 5, 1))] {
        let mut rig = rig;
        rig.judge(config()).unwrap();
        let node = rig.bound.login.facts.subject.clone().unwrap();
        answers.push(json!({
            "measured": [digest(APP)],
            "registered": [{"name": "rack-node", "version": "1.4.2", "digest": digest(APP)}],
            "boot": {
                "node": node,
                "now": {"counter": 7, "resetCount": 5, "witness": "01".repeat(32)},
                "last": null,
            },
        }));
    }
    let mut other_image = answers[0].clone();
    other_image["measured"] = json!([digest(b"another")]);
    let mut other_node = answers[0].clone();
    other_node["boot"]["node"] = json!("ef".repeat(32));
    let mut no_boot = answers[0].clone();
    no_boot["boot"] = json!(null);
    let mut unregistered = answers[0].clone();
    unregistered["registered"] = json!(null);
    for (answer, counter, wanted) in [
        (&answers[0], 7, Ok(())),
        (&answers[0], 8, Err("image-answer")),
        (&other_image, 7, Err("image-answer")),
        (&other_node, 7, Err("image-answer")),
        (&no_boot, 7, Err("image-answer")),
        (&unregistered, 7, Err("image-answer")),
    ] {
        let judged = booted(boot(counter, 5, 1)).judge_by(config(), answer);
        assert_eq!(judged.map(drop).map_err(|e| e.check), wanted, "{answer}");
    }
}
