//! Keys that SVIDs are asked for: whose they are, where they live, and what becomes of a login that brings one.

use std::io::Write;
use std::process::{Command, Stdio};

use assay_common::login::{Transcript, svid_key_nonce};
use assay_common::method::svid_key::{Held, Residence, SvidKeyPayload, SvidKeyRequest};
use assay_common::policy::AttestorKind;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{DenyCode, decode};
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::Store;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};

use crate::agent::{Agent, Answer, EK, Opened, QUOTE, ek_payload, encode};
use crate::desk::{Desk, asked_of, ek_and_quote, granted, tell};
use crate::fake_tpm::{FakeTpm, put_2b, sha256};

const SVID_KEY: AttestorKind = AttestorKind::SVID_KEY;
/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, sign.
const RESIDENT: u32 = 0x0004_0072;

/// A key of the TPM, and everything about it that a test can bend.
pub(crate) struct SvidKey {
    pair: KeyPair,
    attributes: u32,
}

impl SvidKey {
    pub(crate) fn new() -> Self {
        Self {
            pair: KeyPair::generate().unwrap(),
            attributes: RESIDENT,
        }
    }

    /// The key itself.
    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(crate) fn csr(&self) -> Vec<u8> {
        let params = CertificateParams::default();
        params.serialize_request(&self.pair).unwrap().der().to_vec()
    }

    /// TPMT_PUBLIC.
    fn public(&self) -> Vec<u8> {
        let point = self.pair.der_bytes();
        let mut out = vec![0, 0x23, 0, 0x0b];
        out.extend(self.attributes.to_be_bytes());
        out.extend([0, 0, 0, 0x10, 0, 0x10, 0, 3, 0, 0x10]);
        put_2b(&mut out, &point[1..33]);
        put_2b(&mut out, &point[33..]);
        out
    }

    fn name(&self) -> Vec<u8> {
        [&[0, 0x0b], sha256(&[&self.public()]).as_slice()].concat()
    }
}

/// TPMS_ATTEST of `TPM2_Certify`.
fn certification(tpm: &FakeTpm, name: &[u8], nonce: &[u8]) -> Vec<u8> {
    let signer = sha256(&[&[0x40, 0, 0, 0x0b], &tpm.ak_name()]);
    let mut out = b"\xffTCG\x80\x17".to_vec();
    put_2b(&mut out, &[&[0, 0x0b], signer.as_slice()].concat());
    put_2b(&mut out, nonce);
    out.extend([0; 17]);
    out.extend([0; 8]);
    put_2b(&mut out, name);
    put_2b(&mut out, name);
    out
}

pub(crate) fn payload(tpm: &FakeTpm, key: &SvidKey, asked: &Transcript) -> Vec<u8> {
    let attest = certification(tpm, &key.name(), &svid_key_nonce(asked));
    payload_of(key, &attest, &tpm.sign(&attest))
}

fn payload_of(key: &SvidKey, attest: &[u8], signature: &[u8]) -> Vec<u8> {
    encode(&SvidKeyPayload {
        csr: &key.csr(),
        held: Held::Certified(Residence {
            public: &key.public(),
            attest,
            signature,
        }),
    })
}

/// A login whose agent answers the request for an SVID key with what `answer` makes.
pub(crate) async fn login(
    desk: &Desk,
    tpm: &FakeTpm,
    answer: impl Fn(&Transcript) -> Option<Vec<u8>>,
) -> (Agent, Answer) {
    let (mut agent, mut link) = (desk.agent(), desk.link());
    agent.methods.push(SVID_KEY.0);
    let hello = agent.hello();
    let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
    let request: SvidKeyRequest<'_> = decode(asked.item(SVID_KEY)).unwrap();
    let algorithms = [1, 2, SvidKeyRequest::POSSESSION];
    assert_eq!(request.algorithms, algorithms, "P-256 before RSA");
    let mut items = vec![(EK, ek_payload(tpm))];
    items.extend(answer(&agent.transcript).map(|payload| (SVID_KEY, payload)));
    let proofs = agent.proofs(&asked, &items);
    let next = tell(&mut link, &mut agent, &proofs).await;
    let Answer::Asked(asked) = next else {
        return (agent, next);
    };
    let proofs = agent.answer(tpm, &asked);
    let last = tell(&mut link, &mut agent, &proofs).await;
    (agent, last)
}

fn desk(tpm: &FakeTpm) -> Desk {
    Desk::new(&ek_and_quote(&[tpm]))
}

fn svid(opened: &Opened) -> Vec<u8> {
    opened.renewal.as_ref().unwrap().2.clone()
}

fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl (Debian package openssl)");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text.into_owned()
}

#[tokio::test]
async fn a_key_in_the_tpm_gets_an_svid_for_the_identity_of_the_login() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let key = SvidKey::new();
    let (_, answer) = login(&desk, &tpm, |asked| Some(payload(&tpm, &key, asked))).await;
    let opened = granted(answer);
    let chain = svid(&opened);
    let text = openssl(&["x509", "-inform", "DER", "-noout", "-text"], &chain);
    assert!(
        text.contains(&format!("URI:{}", opened.spiffe_id)),
        "{text}"
    );
    let public = openssl(&["x509", "-inform", "DER", "-noout", "-pubkey"], &chain);
    assert_eq!(public.trim(), key.pair.public_key_pem().trim());

    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("svid.der"), &chain).unwrap();
    std::fs::write(path("roots.pem"), desk.server.issuer.bundle().pem()).unwrap();
    let time = desk.clock_now().as_second().to_string();
    openssl(
        &[
            "verify",
            "-attime",
            &time,
            "-CAfile",
            &path("roots.pem"),
            &path("svid.der"),
        ],
        &[],
    );
    let stored = desk.store.session(SessionId(opened.session_id)).await;
    let renewal = stored.unwrap().unwrap().renewal.unwrap();
    assert!(renewal.basis.svid_key.is_some());
}

#[tokio::test]
async fn every_flaw_of_a_key_ends_the_login() {
    type Bend = fn(&FakeTpm, &Transcript) -> Vec<u8>;
    let flaws: [(&str, DenyCode, Bend); 12] = [
        ("svid-key-malformed", DenyCode::MALFORMED, |_, _| {
            b"?".to_vec()
        }),
        ("svid-key-csr", DenyCode::REFUSED, |tpm, asked| {
            let key = SvidKey::new();
            let attest = certification(tpm, &key.name(), &svid_key_nonce(asked));
            let mut csr = key.csr();
            *csr.last_mut().unwrap() ^= 1;
            encode(&SvidKeyPayload {
                csr: &csr,
                held: Held::Certified(Residence {
                    public: &key.public(),
                    attest: &attest,
                    signature: &tpm.sign(&attest),
                }),
            })
        }),
        ("svid-key-residence", DenyCode::REFUSED, |_, _| {
            let csr = SvidKey::new().csr();
            encode(&SvidKeyPayload {
                csr: &csr,
                held: Held::Unshown,
            })
        }),
        // Each of fixedTPM, fixedParent and sensitiveDataOrigin.
        ("svid-key-attributes", DenyCode::REFUSED, |tpm, asked| {
            bent_attributes(tpm, asked, 0x2)
        }),
        ("svid-key-attributes", DenyCode::REFUSED, |tpm, asked| {
            bent_attributes(tpm, asked, 0x10)
        }),
        ("svid-key-attributes", DenyCode::REFUSED, |tpm, asked| {
            bent_attributes(tpm, asked, 0x20)
        }),
        // The certification is in order, and of another key than the one that signed the request.
        ("svid-key-other", DenyCode::REFUSED, |tpm, asked| {
            let (key, other) = (SvidKey::new(), SvidKey::new());
            let attest = certification(tpm, &other.name(), &svid_key_nonce(asked));
            encode(&SvidKeyPayload {
                csr: &key.csr(),
                held: Held::Certified(Residence {
                    public: &other.public(),
                    attest: &attest,
                    signature: &tpm.sign(&attest),
                }),
            })
        }),
        ("svid-key-attest-type", DenyCode::REFUSED, |tpm, asked| {
            let attest = tpm.attest(&[(0x0b, 1)], &svid_key_nonce(asked), &[0; 32]);
            payload_of(&SvidKey::new(), &attest, &tpm.sign(&attest))
        }),
        ("svid-key-nonce", DenyCode::REFUSED, |tpm, _| {
            let key = SvidKey::new();
            let attest = certification(tpm, &key.name(), &svid_key_nonce(&Transcript::new()));
            payload_of(&key, &attest, &tpm.sign(&attest))
        }),
        ("svid-key-name", DenyCode::REFUSED, |tpm, asked| {
            let name = SvidKey::new().name();
            let attest = certification(tpm, &name, &svid_key_nonce(asked));
            payload_of(&SvidKey::new(), &attest, &tpm.sign(&attest))
        }),
        ("svid-key-signature", DenyCode::REFUSED, |tpm, asked| {
            let key = SvidKey::new();
            let attest = certification(tpm, &key.name(), &svid_key_nonce(asked));
            payload_of(&key, &attest, &FakeTpm::new().sign(&attest))
        }),
        (
            "svid-key-signature-malformed",
            DenyCode::MALFORMED,
            |tpm, asked| {
                let key = SvidKey::new();
                let attest = certification(tpm, &key.name(), &svid_key_nonce(asked));
                payload_of(&key, &attest, b"no signature")
            },
        ),
    ];
    for (check, code, bend) in flaws {
        let tpm = FakeTpm::new();
        let mut desk = desk(&tpm);
        let (_, answer) = login(&desk, &tpm, |asked| Some(bend(&tpm, asked))).await;
        assert!(
            matches!(answer, Answer::Denied(got, _) if got == code),
            "{check}: {answer:?}"
        );
        let detail = desk.last_denial();
        assert!(detail.starts_with(check), "{check}: {detail}");
        assert_eq!(desk.sessions().await, 0, "{check}");
    }
}

fn bent_attributes(tpm: &FakeTpm, asked: &Transcript, without: u32) -> Vec<u8> {
    let mut key = SvidKey::new();
    key.attributes &= !without;
    payload(tpm, &key, asked)
}

#[tokio::test]
async fn a_node_that_is_asked_and_names_no_key_gets_a_session_without_an_svid() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let (_, answer) = login(&desk, &tpm, |_| None).await;
    assert!(svid(&granted(answer)).is_empty());
}

#[tokio::test]
async fn nobody_is_asked_who_cannot_answer_or_where_nothing_is_issued() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    // It speaks no version that has SVIDs.
    let (mut agent, mut link) = (desk.agent(), desk.link());
    agent.methods.push(SVID_KEY.0);
    agent.versions = VersionRange { min: 1, max: 1 };
    let hello = agent.hello();
    let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
    assert_eq!(asked.kinds(), [EK]);
    // It does not offer a key.
    let (mut agent, mut link) = (desk.agent(), desk.link());
    let hello = agent.hello();
    let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
    assert_eq!(asked.kinds(), [EK]);
    assert!(!asked.kinds().contains(&QUOTE), "which stands on the EK");
}

#[tokio::test]
async fn a_key_that_was_swapped_on_the_line_is_certified_for_nobody() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let (mut agent, mut link) = (desk.agent(), desk.link());
    agent.methods.push(SVID_KEY.0);
    let hello = agent.hello();
    let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
    let honest = payload(&tpm, &SvidKey::new(), &agent.transcript);
    // Somebody on the line has a TPM too, and puts in a key of that.
    let other = FakeTpm::new();
    let swapped = payload(&other, &SvidKey::new(), &agent.transcript);
    let message = crate::agent::proofs(
        asked.login_id,
        asked.round,
        &[(EK, ek_payload(&tpm)), (SVID_KEY, swapped)],
    );
    agent.proofs(&asked, &[(EK, ek_payload(&tpm)), (SVID_KEY, honest)]);
    let answer = crate::desk::say(&mut link, &message).await.unwrap();
    // The next challenge is signed over what the verifier heard, which is not what the agent said.
    let heard = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| agent.hear(&answer)));
    assert!(heard.is_err(), "the agent must not take the challenge");
    assert_eq!(desk.sessions().await, 0);
}
