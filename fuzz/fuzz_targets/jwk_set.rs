//! Keys of issuers: a JWK, a set of them, PEM. What is read says the same when it is written and read again.
#![no_main]

use assay_host_verifier::jwt::{Jwk, JwkSet, MAX_KEYS};
use libfuzzer_sys::fuzz_target;

fn same(key: &Jwk) {
    let again = Jwk::parse(&key.to_json()).expect("our own writing");
    assert_eq!(again.thumbprint(), key.thumbprint());
    assert_eq!(again.id(), key.id());
}

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = Jwk::parse(data) {
        same(&key);
        for short in 0..data.trim_ascii_end().len() {
            assert!(Jwk::parse(&data[..short]).is_err());
        }
    }
    let strict = JwkSet::parse(data);
    if let Ok(set) = &strict {
        assert!((1..=MAX_KEYS).contains(&set.keys().len()));
        set.keys().iter().for_each(same);
        // A set that is all right is no other when it was fetched.
        assert!(JwkSet::parse_fetched(data).is_ok());
    }
    if let Ok(set) = JwkSet::parse_fetched(data) {
        for key in set.keys() {
            // A name means one key, or none.
            if let Ok(found) = set.select(key.id()) {
                assert_eq!(found.id().is_some(), key.id().is_some());
            }
        }
    }
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(key) = Jwk::from_pem(text)
    {
        same(&key);
    }
});
