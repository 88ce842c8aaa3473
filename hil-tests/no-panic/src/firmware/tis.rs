//! `assay_firmware::tis`.

use assay_firmware::bus::BusError;
use assay_firmware::tis::chip::{Chip, ChipId, Quirks};
use assay_firmware::tis::{Limits, TisError, TisEvent, TisStep};
use assay_firmware::tpm::TpmTransport;

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::Driver;

/// Every public function of `assay_firmware::tis`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Driver: bus chip chip_id delay errors events limits new probe recoveries release traffic transmit with_limits;
        Chip: identify name quirks;
        TisError: code from_code;
    }
    derived! { prover;
        Driver: Debug;
        Chip: Debug PartialEq;
        ChipId: Clone Debug Default PartialEq;
        Quirks: Clone Debug PartialEq;
        TisError: Clone Debug Display PartialEq;
        TisEvent: Clone Debug PartialEq;
        TisStep: Clone Debug PartialEq;
        Limits: Clone Debug Default PartialEq;
    }
    functions! { prover;
        <Driver as TpmTransport>::pause_ms,
        <Driver as TpmTransport>::traffic,
        <Driver as TpmTransport>::transact,
        <TisError as From<BusError>>::from,
    }
}
