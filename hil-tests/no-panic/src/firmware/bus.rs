//! `assay_firmware::bus`.

use assay_firmware::bus::{
    Access, Action, BusError, Direction, Locality, MmioTis, Reg, Rule, TisBus, TraceSink, Traffic,
};

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::Wire;

type SpiTis = assay_firmware::bus::SpiTis<Wire, Wire>;
type Fault<'p> = assay_firmware::bus::Fault<'p, SpiTis>;
type Tracer = assay_firmware::bus::Tracer<SpiTis, for<'a, 'b> fn(&'a Access<'b>)>;

/// Every public function of `assay_firmware::bus`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Locality: new number;
        Reg: is_fifo new offset;
        Traffic: since;
        SpiTis: new release unselected with_locality;
        Fault: fired inner new;
        Rule: always nth;
        MmioTis: new with_locality;
        Tracer: bus counted into_inner new sink;
    }
    derived! { prover;
        BusError: Clone Debug Display PartialEq;
        Locality: Clone Debug Default PartialEq;
        Reg: Clone Debug PartialEq;
        Traffic: Clone Debug Default PartialEq;
        SpiTis: Debug;
        Action: Clone Debug PartialEq;
        Direction: Clone Debug PartialEq;
        Fault: Debug;
        Rule: Clone Debug PartialEq;
        MmioTis: Debug;
        Access: Clone Debug PartialEq;
        Tracer: Debug;
    }
    functions! { prover;
        <Wire as TisBus>::traffic,
        <&mut Wire as TisBus>::read,
        <&mut Wire as TisBus>::write,
        <&mut Wire as TisBus>::traffic,
        <for<'a, 'b> fn(&'a Access<'b>) as TraceSink>::access,
        <SpiTis as TisBus>::read,
        <SpiTis as TisBus>::traffic,
        <SpiTis as TisBus>::write,
        <Fault as TisBus>::read,
        <Fault as TisBus>::traffic,
        <Fault as TisBus>::write,
        <MmioTis as TisBus>::read,
        <MmioTis as TisBus>::traffic,
        <MmioTis as TisBus>::write,
        <Tracer as TisBus>::read,
        <Tracer as TisBus>::traffic,
        <Tracer as TisBus>::write,
    }
}
