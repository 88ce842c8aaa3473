//! Bytes: what is cut off, left over, too much or empty is refused as unreadable, and nothing panics.

use super::*;

#[test]
fn a_payload_cut_off_at_any_byte_is_refused() {
    for device in [&world().ec, &world().rsa] {
        let (payload, blobs) = Sent::proper(device).encode();
        judge_bytes(config(), &payload, blobs.clone()).unwrap();
        for end in 0..payload.len() {
            let error = judge_bytes(config(), &payload[..end], blobs.clone())
                .map(drop)
                .unwrap_err();
            assert_eq!(error.fault, Fault::Malformed, "{end}: {error}");
        }
        let longer = [&payload[..], &[0]].concat();
        let error = judge_bytes(config(), &longer, blobs).map(drop).unwrap_err();
        assert_eq!(error.check, "payload-malformed");
    }
}

#[test]
fn a_structure_cut_off_at_any_byte_is_refused_and_so_is_one_that_goes_on() {
    type Field = fn(&mut Sent) -> &mut Vec<u8>;
    let fields: [(Field, &str); 6] = [
        (|sent| &mut sent.ek, "ek-public-malformed"),
        (|sent| &mut sent.ak, "ak-public-malformed"),
        (|sent| &mut sent.devid, "devid-public-malformed"),
        (|sent| &mut sent.attest, "attest-malformed"),
        (|sent| &mut sent.attest_signature, "signature-malformed"),
        (|sent| &mut sent.possession, "possession-malformed"),
    ];
    for device in [&world().ec, &world().rsa] {
        for (field, check) in fields {
            let whole = field(&mut Sent::proper(device)).len();
            for len in (0..whole).chain([whole + 1]) {
                let mut sent = Sent::proper(device);
                field(&mut sent).resize(len, 0);
                malformed(&sent, check);
            }
        }
    }
}

#[test]
fn a_changed_byte_anywhere_is_never_accepted() {
    // Each field's bits decide something; what they decide differs, and none of it is "accepted".
    type Field = fn(&mut Sent) -> &mut Vec<u8>;
    let fields: [Field; 4] = [
        |sent| &mut sent.devid,
        |sent| &mut sent.attest,
        |sent| &mut sent.attest_signature,
        |sent| &mut sent.possession,
    ];
    for field in fields {
        let whole = field(&mut Sent::proper(&world().ec)).len();
        for at in 0..whole {
            let mut sent = Sent::proper(&world().ec);
            field(&mut sent)[at] ^= 0x10;
            judge(config(), &sent).map(drop).unwrap_err();
        }
    }
}

#[test]
fn certificates_are_counted_before_they_are_read() {
    let device = &world().ec;
    let sent = |certificates: Vec<Vec<u8>>| Sent {
        certificates,
        ..Sent::proper(device)
    };
    let one = device.certificate.clone();
    judge(config(), &sent(vec![one.clone(); 5])).unwrap();
    malformed(&sent(vec![one.clone(); 6]), "devid-certificate-count");
    // Six that are none are too many all the same: not one of them was read.
    let none = vec![vec![0x30, 0]; 6];
    malformed(&sent(none), "devid-certificate-count");
    malformed(&sent(vec![vec![0x30, 0]]), "devid-certificate-unreadable");
    malformed(
        &sent(vec![one.clone(), vec![0]]),
        "devid-certificate-unreadable",
    );
    for end in 1..one.len() {
        let cut = one[..end].to_vec();
        malformed(&sent(vec![cut]), "devid-certificate-unreadable");
    }
    malformed(&sent(Vec::new()), "blob-missing");
}

#[test]
fn certificates_are_those_that_the_message_means() {
    let (payload, mut blobs) = Sent::proper(&world().ec).encode();
    blobs
        .put(CERTIFICATES_BLOB, &world().rsa.certificate)
        .unwrap();
    let error = judge_bytes(config(), &payload, blobs)
        .map(drop)
        .unwrap_err();
    assert_eq!(error.check, "blob-missing");
}
