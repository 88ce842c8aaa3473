//! Responses: what each command makes of a good one and of one that contradicts it.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_firmware::tpm::{Malformed, Sizes, TpmError, TransportError};

use crate::bytes::{authorized, created, hex, p256_public, response, tpm2b};
use crate::scripted::{by, code, fallible, handles, identity, properties, rc, sizes, steps};

fn ok() -> Vec<u8> {
    rc(0)
}

#[test]
fn a_fresh_start_reads_identity_and_sizes_and_flushes_nothing() {
    let (mut tpm, journal) = steps(&[ok(), identity(), sizes(768)]);
    let start = tpm.start().unwrap();
    assert!(!start.already_started);
    assert_eq!(start.flushed, 0);
    assert_eq!(start.identity.manufacturer, 0x4946_5800);
    assert_eq!(
        &start.identity.vendor_string(),
        b"SLB9672\0\0\0\0\0\0\0\0\0"
    );
    assert_eq!(start.identity.firmware_version(), 0x000F_0016_0042_5202);
    let expected = Sizes {
        command: 1420,
        response: 1420,
        nv_buffer: 768,
    };
    assert_eq!(tpm.sizes(), expected);
    assert_eq!(tpm.nv_chunk(), 512);
    assert_eq!(journal.borrow().codes(), [0x144, 0x17A, 0x17A]);
}

#[test]
fn a_tpm_that_was_started_before_is_recorded_and_cleaned() {
    let (mut tpm, journal) = steps(&[
        rc(0x100),
        handles(&[0x8000_0000, 0x8000_0001], false),
        ok(),
        handles(&[0x8000_0001], false),
        ok(),
        handles(&[], false),
        // Loaded sessions come under both kinds of handles, in the order of the TPM's slots.
        handles(&[0x0300_0001, 0x0200_0000], false),
        ok(),
        handles(&[0x0200_0000], false),
        ok(),
        handles(&[], false),
        handles(&[0x0300_0005], false),
        ok(),
        handles(&[], false),
        identity(),
        sizes(2048),
    ]);
    let start = tpm.start().unwrap();
    assert!(start.already_started);
    assert_eq!(start.flushed, 5);
    let flushed: Vec<_> = journal
        .borrow()
        .sent
        .iter()
        .filter(|c| code(c) == 0x165)
        .map(|c| u32::from_be_bytes(c[10..].try_into().unwrap()))
        .collect();
    assert_eq!(
        flushed,
        [
            0x8000_0000,
            0x8000_0001,
            0x0300_0001,
            0x0200_0000,
            0x0300_0005
        ]
    );
}

#[test]
fn flushing_ends_although_a_handle_cannot_be_flushed() {
    let (mut tpm, journal) = by(|command| match code(command) {
        0x144 => rc(0x100),
        0x17A if command[13] == 1 => handles(&[0x8000_0000], false),
        0x17A if command[17] == 5 => identity(),
        0x17A => sizes(512),
        _ => rc(0x1C4),
    });
    assert_eq!(tpm.start().unwrap().flushed, 0);
    assert!(journal.borrow().sent.len() < 14);
}

#[test]
fn failure_mode_is_recognised_by_its_code_and_by_its_empty_list() {
    let (mut tpm, _) = steps(&[rc(0x101)]);
    assert_eq!(tpm.start(), Err(TpmError::FailureMode));
    let (mut tpm, _) = steps(&[ok(), properties(&[], false)]);
    assert_eq!(tpm.start(), Err(TpmError::FailureMode));
    let (mut tpm, _) = steps(&[rc(0x12D)]);
    assert_eq!(tpm.start(), Err(TpmError::FieldUpgrade));
}

#[test]
fn a_tpm_1_2_is_told_apart() {
    let (mut tpm, _) = steps(&[response(0x00C4, 0x1E, &[])]);
    assert_eq!(tpm.start(), Err(TpmError::Family));
}

#[test]
fn properties_are_believed_only_by_their_number() {
    // A TPM lists from the first property that is not below the one asked for.
    let (mut tpm, _) = steps(&[ok(), identity(), properties(&[(0x12D, 9999)], false)]);
    tpm.start().unwrap();
    assert_eq!(tpm.sizes().nv_buffer, 512);
    let mut other = properties(&[(0x105, 1)], false);
    other[14] = 7;
    let (mut tpm, _) = steps(&[ok(), other]);
    assert_eq!(tpm.start(), Err(TpmError::Malformed(Malformed::Value)));
    let mut count = properties(&[(0x105, 1)], false);
    count[15] = 0xFF;
    let (mut tpm, _) = steps(&[ok(), count]);
    assert_eq!(tpm.start(), Err(TpmError::Malformed(Malformed::TooLong)));
}

#[test]
fn a_property_list_in_pieces_is_put_together() {
    let (mut tpm, journal) = steps(&[
        ok(),
        properties(&[(0x105, 0x5354_4D20)], true),
        properties(&[(0x10C, 0x77)], false),
        sizes(0),
    ]);
    let start = tpm.start().unwrap();
    assert_eq!(start.identity.manufacturer, 0x5354_4D20);
    assert_eq!(start.identity.firmware_version(), 0x77);
    assert_eq!(journal.borrow().sent[2][14..18], 0x106u32.to_be_bytes());
    assert_eq!(tpm.nv_chunk(), 512, "never 0, whatever the TPM says");
}

#[test]
fn a_list_that_always_has_more_ends() {
    let (mut tpm, journal) = by(|command| match code(command) {
        0x144 => rc(0),
        _ => {
            let first = u32::from_be_bytes(command[14..18].try_into().unwrap());
            handles(&[first], true)
        }
    });
    let mut seen = 0;
    let result = tpm.handles(Handle(0x01C0_0000), Handle(0x01FF_FFFF), &mut |_| seen += 1);
    assert_eq!(result, Err(TpmError::Malformed(Malformed::TooLong)));
    assert!(journal.borrow().sent.len() <= 16 && seen <= 16);
}

#[test]
fn handles_outside_the_range_are_left_out() {
    let list = [
        0x01C0_0001,
        0x01C0_0002,
        0x01C0_0100,
        0x8000_0000,
        0x0000_0001,
    ];
    let (mut tpm, _) = steps(&[handles(&list, false)]);
    let mut seen = Vec::new();
    tpm.handles(Handle(0x01C0_0002), Handle(0x01C0_01FF), &mut |h| {
        seen.push(h.0)
    })
    .unwrap();
    assert_eq!(seen, [0x01C0_0002, 0x01C0_0100]);
}

#[test]
fn random_numbers_come_in_as_many_pieces_as_the_tpm_likes() {
    let piece = |bytes: &[u8]| response(0x8001, 0, &tpm2b(bytes));
    let (mut tpm, journal) = steps(&[piece(&[1; 32]), piece(&[2; 5]), piece(&[3; 3])]);
    let mut out = [0; 40];
    tpm.random(&mut out).unwrap();
    assert_eq!(out[..], [vec![1; 32], vec![2; 5], vec![3; 3]].concat());
    let asked: Vec<_> = journal.borrow().sent.iter().map(|c| c[11]).collect();
    assert_eq!(asked, [32, 8, 3]);
    let (mut tpm, _) = steps(&[piece(&[1; 17])]);
    assert_eq!(
        tpm.random(&mut [0; 16]),
        Err(TpmError::Malformed(Malformed::TooLong))
    );
    let (mut tpm, _) = steps(&[piece(&[]), piece(&[]), piece(&[])]);
    assert_eq!(
        tpm.random(&mut [0; 16]),
        Err(TpmError::Malformed(Malformed::Value))
    );
}

#[test]
fn frames_that_contradict_themselves_are_malformed() {
    let whole = response(0x8001, 0, &tpm2b(&[7; 8]));
    let with = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        edit(&mut bytes);
        let (mut tpm, _) = steps(&[bytes]);
        tpm.random(&mut [0; 8])
    };
    assert_eq!(with(&|_| ()), Ok(()));
    let malformed = |m| Err(TpmError::Malformed(m));
    assert_eq!(with(&|b| b[5] += 1), malformed(Malformed::Size));
    assert_eq!(with(&|b| b[2] = 0xFF), malformed(Malformed::Size));
    assert_eq!(with(&|b| b.push(0)), malformed(Malformed::Size));
    assert_eq!(with(&|b| b[1] = 2), malformed(Malformed::Tag));
    assert_eq!(with(&|b| b[0] = 0), malformed(Malformed::Tag));
    // An error has no body, and a body has no error.
    assert_eq!(with(&|b| b[9] = 0x84), malformed(Malformed::Tag));
    assert_eq!(with(&|b| b[11] = 9), malformed(Malformed::TooLong));
    assert_eq!(with(&|b| b[11] = 7), malformed(Malformed::Trailing));
}

#[test]
fn response_codes_are_sorted_by_what_can_be_done() {
    use assay_common::tpm::rc::TpmRc;
    for (number, error) in [
        (0x100, TpmError::Reset),
        (0x101, TpmError::FailureMode),
        (0x12D, TpmError::FieldUpgrade),
        (0x921, TpmError::Lockout),
        (0x910, TpmError::Lost(TpmRc(0x910))),
        (0x912, TpmError::Lost(TpmRc(0x912))),
        (0x919, TpmError::Lost(TpmRc(0x919))),
        (0x98E, TpmError::Rc(TpmRc(0x98E))),
        (0x909, TpmError::Rc(TpmRc(0x909))),
        (0x907, TpmError::Rc(TpmRc(0x907))),
        // Vendor codes, TSS layers and nonsense are carried as numbers.
        (0x500, TpmError::Rc(TpmRc(0x500))),
        (0xA01, TpmError::Rc(TpmRc(0xA01))),
        (0x000B_0000, TpmError::Rc(TpmRc(0x000B_0000))),
        (0xFFFF_FFFF, TpmError::Rc(TpmRc(0xFFFF_FFFF))),
    ] {
        let (mut tpm, _) = by(move |_| rc(number));
        assert_eq!(tpm.read_clock().err(), Some(error), "{number:x}");
        assert_eq!(tpm.errors().get(error.code()), 1);
        assert_eq!(tpm.last_command(), 0x181);
    }
}

#[test]
fn a_transport_that_fails_is_not_the_tpms_fault() {
    let (mut tpm, _) = fallible(|_| Err(TransportError::Closed));
    assert_eq!(
        tpm.start(),
        Err(TpmError::Transport(TransportError::Closed))
    );
}

#[test]
fn a_created_key_is_handed_on_as_received() {
    let public = p256_public(0x0005_0472, &[]);
    let (mut tpm, _) = steps(&[authorized(Some(0x8000_0001), &created(&public), 1)]);
    let key = tpm.create_primary(Handle::ENDORSEMENT, &[]).unwrap();
    assert_eq!(key.handle, Handle(0x8000_0001));
    assert_eq!(key.public, public);
    assert_eq!(key.name, [&[0x00, 0x0B][..], &[0x33; 32]].concat());
    assert_eq!(tpm.loaded(), 1);
}

#[test]
fn a_key_with_a_malformed_answer_does_not_stay_loaded() {
    let mut params = created(&p256_public(0, &[]));
    params.push(0);
    let (mut tpm, journal) = steps(&[authorized(Some(0x8000_0001), &params, 1), ok()]);
    let error = tpm.create_primary(Handle::ENDORSEMENT, &[]).err();
    assert_eq!(error, Some(TpmError::Malformed(Malformed::Trailing)));
    assert_eq!(journal.borrow().codes(), [0x131, 0x165]);
    assert_eq!(tpm.loaded(), 0);
}

#[test]
fn handles_of_the_wrong_kind_are_refused() {
    let params = created(&p256_public(0, &[]));
    let (mut tpm, _) = steps(&[authorized(Some(0x8101_0001), &params, 1)]);
    let error = tpm.create_primary(Handle::ENDORSEMENT, &[]).err();
    assert_eq!(error, Some(TpmError::Malformed(Malformed::Value)));
    let (mut tpm, _) = steps(&[response(0x8001, 0, &hex("02000000 0000"))]);
    let error = tpm.start_policy_session(AlgId::SHA256).err();
    assert_eq!(error, Some(TpmError::Malformed(Malformed::Value)));
}

#[test]
fn a_fourth_key_and_a_fourth_session_are_refused_before_they_are_sent() {
    let mut next = 0;
    let (mut tpm, journal) = by(move |command| {
        next += 1;
        match code(command) {
            0x131 => authorized(Some(0x8000_0000 + next), &created(&p256_public(0, &[])), 1),
            0x176 => response(
                0x8001,
                0,
                &[(0x0300_0000 + next).to_be_bytes().to_vec(), hex("0000")].concat(),
            ),
            _ => rc(0),
        }
    });
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(tpm.create_primary(Handle::ENDORSEMENT, &[]).unwrap().handle);
        assert!(tpm.start_policy_session(AlgId::SHA256).is_ok());
    }
    let sent = journal.borrow().sent.len();
    let error = tpm.create_primary(Handle::ENDORSEMENT, &[]).err();
    assert_eq!(error, Some(TpmError::Slots));
    assert_eq!(
        tpm.start_policy_session(AlgId::SHA256).err(),
        Some(TpmError::Slots)
    );
    assert_eq!(journal.borrow().sent.len(), sent);
    tpm.flush(keys[1]).unwrap();
    assert!(tpm.create_primary(Handle::ENDORSEMENT, &[]).is_ok());
}

#[test]
fn nv_answers_must_be_what_was_asked_for() {
    let public = |index: u32| {
        let area = [index.to_be_bytes().to_vec(), hex("000b 62072001 0000 0400")].concat();
        response(0x8001, 0, &[tpm2b(&area), tpm2b(&[0; 34])].concat())
    };
    let (mut tpm, _) = steps(&[public(0x01C0_000A)]);
    let other = tpm.nv_read_public(Handle(0x01C0_0002)).err();
    assert_eq!(other, Some(TpmError::Malformed(Malformed::Value)));
    let data = |bytes: &[u8]| authorized(None, &tpm2b(bytes), 1);
    let (mut tpm, journal) = steps(&[
        public(0x01C0_0002),
        data(&[5; 512]),
        data(&[6; 100]),
        data(&[6; 101]),
    ]);
    let nv = tpm.nv_read_public(Handle(0x01C0_0002)).unwrap();
    assert_eq!(
        tpm.nv_read(&nv, 0, 1024).unwrap(),
        [5; 512],
        "cut to the chunk"
    );
    assert_eq!(journal.borrow().sent[1][31..33], [2, 0]);
    assert_eq!(
        tpm.nv_read(&nv, 0, 101),
        Err(TpmError::Malformed(Malformed::Value))
    );
    assert_eq!(
        tpm.nv_read(&nv, 0, 100),
        Err(TpmError::Malformed(Malformed::TooLong))
    );
}

#[test]
fn clock_and_test_result_are_read_whole() {
    let body = hex("0000000000000007 0000000000000008 00000009 0000000a 01");
    let (mut tpm, _) = steps(&[
        response(0x8001, 0, &body),
        response(0x8001, 0, &hex("0002 abcd 00000153")),
    ]);
    let time = tpm.read_clock().unwrap();
    assert_eq!((time.time_ms, time.clock_info.clock), (7, 8));
    assert_eq!(
        (time.clock_info.reset_count, time.clock_info.restart_count),
        (9, 10)
    );
    assert!(time.clock_info.safe);
    let result = tpm.test_result().unwrap();
    assert_eq!((result.data, result.rc.0), (&[0xAB, 0xCD][..], 0x153));
    let mut unsafe_clock = body.clone();
    *unsafe_clock.last_mut().unwrap() = 2;
    let (mut tpm, _) = steps(&[response(0x8001, 0, &unsafe_clock)]);
    assert_eq!(
        tpm.read_clock().err(),
        Some(TpmError::Malformed(Malformed::Value))
    );
}
