//! What a TPM says of itself when its self-test failed.

use std::cell::RefCell;
use std::rc::Rc;

use assay_common::protocol::TroubleCode;
use assay_firmware::evidence::EvidenceSource;
use assay_firmware::evidence::tpm::TpmEvidence;

use crate::bytes::{hex, response};
use crate::scripted::{Journal, Scripted, code, rc};

#[test]
fn a_tpm_in_failure_mode_is_asked_why_and_the_trouble_carries_the_answer() {
    // Startup fails; GetTestResult says TPM_RC_FAILURE, or something of the vendor's, or nothing.
    for (answer, detail) in [
        (response(0x8001, 0, &hex("0002 abcd 00000101")), 0x101),
        (response(0x8001, 0, &hex("0000 0000090a")), 0x90A),
        (rc(0x101), 0),
    ] {
        let journal = Rc::<RefCell<Journal>>::default();
        let scripted = Scripted::new(
            move |command| match code(command) {
                0x17C => answer.clone(),
                _ => rc(0x101),
            },
            &journal,
        );
        let error = TpmEvidence::new(scripted).begin().unwrap_err();
        assert_eq!(error.code, TroubleCode::TPM_FAILURE_MODE);
        assert_eq!((error.detail, error.command), (detail, 0x144));
        assert_eq!(journal.borrow().codes(), [0x144, 0x17C]);
    }
    // Any other error is not asked about.
    let journal = Rc::<RefCell<Journal>>::default();
    let scripted = Scripted::new(|_| rc(0x12D), &journal);
    assert!(TpmEvidence::new(scripted).begin().is_err());
    assert_eq!(journal.borrow().codes(), [0x144]);
}
