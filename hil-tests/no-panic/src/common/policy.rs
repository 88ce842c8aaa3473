//! `assay_common::policy`.

use assay_common::policy::{AttestorKind, AttestorSet, Decision};

use crate::Prover;
use crate::macros::{derived, functions, methods, walks};

/// Every public function of `assay_common::policy`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        AttestorKind: from_name is_protocol name origin;
        AttestorSet: contains covers intersection is_empty iter union with;
    }
    derived! { prover;
        Decision: Clone Debug PartialEq;
        AttestorKind: Clone Debug Deserialize Display Hash Ord PartialEq PartialOrd Serialize;
        AttestorSet: Clone Debug Default PartialEq;
    }
    functions! { prover;
        <AttestorSet as FromIterator<AttestorKind>>::from_iter::<core::option::IntoIter<AttestorKind>>,
    }
    walks! { prover;
        AttestorSet::iter, AttestorSet;
    }
}
