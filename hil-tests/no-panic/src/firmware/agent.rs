//! `assay_firmware::agent`.

use assay_firmware::agent::authenticate::{Authentic, PinnedKey, UntrustedVerifier};
use assay_firmware::agent::{
    Answer, Failure, Opening, ProtocolError, Proving, Refusal, Renewed, Renewing, Session, Term,
    Waiting,
};

use assay_firmware::evidence::EvidenceError;
use assay_firmware::link::LinkError;

use crate::Prover;
use crate::macros::{derived, dropped, functions, methods};

/// Every public function of `assay_firmware::agent`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Failure: trouble;
        PinnedKey: check check_renewal from_sec1;
        Opening: hello new pins renew;
        Proving: prove round;
        Renewed: svid term;
        Renewing: handle;
        Session: id lifetime_s secret spiffe_id svid term;
        Waiting: handle;
    }
    derived! { prover;
        Failure: Clone Debug Display PartialEq;
        ProtocolError: Clone Debug PartialEq;
        Authentic: Debug;
        PinnedKey: Clone Debug;
        UntrustedVerifier: Clone Debug Display PartialEq;
        Opening: Debug;
        Proving: Debug;
        Renewed: Clone Debug PartialEq;
        Renewing: Debug;
        Term: Clone Debug PartialEq;
        Session: Debug;
        Answer: Debug;
        Refusal: Clone Debug PartialEq;
        Waiting: Debug;
    }
    functions! { prover;
        <Failure as From<EvidenceError>>::from,
        <Failure as From<LinkError>>::from,
        <Failure as From<ProtocolError>>::from,
        <Failure as From<UntrustedVerifier>>::from,
        <Refusal as From<Failure>>::from,
    }
    dropped! { prover;
        Session;
    }
}
