//! The link protocol: which bytes pass between an agent and a verifier.
//!
//! From the outside in: [`frame`] cuts a byte stream into checked packets, [`message`] says what a packet
//! means, [`fields`] reads and writes messages on nodes, [`blob`] carries fields that are too long for one packet, [`version`] says how all of it may
//! change. [`envelope`] is what messages travel in where there is no line. What the exchange *proves* is [`crate::login`]'s business.

pub mod blob;
pub mod codes;
pub mod envelope;
pub mod fields;
pub mod frame;
pub mod message;
pub mod reader;
pub mod version;
pub mod writer;

pub use blob::{BlobRef, Chunk, MAX_BLOB, MAX_BLOBS, MAX_CHUNK};
pub use codes::{DenyCode, Trouble, TroubleCode};
pub use fields::{ReadFields, WriteFields, read};
pub use frame::{
    FrameDecoder, FrameError, FrameKind, MAX_AGENT_MESSAGE, MAX_AGENT_PACKET, MAX_VERIFIER_MESSAGE,
    MAX_VERIFIER_MESSAGE_V1, MAX_VERIFIER_PACKET, write_frame, write_frame_parts,
};
pub use message::{
    AgentMessage, Challenge, DecodeError, Denied, EncodeError, Grant, Hello, Item, Items, Proofs,
    Renew, Renewal, SealedGrant, SignedChallenge, SignedRenewal, SvidGrant, VerifierMessage,
    decode, encode,
};
pub use reader::MessageReader;
pub use writer::MessageWriter;
