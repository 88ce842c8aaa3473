//! `provision`: nothing is written that the agent would not take, and nothing is replaced by accident.

use assay_common::identity::provisioning::MAX_RECORD;
use assay_common::identity::{Pins, Provisioning};
use assay_firmware::console::RecordFault;

use crate::desk::Desk;
use crate::tpm::healthy;

/// The base point of P-256: nobody's key, but one that an agent accepts.
const KEY: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
/// SHA-256 of its SubjectPublicKeyInfo, by `openssl pkey -pubin -outform DER | sha256sum`.
pub const FINGERPRINT: &str = "5cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd3";

fn key() -> Vec<u8> {
    let digits: Vec<_> = KEY.chars().filter_map(|c| c.to_digit(16)).collect();
    let pairs = digits.chunks(2);
    pairs.map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn record_with(cluster: &str, key: &[u8]) -> Vec<u8> {
    let mut out = [0; MAX_RECORD];
    let record = Provisioning {
        cluster,
        trust_domain: "example.org",
        verifier_key: key,
    };
    let len = record.write(&mut out).unwrap();
    out[..len].to_vec()
}

pub fn record(cluster: &str) -> Vec<u8> {
    record_with(cluster, &key())
}

/// A record of the second form, its Name as hex, and its secret as hex.
pub fn pinned_record() -> (Vec<u8>, String, String) {
    let (name, secret) = ([&[0x00, 0x0B][..], &[0x5A; 32]].concat(), [0xC3; 32]);
    (pinned(&name, &secret), hex(&name), hex(&secret))
}

fn pinned(name: &[u8], secret: &[u8]) -> Vec<u8> {
    let key = key();
    let record = Provisioning {
        cluster: "lab",
        trust_domain: "example.org",
        verifier_key: &key,
    };
    let pins = Pins {
        ek_name: name,
        secret,
    };
    let mut out = [0; MAX_RECORD];
    let len = record.write_pinned(&pins, &mut out).unwrap();
    out[..len].to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 4648, section 4, written down a second time.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().enumerate().fold(0u32, |word, (i, byte)| {
            word | u32::from(*byte) << (16 - 8 * i)
        });
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    out
}

/// Types a record in lines of `width`, and returns the last answer.
fn pasted(desk: &mut Desk, command: &str, text: &str, width: usize) -> String {
    desk.types(format!("{command}\r").as_bytes());
    let mut last = String::new();
    for line in text.as_bytes().chunks(width) {
        desk.types(line);
        last = desk.types(b"\r");
    }
    last
}

fn desk() -> Desk {
    Desk::new(&healthy())
}

#[test]
fn a_record_is_written_from_hex_and_from_base64_in_lines_of_any_width() {
    let wanted = record("lab");
    for text in [hex(&wanted), base64(&wanted)] {
        for width in [80, 64, 76, 7] {
            let mut desk = desk();
            let said = pasted(&mut desk, "provision", &text, width);
            assert!(
                said.contains(&format!("written, {} bytes\n", wanted.len()))
                    && said.contains("  cluster       lab\n")
                    && said.ends_with("assay> "),
                "{width}: {said}"
            );
            assert_eq!(desk.knobs.borrow().record, wanted);
        }
    }
}

#[test]
fn the_record_may_begin_on_the_commands_own_line() {
    let text = hex(&record("lab"));
    let (first, rest) = text.split_at(60);
    let mut desk = desk();
    let said = desk.types(format!("provision {first}\r").as_bytes());
    assert!(said.ends_with("bytes\nrecord> "), "{said}");
    let mut last = String::new();
    for line in rest.as_bytes().chunks(80) {
        desk.types(line);
        last = desk.types(b"\r");
    }
    assert!(last.contains("written"), "{last}");
}

#[test]
fn another_record_is_replaced_by_force_only() {
    let mut desk = desk();
    desk.knobs.borrow_mut().record = record("theirs");
    let text = hex(&record("ours"));
    let said = pasted(&mut desk, "provision", &text, 80);
    assert!(
        said.contains("error: this board has another record\nhint: `info` shows it; "),
        "{said}"
    );
    assert_eq!(desk.knobs.borrow().record, record("theirs"));
    for (command, cluster) in [("provision force", "ours"), ("Provision FORCE", "other")] {
        let said = pasted(&mut desk, command, &hex(&record(cluster)), 80);
        assert!(said.contains("written"), "{said}");
        assert_eq!(desk.knobs.borrow().record, record(cluster));
    }
    // What begins like the word is no word.
    let said = desk.asks("provision forced");
    assert!(said.starts_with("error: "), "{said}");
}

#[test]
fn the_same_record_is_not_written_again() {
    let mut desk = desk();
    desk.knobs.borrow_mut().record = record("lab");
    let said = pasted(&mut desk, "provision force", &hex(&record("lab")), 80);
    assert!(said.contains("this record is there already\n"), "{said}");
    assert_eq!(desk.knobs.borrow().record_writes, 0);
}

#[test]
fn a_damaged_record_needs_no_force_to_be_replaced() {
    let mut desk = desk();
    let mut damaged = record("lab");
    damaged[20] ^= 1;
    desk.knobs.borrow_mut().record = damaged;
    pasted(&mut desk, "provision", &hex(&record("lab")), 80);
    assert_eq!(desk.knobs.borrow().record, record("lab"));
}

#[test]
fn a_record_that_the_agent_would_refuse_is_not_written() {
    let mut flipped = record("lab");
    flipped[20] ^= 1;
    let mut off_curve = key();
    off_curve[64] ^= 1;
    for (bad, why) in [
        (flipped, "error: provisioning record cut short or damaged\n"),
        (
            record_with("lab", &off_curve),
            "error: the verifier's key is not a point of P-256\n",
        ),
    ] {
        for command in ["provision", "provision force"] {
            let mut desk = desk();
            let said = pasted(&mut desk, command, &hex(&bad), 80);
            assert!(said.contains(why), "{said}");
            assert!(said.contains("hint: nothing was written"), "{said}");
            assert_eq!(desk.knobs.borrow().record_writes, 0);
        }
    }
}

#[test]
fn text_that_is_no_record_ends_the_record() {
    let mut desk = desk();
    desk.asks("info");
    let said = desk.types(b"provision\rreset\r");
    assert!(
        said.contains("error: this is no provisioning record\n"),
        "{said}"
    );
    assert!(said.ends_with("assay> "), "{said}");
    let said = desk.types(b"provision\r4153534159503031\r\r");
    assert!(said.contains("error: the record is not whole\n"), "{said}");
    let said = desk.types(b"provision 41535341zz\r");
    assert!(
        said.contains("error: character 9 is neither hex nor base64\n"),
        "{said}"
    );
    let said = desk.types(format!("provision force{}\r", "41").as_bytes());
    assert!(
        said.contains("error: this is no provisioning record\n"),
        "{said}"
    );
    let knobs = desk.knobs.borrow();
    assert_eq!((knobs.record_writes, knobs.resets), (0, 0));
}

#[test]
fn ctrl_c_leaves_a_record() {
    let mut desk = desk();
    desk.types(b"provision\r4153534159503031\x03");
    assert!(desk.asks("info").starts_with("board "));
}

#[test]
fn a_board_that_cannot_write_says_how_it_is_done_from_outside() {
    let mut desk = desk();
    desk.knobs.borrow_mut().write_fault = Some(RecordFault::NotHere);
    let said = pasted(&mut desk, "provision", &hex(&record("lab")), 80);
    assert!(
        said.contains("error: this board cannot write its own record\nhint: flash it by hand\n"),
        "{said}"
    );
    desk.knobs.borrow_mut().write_fault = Some(RecordFault::Flash);
    let said = pasted(&mut desk, "provision", &hex(&record("lab")), 80);
    assert!(
        said.contains("error: the flash refused the record\n"),
        "{said}"
    );
}

#[test]
fn a_flash_that_does_not_hold_what_was_written_is_noticed() {
    let mut desk = desk();
    desk.knobs.borrow_mut().loses_a_bit = true;
    let said = pasted(&mut desk, "provision", &hex(&record("lab")), 80);
    assert!(
        said.contains("error: the flash does not hold what was written\n"),
        "{said}"
    );
}

/// The agent would not log in by it: whoever is on the bus to the pinned TPM would know all that a session's secrets are made of.
#[test]
fn a_pin_without_a_secret_is_for_boards_with_noise() {
    let name = [&[0x00, 0x0B][..], &[0x5A; 32]].concat();
    let record = pinned(&name, &[]);
    let mut desk = desk();
    let said = pasted(&mut desk, "provision", &hex(&record), 80);
    assert!(said.contains("and the board has no noise"), "{said}");
    assert!(said.contains("--new-secret"), "{said}");
    assert_eq!(desk.knobs.borrow().record_writes, 0);

    // One that a programmer wrote.
    desk.knobs.borrow_mut().record = record.clone();
    let said = desk.asks("selftest");
    assert!(said.contains("and the board has no noise"), "{said}");
    desk.knobs.borrow_mut().has_noise = true;
    let said = desk.asks("selftest");
    assert!(said.contains("record          ok"), "{said}");
    desk.knobs.borrow_mut().record = Vec::new();
    let said = pasted(&mut desk, "provision", &hex(&record), 80);
    assert!(said.contains("written"), "{said}");

    // With a secret any board will do.
    desk.knobs.borrow_mut().has_noise = false;
    let (record, ..) = pinned_record();
    let said = pasted(&mut desk, "provision force", &hex(&record), 80);
    assert!(said.contains("written"), "{said}");
}
