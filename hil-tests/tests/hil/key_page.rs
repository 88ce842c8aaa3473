//! The microcontroller's key of a board that keeps its secret in a page of its own flash, in emulation: which key it is, that
//! the page is closed, and what a loss of power leaves.

use std::path::Path;
use std::time::Duration;

use assay_common::protocol::{AgentMessage, TroubleCode, decode};
use assay_firmware::keys::{DerivedKey, McuKey};
use assay_hil_tests::board::{self, Board, Profile};
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::qemu::OverlayOptions;
use assay_hil_tests::scenario::live::{Live, Options};
use assay_hil_tests::scenario::loopback;

use super::emulated::{self, granted};
use super::loopback::tpm;

/// In the file of the overlay the page is the first.
const PAGE: usize = 0x1000;
/// Where it is in the chip, and the provisioning record.
const PAGE_AT: u64 = 0x000F_7000;
const RECORD_AT: u64 = 0x000F_C000;
/// In the page: the secret, its digest behind it, and the marks behind those.
const SECRET: usize = 32;
const MARKS: usize = 64;
const LIMIT: Duration = Duration::from_secs(60);

fn board() -> Board {
    board::find("nrf52840dk").unwrap()
}

/// A board with the flash in `file`, before a verifier that wants the microcontroller's signature; `work` with it.
fn with_board<T>(overlay: OverlayOptions, work: impl FnOnce(Live) -> T) -> T {
    let board = board();
    let image = board::build(&board, Profile::Firmware).unwrap();
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let mut policy = loopback::policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true);
    policy.push_str("        - {type: mcu_key}\n");
    let options = Options {
        overlay,
        policy: Some(policy),
        ..Options::default()
    };
    let run = folder.path().join("board");
    std::fs::create_dir(&run).unwrap();
    work(Live::start(&board, &image, &tpm, &run, &options).unwrap())
}

fn keeping(file: &Path) -> OverlayOptions {
    OverlayOptions {
        settings: Some(file.to_owned()),
        ..OverlayOptions::default()
    }
}

/// A start of the board with the flash in `file`: what the verifier calls its key.
fn key_hash(file: &Path) -> String {
    with_board(keeping(file), |live| {
        let end = granted(&live);
        let attributes = end.attributes.unwrap();
        attributes["mcu_key.hash"].as_str().unwrap().to_owned()
    })
}

/// Waits until the board says that it cannot do what the verifier asks for.
fn refuses_to_sign(live: &Live) {
    assert!(
        live.tap.wait_for(&["trouble"], LIMIT),
        "{}",
        live.tap.summary()
    );
    let seen = live.tap.seen();
    let trouble = seen.iter().find(|frame| frame.name() == "trouble").unwrap();
    match decode(&trouble.body) {
        Ok(AgentMessage::Trouble(trouble)) => {
            assert_eq!(
                trouble.code,
                TroubleCode::UNSUPPORTED_REQUEST,
                "{trouble:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(!seen.iter().any(|frame| frame.name() == "granted"));
}

#[test]
fn two_boots_of_one_flash_are_one_microcontroller_and_another_chips_flash_is_another() {
    let kept = tempfile::tempdir().unwrap();
    let (own, other) = (kept.path().join("own"), kept.path().join("other"));
    let first = key_hash(&own);
    assert_eq!(key_hash(&own), first);
    assert_ne!(key_hash(&other), first);
    // Of the secret in the page and of nothing else.
    let page = std::fs::read(&own).unwrap();
    let public = DerivedKey::of(&page[..SECRET]).public().unwrap();
    // RFC 5480: what stands before a point of P-256 in a SubjectPublicKeyInfo.
    let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let spki = [hex::decode(head).unwrap(), public.to_vec()].concat();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki);
    assert_eq!(first, hex::encode(digest.as_ref()));
}

#[test]
fn the_page_is_closed_to_reads_and_all_of_the_flash_to_writes_before_the_link_is_up() {
    with_board(OverlayOptions::default(), |live| {
        granted(&live);
        let exit = emulated::exit(live);
        let closed: Vec<_> = exit
            .closed
            .iter()
            .map(|list| (list.address, list.len, list.to_writes, list.to_reads))
            .collect();
        let page = (PAGE_AT, PAGE as u64, true, true);
        let record = (RECORD_AT, 0x4000, true, false);
        let image = [(0, 0x8_0000), (0x8_0000, PAGE_AT - 0x8_0000)];
        let [first, second] = image.map(|(at, len)| (at, len, true, false));
        let settings = (PAGE_AT + PAGE as u64, 0x4000, true, false);
        assert_eq!(closed, [record, page, first, second, settings]);
        assert!(!exit.closed_late);
    });
}

#[test]
fn a_chip_that_does_not_close_the_page_signs_nothing() {
    let overlay = OverlayOptions {
        without_access_control: true,
        ..OverlayOptions::default()
    };
    with_board(overlay, |live| {
        refuses_to_sign(&live);
        assert!(emulated::exit(live).closed.is_empty());
    });
}

/// Of the word that was under way some bits are written, and nothing of those after it.
#[test]
fn power_that_goes_while_the_secret_is_written_leaves_a_board_with_one_key() {
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("settings.bin");
    let made = key_hash(&file);
    let whole = std::fs::read(&file).unwrap();
    for cut in [0, SECRET - 4, SECRET, MARKS - 4, MARKS, MARKS + 8] {
        let mut flash = whole.clone();
        flash[cut..PAGE].fill(0xFF);
        for (to, from) in flash[cut..cut + 4].iter_mut().zip(&whole[cut..]) {
            *to = from | 0x5A;
        }
        std::fs::write(&file, &flash).unwrap();
        let key = key_hash(&file);
        assert_eq!(key_hash(&file), key, "{cut}");
        // Whole from the last word of the digest on.
        assert_eq!(key == made, cut >= MARKS, "{cut}");
    }
}

#[test]
fn a_secret_that_is_damaged_is_not_replaced_and_nothing_is_signed() {
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("settings.bin");
    key_hash(&file);
    let mut flash = std::fs::read(&file).unwrap();
    flash[7] ^= 0x10;
    std::fs::write(&file, &flash).unwrap();
    with_board(keeping(&file), |live| refuses_to_sign(&live));
    assert_eq!(std::fs::read(&file).unwrap()[..PAGE], flash[..PAGE]);
}
