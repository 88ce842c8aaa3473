//! A TPM that answers what the console asks, and `tpm probe` on it.

use crate::desk::Desk;
use crate::model::{Shared, fifo};

pub fn response(rc: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80, 0x01];
    out.extend((10 + body.len() as u32).to_be_bytes());
    out.extend(rc.to_be_bytes());
    out.extend(body);
    out
}

fn properties(list: &[(u32, u32)]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(6u32.to_be_bytes());
    body.extend((list.len() as u32).to_be_bytes());
    for (tag, value) in list {
        body.extend(tag.to_be_bytes());
        body.extend(value.to_be_bytes());
    }
    response(0, &body)
}

fn word(command: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(command[at..at + 4].try_into().unwrap())
}

/// What the TPM has at its NV indices, by size.
const NV: [(u32, u16); 3] = [(0x01C0_0002, 1174), (0x01C0_000A, 780), (0x01C0_0100, 801)];

const ALL_PROPERTIES: [(u32, u32); 12] = [
    (0x100, 0x322E_3000),
    (0x101, 0),
    (0x102, 159),
    (0x105, 0x4946_5800),
    (0x106, 0x534C_4239),
    (0x107, 0x3637_3200),
    (0x108, 0),
    (0x109, 0),
    (0x10B, 0x0010_0015),
    (0x10C, 0x0045_1F00),
    (0x11E, 4096),
    (0x12C, 1024),
];

pub fn answer(command: &[u8]) -> Vec<u8> {
    match word(command, 6) {
        // Startup, SelfTest.
        0x144 | 0x143 => response(0, &[]),
        // GetTestResult: no data, success.
        0x17C => response(0, &[0, 0, 0, 0, 0, 0]),
        0x17A => capability(command),
        // NV_ReadPublic.
        0x169 => {
            let index = word(command, 10);
            let size = NV.iter().find(|(at, _)| *at == index).unwrap().1;
            let mut public = index.to_be_bytes().to_vec();
            public.extend([0, 0x0B, 0x62, 0x07, 0x20, 0x01, 0, 0]);
            public.extend(size.to_be_bytes());
            let mut body = (public.len() as u16).to_be_bytes().to_vec();
            body.extend(public);
            body.extend([0, 2, 0, 0x0B]);
            response(0, &body)
        }
        other => panic!("the console sent command {other:#x}"),
    }
}

fn capability(command: &[u8]) -> Vec<u8> {
    let (first, count) = (word(command, 14), word(command, 18) as usize);
    match word(command, 10) {
        6 => {
            let list = ALL_PROPERTIES.iter().filter(|(tag, _)| *tag >= first);
            properties(&list.take(count).copied().collect::<Vec<_>>())
        }
        1 => {
            let mut body = vec![0];
            body.extend(1u32.to_be_bytes());
            body.extend((NV.len() as u32).to_be_bytes());
            NV.iter().for_each(|(at, _)| body.extend(at.to_be_bytes()));
            response(0, &body)
        }
        5 => {
            let mut body = vec![0];
            body.extend(5u32.to_be_bytes());
            body.extend(3u32.to_be_bytes());
            body.extend([0x00, 0x04, 3, 0, 0, 0]);
            body.extend([0x00, 0x0B, 3, 0xFF, 0xFF, 0xFF]);
            body.extend([0x00, 0x0C, 3, 0xFF, 0xFF, 0x00]);
            response(0, &body)
        }
        other => panic!("the console asked for capability {other}"),
    }
}

/// A healthy TPM.
pub fn healthy() -> Shared {
    let tpm = fifo(answer);
    tpm.borrow_mut().did_vid = 0x001D_15D1;
    tpm
}

#[test]
fn a_probe_shows_everything_from_the_chip_to_its_certificates() {
    let mut desk = Desk::new(&healthy());
    // The model has no capability register; what nothing drives reads as ones.
    assert_eq!(
        desk.asks("tpm probe"),
        "\
chip            Infineon SLB96xx, vendor 0x15D1, device 0x001D, revision 0x10
interface       0xFFFFFFFF: of a version not known, fixed burst count, 64 bytes at once
interface id    0xFFFFFFFF: FIFO as of TIS 1.3
locality        0 granted, TPM_ACCESS 0xA1
family          TPM 2.0, TPM_STS 0x04000000
started         by this command
manufacturer    IFX
vendor string   SLB9672
firmware        16.21.69.7936 (0x0010001500451F00)
specification   2.0, revision 1.59
self-test       passed
PCR banks       sha256, sha384 (not all PCRs)
EK certificates
  0x01C00002   RSA 2048 certificate, 1174 bytes
  0x01C0000A   P-256 certificate, 780 bytes
  0x01C00100   certificate of the chain, 801 bytes
"
    );
    assert!(desk.fifo.borrow().bad_moves().is_empty());
}

#[test]
fn what_a_tpm_says_about_itself_cannot_move_the_terminals_cursor() {
    let tpm = fifo(|command| {
        let mut said = answer(command);
        let at = said.windows(4).position(|four| four == b"SLB9");
        if let Some(at) = at {
            said[at..at + 4].copy_from_slice(b"\x1B[2J");
        }
        said
    });
    tpm.borrow_mut().did_vid = 0x001D_15D1;
    let said = Desk::new(&tpm).asks("tpm probe");
    assert!(said.contains("vendor string   .[2J672\n"), "{said}");
    assert!(!said.contains('\x1B'), "{said:?}");
}

#[test]
fn the_trace_shows_the_last_accesses_and_the_next() {
    let mut desk = Desk::new(&healthy());
    assert_eq!(
        desk.asks("spi trace"),
        "no access yet; `tpm probe` makes some\n"
    );
    desk.asks("tpm probe");
    let shown = desk.asks("spi trace 3");
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert!(
        lines[3].contains("W    0x018 STS           1  40"),
        "{shown}"
    );
    assert_eq!(desk.asks("spi trace").lines().count(), 17);

    assert_eq!(
        desk.asks("spi trace next 6"),
        "keeping the next 6; `spi trace` shows them\n"
    );
    desk.asks("tpm probe");
    // DID_VID four times, then RID and the capabilities.
    let shown = desk.asks("spi trace");
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(
        lines,
        [
            "     #  dir  register         len  data",
            "     1  R    0xF00 DID_VID       4  D1 15 1D 00",
            "     2  R    0xF00 DID_VID       4  D1 15 1D 00",
            "     3  R    0xF00 DID_VID       4  D1 15 1D 00",
            "     4  R    0xF00 DID_VID       4  D1 15 1D 00",
            "     5  R    0xF04 RID           1  10",
            "     6  R    0x014 INTF_CAP      4  FF FF FF FF",
        ]
    );
    for wrong in [
        "spi trace 0",
        "spi trace 65",
        "spi trace x",
        "spi trace next 3 4",
    ] {
        assert!(
            desk.asks(wrong)
                .starts_with("error: it is written: spi trace")
        );
    }
}

#[test]
fn long_accesses_are_cut_and_say_so() {
    let mut desk = Desk::new(&healthy());
    desk.asks("tpm probe");
    let shown = desk.asks("spi trace 64");
    let cut = shown.lines().filter(|line| line.ends_with("...")).count();
    assert!(cut > 0, "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
}

#[test]
fn a_self_test_tests_everything() {
    let mut desk = Desk::new(&healthy());
    assert_eq!(desk.asks("tpm selftest"), "self-test       passed\n");
    let executed = desk.fifo.borrow().executed.clone();
    let full = [0x80, 0x01, 0, 0, 0, 11, 0, 0, 1, 0x43, 1];
    assert!(executed.iter().any(|command| *command == full));
}

#[test]
fn a_self_test_in_the_background_is_waited_for() {
    let mut asked = 0;
    let mut desk = Desk::new(&fifo(move |command| match word(command, 6) {
        0x143 => response(0x90A, &[]),
        0x17C => {
            asked += 1;
            let rc: u32 = if asked < 4 { 0x90A } else { 0 };
            response(0, &[&[0, 0][..], &rc.to_be_bytes()].concat())
        }
        _ => answer(command),
    }));
    assert_eq!(desk.asks("tpm selftest"), "self-test       passed\n");
}
