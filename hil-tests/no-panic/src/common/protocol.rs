//! `assay_common::protocol`.

use assay_common::protocol::blob::{BlobRef, Chunk};
use assay_common::protocol::codes::{DenyCode, Trouble, TroubleCode};
use assay_common::protocol::envelope::{Blob, LoginAnswer, LoginRequest};
use assay_common::protocol::frame::{FrameError, FrameKind};
use assay_common::protocol::message::{
    AgentMessage, Challenge, DecodeError, Denied, EncodeError, Grant, Hello, Item, Proofs, Renew,
    Renewal, SealedGrant, SignedChallenge, SignedRenewal, SvidGrant, VerifierMessage,
};
use assay_common::protocol::reader::MessageReader;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::writer::{Field, MessageWriter};
use assay_common::protocol::{
    MAX_VERIFIER_PACKET, ReadFields, WriteFields, fields, frame, message,
};

use crate::Prover;
use crate::macros::{derived, functions, methods};
use crate::wire::Broken;

type FrameDecoder = assay_common::protocol::FrameDecoder<{ MAX_VERIFIER_PACKET }>;

/// Every public function of `assay_common::protocol`.
pub(crate) fn prove(prover: &mut impl Prover) {
    methods! { prover;
        Chunk: write_head;
        DenyCode: name;
        TroubleCode: name;
        FrameDecoder: body new push;
        MessageReader<'_>: byte bytes fail finish len new raw text u16 u32 u64;
        VersionRange: common contains;
        MessageWriter: advance begin byte bytes end finish new number raw spare;
    }
    derived! { prover;
        BlobRef: Clone Debug Deserialize PartialEq Serialize;
        Chunk: Clone Debug Deserialize PartialEq Serialize;
        DenyCode: Clone Debug Deserialize Display Hash PartialEq Serialize;
        Trouble: Clone Debug Deserialize PartialEq Serialize;
        TroubleCode: Clone Debug Deserialize Display Hash PartialEq Serialize;
        Blob: Clone Debug Deserialize PartialEq Serialize;
        LoginAnswer: Clone Debug Deserialize PartialEq Serialize;
        LoginRequest: Clone Debug Deserialize PartialEq Serialize;
        FrameDecoder: Default;
        FrameError: Clone Debug Display PartialEq;
        FrameKind: Clone Debug PartialEq;
        AgentMessage: Clone Debug Deserialize PartialEq Serialize;
        Challenge: Clone Debug Deserialize PartialEq Serialize;
        DecodeError: Clone Debug Display PartialEq;
        Denied: Clone Debug Deserialize PartialEq Serialize;
        EncodeError: Clone Debug Display PartialEq;
        Grant: Clone Debug Deserialize PartialEq Serialize;
        Hello: Clone Debug Deserialize PartialEq Serialize;
        Item: Clone Debug Deserialize PartialEq Serialize;
        Proofs: Clone Debug Deserialize PartialEq Serialize;
        Renew: Clone Debug Deserialize PartialEq Serialize;
        Renewal: Clone Debug Deserialize PartialEq Serialize;
        SealedGrant: Clone Debug Deserialize PartialEq Serialize;
        SignedChallenge: Clone Debug Deserialize PartialEq Serialize;
        SignedRenewal: Clone Debug Deserialize PartialEq Serialize;
        SvidGrant: Clone Debug Deserialize PartialEq Serialize;
        VerifierMessage: Clone Debug Deserialize PartialEq Serialize;
        MessageReader: Debug;
        VersionRange: Clone Debug Deserialize PartialEq Serialize;
        Field: Debug;
    }
    functions! { prover;
        MessageReader::array::<1>,
        MessageReader::array::<32>,
        <BlobRef as WriteFields>::write_fields,
        <Trouble as WriteFields>::write_fields,
        <Challenge as ReadFields>::read_fields,
        <Grant as ReadFields>::read_fields,
        <Hello as WriteFields>::write_fields,
        <Renewal as ReadFields>::read_fields,
        <SvidGrant as ReadFields>::read_fields,
        <VerifierMessage as ReadFields>::read_fields,
        fields::read::<Challenge<'_>>,
        fields::read::<Grant<'_>>,
        fields::read::<Renewal<'_>>,
        fields::read::<SvidGrant<'_>>,
        fields::read::<VerifierMessage<'_>>,
        frame::write_frame::<Broken>,
        frame::write_frame_parts::<Broken>,
        message::decode::<AgentMessage<'_>>,
        message::decode::<Challenge<'_>>,
        message::decode::<Denied>,
        message::decode::<Grant<'_>>,
        message::decode::<Hello<'_>>,
        message::decode::<LoginAnswer<'_>>,
        message::decode::<LoginRequest<'_>>,
        message::decode::<Proofs<'_>>,
        message::decode::<Renewal<'_>>,
        message::decode::<SvidGrant<'_>>,
        message::decode::<Trouble>,
        message::decode::<VerifierMessage<'_>>,
        message::encode::<AgentMessage<'_>>,
        message::encode::<Challenge<'_>>,
        message::encode::<Denied>,
        message::encode::<Grant<'_>>,
        message::encode::<Hello<'_>>,
        message::encode::<LoginAnswer<'_>>,
        message::encode::<LoginRequest<'_>>,
        message::encode::<Proofs<'_>>,
        message::encode::<Renewal<'_>>,
        message::encode::<SvidGrant<'_>>,
        message::encode::<Trouble>,
        message::encode::<VerifierMessage<'_>>,
    }
}
