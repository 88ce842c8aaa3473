//! The provisioning record, as a node finds it in its flash: what is accepted is legal, and comes back from the writer.
//!
//! The input is taken as it is, and once more as the body of a record with a right header and checksum, since nothing
//! random would have one.
#![no_main]

use assay_common::identity::provisioning::MAX_RECORD;
use assay_common::identity::{ClusterName, Pins, Provisioning, TrustDomain};
use assay_common::protocol::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check(data);
    if let Ok(record) = decode::<Provisioning<'_>>(data) {
        let mut flash = [0xFF; MAX_RECORD + 64];
        if let Ok(len) = record.write(&mut flash) {
            assert!(len <= MAX_RECORD);
            assert_eq!(check(&flash), Some(len), "what was written is not read");
            // One bit less and it is damaged, wherever it was.
            let at = data.len() * 31 % len;
            flash[at] ^= 1 << (data.len() % 8);
            assert!(
                Provisioning::read(&flash).is_err(),
                "a flipped bit at {at} went unseen"
            );
        }
    }
});

/// Reads a region; the length of the record that it holds.
fn check(region: &[u8]) -> Option<usize> {
    let (record, pins) = Provisioning::read_pinned(region).ok()?;
    assert!(ClusterName::parse(record.cluster).is_ok());
    assert!(TrustDomain::parse(record.trust_domain).is_ok());
    assert_eq!(record.verifier_key.first(), Some(&4));
    if region.starts_with(b"ASSAYP02") && pins == Pins::default() {
        // The longer form of nothing: read, never written.
        return None;
    }
    let mut again = [0; MAX_RECORD];
    let len = record
        .write_pinned(&pins, &mut again)
        .expect("what was read can be written");
    assert!(
        region.starts_with(&again[..len]),
        "two encodings of one record"
    );
    for short in 0..len {
        assert!(
            Provisioning::read(&region[..short]).is_err(),
            "read from {short} of {len} bytes"
        );
    }
    Some(len)
}
