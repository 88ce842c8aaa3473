//! `assay_firmware::platform`.

use assay_firmware::platform::{BoardInfo, Platform, Protection, ReadOut, WriteProtection};

use crate::Prover;
use crate::macros::{derived, functions};
use crate::wire::Wire;

/// Every public function of `assay_firmware::platform`.
pub(crate) fn prove(prover: &mut impl Prover) {
    functions! { prover; <Wire as Platform>::boots, <Wire as Platform>::noise, <Wire as Platform>::restart }
    derived! { prover;
        BoardInfo: Clone Debug;
        Protection: Clone Debug PartialEq;
        ReadOut: Clone Debug PartialEq;
        WriteProtection: Clone Debug PartialEq;
    }
}
