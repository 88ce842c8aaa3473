//! Tokens of other issuers: whatever comes, one is accepted only if its issuer signed it, whole.
#![no_main]

use std::sync::LazyLock;

use assay_host_verifier::jwt::{self, Expectations, Prepared};
use core::time::Duration;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// All that the issuer ever signed; its key is gone.
const SIGNED: &[&[u8]] = &[include_bytes!("../corpus/jwt_token/seed-good.jwt")];
/// Its public key.
const KEY: &[u8] = include_bytes!("../corpus/jwk_set/seed-key.json");

static PREPARED: LazyLock<Prepared> = LazyLock::new(Prepared::default);
static AUDIENCES: LazyLock<Vec<String>> = LazyLock::new(|| vec!["assay-server".to_owned()]);

fuzz_target!(|data: &[u8]| {
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let expected = Expectations {
        issuer: "https://issuer.example.org",
        audiences: &AUDIENCES,
        subject: None,
        typ: None,
        algorithms: None,
        leeway: Duration::ZERO,
        max_lifetime: None,
    };
    if let Ok(token) = jwt::parse(data) {
        // Strict base64url: no second text of the same token.
        assert!(data.is_ascii() && data.len() <= jwt::MAX_TOKEN);
        assert!(
            token
                .header()
                .kid
                .as_ref()
                .is_none_or(|kid| kid.len() <= data.len())
        );
    }
    let judged = jwt::judge(data, KEY, &PREPARED, &expected, now);
    assert!(judged.is_ok() || !SIGNED.contains(&data));
    if let Ok(claims) = judged {
        assert!(SIGNED.contains(&data), "a token that nobody signed");
        assert!(claims.expires > now);
        for short in 0..data.len() {
            assert!(jwt::judge(&data[..short], KEY, &PREPARED, &expected, now).is_err());
        }
    }
});
