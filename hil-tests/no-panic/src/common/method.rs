//! `assay_common::method`.

use assay_common::method;
use assay_common::method::mcu_key::{self, McuKeyPayload};
use assay_common::method::svid_key::{Held, Residence, SvidKeyPayload, SvidKeyRequest};
use assay_common::method::tpm_devid::DevidPayload;
use assay_common::method::tpm_ek::{EkChallenge, EkPayload, EkResponse};
use assay_common::method::tpm_quote::{BankRequest, MeasuredQuote, QuotePayload, QuoteRequest};
use assay_common::protocol::{ReadFields, WriteFields};

use crate::Prover;
use crate::macros::{derived, functions};

/// Every public function of `assay_common::method`.
pub(crate) fn prove(prover: &mut impl Prover) {
    derived! { prover;
        MeasuredQuote: Clone Debug Deserialize PartialEq Serialize;
        McuKeyPayload: Clone Debug Deserialize PartialEq Serialize;
        Held: Clone Debug Deserialize PartialEq Serialize;
        Residence: Clone Debug Deserialize PartialEq Serialize;
        SvidKeyPayload: Clone Debug Deserialize PartialEq Serialize;
        SvidKeyRequest: Clone Debug Deserialize PartialEq Serialize;
        DevidPayload: Clone Debug Deserialize PartialEq Serialize;
        EkChallenge: Clone Debug Deserialize PartialEq Serialize;
        EkPayload: Clone Debug Deserialize PartialEq Serialize;
        EkResponse: Clone Debug Deserialize PartialEq Serialize;
        BankRequest: Clone Debug Deserialize PartialEq Serialize;
        QuotePayload: Clone Debug Deserialize PartialEq Serialize;
        QuoteRequest: Clone Debug Deserialize PartialEq Serialize;
    }
    functions! { prover;
        QuotePayload::decode_any,
        <McuKeyPayload as WriteFields>::write_fields,
        mcu_key::message,
        <SvidKeyRequest as ReadFields>::read_fields,
        <EkChallenge as ReadFields>::read_fields,
        <QuoteRequest as ReadFields>::read_fields,
        method::join_token::key_seed,
        method::join_token::signed_message,
        method::possession::digest,
        method::possession::nonces,
        method::tpm_devid::possession_message,
    }
}
