//! The verifier's login against any messages, from any state: whatever is said without the right TPM, no session
//! comes of it, and every answer is a whole message.
//!
//! The input is a list of messages and chunks: a byte that says which, a length in two bytes, the bytes. Its first
//! byte says how far an honest agent gets before the input takes over.
#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use assay_common::method::tpm_ek::EkPayload;
use assay_common::policy::AttestorKind;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    AgentMessage, Chunk, Hello, Item, Items, MAX_AGENT_MESSAGE, MAX_VERIFIER_MESSAGE,
    Proofs, VerifierMessage, decode, encode,
};
use assay_common::tpm::public::templates::{AK_P256, EK_P256_L2};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::clock::Moment;
use assay_host_verifier::crypto::{Curve, EcPublicKey, PublicKey};
use assay_host_verifier::login::{AwaitHello, AwaitProofs, ChallengeKey, Env, Next, Turn, Verifier};
use assay_host_verifier::policy::PolicyDocument;
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::session::PathTemplate;
use libfuzzer_sys::fuzz_target;

/// The base point of P-256 (FIPS 186-4 D.1.2.3): a key that the policy lets in.
const X: &str = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
const Y: &str = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

fuzz_target!(|data: &[u8]| {
    let Some((how_far, mut rest)) = data.split_first() else { return };
    let env = Env {
        now: Moment { wall: jiff::Timestamp::UNIX_EPOCH, monotonic: Duration::ZERO },
        random: &SystemRandom,
    };
    let mut blobs = Blobs::default();
    let mut state = match how_far % 3 {
        0 => None,
        1 => honest_hello(&env),
        _ => honest_hello(&env).and_then(|state| honest_payload(&env, *state)),
    };
    assert!(how_far % 3 == 0 || state.is_some(), "the honest part of a login fails");
    while let Some(([what, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (message, after) = after.split_at(len);
        rest = after;
        if what % 2 == 1 {
            if let Ok(chunk) = decode::<Chunk<'_>>(message) {
                let _ = blobs.add(&chunk);
            }
            continue;
        }
        let turn = match state.take() {
            Some(state) => state.handle(&env, &blobs, message),
            None => AwaitHello::new(verifier()).handle(&env, message),
        };
        state = follow(&env, turn);
    }
});

/// Goes on until the agent is to speak.
fn follow(env: &Env<'_>, mut turn: Turn) -> Option<Box<AwaitProofs>> {
    loop {
        turn = match turn.next {
            Next::Ask(message, state) => {
                assert!(matches!(answer(&message), VerifierMessage::Challenge(_)));
                return Some(state);
            }
            Next::Recall(state) => state.handle(env, None),
            Next::Commit(_) => panic!("a session without the TPM"),
            Next::Denied(denied) => {
                assert!(matches!(answer(&denied.message()), VerifierMessage::Denied(_)));
                return None;
            }
        };
    }
}

fn answer(message: &[u8]) -> VerifierMessage<'_> {
    assert!(message.len() <= MAX_VERIFIER_MESSAGE);
    decode(message).expect("a whole message")
}

fn honest_hello(env: &Env<'_>) -> Option<Box<AwaitProofs>> {
    let hello = AgentMessage::Hello(Hello {
        versions: VersionRange::OURS,
        cluster: "lab",
        methods: &[AttestorKind::TPM_EK.0, AttestorKind::TPM_QUOTE.0],
        agent_nonce: [7; 32],
        key_share: &[],
        untrusted_board: "fuzz",
        untrusted_version: "0",
    });
    follow(env, AwaitHello::new(verifier()).handle(env, &encoded(&hello)))
}

fn honest_payload(env: &Env<'_>, state: AwaitProofs) -> Option<Box<AwaitProofs>> {
    let payload = encoded(&EkPayload {
        ek_public: &public(&EK_P256_L2[..54]),
        ak_public: &public(&AK_P256[..20]),
        ek_certificate: None,
        ek_chain: Default::default(),
    });
    let items = Items::from_iter([Item { kind: AttestorKind::TPM_EK, payload: &payload }]);
    let proofs = Proofs { login_id: state.login_id().0, round: 0, items };
    let turn = state.handle(env, &Blobs::default(), &encoded(&AgentMessage::Proofs(proofs)));
    follow(env, turn)
}

fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    encode(value, &mut [0; MAX_AGENT_MESSAGE]).expect("fits").to_vec()
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
                clusters: [("lab".to_owned(), Arc::new(policies))].into(),
                key: ChallengeKey::generate().expect("a key"),
                login_timeout: Duration::from_secs(60),
                session_ttl: Duration::from_secs(60),
                path_template: PathTemplate::parse("/node/{{tpm_ek.public_hash}}").expect("a template"),
            })
        })
        .clone()
}
