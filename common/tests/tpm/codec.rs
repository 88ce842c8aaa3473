//! Reader and writer.

use assay_common::tpm::codec::{DecodeError, EncodeError, Reader, Writer};

#[test]
fn reads_big_endian_fields_in_order() {
    let mut r = Reader::new(&[
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 2, 16, 17, 18,
    ]);
    assert_eq!(r.u8(), Ok(1));
    assert_eq!(r.u16(), Ok(0x0203));
    assert_eq!(r.u32(), Ok(0x0405_0607));
    assert_eq!(r.u64(), Ok(0x0809_0a0b_0c0d_0e0f));
    assert_eq!(r.tpm2b(), Ok(&[16, 17][..]));
    assert_eq!(r.len(), 1);
    assert_eq!(r.clone().finish(), Err(DecodeError::Trailing));
    assert_eq!(r.bytes(1), Ok(&[18][..]));
    assert!(r.is_empty());
    assert_eq!(r.finish(), Ok(()));
}

#[test]
fn a_read_beyond_the_end_fails_and_takes_nothing() {
    let mut r = Reader::new(&[0, 2, 9]);
    assert_eq!(r.u32(), Err(DecodeError::Truncated));
    assert_eq!(r.u64(), Err(DecodeError::Truncated));
    assert_eq!(r.bytes(4), Err(DecodeError::Truncated));
    assert_eq!(r.bytes(usize::MAX), Err(DecodeError::Truncated));
    assert_eq!(r.tpm2b(), Err(DecodeError::Truncated));
    assert_eq!(r.rest(), &[0, 2, 9]);
    assert_eq!(r.u8(), Err(DecodeError::Truncated));
    assert_eq!(r.u16(), Err(DecodeError::Truncated));
}

#[test]
fn a_sized_block_above_its_limit_is_too_long_even_when_cut() {
    assert_eq!(
        Reader::new(&[0, 3, 1, 2, 3]).tpm2b_max(3),
        Ok(&[1, 2, 3][..])
    );
    assert_eq!(
        Reader::new(&[0, 3, 1, 2, 3]).tpm2b_max(2),
        Err(DecodeError::TooLong)
    );
    assert_eq!(
        Reader::new(&[0xff, 0xff]).tpm2b_max(64),
        Err(DecodeError::TooLong)
    );
    assert_eq!(
        Reader::new(&[0xff, 0xff]).tpm2b(),
        Err(DecodeError::Truncated)
    );
}

#[test]
fn since_gives_what_was_taken() {
    let bytes = [1, 2, 3, 4];
    let mut r = Reader::new(&bytes);
    r.u8().unwrap();
    let start = r.clone();
    r.u16().unwrap();
    assert_eq!(r.since(&start), &[2, 3]);
    assert_eq!(r.peek(), &[4]);
    assert_eq!(
        start.since(&r),
        &[] as &[u8],
        "a later state as start gives nothing"
    );
}

#[test]
fn writes_fields_and_nested_blocks() {
    let mut buf = [0xee; 64];
    let mut w = Writer::new(&mut buf);
    assert!(w.is_empty());
    w.u16(0x8002);
    let size = w.begin_u32();
    let auth = w.begin_u32();
    w.put(&[7; 3]);
    w.end_u32(auth);
    let outer = w.begin_u16();
    let inner = w.begin_u16();
    w.u8(9);
    w.end_u16(inner);
    w.tpm2b(&[5, 6]);
    w.zeros(2);
    w.end_u16(outer);
    w.u64(1);
    let total = w.len() as u32;
    w.set_u32(size, total);
    let expected = [
        &[0x80, 2, 0, 0, 0, 32][..],
        &[0, 0, 0, 3, 7, 7, 7],
        &[0, 9, 0, 1, 9, 0, 2, 5, 6, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 1],
    ]
    .concat();
    assert_eq!(w.finish().unwrap(), &expected[..]);
}

#[test]
fn overflow_sticks_although_later_fields_would_fit() {
    let mut buf = [0; 4];
    let mut w = Writer::new(&mut buf);
    w.u16(1);
    w.u32(2);
    w.u8(3);
    assert_eq!(w.len(), 2);
    assert_eq!(w.finish(), Err(EncodeError::Overflow));
}

#[test]
fn a_full_buffer_is_no_overflow() {
    let mut buf = [0; 4];
    let mut w = Writer::new(&mut buf);
    w.tpm2b(&[1, 2]);
    assert_eq!(w.finish().unwrap(), &[0, 2, 1, 2]);
    let mut w = Writer::new(&mut []);
    w.put(&[]);
    assert_eq!(w.finish().unwrap(), &[] as &[u8]);
}

#[test]
fn a_length_field_that_does_not_fit_is_an_overflow() {
    let mut buf = [0; 1];
    let mut w = Writer::new(&mut buf);
    let mark = w.begin_u16();
    w.end_u16(mark);
    assert_eq!(w.finish(), Err(EncodeError::Overflow));
}

#[test]
fn a_block_longer_than_its_length_field_is_refused() {
    let big = vec![0; 0x1_0000];
    let mut buf = vec![0; 0x2_0000];
    let mut w = Writer::new(&mut buf);
    w.tpm2b(&big);
    assert_eq!(w.finish(), Err(EncodeError::TooLong));

    let mut w = Writer::new(&mut buf);
    let mark = w.begin_u16();
    w.put(&big);
    w.end_u16(mark);
    assert_eq!(w.finish(), Err(EncodeError::TooLong));
}

#[test]
fn the_first_failure_is_the_one_reported() {
    let mut buf = [0; 1];
    let mut w = Writer::new(&mut buf);
    w.fail(EncodeError::Value);
    w.u32(0);
    w.fail(EncodeError::TooLong);
    assert_eq!(w.finish(), Err(EncodeError::Value));
}
