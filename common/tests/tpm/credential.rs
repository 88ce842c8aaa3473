//! Credential blobs.

use assay_common::tpm::codec::{DecodeError, Writer};
use assay_common::tpm::credential::{CredentialError, EccPoint, IdObject};

use crate::fixtures::{assert_exact, assert_returns_on_mutations, fixture, hex};

#[test]
fn reads_what_make_credential_wrote() {
    for ek in ["l1", "l2"] {
        let bytes = fixture(&format!("credential_{ek}.id_object"));
        let blob = IdObject::parse(&bytes).unwrap();
        assert_eq!(blob.raw(), bytes);
        assert_eq!(blob.integrity_hmac.len(), 32);
        assert_eq!(
            blob.enc_identity.len(),
            34,
            "a 32-byte credential and its length"
        );
        let mut buf = [0; 132];
        let mut w = Writer::new(&mut buf);
        IdObject::encode(blob.integrity_hmac, blob.enc_identity, &mut w);
        assert_eq!(w.finish().unwrap(), bytes);
    }
    assert_eq!(fixture("credential_l1.secret").len(), 256);
}

#[test]
fn a_secret_for_an_ecc_key_is_a_point() {
    let bytes = fixture("credential_l2.secret");
    let point = EccPoint::parse(&bytes).unwrap();
    assert_eq!((point.x.len(), point.y.len()), (32, 32));
    assert_exact("point", &bytes, |b| EccPoint::parse(b).map(|_| ()));
    assert_returns_on_mutations(&bytes, |b| EccPoint::parse(b).is_ok());
    let mut buf = [0; 132];
    let mut w = Writer::new(&mut buf);
    EccPoint::encode(point.x, point.y, &mut w);
    assert_eq!(w.finish().unwrap(), bytes);
}

// The encrypted part has no length of its own in clear, so a cut inside it leaves another,
// well-formed blob; the TPM's HMAC over it is what refuses that one.
#[test]
fn refuses_a_blob_cut_before_a_whole_identity_could_follow() {
    let bytes = fixture("credential_l2.id_object");
    for cut in 0..2 + 32 + 3 {
        assert!(IdObject::parse(&bytes[..cut]).is_err(), "cut to {cut}");
    }
    assert_returns_on_mutations(&bytes, |b| IdObject::parse(b).is_ok());
}

#[test]
fn refuses_an_hmac_of_no_hash_size() {
    for len in [0, 1, 16, 31, 33, 63] {
        let bytes = [vec![0, len], vec![1; usize::from(len)], vec![2; 34]].concat();
        assert_eq!(IdObject::parse(&bytes), Err(CredentialError::HmacLen(len)));
    }
    let bytes = [hex("0041"), vec![1; 65], vec![2; 34]].concat();
    assert_eq!(
        IdObject::parse(&bytes),
        Err(CredentialError::Decode(DecodeError::TooLong))
    );
}

#[test]
fn refuses_an_identity_that_holds_no_digest() {
    for len in [0, 1, 2, 67, 255, 300] {
        let bytes = [hex("0020"), vec![1; 32], vec![2; len]].concat();
        let reported = len.min(255) as u8;
        assert_eq!(
            IdObject::parse(&bytes),
            Err(CredentialError::IdentityLen(reported))
        );
    }
    for len in [3, 34, 66] {
        let bytes = [hex("0020"), vec![1; 32], vec![2; len]].concat();
        assert_eq!(IdObject::parse(&bytes).unwrap().enc_identity.len(), len);
    }
}

#[test]
fn refuses_coordinates_above_the_longest_field() {
    let too_long = Err(CredentialError::Decode(DecodeError::TooLong));
    assert_eq!(
        EccPoint::parse(&[hex("0043"), vec![1; 67], hex("0000")].concat()),
        too_long
    );
    assert_eq!(
        EccPoint::parse(&[hex("0000 0043"), vec![1; 67]].concat()),
        too_long
    );
}
