//! Every response cut at every byte, and with every byte changed: an error or a value, never a panic.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{PcrMask, PcrSelection};
use assay_firmware::tpm::{NvPublic, Tpm, TpmError};

use crate::bytes::{authorized, created, hex, p256_public, response, tpm2b};
use crate::pcr::pcr_page;
use crate::scripted::{Scripted, by, code, handles, properties};

type Run = fn(&mut Tpm<Scripted>) -> Result<(), TpmError>;

fn nv() -> NvPublic {
    NvPublic {
        index: Handle(0x01C0_0002),
        name_alg: AlgId::SHA256,
        attributes: 0x6207_2001,
        data_size: 64,
    }
}

/// Each command with a response that it accepts.
fn cases() -> Vec<(&'static str, Vec<u8>, Run)> {
    const KEY: Handle = Handle(0x8000_0000);
    let ticket = hex("8023 4000000b 0000");
    let ecdsa = [hex("0018 000b"), tpm2b(&[1; 32]), tpm2b(&[2; 32])].concat();
    let area = hex("01c00002 000b 62072001 0000 0040");
    vec![
        ("shutdown", response(0x8001, 0, &[]), |t| t.shutdown()),
        ("self test", response(0x8001, 0, &[]), |t| t.self_test()),
        ("flush", response(0x8001, 0, &[]), |t| t.flush(KEY)),
        (
            "test result",
            response(0x8001, 0, &hex("0002 abcd 00000000")),
            |t| t.test_result().map(drop),
        ),
        ("random", response(0x8001, 0, &tpm2b(&[9; 16])), |t| {
            t.random(&mut [0; 16])
        }),
        (
            "clock",
            response(0x8001, 0, &[&[0; 24][..], &[1]].concat()),
            |t| t.read_clock().map(drop),
        ),
        (
            "nv public",
            response(0x8001, 0, &[tpm2b(&area), tpm2b(&[0; 34])].concat()),
            |t| t.nv_read_public(Handle(0x01C0_0002)).map(drop),
        ),
        ("nv read", authorized(None, &tpm2b(&[3; 64]), 1), |t| {
            t.nv_read(&nv(), 0, 64).map(drop)
        }),
        (
            "create primary",
            authorized(Some(0x8000_0000), &created(&p256_public(0, &[])), 1),
            |t| t.create_primary(Handle::ENDORSEMENT, &[]).map(drop),
        ),
        (
            "read public",
            response(
                0x8001,
                0,
                &[
                    tpm2b(&p256_public(0, &[])),
                    tpm2b(&[0; 34]),
                    tpm2b(&[0; 34]),
                ]
                .concat(),
            ),
            |t| t.read_public(KEY).map(drop),
        ),
        (
            "session",
            response(0x8001, 0, &[hex("03000000"), tpm2b(&[7; 32])].concat()),
            |t| t.start_policy_session(AlgId::SHA256).map(drop),
        ),
        (
            "policy secret",
            authorized(None, &[hex("0000"), ticket].concat(), 1),
            |t| with_session(t, |t, s| t.policy_secret(Handle::ENDORSEMENT, s)),
        ),
        ("policy or", response(0x8001, 0, &[]), |t| {
            with_session(t, |t, s| t.policy_or(s, [&[1], &[2]]))
        }),
        ("activate", authorized(None, &tpm2b(&[5; 32]), 2), |t| {
            with_session(t, |t, s| {
                t.activate_credential(KEY, KEY, s, &[1], &[2]).map(drop)
            })
        }),
        (
            "quote",
            authorized(None, &[tpm2b(&[6; 145]), ecdsa].concat(), 1),
            |t| t.quote(KEY, &[], &[]).map(drop),
        ),
        (
            "pcr read",
            pcr_page(1, 0b11, &[vec![1; 32], vec![2; 32]]),
            |t| {
                let selection = [PcrSelection::new(AlgId::SHA256, PcrMask(0b11))];
                t.pcr_read(&selection, &mut [0; 64]).map(drop)
            },
        ),
        ("pcr extend", authorized(None, &[], 1), |t| {
            t.pcr_extend(
                assay_common::tpm::pcr::PcrIndex::new(7).unwrap(),
                AlgId::SHA256,
                &[0; 32],
            )
        }),
        ("evict", authorized(None, &[], 1), |t| {
            t.evict_control(KEY, Handle(0x8101_0000))
        }),
        (
            "properties",
            properties(&[(0x105, 1), (0x106, 2)], false),
            |t| {
                use assay_common::tpm::properties::PropertyTag;
                t.properties(
                    PropertyTag::MANUFACTURER,
                    PropertyTag::FIRMWARE_VERSION_2,
                    &mut |_, _| (),
                )
            },
        ),
        (
            "handles",
            handles(&[0x8000_0000, 0x8000_0001], false),
            |t| t.handles(Handle::TRANSIENT_FIRST, Handle(0x80FF_FFFF), &mut |_| ()),
        ),
    ]
}

fn with_session(
    tpm: &mut Tpm<Scripted>,
    run: impl FnOnce(&mut Tpm<Scripted>, &assay_firmware::tpm::PolicySession) -> Result<(), TpmError>,
) -> Result<(), TpmError> {
    let session = tpm.start_policy_session(AlgId::SHA256).unwrap();
    run(tpm, &session)
}

/// Runs the command on a TPM that gives `bytes` to it and to its flushes a good answer.
fn run(name: &str, bytes: &[u8], command: Run) -> Result<(), TpmError> {
    let bytes = bytes.to_vec();
    let own_session = matches!(name, "policy secret" | "policy or" | "activate");
    let is_flush = name == "flush";
    let (mut tpm, _) = by(move |command| match code(command) {
        0x176 if own_session => response(0x8001, 0, &hex("03000000 0000")),
        0x165 if !is_flush => response(0x8001, 0, &[]),
        _ => bytes.clone(),
    });
    command(&mut tpm)
}

#[test]
fn whole_responses_are_accepted() {
    for (name, bytes, command) in cases() {
        assert_eq!(run(name, &bytes, command), Ok(()), "{name}");
    }
}

#[test]
fn a_response_cut_at_any_byte_is_malformed() {
    for (name, bytes, command) in cases() {
        for len in 0..bytes.len() {
            let cut = run(name, &bytes[..len], command);
            assert!(
                matches!(cut, Err(TpmError::Malformed(_))),
                "{name} cut to {len}: {cut:?}"
            );
            // The same with a header that admits it.
            if len >= 10 {
                let mut honest = bytes[..len].to_vec();
                honest[2..6].copy_from_slice(&(len as u32).to_be_bytes());
                let cut = run(name, &honest, command);
                assert!(
                    matches!(cut, Err(TpmError::Malformed(_))),
                    "{name} of {len}: {cut:?}"
                );
            }
        }
    }
}

#[test]
fn bytes_after_a_response_are_malformed() {
    for (name, bytes, command) in cases() {
        let mut longer = bytes.clone();
        longer.push(0);
        longer[2..6].copy_from_slice(&(bytes.len() as u32 + 1).to_be_bytes());
        let result = run(name, &longer, command);
        assert!(
            matches!(result, Err(TpmError::Malformed(_))),
            "{name}: {result:?}"
        );
    }
}

#[test]
fn a_response_with_any_byte_changed_is_no_panic() {
    for (name, bytes, command) in cases() {
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xFF] {
                let mut other = bytes.clone();
                other[at] ^= change;
                let _ = run(name, &other, command);
            }
        }
    }
}

#[test]
fn an_error_response_to_any_command_is_that_error() {
    use assay_common::tpm::rc::TpmRc;
    for (name, _, command) in cases() {
        for number in [0x1C4, 0x98E, 0x145, 0x500, 0x1234_5678] {
            let result = run(name, &response(0x8001, number, &[]), command);
            assert_eq!(result, Err(TpmError::Rc(TpmRc(number))), "{name}");
        }
    }
}
