//! `assay_firmware::measure`.

use assay_firmware::measure::{At, Measurable, MeasureError, MeasuredBoot, witness};
use assay_firmware::tpm::TpmError;

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::Driver;

/// Every public function of `assay_firmware::measure`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        MeasuredBoot: after log new;
    }
    derived! { prover;
        At: Clone Debug PartialEq;
        Measurable: Clone Debug;
        MeasureError: Clone Debug Display PartialEq;
        MeasuredBoot: Debug;
    }
    functions! { prover;
        <MeasureError as From<TpmError>>::from,
        MeasuredBoot::at_login::<Driver>,
        MeasuredBoot::check::<Driver>,
        At::read::<Driver>,
        witness::<Driver>,
    }
}
