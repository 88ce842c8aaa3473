//! `assay_firmware::trace`.

use assay_firmware::trace;

use assay_firmware::tis::{TisError, TisEvent};

use crate::Prover;
use crate::macros::{derived, methods, walks};

type Entry = trace::Entry<TisEvent>;
type Counters = trace::Counters<{ TisError::CODES }>;
type Ring = trace::Ring<TisEvent, 8>;

/// Every public function of `assay_firmware::trace`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Counters: all count get;
        Ring: iter new push;
    }
    derived! { prover;
        Counters: Clone Debug Default PartialEq;
        Entry: Clone Debug PartialEq;
        Ring: Clone Debug;
    }
    walks! { prover;
        Ring::iter, &Ring;
    }
}
