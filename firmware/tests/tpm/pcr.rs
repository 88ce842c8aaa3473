//! PCR values: pages, their order, and PCRs that move while they are read.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::{PcrMask, PcrSelection};
use assay_firmware::tpm::{Malformed, TpmError};

use crate::bytes::{hex, response, tpm2b};
use crate::scripted::{by, rc, steps};

/// A page of `TPM2_PCR_Read`: counter, mask of SHA-256 PCRs, and their values.
pub fn pcr_page(counter: u32, mask: u32, values: &[Vec<u8>]) -> Vec<u8> {
    let mut body = counter.to_be_bytes().to_vec();
    body.extend(hex("00000001 000b 03"));
    body.extend(&mask.to_le_bytes()[..3]);
    body.extend((values.len() as u32).to_be_bytes());
    values.iter().for_each(|v| body.extend(tpm2b(v)));
    response(0x8001, 0, &body)
}

fn value(n: u8) -> Vec<u8> {
    vec![n; 32]
}

const FIRST_TEN: [PcrSelection; 1] = [PcrSelection::new(AlgId::SHA256, PcrMask(0x3FF))];

fn page_of(counter: u32, range: std::ops::Range<u8>) -> Vec<u8> {
    let mask = range.clone().fold(0, |m, n| m | 1 << n);
    pcr_page(counter, mask, &range.map(value).collect::<Vec<_>>())
}

#[test]
fn pcrs_are_read_page_by_page_in_their_order() {
    let (mut tpm, journal) = steps(&[page_of(5, 0..8), page_of(5, 8..10)]);
    let mut values = [0; 400];
    let read = tpm.pcr_read(&FIRST_TEN, &mut values).unwrap();
    assert_eq!((read.len, read.update_counter), (320, 5));
    assert_eq!(values[..320], (0..10).flat_map(value).collect::<Vec<_>>());
    assert_eq!(journal.borrow().sent[1][17..20], [0x00, 0x03, 0x00]);
}

#[test]
fn a_pcr_that_moves_between_two_pages_starts_the_reading_again() {
    let (mut tpm, _) = steps(&[
        page_of(5, 0..8),
        page_of(6, 8..10),
        page_of(6, 0..8),
        page_of(6, 8..10),
    ]);
    assert_eq!(
        tpm.pcr_read(&FIRST_TEN, &mut [0; 320])
            .unwrap()
            .update_counter,
        6
    );
    let mut counter = 0;
    let (mut tpm, journal) = by(move |command| {
        counter += 1;
        if command[17] == 0xFF {
            page_of(counter, 0..8)
        } else {
            page_of(counter, 8..10)
        }
    });
    assert_eq!(
        tpm.pcr_read(&FIRST_TEN, &mut [0; 320]),
        Err(TpmError::PcrsMoving)
    );
    assert_eq!(journal.borrow().sent.len(), 8);
}

#[test]
fn a_pcr_page_that_is_not_what_was_asked_for_is_refused() {
    let ask = |page: Vec<u8>| {
        let (mut tpm, _) = steps(&[page]);
        let selection = [PcrSelection::new(AlgId::SHA256, PcrMask(0b111))];
        tpm.pcr_read(&selection, &mut [0; 96]).map(|r| r.len)
    };
    assert_eq!(ask(page_of(1, 0..3)), Ok(96));
    let malformed = Err(TpmError::Malformed(Malformed::Value));
    // More digests than PCRs, and fewer; a digest of another bank's length.
    assert_eq!(
        ask(pcr_page(1, 0b11, &[value(0), value(1), value(2)])),
        malformed
    );
    assert_eq!(ask(pcr_page(1, 0b111, &[value(0)])), malformed);
    assert_eq!(
        ask(pcr_page(1, 0b111, &[value(0), value(1), vec![2; 20]])),
        malformed
    );
    assert_eq!(
        ask(pcr_page(1, 0x1FF, &(0..9).map(value).collect::<Vec<_>>())),
        malformed
    );
    // Nothing at all, one left out, one that nobody asked for.
    assert_eq!(ask(pcr_page(1, 0, &[])), Err(TpmError::NoPcr));
    assert_eq!(
        ask(pcr_page(1, 0b101, &[value(0), value(2)])),
        Err(TpmError::NoPcr)
    );
    assert_eq!(ask(pcr_page(1, 0b1000, &[value(3)])), Err(TpmError::NoPcr));
    // A bank whose hash the TPM doesn't know.
    assert_eq!(ask(rc(0x1C3)), Err(TpmError::NoPcr));
    let (mut tpm, _) = steps(&[page_of(1, 0..8)]);
    assert_eq!(
        tpm.pcr_read(&FIRST_TEN, &mut [0; 255]),
        Err(TpmError::Buffer)
    );
}

#[test]
fn no_pcr_selected_is_nothing_read() {
    let (mut tpm, journal) = by(|_| panic!("sent"));
    assert_eq!(tpm.pcr_read(&[], &mut []).unwrap().len, 0);
    assert!(journal.borrow().sent.is_empty());
}
