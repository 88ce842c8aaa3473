//! What the TPM asks to be repeated, and what must not be.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::rc::TpmRc;
use assay_firmware::tpm::TpmError;

use crate::bytes::{authorized, created, hex, p256_public, response, startup};
use crate::scripted::{by, code, handles, identity, rc, sizes, steps};

#[test]
fn retry_yielded_and_testing_send_identical_bytes_with_doubling_pauses() {
    for busy in [0x922, 0x908, 0x90A] {
        let (mut tpm, journal) =
            steps(&[rc(busy), rc(busy), rc(busy), rc(0), identity(), sizes(512)]);
        tpm.start().unwrap();
        let journal = journal.borrow();
        assert!(
            journal.sent[..4].iter().all(|c| *c == startup()),
            "{busy:x}"
        );
        assert_eq!(journal.pauses_ms, [20, 40, 80], "{busy:x}");
        assert_eq!(tpm.repeats(), 3);
    }
}

#[test]
fn a_tpm_that_stays_busy_is_given_up_within_its_bound() {
    for (busy, pauses) in [
        (0x922, &[20, 40, 80, 160, 320, 640, 1280][..]),
        (0x90A, &[20, 40, 80, 160, 320, 640, 1280]),
        (0x920, &[100, 200, 400, 800, 1600]),
        (0x923, &[100, 200, 400, 800, 1600]),
    ] {
        let (mut tpm, journal) = by(move |_| rc(busy));
        assert_eq!(tpm.read_clock().err(), Some(TpmError::Busy(TpmRc(busy))));
        assert_eq!(journal.borrow().pauses_ms, pauses, "{busy:x}");
    }
}

#[test]
fn nv_rate_waits_longer_than_retry() {
    let clock = response(0x8001, 0, &[0; 25]);
    let (mut tpm, journal) = steps(&[rc(0x922), rc(0x920), rc(0x922), clock]);
    tpm.read_clock().unwrap();
    assert_eq!(journal.borrow().pauses_ms, [20, 100, 200]);
}

#[test]
fn lockout_is_never_repeated() {
    let (mut tpm, journal) = by(|_| rc(0x921));
    let error = tpm.policy_or_error();
    assert_eq!(error, TpmError::Lockout);
    assert_eq!(journal.borrow().sent.len(), 1);
    assert!(journal.borrow().pauses_ms.is_empty());
}

trait PolicyOrError {
    fn policy_or_error(&mut self) -> TpmError;
}

impl PolicyOrError for assay_firmware::tpm::Tpm<crate::scripted::Scripted> {
    fn policy_or_error(&mut self) -> TpmError {
        self.start_policy_session(AlgId::SHA256).unwrap_err()
    }
}

#[test]
fn out_of_memory_flushes_what_is_not_ours_and_tries_once_more() {
    for full in [0x901, 0x902, 0x903, 0x904, 0x905, 0x906] {
        let mut tries = 0;
        // Ours, and two that somebody left.
        let mut left = vec![0x8000_0001, 0x8000_0009, 0x0200_0004];
        let (mut tpm, journal) = by(move |command| match code(command) {
            0x131 => {
                tries += 1;
                if tries == 2 {
                    return rc(full);
                }
                authorized(Some(0x8000_0000 + tries), &created(&p256_public(0, &[])), 1)
            }
            0x17A => {
                let kind = |h: &u32| (h >> 24) as u8 == command[14];
                handles(
                    &left.iter().copied().filter(kind).collect::<Vec<_>>(),
                    false,
                )
            }
            0x165 => {
                left.retain(|h| h.to_be_bytes() != command[10..14]);
                rc(0)
            }
            other => panic!("{other:x}"),
        });
        tpm.create_primary(Handle::ENDORSEMENT, &[]).unwrap();
        let second = tpm
            .create_primary(Handle::ENDORSEMENT, &[&[7]])
            .unwrap()
            .handle;
        assert_eq!(second, Handle(0x8000_0003), "{full:x}");
        let journal = journal.borrow();
        assert_eq!(
            journal.codes(),
            [
                0x131, 0x131, 0x17A, 0x165, 0x17A, 0x17A, 0x165, 0x17A, 0x17A, 0x131
            ],
            "{full:x}"
        );
        assert_eq!(
            journal.sent[3][10..],
            hex("80000009"),
            "only the one that isn't ours"
        );
        assert_eq!(journal.sent[6][10..], hex("02000004"));
        assert_eq!(journal.sent[1], journal.sent[9], "the same command again");
    }
}

#[test]
fn out_of_memory_twice_is_an_error() {
    let (mut tpm, journal) = by(|command| match code(command) {
        0x17A => handles(&[], false),
        _ => rc(0x902),
    });
    let error = tpm.create_primary(Handle::ENDORSEMENT, &[]).err();
    assert_eq!(error, Some(TpmError::Memory(TpmRc(0x902))));
    assert_eq!(
        journal.borrow().codes(),
        [0x131, 0x17A, 0x17A, 0x17A, 0x131]
    );
}

#[test]
fn a_reset_in_the_middle_forgets_what_was_loaded() {
    let key = authorized(Some(0x8000_0000), &created(&p256_public(0, &[])), 1);
    let (mut tpm, journal) = steps(&[key, rc(0x100)]);
    let handle = tpm.create_primary(Handle::ENDORSEMENT, &[]).unwrap().handle;
    assert_eq!(tpm.loaded(), 1);
    assert_eq!(tpm.quote(handle, &[], &[]).err(), Some(TpmError::Reset));
    assert_eq!(tpm.loaded(), 0);
    assert_eq!(
        journal.borrow().sent.len(),
        2,
        "a lost session is not repaired silently"
    );
}
