//! Algorithms, response codes, attributes, handles and properties: numbers and their texts.

use assay_common::tpm::alg::{AlgId, EccCurve, UnknownAlgName};
use assay_common::tpm::attributes::ObjectAttributes;
use assay_common::tpm::handle::{Handle, HandleKind};
use assay_common::tpm::pcr::PcrIndex;
use assay_common::tpm::properties::PropertyTag;
use assay_common::tpm::rc::TpmRc;

#[test]
fn every_algorithm_number_has_one_text_and_comes_back_from_it() {
    for number in 0..=u16::MAX {
        let alg = AlgId(number);
        let text = alg.to_string();
        assert_eq!(text.parse(), Ok(alg), "{text}");
    }
    assert_eq!(AlgId::SHA256.to_string(), "sha256");
    assert_eq!(AlgId(0x1234).to_string(), "0x1234");
}

#[test]
fn refuses_second_spellings_of_an_algorithm() {
    for text in [
        "", "0x", "0x000b", "0x123", "0x12345", "0x12G4", "0x12AB", "0x+123", "Sha256", "11",
    ] {
        assert_eq!(text.parse::<AlgId>(), Err(UnknownAlgName), "{text:?}");
    }
}

#[test]
fn digest_and_field_sizes_are_known_for_hashes_and_curves_only() {
    assert_eq!(AlgId::SHA1.digest_len(), Some(20));
    assert_eq!(AlgId::SHA256.digest_len(), Some(32));
    assert_eq!(AlgId::SHA384.digest_len(), Some(48));
    assert_eq!(AlgId::SHA512.digest_len(), Some(64));
    assert_eq!(AlgId::SM3_256.digest_len(), Some(32));
    for alg in [AlgId::RSA, AlgId::NULL, AlgId::AES, AlgId(0x7777)] {
        assert_eq!(alg.digest_len(), None);
    }
    assert_eq!(EccCurve::NIST_P256.field_len(), Some(32));
    assert_eq!(EccCurve::NIST_P384.field_len(), Some(48));
    assert_eq!(EccCurve::NIST_P521.field_len(), Some(66));
    // BN curves are on no list of ours (attack A12).
    assert_eq!(EccCurve(0x10).field_len(), None);
    assert_eq!(EccCurve::NIST_P384.to_string(), "nist_p384");
    assert_eq!(EccCurve(0x10).to_string(), "0x0010");
}

#[test]
fn response_codes_are_written_with_name_position_and_number() {
    for (code, text) in [
        (0x000, "TPM_RC_SUCCESS, 0x000"),
        (0x1C4, "TPM_RC_VALUE (parameter 1), 0x1C4"),
        (0x2DF, "TPM_RC_INTEGRITY (parameter 2), 0x2DF"),
        (0x18B, "TPM_RC_HANDLE (handle 1), 0x18B"),
        (0x98E, "TPM_RC_AUTH_FAIL (session 1), 0x98E"),
        (0xA8E, "TPM_RC_AUTH_FAIL (session 2), 0xA8E"),
        (0x9A2, "TPM_RC_BAD_AUTH (session 1), 0x9A2"),
        (0x99D, "TPM_RC_POLICY_FAIL (session 1), 0x99D"),
        (0x084, "TPM_RC_VALUE, 0x084"),
        (0x100, "TPM_RC_INITIALIZE, 0x100"),
        (0x101, "TPM_RC_FAILURE, 0x101"),
        (0x01E, "TPM_RC_BAD_TAG, 0x01E"),
        (0x143, "TPM_RC_COMMAND_CODE, 0x143"),
        (0x902, "TPM_RC_OBJECT_MEMORY, 0x902"),
        (0x921, "TPM_RC_LOCKOUT, 0x921"),
        (0x922, "TPM_RC_RETRY, 0x922"),
        (0x910, "TPM_RC_REFERENCE_H0 (handle 1), 0x910"),
        (0x912, "TPM_RC_REFERENCE_H0 (handle 3), 0x912"),
        (0x919, "TPM_RC_REFERENCE_S0 (session 2), 0x919"),
        (0x500, "0x500"),
        (0x000B_0001, "0xB0001"),
        (0xFFFF_FFFF, "0xFFFFFFFF"),
    ] {
        assert_eq!(TpmRc(code).to_string(), text);
    }
}

#[test]
fn positions_are_split_from_the_base_code() {
    let rc = TpmRc(0x1C4);
    assert_eq!(rc.base(), TpmRc::VALUE);
    assert_eq!(
        (rc.parameter(), rc.handle(), rc.session()),
        (Some(1), None, None)
    );
    let rc = TpmRc(0xA8E);
    assert_eq!(rc.base(), TpmRc::AUTH_FAIL);
    assert_eq!(
        (rc.parameter(), rc.handle(), rc.session()),
        (None, None, Some(2))
    );
    let rc = TpmRc(0xFD5);
    assert_eq!(rc.base(), TpmRc::SIZE);
    assert_eq!(rc.parameter(), Some(15));
    // Parameter number above 7 is no session.
    assert_eq!(rc.session(), None);
    let rc = TpmRc(0x18B);
    assert_eq!(
        (rc.parameter(), rc.handle(), rc.session()),
        (None, Some(1), None)
    );
}

#[test]
fn codes_of_other_software_layers_are_not_decoded() {
    // The TSS puts its layer in bits 16 to 23; the low bits look like format one.
    let rc = TpmRc(0x0007_01C4);
    assert!(!rc.is_format_one());
    assert_eq!(rc.base(), rc);
    assert_eq!((rc.name(), rc.parameter()), (None, None));
    assert!(!TpmRc(0x0007_0922).is_warning());
}

#[test]
fn warnings_are_warnings_and_errors_are_not() {
    for rc in [
        TpmRc::RETRY,
        TpmRc::OBJECT_MEMORY,
        TpmRc::LOCKOUT,
        TpmRc(0x97F),
    ] {
        assert!(rc.is_warning() && !rc.is_success(), "{rc}");
    }
    for rc in [TpmRc::FAILURE, TpmRc::SUCCESS, TpmRc(0x98E), TpmRc(0xD22)] {
        assert!(!rc.is_warning(), "{rc}");
    }
    assert!(TpmRc(0).is_success());
    assert!(!TpmRc(1).is_success());
}

#[test]
fn every_response_code_can_be_written() {
    for code in 0..0x2000 {
        let text = TpmRc(code).to_string();
        assert!(text.ends_with(&format!("0x{code:03X}")));
    }
}

#[test]
fn attributes_are_the_bits_of_the_specification() {
    assert_eq!(
        ObjectAttributes::AK.to_string(),
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign"
    );
    assert_eq!(
        ObjectAttributes::EK_LOW.to_string(),
        "fixedtpm|fixedparent|sensitivedataorigin|adminwithpolicy|restricted|decrypt"
    );
    assert_eq!(
        ObjectAttributes::EK_HIGH.without(ObjectAttributes::EK_LOW),
        ObjectAttributes::USER_WITH_AUTH
    );
    assert_eq!(ObjectAttributes(0).to_string(), "0x0");
    assert_eq!(
        ObjectAttributes(0x8000_0002).to_string(),
        "fixedtpm|0x80000000"
    );
    assert!(!ObjectAttributes::AK.contains(ObjectAttributes::DECRYPT));
    assert_eq!(
        format!("{:?}", ObjectAttributes(2)),
        "ObjectAttributes(0x00000002: fixedtpm)"
    );
}

#[test]
fn handles_tell_their_kind() {
    assert_eq!(Handle::pcr(PcrIndex::new(7).unwrap()), Handle(7));
    assert!(Handle(7).is(HandleKind::PCR));
    assert!(Handle::ENDORSEMENT.is(HandleKind::PERMANENT));
    assert!(Handle(0x01C0_0002).is(HandleKind::NV_INDEX));
    assert!(Handle(0x8000_0000).is(HandleKind::TRANSIENT));
    assert!(!Handle(0x8100_0000).is(HandleKind::TRANSIENT));
    assert_eq!(Handle(0x01C0_0002).to_string(), "0x01c00002");
    assert_eq!(PropertyTag::NV_BUFFER_MAX.to_string(), "0x12c");
}
