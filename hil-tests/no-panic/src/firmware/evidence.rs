//! `assay_firmware::evidence`.

use assay_firmware::evidence::tpm::TpmEvidence as Generic;
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Own, Request};

use assay_firmware::keys::KeyError;
use assay_firmware::tpm::{TpmError, TransportError};

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::{Driver, Wire};

type TpmEvidence = Generic<Driver>;

/// Every public function of `assay_firmware::evidence`.
pub(crate) fn prove(prover: &mut impl Prover) {
    #[cfg(feature = "secure-bus")]
    methods! { prover;
        TpmEvidence: signing_with;
    }
    methods! { prover;
        EvidenceError: new trouble;
            TpmEvidence: measuring new sign_as_svid start tpm;
    }
    derived! { prover;
        Own<'_>: Clone;
        EvidenceError: Clone Debug Display PartialEq;
        Request: Clone Debug;
        TpmEvidence: Debug;
    }
    functions! { prover;
        <Wire as EvidenceSource>::keep,
        <Wire as EvidenceSource>::prepare,
        <Wire as EvidenceSource>::renew,
        <EvidenceError as From<KeyError>>::from,
        <EvidenceError as From<TpmError>>::from,
        <EvidenceError as From<TransportError>>::from,
        <TpmEvidence as EvidenceSource>::begin,
        <TpmEvidence as EvidenceSource>::end,
        <TpmEvidence as EvidenceSource>::keep,
        <TpmEvidence as EvidenceSource>::kinds,
        <TpmEvidence as EvidenceSource>::prepare,
        <TpmEvidence as EvidenceSource>::prove,
        <TpmEvidence as EvidenceSource>::random,
        <TpmEvidence as EvidenceSource>::renew,
    }
}
