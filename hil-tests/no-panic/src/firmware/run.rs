//! `assay_firmware::run`.

use assay_firmware::run::{Granted, Observer, Timing};

use assay_firmware::agent::Session;

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::{Evidence, Wire};

type Node<'r> = assay_firmware::run::Node<'r, Wire, Wire, Evidence, Wire>;

/// Every public function of `assay_firmware::run`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Node<'_>: attempt login observed renew run source_mut turn wake;
        Granted: rest_ms;

    }
    functions! { prover;
        assay_firmware::run::Node::<'_, Wire, Wire, Wire, ()>::new,
        <() as Observer>::granted,
        <Wire as Observer>::renewed,
        <for<'a, 'b> fn(&'a Session<'b>) as Observer>::granted,
    }
    derived! { prover;
        Granted: Clone Debug PartialEq;
        Timing: Clone Debug Default;
    }
}
