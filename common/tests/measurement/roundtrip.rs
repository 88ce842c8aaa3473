//! What a node writes a verifier reads, and no bytes make the reader panic.

use assay_common::measurement::{
    Boot, Event, EventLog, Image, Log, PcrBank, Witness, last_step, replay,
};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::PcrIndex;
use proptest::collection::vec;
use proptest::prelude::*;

/// An event that owns its texts.
#[derive(Clone, Debug)]
enum Owned {
    Image(String, String, u32, [u8; 32]),
    Boot(Option<u32>, u32, u32, [u8; 32]),
}

impl Owned {
    fn event(&self) -> Event<'_> {
        match self {
            Self::Image(name, version, len, sha256) => Event::Image(Image {
                name,
                version,
                len: *len,
                sha256: *sha256,
            }),
            Self::Boot(counter, reset_count, restart_count, digest) => {
                let mut name = [0; Witness::LEN];
                name[1] = 0x0B;
                name[2..].copy_from_slice(digest);
                Event::Boot(Boot {
                    counter: *counter,
                    reset_count: *reset_count,
                    restart_count: *restart_count,
                    witness: Witness(name),
                })
            }
        }
    }
}

fn event() -> impl Strategy<Value = Owned> {
    prop_oneof![
        (
            "[a-z0-9][a-z0-9._-]{0,31}",
            "[A-Za-z0-9.+-]{1,48}",
            any::<u32>(),
            any::<[u8; 32]>()
        )
            .prop_map(|(name, version, len, sha256)| Owned::Image(name, version, len, sha256)),
        (
            any::<Option<u32>>(),
            any::<u32>(),
            any::<u32>(),
            any::<[u8; 32]>()
        )
            .prop_map(|(counter, resets, restarts, digest)| Owned::Boot(
                counter, resets, restarts, digest
            )),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        events in vec((event(), 0u8..24, any::<bool>()), 0..12),
    ) {
        let mut written = EventLog::<4096>::new();
        let mut digests = Vec::new();
        for (event, pcr, with_sha384) in &events {
            let pcr = PcrIndex::new(*pcr).unwrap();
            digests.push(written.append(pcr, &event.event(), *with_sha384).unwrap());
        }
        let log = Log::parse(written.bytes()).unwrap();
        prop_assert_eq!(usize::from(log.len()), events.len());
        for ((record, (event, pcr, with_sha384)), digest) in log.records().zip(&events).zip(&digests) {
            prop_assert_eq!(record.pcr.get(), *pcr);
            prop_assert_eq!(record.event(AlgId::SHA256), Ok(Some(event.event())));
            prop_assert_eq!(record.event(AlgId::SHA384).is_ok(), *with_sha384);
            prop_assert_eq!(record.digest(AlgId::SHA256), Some(&digest.sha256[..]));
            prop_assert_eq!(record.digest(AlgId::SHA384), digest.sha384.as_ref().map(|d| &d[..]));
        }
        let touched: std::collections::BTreeSet<u8> = events.iter().map(|(_, pcr, _)| *pcr).collect();
        let measured = replay(&log, PcrBank::Sha256).unwrap();
        prop_assert!(measured.touched().iter().map(PcrIndex::get).eq(touched));
        let resumed = EventLog::<4096>::resume(written.bytes()).unwrap();
        prop_assert_eq!(resumed.bytes(), written.bytes());
    }

    #[test]
    fn the_last_step_leads_from_the_log_without_its_last_record_to_all_of_it(
        events in vec((event(), 0u8..3), 0..6),
        with_sha384 in any::<bool>(),
    ) {
        let (mut written, mut before) = (EventLog::<4096>::new(), EventLog::<4096>::new());
        for (event, pcr) in &events {
            before = written.clone();
            let pcr = PcrIndex::new(*pcr).unwrap();
            written.append(pcr, &event.event(), with_sha384).unwrap();
        }
        let log = Log::parse(written.bytes()).unwrap();
        for bank in [PcrBank::Sha256, PcrBank::Sha384] {
            let step = last_step(&log, bank);
            let has_bank = bank == PcrBank::Sha256 || with_sha384;
            prop_assert_eq!(step.is_some(), has_bank && !events.is_empty());
            let Some(step) = step else { continue };
            let before = replay(&Log::parse(before.bytes()).unwrap(), bank).unwrap();
            let after = replay(&log, bank).unwrap();
            prop_assert_eq!(Some(step.pcr.get()), events.last().map(|(_, pcr)| *pcr));
            prop_assert_eq!(step.before(), before.value(step.pcr));
            prop_assert_eq!(step.after(), after.value(step.pcr));
            prop_assert_eq!(log.records().last().unwrap().digest(bank.alg()), Some(step.digest));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..512)) {
        if let Ok(log) = Log::parse(&bytes) {
            prop_assert_eq!(log.records().count(), usize::from(log.len()));
        }
    }
}
