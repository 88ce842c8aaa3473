//! `assay_firmware::tpm`.

use assay_firmware::tpm::{
    Attested, Created, DurationClass, Identity, Malformed, NvPublic, PcrRead, PolicySession,
    Readable, Sizes, Start, TestResult, Time, TpmError, TpmTransport, TransportError,
};

use assay_common::tpm::codec::EncodeError;
use assay_firmware::tis::TisError;

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::{Driver, Wire};

type Tpm = assay_firmware::tpm::Tpm<Driver>;

/// Every public function of `assay_firmware::tpm`.
pub(crate) fn prove(prover: &mut impl Prover) {
    #[cfg(feature = "secure-bus")]
    methods! { prover;
        Tpm: drbg is_protected protect unprotect;
    }
    methods! { prover;
        Tpm: self_test_all;
        Tpm: activate_credential certify create_primary end_session errors evict_control flush flush_stale handles
            last_command loaded new nv_chunk nv_read nv_read_public pcr_banks pcr_extend pcr_read policy_or
            policy_secret properties quote random read_clock read_public repeats self_test shutdown sign sizes start
            start_policy_session test_result traffic transport;
        Identity: firmware_version vendor_string;
        TpmError: code rc;
        NvPublic: is_safe_to_try;
        PolicySession: handle;
        DurationClass: limit_us;
    }
    derived! { prover;
        Tpm: Debug;
        Attested: Clone Debug PartialEq;
        Identity: Clone Debug Default PartialEq;
        Sizes: Clone Debug PartialEq;
        Time: Clone Debug PartialEq;
        Malformed: Clone Debug PartialEq;
        TpmError: Clone Debug Display PartialEq;
        TransportError: Clone Debug Display PartialEq;
        NvPublic: Clone Debug PartialEq;
        Created: Clone Debug PartialEq;
        Readable: Clone Debug PartialEq;
        PcrRead: Clone Debug Default PartialEq;
        PolicySession: Debug PartialEq;
        Start: Clone Debug PartialEq;
        TestResult: Clone Debug PartialEq;
        DurationClass: Clone Debug PartialEq;
    }
    functions! { prover;
        <Wire as TpmTransport>::traffic,
        <&mut Wire as TpmTransport>::transact,
        <&mut Wire as TpmTransport>::pause_ms,
        <&mut Wire as TpmTransport>::traffic,
        <TpmError as From<EncodeError>>::from,
        <TpmError as From<Malformed>>::from,
        <TransportError as From<TisError>>::from,
    }
}
