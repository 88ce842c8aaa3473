//! Policy documents: what is accepted lets nobody in without a proof, what is refused says where and why.
#![no_main]

use assay_host_verifier::policy::{Outcomes, PolicyDocument, Standing, decide, standing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    match PolicyDocument::parse("policy", text) {
        Err(error) => {
            assert!(!error.message.is_empty());
            assert!(!error.message.contains('\n'), "one line: {error}");
        }
        // Certificates may be files, and a fuzzer shall not choose which files are opened.
        Ok(_) if text.contains("CAs") => {}
        Ok(document) => {
            if let Ok(set) = document.build("policy", "".as_ref()) {
                assert!(!set.policies().is_empty());
                assert_eq!(standing(&set, &Outcomes::default()), Standing::Open);
                assert!(decide(&set, &Outcomes::default()).is_err());
                for policy in set.policies() {
                    assert!(!policy.name().is_empty() && !policy.attestors().is_empty());
                }
            }
        }
    }
});
