//! `assay_firmware::settings`.

use assay_firmware::console::SettingsStore;
use assay_firmware::settings::{Setting, SettingsError};

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::Wire;

type Settings = assay_firmware::settings::Settings<Wire>;

/// Every public function of `assay_firmware::settings`.
pub(crate) fn prove(prover: &mut impl Prover) {
    derived! { prover;
        Setting: Clone Debug PartialEq;
        SettingsError: Clone Debug Display PartialEq;
    }
}

/// The log in the flash, which is left out of the proof.
pub(crate) fn prove_log(prover: &mut impl Prover) {
    methods! { prover;
        Settings: count_boot erase get new set;
    }
    functions! { prover;
        <Settings as SettingsStore>::get,
        <Settings as SettingsStore>::set,
    }
}
