//! `assay_firmware::console`.

use assay_firmware::bus::{Access, SpiTis, Tracer};
use assay_firmware::console::{self, Board, ProtectFault, RecordFault};

use crate::Prover;
use crate::bench::Bench;
use crate::macros::{derived, functions, methods};
use crate::wire::Wire;

type Bus = SpiTis<Wire, Wire>;
type Console = console::Console<Bench>;

/// Every public function of `assay_firmware::console`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Console: greet new run turn;
    }
    derived! { prover;
        ProtectFault: Clone Debug PartialEq;
        RecordFault: Clone Debug PartialEq;
    }
    functions! { prover;
        <Wire as Board>::can_protect_record,
        <Wire as Board>::how_to_unprotect,
        <Wire as Board>::protect_record,
        <Wire as Board>::protection,
        <Wire as Board>::reset,
        <Wire as Board>::settings,
        <Wire as Board>::unique_id,
        <Wire as Board>::write_record,
        <Bus as console::Wire>::resting,
        <Tracer<Bus, fn(&Access<'_>)> as console::Wire>::resting,
    }
}
