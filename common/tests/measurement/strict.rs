//! What is no log, each for one reason.

use assay_common::measurement::event::{CONTENT_TYPE, is_name, is_version};
use assay_common::measurement::{
    BOOT_PCR, Event, EventLog, IMAGE_PCR, Log, LogError, MAX_LOG, MAX_RECORDS, PcrBank, Reason,
    replay,
};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::codec::EncodeError;
use sha2::{Digest, Sha256};

use crate::{boot, image, tlv};

/// The pieces of a record that stands.
struct Pieces {
    number: Vec<u8>,
    pcr: Vec<u8>,
    digests: Vec<u8>,
    content: Vec<u8>,
}

impl Pieces {
    /// A record of somebody else's content, by SHA-256.
    fn foreign() -> Self {
        Self {
            number: tlv(0, &[0; 8]),
            pcr: tlv(1, &[8]),
            digests: tlv(3, &tlv(11, &[1; 32])),
            content: tlv(9, b"{}"),
        }
    }

    /// A record of ours that says what `content` says.
    fn ours(content: &[u8]) -> Self {
        let content = tlv(CONTENT_TYPE, content);
        Self {
            digests: tlv(3, &tlv(11, &Sha256::digest(&content))),
            content,
            ..Self::foreign()
        }
    }

    fn bytes(&self) -> Vec<u8> {
        [&self.number, &self.pcr, &self.digests, &self.content]
            .map(Vec::as_slice)
            .concat()
    }

    fn refusal(&self) -> Reason {
        let error = Log::parse(&self.bytes()).expect_err("it is no log");
        assert_eq!(error.record, 0);
        error.reason
    }
}

fn whole() -> Vec<u8> {
    let mut log = EventLog::<1024>::new();
    log.append(IMAGE_PCR, &Event::Image(image()), true).unwrap();
    log.append(BOOT_PCR, &Event::Boot(boot()), true).unwrap();
    log.bytes().to_vec()
}

#[test]
fn the_pieces_that_the_tests_spoil_are_a_log() {
    assert_eq!(Log::parse(&Pieces::foreign().bytes()).unwrap().len(), 1);
    assert!(Log::parse(&[]).unwrap().is_empty());
}

#[test]
fn a_log_that_is_cut_or_longer_is_none() {
    let log = whole();
    let first = Log::parse(&log).unwrap();
    assert_eq!(first.len(), 2);
    // Between two records a log may end: that one of them is missing, the PCRs say.
    let mut one = EventLog::<1024>::new();
    one.append(IMAGE_PCR, &Event::Image(image()), true).unwrap();
    let border = one.bytes().len();
    for cut in (1..log.len()).filter(|cut| *cut != border) {
        let error = Log::parse(&log[..cut]).expect_err("it is cut");
        assert_eq!(error.reason, Reason::Truncated, "at {cut}");
        assert_eq!(error.record, u16::from(cut > border));
    }
    for extra in [0, 1, 0xFF] {
        let longer = [log.as_slice(), &[extra]].concat();
        assert_eq!(
            Log::parse(&longer),
            Err(LogError {
                record: 2,
                reason: Reason::Truncated
            })
        );
    }
}

#[test]
fn any_byte_may_be_another_without_a_panic() {
    let mut log = whole();
    for at in 0..log.len() {
        let old = log[at];
        for new in [0, 1, 0x7F, 0x80, 0xFF, old ^ 1] {
            log[at] = new;
            if let Ok(parsed) = Log::parse(&log) {
                let _ = replay(&parsed, PcrBank::Sha256);
                for record in parsed.records() {
                    let _ = record.event(AlgId::SHA256);
                }
            }
        }
        log[at] = old;
    }
}

#[test]
fn records_are_counted_from_0_without_a_gap() {
    let mut pieces = Pieces::foreign();
    pieces.number = tlv(0, &1u64.to_be_bytes());
    assert_eq!(pieces.refusal(), Reason::Number);
    pieces.number = tlv(0, &[0; 4]);
    assert_eq!(pieces.refusal(), Reason::Length);
    let twice = [Pieces::foreign().bytes(), Pieces::foreign().bytes()].concat();
    let error = Log::parse(&twice).unwrap_err();
    assert_eq!((error.record, error.reason), (1, Reason::Number));
    // As a 64-bit number it is 65,536 and not 0.
    pieces.number = tlv(0, &0x1_0000u64.to_be_bytes());
    assert_eq!(pieces.refusal(), Reason::Number);
}

#[test]
fn fields_come_in_their_order_and_each_once() {
    let good = Pieces::foreign();
    for order in [[1, 0, 2, 3], [0, 2, 1, 3], [0, 1, 1, 3], [0, 1, 3, 2]] {
        let pieces = [&good.number, &good.pcr, &good.digests, &good.content];
        let bytes = order.map(|i: usize| pieces[i].as_slice()).concat();
        let error = Log::parse(&bytes).unwrap_err();
        assert_eq!(error.reason, Reason::Field, "{order:?}");
    }
    let mut without_content = Pieces::foreign();
    without_content.content = tlv(1, &[8]);
    assert_eq!(without_content.refusal(), Reason::Field);
}

#[test]
fn a_record_of_an_nv_index_is_not_taken() {
    let mut pieces = Pieces::foreign();
    pieces.pcr = tlv(2, &[1, 0x80, 0, 0]);
    assert_eq!(pieces.refusal(), Reason::Field);
}

#[test]
fn a_pcr_is_one_byte_below_24() {
    let mut pieces = Pieces::foreign();
    pieces.pcr = tlv(1, &[24]);
    assert_eq!(pieces.refusal(), Reason::Pcr);
    pieces.pcr = tlv(1, &[0, 8]);
    assert_eq!(pieces.refusal(), Reason::Length);
    pieces.pcr = tlv(1, &[23]);
    assert!(Log::parse(&pieces.bytes()).is_ok());
}

#[test]
fn digests_are_as_long_as_their_hash_and_each_bank_comes_once() {
    let sha256 = tlv(11, &[1; 32]);
    let sha384 = tlv(12, &[1; 48]);
    let refused = |digests: &[u8]| {
        let mut pieces = Pieces::foreign();
        pieces.digests = tlv(3, digests);
        pieces.refusal()
    };
    assert_eq!(refused(&[]), Reason::Bank);
    assert_eq!(refused(&[&sha256[..], &sha256].concat()), Reason::Bank);
    assert_eq!(refused(&[&sha384[..], &sha256].concat()), Reason::Bank);
    assert_eq!(refused(&tlv(0xEE, &[1; 32])), Reason::Bank);
    assert_eq!(refused(&tlv(11, &[1; 48])), Reason::Length);
    assert_eq!(refused(&tlv(11, &[])), Reason::Length);
    assert_eq!(refused(&sha256[..36]), Reason::Truncated);
}

#[test]
fn our_own_content_is_read_whole_or_refused() {
    let name = tlv(0, b"boot");
    let version = tlv(1, b"1.0.0");
    let len = tlv(2, &[0, 0, 1, 0]);
    let digest = tlv(3, &tlv(11, &[1; 32]));
    let event = |kind, fields: &[&[u8]]| Pieces::ours(&tlv(kind, &fields.concat()));
    let good = event(1, &[&name, &version, &len, &digest]);
    assert!(Log::parse(&good.bytes()).is_ok());

    let refused = |fields: &[&[u8]]| event(1, fields).refusal();
    assert_eq!(refused(&[&name, &version, &len]), Reason::Truncated);
    assert_eq!(refused(&[&version, &name, &len, &digest]), Reason::Field);
    assert_eq!(
        refused(&[&name, &version, &len, &digest, &digest]),
        Reason::Trailing
    );
    assert_eq!(
        refused(&[&tlv(0, b"Boot"), &version, &len, &digest]),
        Reason::Text
    );
    assert_eq!(
        refused(&[&name, &tlv(1, b"1.0.0 "), &len, &digest]),
        Reason::Text
    );
    assert_eq!(
        refused(&[&tlv(0, b"\xFF"), &version, &len, &digest]),
        Reason::Text
    );
    assert_eq!(
        refused(&[&name, &version, &tlv(2, &[1]), &digest]),
        Reason::Length
    );
    let other_hash = tlv(3, &tlv(12, &[1; 48]));
    assert_eq!(
        refused(&[&name, &version, &len, &other_hash]),
        Reason::Field
    );

    assert_eq!(event(3, &[&name]).refusal(), Reason::Event);
    let two = [tlv(1, b""), tlv(1, b"")].concat();
    assert_eq!(Pieces::ours(&two).refusal(), Reason::Trailing);

    let (resets, restarts) = (tlv(1, &[0; 4]), tlv(2, &[0; 4]));
    let mut witness = [0; 34];
    assert_eq!(
        event(2, &[&resets, &restarts, &tlv(3, &witness)]).refusal(),
        Reason::Bank,
        "the Name is by no hash"
    );
    witness[1] = 0x0B;
    let good = event(2, &[&resets, &restarts, &tlv(3, &witness)]);
    assert!(Log::parse(&good.bytes()).is_ok());
    assert_eq!(
        event(2, &[&resets, &restarts, &tlv(3, &witness[..20])]).refusal(),
        Reason::Length
    );
}

#[test]
fn names_and_versions_are_plain() {
    for good in ["a", "stm32f405", "boot.rp2350_w-1", &"x".repeat(32)] {
        assert!(is_name(good), "{good}");
    }
    for bad in [
        "",
        "A",
        "-a",
        ".a",
        "a b",
        "ä",
        "a/b",
        "a\n",
        &"x".repeat(33),
    ] {
        assert!(!is_name(bad), "{bad:?}");
    }
    for good in ["1", "1.2.3", "1.2.3-rc.1+g0A", &"1".repeat(48)] {
        assert!(is_version(good), "{good}");
    }
    for bad in ["", "1.0 ", "1:0", "1.0\"", "1/0", &"1".repeat(49)] {
        assert!(!is_version(bad), "{bad:?}");
    }
}

/// The text of a record can be made up by anybody; what was extended cannot.
#[test]
fn content_that_was_not_extended_says_nothing() {
    let mut log = whole();
    let at = log.windows(5).position(|w| w == b"0.3.1").unwrap();
    log[at..at + 5].copy_from_slice(b"0.4.1");
    let parsed = Log::parse(&log).unwrap();
    let first = parsed.records().next().unwrap();
    assert_eq!(first.event(AlgId::SHA256), Err(Reason::Content));
    assert_eq!(first.event(AlgId::SHA384), Err(Reason::Content));
    // And a bank that it says nothing of is no proof either.
    assert_eq!(first.event(AlgId::SHA512), Err(Reason::Content));
}

/// Each bank's digest is compared by itself: one that is right does not vouch for the other.
#[test]
fn each_bank_vouches_for_itself() {
    let mut log = whole();
    let content = Log::parse(&log).unwrap().records().next().unwrap();
    let sha384 = content.digest(AlgId::SHA384).unwrap().to_vec();
    let at = log.windows(48).position(|w| w == sha384).unwrap();
    log[at] ^= 1;
    let parsed = Log::parse(&log).unwrap();
    let first = parsed.records().next().unwrap();
    assert!(first.event(AlgId::SHA256).is_ok());
    assert_eq!(first.event(AlgId::SHA384), Err(Reason::Content));
}

#[test]
fn a_bank_that_a_record_leaves_out_cannot_be_replayed() {
    let mut written = EventLog::<1024>::new();
    let image = Event::Image(image());
    written.append(IMAGE_PCR, &image, true).unwrap();
    written.append(IMAGE_PCR, &image, false).unwrap();
    let log = Log::parse(written.bytes()).unwrap();
    assert!(replay(&log, PcrBank::Sha256).is_ok());
    assert_eq!(
        replay(&log, PcrBank::Sha384),
        Err(LogError {
            record: 1,
            reason: Reason::Bank
        })
    );
    assert_eq!(PcrBank::of(AlgId::SHA1), None);
}

#[test]
fn records_and_bytes_are_bounded() {
    let many = |count: u16| -> Vec<u8> {
        (0..count)
            .flat_map(|n| {
                let mut pieces = Pieces::foreign();
                pieces.number = tlv(0, &u64::from(n).to_be_bytes());
                pieces.bytes()
            })
            .collect()
    };
    assert_eq!(Log::parse(&many(MAX_RECORDS)).unwrap().len(), MAX_RECORDS);
    assert_eq!(
        Log::parse(&many(MAX_RECORDS + 1)),
        Err(LogError {
            record: MAX_RECORDS,
            reason: Reason::TooMany
        })
    );
    let mut long = Pieces::foreign();
    let rest = MAX_LOG - long.bytes().len() + 2;
    long.content = tlv(9, &vec![0; rest]);
    assert_eq!(long.bytes().len(), MAX_LOG);
    assert!(Log::parse(&long.bytes()).is_ok());
    long.content = tlv(9, &vec![0; rest + 1]);
    assert_eq!(long.refusal(), Reason::TooLong);
    // A length near the top of its range is beyond the input, and nothing is made of that size.
    long.content = vec![9, 0xFF, 0xFF, 0xFF, 0xFF];
    assert_eq!(long.refusal(), Reason::Truncated);
}

#[test]
fn a_node_whose_log_is_full_keeps_what_it_has() {
    let mut log = EventLog::<300>::new();
    let event = Event::Image(image());
    log.append(IMAGE_PCR, &event, false).unwrap();
    let before = log.bytes().to_vec();
    assert_eq!(
        log.append(IMAGE_PCR, &event, true),
        Err(EncodeError::Overflow)
    );
    assert_eq!(log.bytes(), before);
    let mut bad = image();
    bad.name = "No Name";
    let mut log = EventLog::<1024>::new();
    assert_eq!(
        log.append(IMAGE_PCR, &Event::Image(bad), true),
        Err(EncodeError::Value)
    );
    assert!(log.is_empty() && log.bytes().is_empty());
}

#[test]
fn a_log_is_gone_on_with_by_who_is_handed_over_to() {
    let mut first = EventLog::<400>::new();
    first
        .append(IMAGE_PCR, &Event::Image(image()), false)
        .unwrap();
    let mut second = EventLog::<1024>::resume(first.bytes()).unwrap();
    second
        .append(BOOT_PCR, &Event::Boot(boot()), false)
        .unwrap();
    let log = Log::parse(second.bytes()).unwrap();
    let numbers: Vec<u16> = log.records().map(|r| r.number).collect();
    assert_eq!(numbers, [0, 1]);
    assert!(second.bytes().starts_with(first.bytes()));

    let spoilt = &first.bytes()[1..];
    assert!(EventLog::<1024>::resume(spoilt).is_err());
    let error = EventLog::<16>::resume(first.bytes()).unwrap_err();
    assert_eq!(error.reason, Reason::TooLong);
}
