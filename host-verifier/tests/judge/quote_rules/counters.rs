//! Rules on counters, clock and firmware, and settings that would prove nothing.

use std::path::Path;

use assay_host_verifier::attestor::tpm_quote::Config;
use assay_host_verifier::attestor::{BootState, MethodConfig};
use serde_json::json;

use super::{Bound, ONES, ZERO, good, with};

fn before(reset_count: u32, restart_count: u32, clock: u64) -> Option<BootState> {
    Some(BootState {
        clock,
        reset_count,
        restart_count,
        safe: true,
        firmware_version: 0,
    })
}

/// The statement says: reset 5, restart 2, clock 100,000.
fn counters(last: Option<BootState>, reset: &str, restart: &str) -> Result<(), &'static str> {
    let mut bound = Bound::new();
    bound.last = last;
    let config = with(json!({"resetCount": reset, "restartCount": restart}));
    bound.judge(config).map(drop).map_err(|e| e.check)
}

#[test]
fn counters_never_go_back_by_default() {
    assert_eq!(counters(None, "monotonic", "monotonic"), Ok(()));
    for (last, wanted) in [
        (before(5, 2, 100_000), Ok(())),
        (before(5, 1, 99_999), Ok(())),
        (before(4, 9, 900_000), Ok(())),
        (before(6, 0, 0), Err("reset-count")),
        (before(5, 3, 0), Err("restart-count")),
        (before(5, 2, 100_001), Err("clock-backwards")),
    ] {
        assert_eq!(counters(last, "monotonic", "monotonic"), wanted, "{last:?}");
        let mut bound = Bound::new();
        bound.last = last;
        assert_eq!(bound.judge(good()).map(drop).map_err(|e| e.check), wanted);
    }
}

#[test]
fn counters_may_be_pinned_or_left_free() {
    assert_eq!(counters(None, "unchanged", "unchanged"), Ok(()));
    assert_eq!(counters(before(5, 2, 0), "unchanged", "unchanged"), Ok(()));
    assert_eq!(
        counters(before(4, 2, 0), "unchanged", "any"),
        Err("reset-count")
    );
    assert_eq!(
        counters(before(6, 2, 0), "unchanged", "any"),
        Err("reset-count")
    );
    assert_eq!(
        counters(before(5, 1, 0), "any", "unchanged"),
        Err("restart-count")
    );
    assert_eq!(
        counters(before(4, 1, 0), "any", "unchanged"),
        Err("restart-count")
    );
    assert_eq!(counters(before(9, 9, u64::MAX), "any", "any"), Ok(()));
}

#[test]
fn an_unsafe_clock_is_refused_where_that_is_asked_for() {
    let mut bound = Bound::new();
    bound.statement.clock.safe = false;
    assert!(bound.judge(good()).is_ok());
    bound.refused(with(json!({"requireClockSafe": true})), "clock-safe");
    bound.statement.clock.safe = true;
    assert!(bound.judge(with(json!({"requireClockSafe": true}))).is_ok());
}

#[test]
fn the_firmware_version_is_held_to_list_and_minimum() {
    let judge = |rule| {
        let config = with(json!({"firmwareVersion": rule}));
        Bound::new().judge(config).map(drop).map_err(|e| e.check)
    };
    assert_eq!(judge(json!({"allow": ["0007000200000000"]})), Ok(()));
    assert_eq!(judge(json!({"allow": ["0x7000200000000", "1"]})), Ok(()));
    assert_eq!(judge(json!({"min": "0007000200000000"})), Ok(()));
    assert_eq!(
        judge(json!({"min": "0007000200000001"})),
        Err("firmware-version")
    );
    assert_eq!(
        judge(json!({"allow": ["0007000200000001"]})),
        Err("firmware-version")
    );
    assert_eq!(
        judge(json!({"allow": ["0007000200000000"], "min": "ffffffffffffffff"})),
        Err("firmware-version")
    );
}

#[test]
fn disguised_counters_satisfy_no_rule_and_give_no_attributes() {
    let mut bound = Bound::new();
    bound.statement.signer = vec![0x40, 0, 0, 1];
    bound.refused(good(), "counters-disguised");
    let free = json!({"resetCount": "any", "restartCount": "any"});
    let mut firmware = free.clone();
    firmware["firmwareVersion"] = json!({"min": "1"});
    bound.refused(with(firmware), "counters-disguised");
    let claims = bound.judge(with(free)).unwrap();
    assert!(claims.facts.boot.is_none());
    assert!(!claims.attributes.iter().any(|a| a.name.contains("count")));
}

#[test]
fn settings_that_would_prove_nothing_are_errors() {
    for (config, field) in [
        (json!({}), "pcrs"),
        (json!({"pcrs": {}}), "pcrs"),
        (json!({"pcrs": {"0": []}}), "pcrs.0"),
        (json!({"pcrs": {"0": "00"}}), "pcrs.0"),
        (json!({"pcrs": {"0": [ZERO, "xyz"]}}), "pcrs.0"),
        (json!({"bank": "sha384", "pcrs": {"0": ZERO}}), "pcrs.0"),
        (json!({"bank": "sha1", "anyValue": [0]}), "bank"),
        (json!({"bank": "md5", "anyValue": [0]}), "bank"),
        (json!({"anyValue": [24]}), "anyValue"),
        (json!({"anyValue": [1, 1]}), "anyValue"),
        (json!({"pcrs": {"0": ZERO}, "anyValue": [0]}), "anyValue"),
        (
            json!({"pcrs": {"0": ZERO}, "selection": [0, 1]}),
            "selection",
        ),
        (json!({"pcrs": {"0": ZERO}, "selection": []}), "selection"),
        (
            json!({"pcrs": {"0": ZERO}, "firmwareVersion": {}}),
            "firmwareVersion",
        ),
        (
            json!({"pcrs": {"0": ZERO}, "firmwareVersion": {"allow": []}}),
            "firmwareVersion.allow",
        ),
        (
            json!({"pcrs": {"0": ZERO}, "firmwareVersion": {"min": "+1"}}),
            "firmwareVersion.min",
        ),
    ] {
        let parsed: Config = serde_json::from_value(config.clone()).unwrap();
        let error = parsed.build(Path::new("")).map(drop).unwrap_err();
        assert_eq!(error.field, field, "{config}: {error}");
    }
    for config in [
        json!({"pcrs": {"24": ZERO}}),
        json!({"pcrs": {"01": ZERO}}),
        json!({"pcrs": {"-1": ZERO}}),
        json!({"pcrs": {"0": 5}}),
        json!({"pcrs": [ZERO]}),
        json!({"pcrs": {"0": ZERO}, "resetCount": "sometimes"}),
        json!({"pcrs": {"0": ZERO}, "pcr": {}}),
        json!({"pcrs": {"0": ZERO}, "firmwareVersion": {"max": "1"}}),
    ] {
        assert!(
            serde_json::from_value::<Config>(config.clone()).is_err(),
            "{config}"
        );
    }
    let twice = format!(r#"{{"pcrs": {{"0": "{ZERO}", "0": "{ONES}"}}}}"#);
    assert!(serde_json::from_str::<Config>(&twice).is_err());
}
