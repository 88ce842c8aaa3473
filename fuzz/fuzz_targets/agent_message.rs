//! The verifier's login against any messages, from any state: whatever is said without the right TPM, no session
//! comes of it, and every answer is a whole message.
//!
//! The input is a list of records behind one byte that says how far an honest agent gets before the input takes over.
//! A record is a byte that says which of [`Say`], a length in two bytes, and the bytes.
#![no_main]

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use assay_common::login::{Direction, LoginKeys, Transcript, quote_nonce};
use assay_common::method::tpm_ek::{EkPayload, EkResponse};
use assay_common::method::tpm_quote::QuotePayload;
use assay_common::policy::AttestorKind;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    AgentMessage, Challenge, Chunk, Hello, Item, MAX_AGENT_MESSAGE, MAX_VERIFIER_MESSAGE, Proofs,
    VerifierMessage, decode, encode,
};
use assay_common::tpm::attest::Attest;
use assay_common::tpm::public::templates::{AK_P256, EK_P256_L2};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::clock::Moment;
use assay_host_verifier::crypto::{Curve, EcPublicKey, PublicKey};
use assay_host_verifier::login::step::StepOutcome;
use assay_host_verifier::login::{
    AwaitHello, AwaitProofs, ChallengeKey, Env, Next, StepName, Turn, Verifier,
};
use assay_host_verifier::policy::PolicyDocument;
use assay_host_verifier::random::{RandomError, SecureRandom, SeededRandom};
use assay_host_verifier::session::PathTemplate;
use libfuzzer_sys::fuzz_target;

/// The base point of P-256 (FIPS 186-4 D.1.2.3): a key that the policy lets in.
const X: &str = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
const Y: &str = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/// What the bytes of a record are.
enum Say {
    /// A message, as it is.
    Message,
    /// A chunk of a blob.
    Chunk,
    /// A message whose proofs are put under the id of this login, which no input could guess.
    Addressed,
    /// The payload of a quote, given the nonce of this login, beside the right response of the TPM to its credential: all
    /// that is missing is a signature by the AK.
    Quote,
}

impl Say {
    const fn of(byte: u8) -> Self {
        match byte % 4 {
            0 => Self::Message,
            1 => Self::Chunk,
            2 => Self::Addressed,
            _ => Self::Quote,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((how_far, mut rest)) = data.split_first() else {
        return;
    };
    let random = Overheard::new();
    let mut login = Login::new(&random);
    if how_far % 3 > 0 {
        login.say(&hello());
    }
    if how_far % 3 > 1 {
        login.say_proofs(&[(AttestorKind::TPM_EK, &ek_payload())]);
    }
    let reached = login.open.as_ref().map(|open| open.round);
    assert_eq!(
        reached,
        (how_far % 3).checked_sub(1),
        "the honest part of a login fails"
    );
    while let Some(([what, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (bytes, after) = after.split_at(len);
        rest = after;
        match Say::of(*what) {
            Say::Message => assert!(!login.say(bytes), "a secret was guessed"),
            Say::Chunk => {
                if let Ok(chunk) = decode::<Chunk<'_>>(bytes) {
                    let _ = login.blobs.add(&chunk);
                }
            }
            Say::Addressed => assert!(!login.say_addressed(bytes), "a secret was guessed"),
            Say::Quote => login.say_quote(bytes),
        }
    }
});

/// One agent's conversation with the verifier.
struct Login<'a> {
    random: &'a Overheard,
    blobs: Blobs,
    open: Option<Open>,
}

/// A login whose last challenge is not answered yet.
struct Open {
    state: Box<AwaitProofs>,
    /// Over everything said, the last challenge included.
    transcript: Transcript,
    round: u8,
}

impl<'a> Login<'a> {
    fn new(random: &'a Overheard) -> Self {
        Self {
            random,
            blobs: Blobs::default(),
            open: None,
        }
    }

    /// Sends one message; a login that is over begins again with it. True when the verifier takes it for the response
    /// of the TPM.
    fn say(&mut self, message: &[u8]) -> bool {
        let env = Env {
            now: Moment {
                wall: jiff::Timestamp::UNIX_EPOCH,
                monotonic: Duration::ZERO,
            },
            random: self.random,
        };
        let (before, turn) = match self.open.take() {
            Some(open) => (
                open.transcript,
                open.state.handle(&env, &self.blobs, message),
            ),
            None => {
                self.random.forget();
                let turn = AwaitHello::new(verifier()).handle(&env, message);
                (Transcript::new(), turn)
            }
        };
        let responded = turn
            .steps
            .iter()
            .any(|step| step.step == StepName::Response && step.outcome == StepOutcome::Ok);
        let transcript = before.then(Direction::Agent, message);
        self.open = follow(&env, turn, transcript);
        responded
    }

    /// As [`say`](Self::say); `None` when there is nothing to prove, or when it does not fit a message.
    fn say_proofs(&mut self, items: &[(AttestorKind, &[u8])]) -> Option<bool> {
        let open = self.open.as_ref()?;
        let proofs = Proofs {
            login_id: open.state.login_id().0,
            round: open.round,
            items: items
                .iter()
                .map(|(kind, payload)| Item {
                    kind: *kind,
                    payload,
                })
                .collect(),
        };
        encoded(&AgentMessage::Proofs(proofs)).map(|message| self.say(&message))
    }

    fn say_addressed(&mut self, message: &[u8]) -> bool {
        let (Some(open), Ok(AgentMessage::Proofs(mut proofs))) = (&self.open, decode(message))
        else {
            return self.say(message);
        };
        proofs.login_id = open.state.login_id().0;
        encoded(&AgentMessage::Proofs(proofs)).is_some_and(|message| self.say(&message))
    }

    fn say_quote(&mut self, payload: &[u8]) {
        let Some(open) = &self.open else { return };
        let round = open.round;
        let response = EkResponse {
            mac: self.random.keys().proof(&open.transcript),
        };
        let response = encoded(&response).expect("a MAC fits");
        let payload = &with_nonce(payload, &quote_nonce(&open.transcript));
        let responded = self.say_proofs(&[
            (AttestorKind::TPM_EK, &response),
            (AttestorKind::TPM_QUOTE, payload),
        ]);
        // Or the quote behind it would not be looked at.
        assert!(responded.is_none_or(|responded| responded == (round == 1)));
    }
}

/// A quote that speaks of this nonce, if it was one that speaks of any.
fn with_nonce(payload: &[u8], nonce: &[u8; 32]) -> Vec<u8> {
    let patched = || {
        let quote: QuotePayload<'_> = decode(payload).ok()?;
        let said = Attest::parse(quote.attest).ok()?.extra_data;
        let at = said.as_ptr().addr() - quote.attest.as_ptr().addr();
        let mut attest = quote.attest.to_vec();
        attest
            .get_mut(at..at + said.len())?
            .copy_from_slice(nonce.get(..said.len())?);
        encoded(&QuotePayload {
            attest: &attest,
            ..quote
        })
    };
    patched().unwrap_or_else(|| payload.to_vec())
}

/// Goes on until the agent is to speak.
fn follow(env: &Env<'_>, mut turn: Turn, transcript: Transcript) -> Option<Open> {
    loop {
        turn = match turn.next {
            Next::Ask(message, state) => {
                let VerifierMessage::Challenge(signed) = answer(&message) else {
                    panic!("a question that is no challenge");
                };
                let challenge: Challenge<'_> = decode(signed.body).expect("a whole challenge");
                assert_eq!(challenge.login_id, state.login_id().0);
                assert!(!challenge.items.is_empty());
                return Some(Open {
                    transcript: transcript.then(Direction::Verifier, &message),
                    round: challenge.round,
                    state,
                });
            }
            Next::Recall(state) => state.handle(env, None),
            Next::Inquire(_) => panic!("a question that no method here has"),
            Next::Commit(_) => panic!("a session without the TPM"),
            Next::Denied(denied) => {
                let message = denied.message();
                assert!(matches!(answer(&message), VerifierMessage::Denied(_)));
                return None;
            }
        };
    }
}

fn answer(message: &[u8]) -> VerifierMessage<'_> {
    assert!(message.len() <= MAX_VERIFIER_MESSAGE);
    decode(message).expect("a whole message")
}

/// The same numbers in every run, and the first 32 of a login: the secret that goes into the credential.
#[derive(Debug)]
struct Overheard {
    random: SeededRandom,
    secret: Mutex<Option<[u8; 32]>>,
}

impl Overheard {
    fn new() -> Self {
        Self {
            random: SeededRandom::new(7),
            secret: Mutex::new(None),
        }
    }

    fn forget(&self) {
        *self.secret.lock().expect("one thread") = None;
    }

    fn keys(&self) -> LoginKeys {
        LoginKeys::new(
            self.secret
                .lock()
                .expect("one thread")
                .expect("a challenge was made"),
        )
    }
}

impl SecureRandom for Overheard {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        self.random.fill(out)?;
        let mut secret = self.secret.lock().expect("one thread");
        if let (None, Ok(first)) = (*secret, <[u8; 32]>::try_from(&*out)) {
            *secret = Some(first);
        }
        Ok(())
    }
}

fn hello() -> Vec<u8> {
    let hello = AgentMessage::Hello(Hello {
        versions: VersionRange::OURS,
        cluster: "lab",
        methods: &[AttestorKind::TPM_EK.0, AttestorKind::TPM_QUOTE.0],
        agent_nonce: [7; 32],
        key_share: &[],
        untrusted_board: "fuzz",
        untrusted_version: "0",
    });
    encoded(&hello).expect("a hello fits")
}

fn ek_payload() -> Vec<u8> {
    let payload = EkPayload {
        ek_public: &public(&EK_P256_L2[..54]),
        ak_public: &public(&AK_P256[..20]),
        ek_certificate: None,
        ek_chain: Default::default(),
    };
    encoded(&payload).expect("a payload fits")
}

/// `None` when it is longer than an agent's message.
fn encoded<T: serde::Serialize>(value: &T) -> Option<Vec<u8>> {
    encode(value, &mut [0; MAX_AGENT_MESSAGE])
        .ok()
        .map(<[u8]>::to_vec)
}

fn point() -> (Vec<u8>, Vec<u8>) {
    let bytes = |text: &str| hex::decode(text).expect("hex");
    (bytes(X), bytes(Y))
}

fn public(head: &[u8]) -> Vec<u8> {
    let (x, y) = point();
    [head, &[0, 32], &x, &[0, 32], &y].concat()
}

fn verifier() -> Arc<Verifier> {
    static VERIFIER: OnceLock<Arc<Verifier>> = OnceLock::new();
    VERIFIER
        .get_or_init(|| {
            let (x, y) = point();
            let key = PublicKey::Ec(EcPublicKey::new(Curve::P256, &x, &y).expect("a point"));
            let hash = hex::encode(key.spki_sha256());
            let text = format!(
                "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: rack\n      requiredAttestors:\n        - type: tpm_ek\n          config: {{allowedHashes: [\"{hash}\"]}}\n        - type: tpm_quote\n          config: {{anyValue: [0]}}\n"
            );
            let document = PolicyDocument::parse("policy", &text).expect("a document");
            let policies = document.build("policy", "".as_ref()).expect("policies");
            Arc::new(Verifier {
                trust_domain: "example.org".to_owned(),
                clusters: [("lab".to_owned(), Arc::new(policies.into()))].into(),
                unusable: std::collections::BTreeMap::new(),
                key: ChallengeKey::generate().expect("a key"),
                login_timeout: Duration::from_secs(60),
                session_ttl: Duration::from_secs(60),
                path_template: PathTemplate::parse("/node/{{tpm_ek.public_hash}}").expect("a template"),
                reattest_after: Duration::from_secs(60),
                issues_svids: true,
            })
        })
        .clone()
}
