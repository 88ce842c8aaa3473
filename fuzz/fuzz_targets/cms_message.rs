//! Signed messages of clouds: whatever comes, a message counts only if its signer signed it.
#![no_main]

use std::sync::LazyLock;

use assay_host_verifier::cms::{MAX_LEN, Profile, SignedData, to_der};
use assay_host_verifier::x509::Certificate;
use libfuzzer_sys::fuzz_target;

/// All that this key ever signed; it is gone.
const SIGNED: &[&[u8]] = &[
    include_bytes!("../corpus/cms_message/seed-aws.ber"),
    include_bytes!("../corpus/cms_message/seed-azure.der"),
];

static SIGNER: LazyLock<Certificate> = LazyLock::new(|| {
    let der = include_bytes!("../corpus/cms_message/seed-signer.der");
    Certificate::from_der(der).expect("the seed is a certificate")
});

/// What it signed.
static CONTENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let content = |blob: &&[u8]| {
        let der = to_der(blob).expect("the seed is BER");
        let message = SignedData::read(&der).expect("the seed is a message");
        message.untrusted_content().to_vec()
    };
    SIGNED.iter().map(content).collect()
});

fuzz_target!(|data: &[u8]| {
    let Ok(der) = to_der(data) else {
        assert!(!SIGNED.contains(&data));
        return;
    };
    assert!(der.len() <= data.len() && data.len() <= MAX_LEN);
    assert_eq!(to_der(&der).as_ref(), Ok(&der), "DER is its own DER");
    for short in 0..data.len().min(64) {
        assert!(to_der(&data[..short]).is_err());
    }
    let Ok(message) = SignedData::read(&der) else {
        assert!(!SIGNED.contains(&data));
        return;
    };
    let _ = message.untrusted_certificate_of_signer();
    let by = |profile| message.verify(&SIGNER, profile);
    let verified = [by(Profile::AWS), by(Profile::AZURE)];
    assert!(verified.iter().any(Result::is_ok) || !SIGNED.contains(&data));
    for signed in verified.into_iter().flatten() {
        let own = CONTENTS.iter().any(|content| content == signed.content);
        assert!(own, "content that nobody signed");
    }
});
