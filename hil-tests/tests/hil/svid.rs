//! SVID keys and renewals on a real software TPM: what openssl and tpm2-tools say of them, and what ends a session.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use assay_common::identity::SpiffeId;
use assay_common::method::svid_key::{SvidKeyPayload, SvidKeyRequest};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, DenyCode, FrameKind, MessageWriter, decode};
use assay_common::tpm::alg::{AlgId, EccCurve};
use assay_common::tpm::pcr::PcrIndex;
use assay_common::tpm::signature::Signature;
use assay_firmware::keys::{Ak, AkTemplate, SvidKey, csr};
use assay_firmware::run::Granted;
use assay_firmware::tpm::Tpm;
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::scenario::live::{Seen, SvidSeen};
use assay_hil_tests::scenario::local_verifier::Outcome;
use assay_hil_tests::scenario::loopback::{
    Loopback, LoopbackNode, Sessions, TRUST_DOMAIN, policy, verifier_with,
};
use assay_host_agent::tpm::StreamTpm;
use assay_host_verifier::clock::{Clock, SystemClock};
use assay_host_verifier::login::ChallengeKey;
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::store::MemoryStore;
use assay_host_verifier::svid::keys::MemoryKeys;
use assay_host_verifier::svid::{Issuer, Settings};
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{Config, SpiTpm};
use tempfile::TempDir;

use crate::loopback::tpm;

/// A tool's output; it must end well.
fn tool(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// SHA-256 of a file.
fn sha256(name: &str, folder: &Path) -> [u8; 32] {
    let said = tool("openssl", &["dgst", "-sha256", "-r", name], folder);
    let mut digest = [0; 32];
    hex::decode_to_slice(&said[..64], &mut digest).unwrap();
    digest
}

/// DER of an ECDSA signature, RSA's as it is.
fn for_openssl(signature: &[u8]) -> Vec<u8> {
    let signature = Signature::parse(signature).unwrap();
    match signature {
        Signature::Ecdsa { .. } => {
            let mut fixed = [0; 64];
            let fixed = signature
                .ecdsa_fixed(EccCurve::NIST_P256, &mut fixed)
                .unwrap();
            let mut numbers = Vec::new();
            for number in fixed.chunks(32) {
                let zeros = number.iter().take_while(|byte| **byte == 0).count();
                let mut digits = number[zeros..].to_vec();
                if digits[0] >= 0x80 {
                    digits.insert(0, 0);
                }
                numbers.extend([2, digits.len() as u8]);
                numbers.extend(digits);
            }
            [vec![0x30, numbers.len() as u8], numbers].concat()
        }
        Signature::Rsassa { sig, .. } | Signature::Rsapss { sig, .. } => sig.to_vec(),
    }
}

const NONCE: [u8; 32] = [0x6E; 32];

#[test]
fn openssl_and_tpm2_tools_agree_with_a_key_its_request_and_its_certification() {
    for (algorithm, verify) in [
        (SvidKeyRequest::ECDSA_P256, &[][..]),
        (
            SvidKeyRequest::RSA_2048,
            &[
                "-sigopt",
                "rsa_padding_mode:pss",
                "-sigopt",
                "rsa_pss_saltlen:auto",
            ],
        ),
    ] {
        let (folder, made) = tpm(&Recipe::with([EkKind::P256]));
        let swtpm = made
            .start(&folder.path().join("run"), Mode::Sockets)
            .unwrap();
        let mut tpm = Tpm::new(StreamTpm::socket(swtpm.data_path()).unwrap());
        tpm.start().unwrap();
        let (mut ak_public, mut public) = (Vec::new(), Vec::new());
        let ak = Ak::create(&mut tpm, &AkTemplate::ALL, &mut |area| {
            ak_public.extend_from_slice(area);
        });
        let ak = ak.unwrap();
        let key = SvidKey::create(&mut tpm, &[algorithm], &NONCE, &mut |area| {
            public.extend_from_slice(area);
        });
        let key = key.unwrap();
        let mut buffer = [0; 1024];
        let mut out = MessageWriter::new(&mut buffer);
        csr::write(&mut tpm, &key, &public, &mut out).unwrap();
        let at = folder.path();
        write(at, "csr.der", out.finish().unwrap());
        write(at, "ak.public", &ak_public);
        write(at, "key.public", &public);
        let certified = tpm.certify(key.handle(), ak.handle(), &NONCE).unwrap();
        write(at, "attest", certified.attest);
        write(at, "attest.signature", &for_openssl(certified.signature));
        write(at, "message", b"who holds the SVID");
        let digest = sha256("message", at);
        let signed = key.sign(&mut tpm, &digest).unwrap().to_vec();
        write(at, "message.signature", &for_openssl(&signed));

        // The request is signed by its own key, asks for nothing, and its key is the one in the TPM.
        let request = ["req", "-inform", "DER", "-in", "csr.der", "-noout"];
        let said = tool(
            "openssl",
            &[&request[..], &["-verify", "-text"]].concat(),
            at,
        );
        assert!(said.contains("verify OK"), "{said}");
        assert!(said.contains("Subject: \n"), "{said}");
        let in_request = tool("openssl", &[&request[..], &["-pubkey"]].concat(), at);
        let pem = |name: &str| tool("tpm2_print", &["-t", "TPMT_PUBLIC", "-f", "pem", name], at);
        assert_eq!(in_request.trim(), pem("key.public").trim());
        let attributes = tool("tpm2_print", &["-t", "TPMT_PUBLIC", "key.public"], at);
        let expected = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign";
        assert!(attributes.contains(expected), "{attributes}");

        // The AK says so: of this key's Name, for this login.
        write(at, "ak.pem", pem("ak.public").as_bytes());
        write(at, "key.pem", in_request.as_bytes());
        let check = ["dgst", "-sha256", "-verify", "ak.pem", "-signature"];
        tool(
            "openssl",
            &[&check[..], &["attest.signature", "attest"]].concat(),
            at,
        );
        // This version of the tool stops before the part that only a certification has.
        let printed = Command::new("tpm2_print")
            .args(["-t", "TPMS_ATTEST", "attest"])
            .current_dir(at)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        for expected in [
            "type: 8017".to_owned(),
            format!("extraData: {}", hex::encode(NONCE)),
        ] {
            assert!(printed.contains(&expected), "{expected}: {printed}");
        }
        let name = [&[0, 0x22, 0, 0x0B][..], &sha256("key.public", at)].concat();
        let attest = std::fs::read(at.join("attest")).unwrap();
        assert!(attest.windows(name.len()).any(|bytes| bytes == name));

        // It signs what TLS asks of it.
        let check = ["dgst", "-sha256", "-verify", "key.pem"];
        let message = ["-signature", "message.signature", "message"];
        tool("openssl", &[&check[..], verify, &message].concat(), at);
    }
}

/// A node that renews, and the verifier that lets it.
fn renewing() -> (TempDir, Loopback) {
    let (folder, made) = tpm(&Recipe::with([EkKind::P256]));
    let process = made
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    let yaml = policy(&[&made.root_ca(), &made.intermediate_ca()], true);
    let key = ChallengeKey::generate().unwrap();
    let verifier = verifier_with(&yaml, key, SESSION, Sessions::Renewal).unwrap();
    let chip = Config::chip(Personality::SLB9672);
    let model = SpiTpm::new(SwtpmBackend::new(process), chip);
    let loopback = Loopback::with_verifier(model, verifier).unwrap();
    loopback
        .line
        .with_peer(|verifier| verifier.issue_by(Box::new(|order| order.key.spki_der().to_vec())));
    (folder, loopback)
}

/// The TPM's clock runs in real time: no more virtual time may pass than a verifier forgives.
const SESSION: Duration = Duration::from_secs(30);

fn attempt(loopback: &Loopback, node: &mut LoopbackNode<'_>) -> Granted {
    let granted = node.attempt().unwrap_or_else(|failure| {
        let said = loopback
            .line
            .with_peer(|verifier| format!("{:#?}", verifier.outcomes));
        panic!("{failure:?}\n{said}")
    });
    loopback.wait(Duration::from_millis(granted.rest_ms().into()));
    granted
}

/// How the verifier's last logins and renewals ended.
fn ends(loopback: &Loopback) -> Vec<String> {
    loopback.line.with_peer(|verifier| {
        let ends = verifier.outcomes.drain(..).map(|outcome| match outcome {
            Outcome::Granted(_) => "granted".to_owned(),
            Outcome::Renewed(_) => "renewed".to_owned(),
            Outcome::Denied(denied) => format!("{}: {}", denied.code, denied.detail),
            other => format!("{other:?}"),
        });
        ends.collect()
    })
}

#[test]
fn a_session_with_an_svid_is_renewed_by_one_quote_and_keeps_its_key() {
    let (_folder, loopback) = renewing();
    let mut node = loopback.node().unwrap();
    let first = attempt(&loopback, &mut node);
    assert!(first.has_svid);
    assert_eq!(first.renew_in_s, Some(15));
    // AK, SVID key and the session that guards the bus, and nothing else.
    assert_eq!(node.source_mut().tpm().loaded(), 3);
    assert_eq!(ends(&loopback), ["granted"]);
    let commands = || loopback.tpm.with(|model| model.stats().totals().commands);
    let frames = || loopback.line.with_peer(|verifier| verifier.tape.len());
    for _ in 0..3 {
        let before = (commands(), frames());
        let renewed = attempt(&loopback, &mut node);
        assert_eq!(renewed.session_id, first.session_id);
        assert!(renewed.has_svid);
        assert_eq!(ends(&loopback), ["renewed"]);
        // The PCRs, a quote; one message there, and one back. The nonce is the node's own.
        assert_eq!((commands() - before.0, frames() - before.1), (2, 1));
        assert_eq!(node.source_mut().tpm().loaded(), 3);
    }
}

#[test]
fn the_key_of_the_request_signs_until_the_next_login() {
    let (folder, loopback) = renewing();
    let mut node = loopback.node().unwrap();
    let refused = node.source_mut().sign_as_svid(&[1; 32], &mut |_| {});
    assert!(refused.is_err(), "before the first login there is no key");
    let mut requests = Vec::new();
    for login in 0..2 {
        node.login().unwrap();
        let at = folder.path();
        write(at, "message", b"message");
        let digest = sha256("message", at);
        let mut signature = Vec::new();
        node.source_mut()
            .sign_as_svid(&digest, &mut |signed| signature = for_openssl(signed))
            .unwrap();
        let csr = last_request(&loopback);
        write(at, "csr.der", &csr);
        write(at, "signature", &signature);
        let request = [
            "req", "-inform", "DER", "-in", "csr.der", "-noout", "-pubkey",
        ];
        write(at, "key.pem", tool("openssl", &request, at).as_bytes());
        let check = ["dgst", "-sha256", "-verify", "key.pem", "-signature"];
        tool(
            "openssl",
            &[&check[..], &["signature", "message"]].concat(),
            at,
        );
        assert!(
            !requests.contains(&csr),
            "login {login} has the key of another"
        );
        requests.push(csr);
    }
}

/// The certification request that the node sent last.
fn last_request(loopback: &Loopback) -> Vec<u8> {
    loopback.line.with_peer(|verifier| {
        let messages = verifier.tape.iter().rev();
        let found = messages
            .filter(|(kind, _)| *kind == FrameKind::MESSAGE)
            .find_map(|(_, body)| match decode(body) {
                Ok(AgentMessage::Proofs(proofs)) => {
                    let mut items = proofs.items.iter();
                    let item = items.find(|item| item.kind == AttestorKind::SVID_KEY)?;
                    let payload: SvidKeyPayload<'_> = decode(item.payload).unwrap();
                    Some(payload.csr.to_vec())
                }
                _ => None,
            });
        found.unwrap()
    })
}

/// A future that needs nobody else to go on: keys and store are in memory.
fn finished<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for something"),
    }
}

/// The trust domain's own issuer.
fn issuer() -> Issuer {
    let keys = MemoryKeys::new(&SystemRandom).unwrap();
    let issuer = Issuer::new(
        Settings::new(TRUST_DOMAIN),
        Arc::new(keys),
        None,
        Arc::new(MemoryStore::new()),
        Arc::new(SystemRandom),
    );
    finished(issuer.rotate(SystemClock::new().now())).unwrap();
    issuer
}

/// What the verifier said last.
fn last_svid(loopback: &Loopback) -> SvidSeen {
    let body = loopback.line.with_peer(|verifier| verifier.said.clone());
    let frame = Seen {
        at: Duration::ZERO,
        from_agent: false,
        kind: FrameKind::MESSAGE,
        body: body.unwrap(),
    };
    SvidSeen::of(&frame).unwrap().unwrap()
}

#[test]
fn an_svid_verifies_against_the_bundle_and_is_for_the_key_in_the_tpm() {
    let (folder, loopback) = renewing();
    let at = folder.path();
    let issuer = issuer();
    write(at, "bundle.pem", issuer.bundle().pem().as_bytes());
    loopback.line.with_peer(|verifier| {
        verifier.issue_by(Box::new(move |order| {
            let id = SpiffeId::parse(order.spiffe_id).unwrap();
            let now = SystemClock::new().now().wall;
            let svid = issuer.issue_x509(&id, order.key, now, None);
            finished(svid).unwrap().chain.concat()
        }));
    });
    let mut node = loopback.node().unwrap();
    let mut serials = Vec::new();
    let mut keys = Vec::new();
    for step in ["granted", "renewed"] {
        assert!(attempt(&loopback, &mut node).has_svid);
        assert_eq!(ends(&loopback), [step]);
        let svid = last_svid(&loopback);
        write(at, "svid.der", &svid.chain[0]);
        let leaf = ["x509", "-inform", "DER", "-in", "svid.der"];
        write(at, "svid.pem", tool("openssl", &leaf, at).as_bytes());
        let verify = ["verify", "-x509_strict", "-purpose", "sslclient"];
        let files = ["-CAfile", "bundle.pem", "svid.pem"];
        let said = tool("openssl", &[&verify[..], &files].concat(), at);
        assert!(said.contains("svid.pem: OK"), "{said}");

        // The name is the session's identity, and the only one.
        let names = ["-noout", "-ext", "subjectAltName"];
        let said = tool("openssl", &[&leaf[..], &names].concat(), at);
        let uri = format!("URI:{}", svid.uris[0]);
        assert_eq!(said.lines().last().unwrap().trim(), uri, "{said}");
        assert!(svid.uris[0].starts_with("spiffe://example.org/node/"));

        // The key signs in the TPM.
        let key = tool("openssl", &[&leaf[..], &["-noout", "-pubkey"]].concat(), at);
        write(at, "svid.key", key.as_bytes());
        write(at, "message", step.as_bytes());
        let mut signature = Vec::new();
        node.source_mut()
            .sign_as_svid(&sha256("message", at), &mut |signed| {
                signature = for_openssl(signed);
            })
            .unwrap();
        write(at, "signature", &signature);
        let check = ["dgst", "-sha256", "-verify", "svid.key", "-signature"];
        tool(
            "openssl",
            &[&check[..], &["signature", "message"]].concat(),
            at,
        );
        serials.push(svid.serial);
        keys.push(svid.key);
    }
    assert_ne!(serials[0], serials[1], "a renewal brings another SVID");
    assert_eq!(keys[0], keys[1], "for the same key");
}

/// What happens to a node between its login and its renewal; the verifier must see `why`, and grant another session.
fn followed_by_a_login(why: &str, between: impl FnOnce(&Loopback, &mut LoopbackNode<'_>)) {
    let (_folder, loopback) = renewing();
    let mut node = loopback.node().unwrap();
    let first = attempt(&loopback, &mut node);
    ends(&loopback);
    between(&loopback, &mut node);
    let second = node.attempt().map(|granted| granted.session_id);
    let ends = ends(&loopback);
    match (why, &ends[..]) {
        // The node found out by itself.
        ("", [granted]) => assert_eq!(granted, "granted"),
        (why, [denied, rest @ ..]) => {
            let code = DenyCode::LOGIN_REQUIRED.to_string();
            assert!(
                denied.starts_with(&code) && denied.contains(why),
                "{ends:?}"
            );
            assert!(
                rest.iter().any(|end| end == "granted") || second.is_err(),
                "{ends:?}"
            );
        }
        (why, ends) => panic!("{why}: {ends:?}"),
    }
    assert_ne!(second, Ok(first.session_id));
}

#[test]
fn a_tpm_that_was_reset_is_followed_by_a_login() {
    followed_by_a_login("", |loopback, _| {
        loopback.tpm.with(|model| {
            model.reset_line(true);
            model.reset_line(false);
        });
    });
}

#[test]
fn a_pcr_that_moved_is_followed_by_a_login_which_is_judged_anew() {
    followed_by_a_login("renewal-pcrs", |_, node| {
        let pcr = PcrIndex::new(4).unwrap();
        let tpm = node.source_mut().tpm();
        tpm.pcr_extend(pcr, AlgId::SHA256, &[7; 32]).unwrap();
    });
}

#[test]
fn a_session_whose_time_is_over_is_followed_by_a_login() {
    followed_by_a_login("ended", |loopback, _| loopback.wait(SESSION));
}
