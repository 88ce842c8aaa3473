//! `assay_firmware::link`.

use assay_firmware::link::{BlobSink, LinkCounters, LinkError, panic_frame};

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::Wire;

type Link = assay_firmware::link::Link<Wire>;
type Sender<'s> = assay_firmware::link::Sender<'s, Wire>;

/// Every public function of `assay_firmware::link`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Link: counters new parts poll sender;
        Sender: send;
    }
    derived! { prover;
        LinkCounters: Clone Debug Default PartialEq;
        LinkError: Clone Debug Display PartialEq;
    }
    functions! { prover;
        <Sender as BlobSink>::chunk,
        panic_frame,
    }
}
