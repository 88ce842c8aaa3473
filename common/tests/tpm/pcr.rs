//! PCR selections.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::codec::{DecodeError, EncodeError, Writer};
use assay_common::tpm::pcr::{PcrError, PcrIndex, PcrMask, PcrSelection, PcrSelections};

use crate::fixtures::{assert_exact, assert_returns_on_mutations, hex};

fn mask(indices: &[u8]) -> PcrMask {
    indices.iter().map(|&i| PcrIndex::new(i).unwrap()).collect()
}

fn encode(selections: &[PcrSelection]) -> Result<Vec<u8>, EncodeError> {
    let mut buf = [0; 256];
    let mut w = Writer::new(&mut buf);
    PcrSelections::encode(selections, &mut w);
    w.finish().map(|bytes| bytes.to_vec())
}

#[test]
fn bit_k_of_byte_j_is_pcr_8j_plus_k() {
    let bytes = hex("00000001 000b 03 830040");
    let list = PcrSelections::parse(&bytes).unwrap();
    assert_eq!(list.mask_of(AlgId::SHA256), mask(&[0, 1, 7, 22]));
    assert_eq!(list.to_string(), "sha256:0,1,7,22");
    assert_eq!(
        encode(&[PcrSelection::new(AlgId::SHA256, mask(&[0, 1, 7, 22]))]),
        Ok(bytes)
    );
}

#[test]
fn refuses_selections_cut_or_extended_anywhere() {
    for text in [
        "00000000",
        "00000001 000b 03 830040",
        "00000003 0004 01 01 000b 02 0102 9999 04 01020300",
    ] {
        assert_exact(text, &hex(text), |b| PcrSelections::parse(b).map(|_| ()));
        assert_returns_on_mutations(&hex(text), |b| PcrSelections::parse(b).is_ok());
    }
}

#[test]
fn bitmaps_of_one_to_four_bytes_are_read() {
    for (text, expected) in [
        ("00000001 000b 01 80", mask(&[7])),
        ("00000001 000b 02 0080", mask(&[15])),
        ("00000001 000b 03 000080", mask(&[23])),
        ("00000001 000b 04 01000000", mask(&[0])),
    ] {
        let bytes = hex(text);
        assert_eq!(
            PcrSelections::parse(&bytes).unwrap().mask_of(AlgId::SHA256),
            expected
        );
    }
}

#[test]
fn refuses_bitmaps_of_no_or_more_than_four_bytes() {
    let zero = hex("00000001 000b 00");
    assert_eq!(PcrSelections::parse(&zero), Err(PcrError::SelectSize(0)));
    let five = hex("00000001 000b 05 0000000000");
    assert_eq!(PcrSelections::parse(&five), Err(PcrError::SelectSize(5)));
    let most = [hex("00000001 000b ff"), vec![0; 255]].concat();
    assert_eq!(PcrSelections::parse(&most), Err(PcrError::SelectSize(255)));
}

// A38: indices of 24 and more, and 32 in particular.
#[test]
fn refuses_pcr_indices_of_24_and_more() {
    for bit in 24..32 {
        let bytes = [hex("00000001 000b 04 000000"), vec![1 << (bit - 24)]].concat();
        assert_eq!(PcrSelections::parse(&bytes), Err(PcrError::Index(bit)));
    }
    assert_eq!(PcrIndex::new(23).map(PcrIndex::get), Some(23));
    for index in [24, 31, 32, 255] {
        assert_eq!(PcrIndex::new(index), None);
        assert_eq!(PcrIndex::try_from(index), Err(PcrError::Index(index)));
    }
    let selection = PcrSelection::new(AlgId::SHA256, PcrMask(1 << 24));
    assert_eq!(encode(&[selection]), Err(EncodeError::Value));
}

#[test]
fn refuses_more_than_16_banks_before_reading_them() {
    let bank = |i: u16| PcrSelection::new(AlgId(0x100 + i), PcrMask(1));
    let sixteen: Vec<_> = (0..16).map(bank).collect();
    let bytes = encode(&sixteen).unwrap();
    assert!(PcrSelections::parse(&bytes).unwrap().iter().eq(sixteen));
    let seventeen: Vec<_> = (0..17).map(bank).collect();
    assert_eq!(encode(&seventeen), Err(EncodeError::Value));
    for count in [17, 0x8000_0000, u32::MAX] {
        let bytes = count.to_be_bytes();
        assert_eq!(
            PcrSelections::parse(&bytes),
            Err(PcrError::TooManyBanks(count))
        );
    }
}

#[test]
fn refuses_a_bank_that_comes_twice() {
    let bytes = hex("00000003 0004 01 01 000b 03 010000 0004 03 020000");
    assert_eq!(
        PcrSelections::parse(&bytes),
        Err(PcrError::DuplicateBank(AlgId::SHA1))
    );
    let twice = [PcrSelection::new(AlgId::SHA1, PcrMask(1)); 2];
    assert_eq!(encode(&twice), Err(EncodeError::Value));
}

#[test]
fn a_count_above_the_banks_that_follow_is_truncation() {
    let bytes = hex("00000002 000b 03 010000");
    let truncated = Err(PcrError::Decode(DecodeError::Truncated));
    assert_eq!(PcrSelections::parse(&bytes), truncated);
}

#[test]
fn an_empty_list_and_empty_bitmaps_select_nothing() {
    for (text, nothing) in [
        ("00000000", true),
        ("00000002 0004 03 000000 000b 03 000000", true),
        ("00000002 0004 03 000000 000b 03 000001", false),
    ] {
        let bytes = hex(text);
        assert_eq!(
            PcrSelections::parse(&bytes).unwrap().selects_nothing(),
            nothing,
            "{text}"
        );
    }
}

#[test]
fn a_mask_gives_its_pcrs_in_ascending_order() {
    let mask = mask(&[23, 0, 7, 8]);
    let order: Vec<u8> = mask.iter().map(PcrIndex::get).collect();
    assert_eq!(order, [0, 7, 8, 23]);
    assert_eq!(mask.count(), 4);
    assert_eq!(PcrMask::ALL.iter().count(), 24);
    assert_eq!(PcrMask::NONE.iter().count(), 0);
    assert_eq!(PcrMask::ALL.without(mask).count(), 20);
    assert!(!PcrMask(1 << 24).is_valid() && PcrMask::ALL.is_valid());
}

#[test]
fn selections_read_from_text_and_write_the_same() {
    for (text, bank, indices) in [
        ("sha256:0,1,7", AlgId::SHA256, &[0, 1, 7][..]),
        ("sha1:23", AlgId::SHA1, &[23]),
        (
            "sha384:0,1,2,3,4,5,6,7",
            AlgId::SHA384,
            &[0, 1, 2, 3, 4, 5, 6, 7],
        ),
        ("sm3_256:4", AlgId::SM3_256, &[4]),
        ("0x1234:10", AlgId(0x1234), &[10]),
    ] {
        let selection: PcrSelection = text.parse().unwrap();
        assert_eq!(selection, PcrSelection::new(bank, mask(indices)));
        assert_eq!(selection.to_string(), text);
    }
    let unordered: PcrSelection = "sha256:7,0".parse().unwrap();
    assert_eq!(unordered.to_string(), "sha256:0,7");
    assert_eq!(
        PcrSelection::new(AlgId::SHA256, PcrMask::NONE).to_string(),
        "sha256:"
    );
}

#[test]
fn refuses_text_that_is_not_one_canonical_selection() {
    for text in [
        "",
        ":",
        "sha256",
        "sha256:",
        "sha256:,",
        "sha256:0,",
        "sha256:,0",
        "sha256:0,,1",
        "sha256:0 ",
        " sha256:0",
        "sha256: 0",
        "sha256:0;1",
        "sha256:00",
        "sha256:01",
        "sha256:+1",
        "sha256:-1",
        "sha256:0x1",
        "sha256:0,0",
        "sha256:1,2,1",
        "sha256:٣",
        "SHA256:0",
        "sha257:0",
        "sha256:0:1",
        ":0",
        "0x000b:0",
        "0xB:0",
        "0x00012:0",
        "0x+123:0",
        "0X1234:0",
        "sha256:all",
    ] {
        assert_eq!(
            text.parse::<PcrSelection>(),
            Err(PcrError::Text),
            "{text:?}"
        );
    }
    for (text, index) in [
        ("sha256:24", 24),
        ("sha256:0,255", 255),
        ("sha256:99999999999", 255),
    ] {
        assert_eq!(
            text.parse::<PcrSelection>(),
            Err(PcrError::Index(index)),
            "{text:?}"
        );
    }
}
