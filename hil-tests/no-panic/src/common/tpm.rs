//! `assay_common::tpm`.

use assay_common::tpm::alg::{AlgId, EccCurve, UnknownAlgName};
use assay_common::tpm::attest::{
    Attest, AttestError, AttestType, Attested, CertifyInfo, ClockInfo, QuoteInfo,
};
use assay_common::tpm::attributes::ObjectAttributes;
use assay_common::tpm::codec::{DecodeError, EncodeError, Mark, Reader, Writer};
use assay_common::tpm::credential::{CredentialError, EccPoint, IdObject};
use assay_common::tpm::handle::{Handle, HandleKind};
use assay_common::tpm::name;
use assay_common::tpm::name::{Name, NameError};
use assay_common::tpm::pcr::{PcrError, PcrIndex, PcrMask, PcrSelection, PcrSelections};
use assay_common::tpm::properties::{Capability, PropertyTag};
use assay_common::tpm::public::templates::EkTemplate;
use assay_common::tpm::public::{Parameters, Public, PublicError, Scheme, Symmetric, Unique};
use assay_common::tpm::rc::TpmRc;
use assay_common::tpm::signature::{Signature, SignatureError};

use core::ops::BitOr;
use core::str::FromStr;

use crate::Prover;
use crate::macros::{derived, functions, methods, walks};

/// Every public function of `assay_common::tpm`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        AlgId: digest_len name;
        EccCurve: field_len name;
        Attest: certify encode parse parse_tpm2b quote raw;
        AttestType: name;
        ClockInfo: encode read;
        Attested: kind;
        ObjectAttributes: contains intersects reserved union without;
        Reader<'_>:  bytes finish is_empty len new peek rest since tpm2b tpm2b_max u16 u32 u64 u8;
        Writer: begin_u16 begin_u32 end_u16 end_u32 fail finish is_empty len new put set_u32 tpm2b u16 u32 u64 u8
            zeros;
        EccPoint: encode parse;
        IdObject: encode parse raw;
        Handle: is kind pcr;
        Name: alg as_bytes digest from_digest of parse qualified_of_child qualified_of_primary;
        PcrIndex: get mask new;
        PcrMask: contains count is_empty is_valid iter with without;
        PcrSelection: encode new read values_len;
        PcrSelections: encode iter mask_of parse raw read selects_nothing;
        Parameters: rsa_exponent scheme symmetric;
        Public: encode parse parse_tpm2b raw read;
        Scheme: new;
        EkTemplate: bytes certificate_index encode from_number name name_alg needs_policy_session nonce_index
            number template_index unique with_nonce;
        TpmRc: base handle is_format_one is_success is_warning name parameter session;
        Signature: ecdsa_fixed encode hash parse read scheme;
    }
    derived! { prover;
        AlgId: Clone Debug Display Hash Ord PartialEq PartialOrd;
        EccCurve: Clone Debug Display Hash Ord PartialEq PartialOrd;
        UnknownAlgName: Clone Debug Display Hash PartialEq;
        Attest: Clone Debug PartialEq;
        AttestError: Clone Debug Display Hash PartialEq;
        AttestType: Clone Debug Display Hash Ord PartialEq PartialOrd;
        ClockInfo: Clone Debug Hash PartialEq;
        Attested: Clone Debug PartialEq;
        CertifyInfo: Clone Debug PartialEq;
        QuoteInfo: Clone Debug PartialEq;
        ObjectAttributes: Clone Debug Display Hash PartialEq;
        DecodeError: Clone Debug Display Hash PartialEq;
        EncodeError: Clone Debug Display Hash PartialEq;
        Mark: Debug;
        Reader: Clone Debug;
        Writer: Debug;
        CredentialError: Clone Debug Display Hash PartialEq;
        EccPoint: Clone Debug PartialEq;
        IdObject: Clone Debug PartialEq;
        Handle: Clone Debug Display Hash Ord PartialEq PartialOrd;
        HandleKind: Clone Debug Hash Ord PartialEq PartialOrd;
        Name: Clone Debug Display Hash PartialEq;
        NameError: Clone Debug Display Hash PartialEq;
        PcrError: Clone Debug Display Hash PartialEq;
        PcrIndex: Clone Debug Display Hash Ord PartialEq PartialOrd;
        PcrMask: Clone Debug Default Hash Ord PartialEq PartialOrd;
        PcrSelection: Clone Debug Display Hash PartialEq;
        PcrSelections: Clone Debug Display PartialEq;
        Capability: Clone Debug Hash Ord PartialEq PartialOrd;
        PropertyTag: Clone Debug Display Hash Ord PartialEq PartialOrd;
        Parameters: Clone Debug PartialEq;
        Public: Clone Debug PartialEq;
        PublicError: Clone Debug Display Hash PartialEq;
        Scheme: Clone Debug PartialEq;
        Symmetric: Clone Debug PartialEq;
        Unique: Clone Debug PartialEq;
        EkTemplate: Clone Debug Hash Ord PartialEq PartialOrd;
        TpmRc: Clone Debug Display Hash Ord PartialEq PartialOrd;
        Signature: Clone Debug PartialEq;
        SignatureError: Clone Debug Display Hash PartialEq;
    }
    functions! { prover;
        Reader::array::<1>,
        Reader::array::<32>,
        PcrIndex::known::<16>,
        <AlgId as FromStr>::from_str,
        <AttestError as From<DecodeError>>::from,
        <AttestError as From<PcrError>>::from,
        <ObjectAttributes as BitOr>::bitor,
        <CredentialError as From<DecodeError>>::from,
        <NameError as From<DecodeError>>::from,
        <PcrError as From<DecodeError>>::from,
        <PcrIndex as TryFrom<u8>>::try_from,
        <PcrMask as FromIterator<PcrIndex>>::from_iter::<core::option::IntoIter<PcrIndex>>,
        <PcrSelection as FromStr>::from_str,
        <PublicError as From<DecodeError>>::from,
        <SignatureError as From<DecodeError>>::from,
        name::qualified_name_of_primary,
    }
    walks! { prover;
        PcrMask::iter, PcrMask;
        PcrSelections::iter, &PcrSelections<'_>;
    }
}
