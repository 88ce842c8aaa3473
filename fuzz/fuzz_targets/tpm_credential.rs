//! Credential blobs, encrypted points and Names: what parses is written back as the same bytes.
#![no_main]

use assay_common::tpm::credential::{EccPoint, IdObject, MAX_ENCRYPTED_SECRET, MAX_ID_OBJECT};
use assay_common::tpm::name::Name;
use assay_fuzz::written;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(blob) = IdObject::parse(data) {
        assert!(data.len() <= MAX_ID_OBJECT);
        assert_eq!(blob.raw(), data);
        assert_eq!(
            written(data.len(), |w| IdObject::encode(
                blob.integrity_hmac,
                blob.enc_identity,
                w
            )),
            data
        );
    }
    if let Ok(point) = EccPoint::parse(data) {
        assert!(data.len() <= MAX_ENCRYPTED_SECRET);
        assert_eq!(
            written(data.len(), |w| EccPoint::encode(point.x, point.y, w)),
            data
        );
        assert!(EccPoint::parse(&data[..data.len() - 1]).is_err());
    }
    if let Ok(name) = Name::parse(data) {
        assert_eq!(name.as_bytes(), data);
        assert_eq!(Name::from_digest(name.alg(), name.digest()), Ok(name));
        assert_eq!(name.to_string().len(), 2 * data.len());
        assert!(Name::parse(&data[..data.len() - 1]).is_err());
    }
});
