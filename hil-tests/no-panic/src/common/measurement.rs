//! `assay_common::measurement`.

use assay_common::measurement::event::{self, Boot, Event, Image, Witness};
use assay_common::measurement::log::{Digests, Log, LogError, MAX_LOG, Reason, Record};
use assay_common::measurement::replay::{self, LastStep, Measured, PcrBank};

use crate::Prover;
use crate::macros::{derived, functions, methods, walks};

type EventLog = assay_common::measurement::EventLog<{ MAX_LOG }>;

/// Every public function of `assay_common::measurement`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Event: read write;
        Image: measure;
        EventLog: append bytes is_empty new resume;
        Log: bytes is_empty len parse records;
        Record: content_type digest digests event;
        LastStep: after before;
        Measured: touched value;
        PcrBank: alg digest_len of;
    }
    derived! { prover;
        Boot: Clone Debug PartialEq;
        Event: Clone Debug PartialEq;
        Image: Clone Debug PartialEq;
        Witness: Clone Debug PartialEq;
        Digests: Clone Debug PartialEq;
        EventLog: Clone Debug Default;
        Log: Clone Debug PartialEq;
        LogError: Clone Debug Display Hash PartialEq;
        Reason: Clone Debug Display Hash PartialEq;
        Record: Clone Debug PartialEq;
        LastStep: Clone Debug PartialEq;
        Measured: Clone Debug PartialEq;
        PcrBank: Clone Debug PartialEq;
    }
    functions! { prover;
        event::is_name,
        event::is_version,
        replay::last_step,
        replay::replay,
    }
    walks! { prover;
        Log::records, &Log;
        Record::digests, &Record;
    }
}
