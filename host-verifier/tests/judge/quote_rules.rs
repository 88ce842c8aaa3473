//! `tpm_quote` as a login uses it: request, answer, rules, claims.

use std::path::Path;

use assay_common::{
    login::quote_nonce, method::tpm_quote::QuotePayload, policy::AttestorKind,
    tpm::pcr::PcrSelection,
};
use assay_host_verifier::{
    attestor::{
        AttestError, Attestor, BootState, BoundKey, Claims, Facts, Fault, Judged, MethodConfig,
        tpm_quote::{Config, payload::parse_request},
    },
    blobs::Blobs,
};
use serde_json::json;

use crate::{
    ek::Login,
    soft::{SoftKey, Statement},
};

const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const ONES: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const SEVENS: &str = "7777777777777777777777777777777777777777777777777777777777777777";

fn attestor(config: serde_json::Value) -> std::sync::Arc<dyn Attestor> {
    let config: Config = serde_json::from_value(config).unwrap();
    config.build(Path::new("")).unwrap()
}

/// A login in which `tpm_ek` bound a key.
pub(crate) struct Bound {
    pub(crate) key: SoftKey,
    pub(crate) login: Login,
    pub(crate) last: Option<BootState>,
    pub(crate) statement: Statement,
}

impl Bound {
    pub(crate) fn new() -> Self {
        let key = SoftKey::new();
        let mut login = Login::new(Blobs::default());
        login.facts = Facts {
            subject: Some("ab".repeat(32)),
            attestation_key: Some(BoundKey {
                public: key.public.clone(),
                name: key.key().name().unwrap().as_bytes().to_vec(),
            }),
            boot: None,
            quoted: None,
        };
        let mut statement = Statement::proper(&key);
        statement.nonce = quote_nonce(&login.transcript).to_vec();
        Self {
            key,
            login,
            last: None,
            statement,
        }
    }

    /// Judges the statement, properly signed, under a config.
    pub(crate) fn judge(&mut self, config: serde_json::Value) -> Result<Claims, AttestError> {
        let attestor = attestor(config);
        self.login.request = attestor.request(None).unwrap();
        self.answer(attestor.as_ref())
    }

    /// Judges the statement by an attestor, after the request was made.
    fn answer(&self, attestor: &dyn Attestor) -> Result<Claims, AttestError> {
        let attest = self.statement.attest();
        self.answer_with(
            attestor,
            &attest,
            &self.key.sign(&attest),
            &self.statement.values,
        )
    }

    fn answer_with(
        &self,
        attestor: &dyn Attestor,
        attest: &[u8],
        signature: &[u8],
        values: &[u8],
    ) -> Result<Claims, AttestError> {
        let payload = QuotePayload {
            pcr_values: values,
            attest,
            signature,
        };
        let mut buffer = [0; 4096];
        let payload = postcard::to_slice(&payload, &mut buffer).unwrap().to_vec();
        let mut context = self.login.context();
        context.last_boot = self.last.as_ref();
        match attestor.judge(&context, &payload)? {
            Judged::Proven(claims) => Ok(*claims),
            Judged::Challenge(_) => panic!("a quote needs no second step"),
        }
    }

    #[track_caller]
    fn refused(&mut self, config: serde_json::Value, check: &str) {
        let error = self.judge(config).map(drop).unwrap_err();
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
    }
}

/// The values of [`Statement::proper`].
pub(crate) fn good() -> serde_json::Value {
    json!({"pcrs": {"0": ZERO, "1": [SEVENS, ONES], "7": SEVENS}})
}

fn with(extra: serde_json::Value) -> serde_json::Value {
    let mut config = good();
    let object = config.as_object_mut().unwrap();
    object.extend(extra.as_object().unwrap().clone());
    config
}

#[test]
fn good_values_give_all_attributes() {
    let mut bound = Bound::new();
    let claims = bound.judge(good()).unwrap();
    let shown: Vec<(String, String)> = claims
        .attributes
        .into_iter()
        .map(|a| (a.name, a.value))
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
