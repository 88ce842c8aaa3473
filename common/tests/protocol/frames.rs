//! Frames: round trips, an independent COBS, and everything a line can do to them.

use assay_common::protocol::{FrameDecoder, FrameError, FrameKind, write_frame};
use proptest::prelude::*;

pub(crate) fn frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame::<()>(kind, body, &mut |bytes| {
        assert!(bytes.len() <= 255);
        out.extend_from_slice(bytes);
        Ok(())
    })
    .unwrap();
    out
}

type Seen = Vec<Result<(u8, Vec<u8>), FrameError>>;

fn decode<const N: usize>(bytes: &[u8]) -> Seen {
    let mut decoder = FrameDecoder::<N>::new();
    let mut seen = Vec::new();
    for byte in bytes {
        if let Some(result) = decoder.push(*byte) {
            seen.push(result.map(|kind| (kind.0, decoder.body().to_vec())));
        }
    }
    seen
}

#[test]
fn a_frame_begins_and_ends_with_zero_and_has_none_inside() {
    for len in [0, 1, 252, 253, 254, 255, 256, 508, 509, 1024, 2048] {
        for fill in [0, 1, 0xFF] {
            let wire = frame(FrameKind::MESSAGE, &vec![fill; len]);
            assert_eq!((wire[0], wire[wire.len() - 1]), (0, 0));
            assert!(!wire[1..wire.len() - 1].contains(&0), "{len} x {fill}");
        }
    }
}

#[test]
fn the_bytes_of_a_frame_are_fixed() {
    // kind 1, body "A\0B", CRC-32/ISO-HDLC of 01 41 00 42 = 0x1EA6BA16, little-endian.
    let wire = frame(FrameKind::MESSAGE, b"A\0B");
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC)
        .checksum(b"\x01A\0B")
        .to_le_bytes();
    let mut expected = vec![0x00, 0x03, 0x01, 0x41, 0x06, 0x42];
    expected.extend_from_slice(&crc);
    expected.push(0x00);
    assert!(!crc.contains(&0), "the vector must not hide a zero");
    assert_eq!(wire, expected);
}

#[test]
fn garbage_before_a_frame_costs_nothing_but_itself() {
    let mut line = vec![0x55; 40];
    line.extend(frame(FrameKind::MESSAGE, b"hello"));
    let seen = decode::<64>(&line);
    assert!(matches!(seen[0], Err(FrameError::Cobs | FrameError::Crc)));
    assert_eq!(seen[1], Ok((1, b"hello".to_vec())));
}

#[test]
fn a_frame_cut_anywhere_is_refused_and_the_next_one_is_read() {
    let whole = frame(FrameKind::MESSAGE, b"some message with a \0 in it");
    let next = frame(FrameKind::CHUNK, b"next");
    for cut in 1..whole.len() - 1 {
        let mut line = whole[..cut].to_vec();
        line.extend(&next);
        let seen = decode::<64>(&line);
        assert_eq!(
            seen.last(),
            Some(&Ok((2, b"next".to_vec()))),
            "cut at {cut}"
        );
        assert_eq!(seen.iter().filter(|s| s.is_ok()).count(), 1, "cut at {cut}");
    }
}

#[test]
fn a_frame_longer_than_the_buffer_is_refused_and_the_next_one_is_read() {
    let mut line = frame(FrameKind::MESSAGE, &[7; 60]);
    line.extend(frame(FrameKind::MESSAGE, &[7; 59]));
    assert_eq!(
        decode::<64>(&line),
        vec![Err(FrameError::TooLong), Ok((1, vec![7; 59]))]
    );
}

#[test]
fn unknown_kinds_are_handed_out() {
    assert_eq!(
        decode::<64>(&frame(FrameKind(200), b"x")),
        vec![Ok((200, b"x".to_vec()))]
    );
}

#[test]
fn a_frame_without_a_kind_is_too_short() {
    assert_eq!(
        decode::<64>(&[0, 5, 1, 2, 3, 4, 0]),
        vec![Err(FrameError::TooShort)]
    );
    assert_eq!(decode::<64>(&[0, 0, 0, 0]), vec![]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let wire = frame(FrameKind(kind), &body);
        prop_assert_eq!(decode::<2060>(&wire), vec![Ok((kind, body))]);
    }

    #[test]
    fn our_cobs_agrees_with_an_independent_one(body in proptest::collection::vec(0u8..4, 0..700)) {
        let wire = frame(FrameKind::MESSAGE, &body);
        let theirs = cobs::decode_vec(&wire[1..wire.len() - 1]).unwrap();
        prop_assert_eq!(&theirs[1..theirs.len() - 4], body.as_slice());
        prop_assert_eq!(decode::<720>(&[&[0][..], &cobs::encode_vec(&theirs), &[0]].concat()), vec![Ok((1, body))]);
    }

    #[test]
    fn one_changed_bit_never_gives_another_packet(
        body in proptest::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, bit in 0u8..8,
    ) {
        let mut wire = frame(FrameKind::MESSAGE, &body);
        let index = 1 + at.index(wire.len() - 2);
        wire[index] ^= 1 << bit;
        for seen in decode::<256>(&wire) {
            prop_assert!(seen.is_err(), "{:?}", seen);
        }
    }

    #[test]
    fn any_bytes_are_survived(line in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = decode::<64>(&line);
        let mut line = line;
        line.extend(frame(FrameKind::MESSAGE, b"after"));
        let seen = decode::<64>(&line);
        prop_assert_eq!(seen.last(), Some(&Ok((1, b"after".to_vec()))));
    }
}
