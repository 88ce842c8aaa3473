//! `assay_common::login`.

use assay_common::login;
use assay_common::login::renewal::RenewDigest;
use assay_common::login::{Direction, LoginKeys, SealError, Transcript};

use crate::Prover;
use crate::macros::{derived, dropped, functions, methods};

/// Every public function of `assay_common::login`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        LoginKeys: check_grant grant_tag new open_secret proof proof_fits seal_secret;
        RenewDigest: as_bytes of;
        Transcript: as_bytes new then;
    }
    derived! { prover;
        LoginKeys: Debug;
        SealError: Clone Debug Display PartialEq;
        RenewDigest: Clone Debug PartialEq;
        Direction: Clone Debug PartialEq;
        Transcript: Clone Debug Default PartialEq;
    }
    functions! { prover;
        login::renewal::renewal_by_key,
        login::renewal::renewal_message,
        login::renewal::renewal_nonce,
        login::session_key::session_keys,
        login::session_key::session_secret,
        login::challenge_message,
        login::proof_nonce,
        login::quote_nonce,
        login::svid_key_nonce,
        login::svid_key_possession,
    }
    dropped! { prover;
        LoginKeys;
    }
}
