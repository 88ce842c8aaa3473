//! `data/golden.py` made these bytes and values with Python's hashlib. When a test here fails the code is wrong: logs of
//! nodes in the field do not change with it.

use assay_common::measurement::event::CONTENT_TYPE;
use assay_common::measurement::{
    Boot, Event, EventLog, IMAGE_PCR, Image, Log, PcrBank, Witness, replay,
};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::PcrIndex;
use sha2::{Digest, Sha256};

use crate::hex;

fn log() -> Vec<u8> {
    hex(include_str!("data/log.hex"))
}

fn witness(seed: &[u8]) -> Witness {
    let mut name = [0; Witness::LEN];
    name[..2].copy_from_slice(&[0x00, 0x0B]);
    name[2..].copy_from_slice(&Sha256::digest(seed));
    Witness(name)
}

fn events() -> [Event<'static>; 4] {
    [
        Event::Image(Image {
            name: "boot",
            version: "1.0.0",
            len: 256,
            sha256: Sha256::digest((0..=255).collect::<Vec<u8>>()).into(),
        }),
        Event::Image(Image::measure(
            "stm32f405",
            "0.3.1-rc.1+g1a2b3c",
            b"an image",
        )),
        Event::Boot(Boot {
            counter: Some(7),
            reset_count: 41,
            restart_count: 2,
            witness: witness(b"witness"),
        }),
        Event::Boot(Boot {
            counter: None,
            reset_count: 1,
            restart_count: 0,
            witness: witness(b"another"),
        }),
    ]
}

#[test]
fn the_log_is_read_as_it_was_written() {
    let bytes = log();
    let log = Log::parse(&bytes).unwrap();
    assert_eq!(log.len(), 5);
    for bank in [AlgId::SHA256, AlgId::SHA384] {
        let read: Vec<_> = log.records().map(|r| r.event(bank).unwrap()).collect();
        let own: Vec<_> = events().into_iter().map(Some).chain([None]).collect();
        assert_eq!(read, own);
    }
    let last = log.records().last().unwrap();
    assert_eq!((last.content_type(), last.pcr.get()), (9, 11));
    assert!(
        log.records()
            .take(4)
            .all(|r| r.content_type() == CONTENT_TYPE)
    );
}

#[test]
fn a_node_writes_these_bytes() {
    let mut written = EventLog::<2048>::new();
    for (event, pcr) in events().iter().zip([8, 8, 9, 9]) {
        written
            .append(PcrIndex::new(pcr).unwrap(), event, true)
            .unwrap();
    }
    let golden = log();
    assert_eq!(Log::parse(written.bytes()).unwrap().len(), 4);
    assert!(golden.starts_with(written.bytes()));
    assert_eq!(IMAGE_PCR.get(), 8);
}

#[test]
fn it_replays_to_these_values() {
    let bytes = log();
    let log = Log::parse(&bytes).unwrap();
    let mut lines = String::new();
    for bank in [PcrBank::Sha256, PcrBank::Sha384] {
        let measured = replay(&log, bank).unwrap();
        for pcr in measured.touched().iter() {
            let value = measured.value(pcr).iter().map(|b| format!("{b:02x}"));
            lines += &format!("{}:{pcr} {}\n", bank.alg(), value.collect::<String>());
        }
        assert_eq!(
            measured.value(PcrIndex::known::<0>()),
            vec![0; bank.digest_len()]
        );
    }
    assert_eq!(lines, include_str!("data/log.txt"));
}
