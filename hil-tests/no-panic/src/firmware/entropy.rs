//! `assay_firmware::entropy`.

use assay_firmware::entropy::Drbg;

use crate::Prover;
use crate::macros::{derived, dropped, methods};

/// Every public function of `assay_firmware::entropy`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Drbg: fill new stir;
    }
    derived! { prover;
        Drbg: Debug Default;
    }
    dropped! { prover;
        Drbg;
    }
}
