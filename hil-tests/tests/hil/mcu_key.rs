//! A microcontroller's own signature, by the firmware: over the model and a software TPM, up to the session.

use assay_firmware::agent::Failure;
use assay_firmware::keys::{DerivedKey, McuKey};
use assay_firmware::run::Granted;
use assay_hil_tests::manufacture::{EkKind, ManufacturedTpm, Recipe, manufacture};
use assay_hil_tests::scenario::local_verifier::Outcome;
use assay_hil_tests::scenario::loopback::{Guards, Loopback, policy, verifier};
use assay_spi_tpm::Config;
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use tempfile::TempDir;

use super::loopback::tpm;

/// The secrets of two boards.
const OWN: [u8; 32] = [0x4d; 32];
const OTHER: [u8; 32] = [0x4e; 32];

/// A board with this secret and this TPM, before a verifier that wants the board's signature.
fn board(tpm: &ManufacturedTpm, folder: &TempDir, secret: &[u8], quote: bool) -> Loopback {
    let process = tpm
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    let chip = Config::chip(Personality::SLB9672);
    let backend = SwtpmBackend::new(process);
    let mut loopback = Loopback::new(backend, chip, &asking(tpm, quote, "")).unwrap();
    let guards = Guards {
        secret: secret.to_vec(),
        ..Guards::default()
    };
    loopback.guard(guards).unwrap();
    loopback
}

fn asking(tpm: &ManufacturedTpm, quote: bool, config: &str) -> String {
    let mut yaml = policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], quote);
    yaml.push_str("        - {type: mcu_key, config: {");
    yaml.push_str(config);
    yaml.push_str("}}\n");
    yaml
}

/// Lets the board log in; gives the hashes of EK and microcontroller.
fn enrol(loopback: &Loopback) -> (String, String) {
    enrolled(loopback, loopback.login())
}

fn enrolled(loopback: &Loopback, outcome: Result<Granted, Failure>) -> (String, String) {
    loopback.line.with_peer(|verifier| {
        outcome.unwrap_or_else(|failure| panic!("{failure}: {:#?}", verifier.outcomes));
        let session = &verifier.last_granted().unwrap().session;
        let value = |name: &str| {
            let attribute = session.attributes.iter().find(|a| a.name == name).unwrap();
            attribute.value.clone()
        };
        (value("tpm_ek.public_hash"), value("mcu_key.hash"))
    })
}

/// Has the verifier know this pair alone, and the board log in again: what it is told.
fn judged_by(loopback: &mut Loopback, tpm: &ManufacturedTpm, pair: &(String, String)) -> String {
    let (ek, key) = pair;
    let pairs = format!("pairs: [{{ekHash: \"{ek}\", keyHash: \"{key}\"}}]");
    let strict = verifier(&asking(tpm, true, &pairs)).unwrap();
    loopback
        .line
        .with_peer(|own| own.restart_as(strict.clone()));
    loopback.pin(strict.key.public()).unwrap();
    match loopback.login() {
        Ok(_) => "granted".to_owned(),
        Err(_) => last_refusal(loopback),
    }
}

fn last_refusal(loopback: &Loopback) -> String {
    loopback
        .line
        .with_peer(|verifier| match verifier.outcomes.last() {
            Some(Outcome::Denied(denied)) => denied.detail.clone(),
            other => format!("{other:?}"),
        })
}

#[test]
fn a_pair_logs_in_and_a_board_with_anothers_tpm_does_not() {
    let recipe = Recipe::with([EkKind::P256]);
    let (folder, first) = tpm(&recipe);
    // Made anew: copies of one recipe are one TPM.
    let other_folder = tempfile::tempdir().unwrap();
    let second = manufacture(&recipe, other_folder.path()).unwrap();
    let mut own = board(&first, &folder, &OWN, true);
    let pair = enrol(&own);
    assert_eq!(judged_by(&mut own, &first, &pair), "granted");
    drop(own);

    // The same TPM, unsoldered, on another board.
    let mut moved = board(&first, &folder, &OTHER, true);
    let swapped = enrol(&moved);
    assert_eq!(swapped.0, pair.0);
    assert_ne!(swapped.1, pair.1);
    let told = judged_by(&mut moved, &first, &pair);
    assert!(told.contains("mcu-key-other-mcu"), "{told}");

    // Another TPM of the same maker on the same board.
    let mut exchanged = board(&second, &other_folder, &OWN, true);
    let swapped = enrol(&exchanged);
    assert_ne!(swapped.0, pair.0);
    assert_eq!(swapped.1, pair.1);
    let told = judged_by(&mut exchanged, &second, &pair);
    assert!(told.contains("mcu-key-other-tpm"), "{told}");
}

#[test]
fn a_board_signs_where_no_quote_is_asked_for_too() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    enrol(&board(&tpm, &folder, &OWN, false));
}

#[test]
fn a_board_without_a_secret_has_no_signature_to_show() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = board(&tpm, &folder, &[], true);
    let failure = loopback.login().unwrap_err();
    assert!(failure.to_string().contains("no-policy"), "{failure}");
    assert_eq!(loopback.line.with_peer(|verifier| verifier.granted()), 0);
}

/// A secure element, as far as the agent knows: a key that it cannot see.
struct SecureElement {
    key: DerivedKey,
    is_there: bool,
}

impl SecureElement {
    /// As a board has it: in a place of its own, for good.
    fn soldered(is_there: bool) -> &'static mut Self {
        Box::leak(Box::new(Self {
            key: DerivedKey::of(b"what no record has"),
            is_there,
        }))
    }
}

impl McuKey for SecureElement {
    fn public(&mut self) -> Option<[u8; 65]> {
        self.key.public().filter(|_| self.is_there)
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Option<[u8; 64]> {
        self.key.sign(digest).filter(|_| self.is_there)
    }
}

#[test]
fn a_boards_own_key_store_signs_in_the_place_of_the_records_secret() {
    for secret in [&OWN[..], &[]] {
        let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
        let loopback = board(&tpm, &folder, secret, true);
        let mut node = loopback
            .signing_node(SecureElement::soldered(true))
            .unwrap();
        let (_, hash) = enrolled(&loopback, node.login());
        let public = SecureElement::soldered(true).public().unwrap();
        // RFC 5480: what stands before a point of P-256 in a SubjectPublicKeyInfo.
        let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
        let spki = [hex::decode(head).unwrap(), public.to_vec()].concat();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki);
        assert_eq!(hash, hex::encode(digest.as_ref()));
    }
}

/// It does not fall back to a key that the verifier does not know.
#[test]
fn a_key_store_that_has_no_key_now_ends_the_login() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = board(&tpm, &folder, &OWN, true);
    let mut node = loopback
        .signing_node(SecureElement::soldered(false))
        .unwrap();
    let failure = node.login().unwrap_err();
    assert!(
        failure.to_string().contains("unsupported-request"),
        "{failure}"
    );
    assert_eq!(loopback.line.with_peer(|verifier| verifier.granted()), 0);
}
