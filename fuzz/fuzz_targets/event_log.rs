//! Event logs: what parses is written again as it was, and says nothing that was not extended.
#![no_main]

use assay_common::measurement::event::CONTENT_TYPE;
use assay_common::measurement::{EventLog, Log, MAX_LOG, MAX_RECORDS, PcrBank, replay};
use assay_common::tpm::alg::AlgId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(log) = Log::parse(data) else { return };
    assert!(data.len() <= MAX_LOG && log.len() <= MAX_RECORDS);
    let records: Vec<_> = log.records().collect();
    assert_eq!(records.len(), usize::from(log.len()));

    // A log of our own records alone, for both banks, can only have been written in these bytes.
    let mut again = EventLog::<MAX_LOG>::new();
    let mut whole = true;
    for record in &records {
        let by_sha256 = record.event(AlgId::SHA256);
        let by_sha384 = record.event(AlgId::SHA384);
        let banks = record.digests().count();
        assert!(banks > 0);
        assert_eq!(by_sha256 == Ok(None), record.content_type() != CONTENT_TYPE);
        match (by_sha256, by_sha384) {
            (Ok(Some(event)), Ok(Some(other))) if banks == 2 => {
                assert_eq!(event, other);
                again.append(record.pcr, &event, true).expect("it fitted");
            }
            (Ok(Some(event)), Err(_)) if banks == 1 => {
                again.append(record.pcr, &event, false).expect("it fitted");
            }
            _ => whole = false,
        }
    }
    if whole {
        assert_eq!(again.bytes(), data);
    }

    for bank in [PcrBank::Sha256, PcrBank::Sha384] {
        let Ok(measured) = replay(&log, bank) else {
            assert!(records.iter().any(|r| r.digest(bank.alg()).is_none()));
            continue;
        };
        for pcr in measured.touched().iter() {
            assert_eq!(measured.value(pcr).len(), bank.digest_len());
            assert!(records.iter().any(|r| r.pcr == pcr));
        }
    }
    if !data.is_empty() {
        let _ = Log::parse(&data[..data.len() - 1]);
    }
});
