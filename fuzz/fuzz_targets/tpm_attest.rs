//! Attestations: what parses has the magic, one kind, and is written back as the same bytes.
#![no_main]

use assay_common::tpm::attest::{Attest, AttestError, AttestType, TPM_GENERATED};
use assay_fuzz::{is_within, written};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check(data);
    // Half of the runs would otherwise end at the magic.
    check(&[&TPM_GENERATED.to_be_bytes()[..], data].concat());
    let _ = Attest::parse_tpm2b(data);
});

fn check(bytes: &[u8]) {
    let magic = bytes.first_chunk().map(|magic| u32::from_be_bytes(*magic));
    let attest = match Attest::parse(bytes) {
        Ok(attest) => attest,
        Err(AttestError::BadMagic(got)) => {
            assert_eq!(Some(got), magic);
            return assert_ne!(got, TPM_GENERATED);
        }
        Err(_) => return,
    };
    assert_eq!(magic, Some(TPM_GENERATED));
    assert_eq!(attest.raw(), bytes);
    assert!(is_within(attest.extra_data, bytes) && is_within(attest.qualified_signer, bytes));
    assert_eq!(attest.quote().is_some(), attest.kind == AttestType::QUOTE);
    assert_eq!(
        attest.certify().is_some(),
        attest.kind == AttestType::CERTIFY
    );
    if let Some(quote) = attest.quote() {
        assert!(is_within(quote.pcr_digest, bytes));
        assert!(
            quote
                .selection
                .iter()
                .all(|selection| selection.mask.is_valid())
        );
    }
    let Some(kind) = attest.attested.kind() else {
        return;
    };
    assert_eq!(kind, attest.kind);
    let again = written(bytes.len(), |w| {
        Attest::encode(
            attest.qualified_signer,
            attest.extra_data,
            &attest.clock_info,
            attest.firmware_version,
            &attest.attested,
            w,
        );
    });
    assert_eq!(again, bytes);
    assert!(Attest::parse(&bytes[..bytes.len() - 1]).is_err());
}
