//! The event log of a node: what the quote bears out, which images that is, and whether the TPM was reset without the node.

use std::sync::Arc;

use assay_common::login::quote_nonce;
use assay_common::measurement::{
    BOOT_PCR, Boot, Event, EventLog, IMAGE_PCR, Image, Log, PcrBank, Witness, replay,
};
use assay_common::method::tpm_quote::{LOG_BLOB, MeasuredQuote, QuotePayload};
use assay_common::protocol::BlobRef;
use assay_common::tpm::pcr::PcrIndex;
use assay_host_verifier::attestor::tpm_quote::payload::parse_request;
use assay_host_verifier::attestor::{AttestError, Claims, ErrandContext, Fault, Judged};
use assay_host_verifier::clock::SystemClock;
use assay_host_verifier::outside::NoOutside;
use assay_host_verifier::server::World;
use assay_host_verifier::store::{ImageRecord, MeasuredBoot, MemoryStore, Store};
use jiff::Timestamp;
use serde_json::json;

use super::{Bound, attestor};

const APP: &[u8] = b"the image of a node";

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha256(bytes)))
}

fn app() -> Event<'static> {
    Event::Image(Image::measure("rack-node", "1.4.2", APP))
}

/// As [`Bound`]'s statement says: reset 5, restart 2.
fn boot(counter: impl Into<Option<u32>>, reset_count: u32, seed: u8) -> Boot {
    let mut witness = [seed; Witness::LEN];
    witness[..2].copy_from_slice(&[0, 0x0B]);
    Boot {
        counter: counter.into(),
        reset_count,
        restart_count: 2,
        witness: Witness(witness),
    }
}

/// A node with a log, and a verifier with a register.
struct Rig {
    bound: Bound,
    log: EventLog<2048>,
    store: Arc<MemoryStore>,
    bank: PcrBank,
    /// What is sent in the log's place.
    sent: Option<Vec<u8>>,
    /// What is quoted in the place of the log's PCRs.
    values: Option<Vec<u8>>,
    names_log: bool,
}

impl Rig {
    fn empty() -> Self {
        Self {
            bound: Bound::new(),
            log: EventLog::new(),
            store: Arc::default(),
            bank: PcrBank::Sha256,
            sent: None,
            values: None,
            names_log: true,
        }
    }

    /// That has booted the image, and registered it.
    fn good() -> Self {
        Self::empty()
            .with(IMAGE_PCR, app())
            .with(BOOT_PCR, Event::Boot(boot(7, 5, 1)))
            .registered("rack-node", "1.4.2", APP)
    }

    fn with(mut self, pcr: PcrIndex, event: Event<'_>) -> Self {
        self.log.append(pcr, &event, true).unwrap();
        self
    }

    fn registered(self, name: &str, version: &str, bytes: &[u8]) -> Self {
        let image = ImageRecord {
            sha256: sha256(bytes),
            name: name.to_owned(),
            version: version.to_owned(),
            len: bytes.len() as u32,
            build_id: String::new(),
            registered_at: Timestamp::UNIX_EPOCH,
            registered_by: "test".to_owned(),
            revoked_at: None,
        };
        assert!(run(self.store.register_image(&image)).unwrap());
        self
    }

    /// The same verifier, and the node after another boot.
    fn rebooted(self, boot: Boot) -> Self {
        let mut next = Self::empty()
            .with(IMAGE_PCR, app())
            .with(BOOT_PCR, Event::Boot(boot));
        next.bound.statement.clock.reset_count = boot.reset_count;
        next.store = self.store;
        next
    }

    fn judge(&mut self, config: serde_json::Value) -> Result<Claims, AttestError> {
        let attestor = attestor(config);
        let request = attestor.request(None).unwrap();
        let statement = &mut self.bound.statement;
        statement.selection = parse_request(&request).unwrap();
        statement.nonce = quote_nonce(&self.bound.login.transcript).to_vec();
        let measured = replay(&Log::parse(self.log.bytes()).unwrap(), self.bank);
        statement.values = self.values.clone().unwrap_or_else(|| {
            let measured = measured.unwrap();
            let pcrs = statement.selection[0].mask.iter();
            pcrs.flat_map(|pcr| measured.value(pcr).to_vec()).collect()
        });
        self.bound.login.request = request;
        let attest = self.bound.statement.attest();
        let log = self.sent.clone().unwrap_or(self.log.bytes().to_vec());
        let reference = BlobRef {
            blob: LOG_BLOB,
            len: log.len() as u32,
            sha256: sha256(&log),
        };
        if !log.is_empty() {
            self.bound.login.blobs.put(LOG_BLOB, &log).unwrap();
        }
        let quote = QuotePayload {
            pcr_values: &self.bound.statement.values,
            attest: &attest,
            signature: &self.bound.key.sign(&attest),
        };
        let mut buffer = [0; 4096];
        let payload = match self.names_log {
            true => postcard::to_slice(
                &MeasuredQuote {
                    quote,
                    log: reference,
                },
                &mut buffer,
            ),
            false => postcard::to_slice(&quote, &mut buffer),
        };
        let payload = payload.unwrap().to_vec();
        let context = self.bound.login.context();
        match attestor.judge(&context, &payload)? {
            Judged::Proven(claims) => Ok(*claims),
            Judged::Challenge(_) => panic!("a quote is not challenged"),
            Judged::Errand(errand) => {
                let answer = run(errand.run(&self.world(), &errand_context()))?;
                errand.judge(&context, &answer)
            }
        }
    }

    fn world(&self) -> World {
        World::new(
            Arc::new(NoOutside),
            self.store.clone(),
            Arc::new(SystemClock::new()),
        )
    }

    #[track_caller]
    fn refused(&mut self, config: serde_json::Value, check: &str) -> String {
        let error = self.judge(config).map(drop).unwrap_err();
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
        error.detail
    }
}

/// What a good node's log proves.
pub(crate) fn claims() -> Claims {
    Rig::good().judge(wants(json!(["rack-node"]))).unwrap()
}

/// What a policy can have of it.
pub(crate) fn announced() -> Vec<String> {
    attestor(wants(json!(["rack-node"]))).attributes()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(future)
}

fn errand_context() -> ErrandContext {
    ErrandContext {
        now: Timestamp::UNIX_EPOCH,
        login_id: String::new(),
        cluster: "lab".to_owned(),
        trust_domain: "example.org".to_owned(),
        policy: "rack".to_owned(),
        proven: Vec::new(),
        proof_nonce: [0; 32],
    }
}

fn wants(images: serde_json::Value) -> serde_json::Value {
    json!({ "requiredMeasurements": images })
}

fn attribute<'c>(claims: &'c Claims, name: &str) -> Vec<&'c str> {
    let own = claims.attributes.iter().filter(|a| a.name == name);
    own.map(|a| a.value.as_str()).collect()
}

#[test]
fn an_image_is_accepted_by_name_and_version_and_named_by_its_digest() {
    for wanted in [
        json!(["rack-node"]),
        json!([digest(APP)]),
        json!([{"image": "rack-node"}]),
        json!([{"image": "rack-node", "version": ">=1.4, <2"}]),
    ] {
        let claims = Rig::good().judge(wants(wanted)).unwrap();
        assert_eq!(attribute(&claims, "tpm_quote.image.name"), ["rack-node"]);
        assert_eq!(attribute(&claims, "tpm_quote.image.version"), ["1.4.2"]);
        assert_eq!(attribute(&claims, "tpm_quote.image.digest"), [digest(APP)]);
        assert_eq!(attribute(&claims, "tpm_quote.measurements"), [digest(APP)]);
        assert_eq!(attribute(&claims, "tpm_quote.boot_counter"), ["7"]);
        assert_eq!(attribute(&claims, "tpm_quote.pcr.sha256.8").len(), 1);
    }
}

#[test]
fn every_attribute_that_is_given_is_among_those_that_are_announced() {
    let announced = attestor(wants(json!(["rack-node"]))).attributes();
    let claims = Rig::good().judge(wants(json!(["rack-node"]))).unwrap();
    for given in &claims.attributes {
        assert!(
            announced.iter().any(|name| *name == given.name),
            "{}",
            given.name
        );
    }
}

#[test]
fn reference_values_of_the_policys_own_need_no_register() {
    let own = |digest: String| {
        json!({
            "requiredMeasurements": ["rack-node"],
            "measurements": [{"name": "rack-node", "version": "1.4.2", "digest": digest}],
        })
    };
    let mut rig = Rig::empty()
        .with(IMAGE_PCR, app())
        .with(BOOT_PCR, Event::Boot(boot(None, 5, 1)));
    let claims = rig.judge(own(digest(APP))).unwrap();
    assert_eq!(attribute(&claims, "tpm_quote.image.version"), ["1.4.2"]);
    // What is registered is no matter then.
    let mut rig = Rig::good();
    let told = rig.refused(own(digest(b"another")), "image-digest");
    assert!(told.contains(&digest(b"another")), "{told}");
}

#[test]
fn an_image_of_the_same_name_and_version_with_other_content_is_named_with_both_digests() {
    let mut rig = Rig::empty()
        .with(
            IMAGE_PCR,
            Event::Image(Image::measure("rack-node", "1.4.2", b"tampered")),
        )
        .registered("rack-node", "1.4.2", APP);
    let told = rig.refused(wants(json!(["rack-node"])), "image-digest");
    assert_eq!(
        told,
        format!(
            "image rack-node 1.4.2: measured {}, registered is {}",
            digest(b"tampered"),
            digest(APP)
        )
    );
}

#[test]
fn an_image_that_nobody_registered_is_refused() {
    let mut rig = Rig::empty().with(IMAGE_PCR, app());
    let told = rig.refused(wants(json!(["rack-node"])), "image-unknown");
    let expected = format!("image rack-node 1.4.2 {} is not registered", digest(APP));
    assert_eq!(told, expected);
    // Also where another version of it is.
    let mut rig = rig.registered("rack-node", "1.4.1", b"older");
    rig.refused(wants(json!(["rack-node"])), "image-unknown");
}

#[test]
fn a_version_out_of_its_range_is_refused() {
    for range in [">=1.5", "<1.4.2", "=1.4.1", "^2"] {
        let wanted = wants(json!([{"image": "rack-node", "version": range}]));
        let told = Rig::good().refused(wanted, "image-version");
        assert!(
            told.contains("1.4.2") && told.contains("rack-node"),
            "{told}"
        );
    }
}

#[test]
fn an_image_that_was_revoked_is_refused_even_where_none_is_required() {
    let mut rig = Rig::good();
    assert!(
        run(rig.store.revoke_image(&sha256(APP), Timestamp::UNIX_EPOCH))
            .unwrap()
            .is_some()
    );
    for config in [
        wants(json!(["rack-node"])),
        wants(json!([digest(APP)])),
        json!({"eventLog": "require"}),
    ] {
        rig.refused(config, "image-revoked");
    }
}

#[test]
fn an_image_that_calls_itself_otherwise_than_it_is_registered_is_refused() {
    for (name, version) in [("rack-node", "1.4.3"), ("other-node", "1.4.2")] {
        let mut rig = Rig::empty()
            .with(IMAGE_PCR, app())
            .registered(name, version, APP);
        rig.refused(wants(json!([name])), "image-claims");
    }
}

#[test]
fn all_that_is_required_must_have_been_booted_and_nothing_else() {
    let loader = Event::Image(Image::measure("loader", "1.0.0", b"a loader"));
    let both = || {
        Rig::empty()
            .with(IMAGE_PCR, loader)
            .with(IMAGE_PCR, app())
            .registered("loader", "1.0.0", b"a loader")
            .registered("rack-node", "1.4.2", APP)
    };
    let claims = both().judge(wants(json!(["loader", "rack-node"]))).unwrap();
    assert_eq!(attribute(&claims, "tpm_quote.image.name"), ["rack-node"]);
    assert_eq!(attribute(&claims, "tpm_quote.measurements").len(), 2);
    both().refused(wants(json!(["rack-node"])), "image-unexpected");
    Rig::good().refused(wants(json!(["loader", "rack-node"])), "image-missing");
    Rig::good().refused(wants(json!([digest(b"another")])), "image-missing");
    let mut nothing = Rig::empty().with(BOOT_PCR, Event::Boot(boot(7, 5, 1)));
    let told = nothing.refused(wants(json!(["rack-node"])), "image-missing");
    assert_eq!(told, "rack-node was not booted; measured was nothing");
}

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

impl Rig {
    /// Judges by an answer that somebody kept.
    fn judge_by(
        &mut self,
        config: serde_json::Value,
        answer: &serde_json::Value,
    ) -> Result<Claims, AttestError> {
        // What is asked is made of the same payload.
        self.judge(config.clone())?;
        let attestor = attestor(config);
        let attest = self.bound.statement.attest();
        let log = self.log.bytes();
        let payload = MeasuredQuote {
            quote: QuotePayload {
                pcr_values: &self.bound.statement.values,
                attest: &attest,
                signature: &self.bound.key.sign(&attest),
            },
            log: BlobRef {
                blob: LOG_BLOB,
                len: log.len() as u32,
                sha256: sha256(log),
            },
        };
        let mut buffer = [0; 4096];
        let payload = postcard::to_slice(&payload, &mut buffer).unwrap().to_vec();
        let context = self.bound.login.context();
        let Judged::Errand(errand) = attestor.judge(&context, &payload)? else {
            panic!("it asks the register")
        };
        errand.judge(&context, answer.to_string().as_bytes())
    }
}

#[test]
fn settings_that_would_let_something_pass_are_refused() {
    use assay_host_verifier::attestor::MethodConfig;
    use assay_host_verifier::attestor::tpm_quote::Config;
    for (config, field) in [
        (
            json!({"eventLog": "accept", "requiredMeasurements": ["a"]}),
            "eventLog",
        ),
        (
            json!({"eventLog": "ignore", "requiredMeasurements": ["a"]}),
            "eventLog",
        ),
        (
            json!({"anyValue": [0], "resetWitness": "require"}),
            "eventLog",
        ),
        (
            json!({"anyValue": [0], "measurements": [
                {"name": "a", "version": "1.0.0", "digest": digest(b"a")}]}),
            "eventLog",
        ),
        (json!({"bank": "sha512", "eventLog": "require"}), "bank"),
        (wants(json!(["No Name"])), "requiredMeasurements[0]"),
        (
            wants(json!(["a", "sha256:abcd"])),
            "requiredMeasurements[1]",
        ),
        (
            wants(json!([{"image": "a", "version": "newest"}])),
            "requiredMeasurements[0].version",
        ),
        (
            json!({"eventLog": "require", "measurements": []}),
            "measurements",
        ),
        (
            json!({"eventLog": "require", "measurements": [
                {"name": "a", "version": "1", "digest": digest(b"a")}]}),
            "measurements[0].version",
        ),
        (
            json!({"eventLog": "require", "measurements": [
                {"name": "a", "version": "1.0.0", "digest": "abc"}]}),
            "measurements[0].digest",
        ),
        (
            json!({"eventLog": "require", "measurements": [
                {"name": "a", "version": "1.0.0", "digest": digest(b"a")},
                {"name": "b", "version": "1.0.0", "digest": digest(b"a")}]}),
            "measurements[1].digest",
        ),
    ] {
        let parsed: Config = serde_json::from_value(config.clone()).unwrap();
        let error = parsed
            .build(std::path::Path::new(""))
            .map(drop)
            .unwrap_err();
        assert_eq!(error.field, field, "{config}: {error}");
    }
}
