//! The event log of a node: what the quote bears out, which images that is, and whether the TPM was reset without the node.

mod boots;
mod images;
mod logs;
mod settings;

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
use assay_host_verifier::store::{ImageRecord, MeasuredBoot as _, MemoryStore};
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
