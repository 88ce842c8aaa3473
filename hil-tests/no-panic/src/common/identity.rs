//! `assay_common::identity`.

use assay_common::identity;
use assay_common::identity::provisioning::{Pins, Provisioning, ProvisioningError};
use assay_common::identity::{ClusterName, NameError, SpiffeId, SpiffeIdError, TrustDomain};
use assay_common::protocol::ReadFields;

use crate::Prover;
use crate::macros::{derived, functions, methods};

/// Every public function of `assay_common::identity`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        ClusterName: as_str parse;
        Pins: lack;
        Provisioning: read read_pinned write write_pinned;
        SpiffeId: as_str parse path trust_domain;
        TrustDomain: as_str parse;
    }
    derived! { prover;
        Pins: Clone Debug Default Deserialize PartialEq Serialize;
        ClusterName: Clone Debug Display Hash PartialEq;
        NameError: Clone Debug Display PartialEq;
        Provisioning: Clone Debug Deserialize PartialEq Serialize;
        ProvisioningError: Clone Debug Display PartialEq;
        SpiffeId: Clone Debug Display Hash PartialEq;
        SpiffeIdError: Clone Debug Display PartialEq;
        TrustDomain: Clone Debug Display Hash PartialEq;
    }
    functions! { prover;
        <Pins<'_> as ReadFields>::read_fields,
        <Provisioning as ReadFields>::read_fields,
        identity::check_segment,
    }
}
