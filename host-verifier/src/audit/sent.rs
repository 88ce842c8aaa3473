//! A message of a login, as a record has it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::sealed::Place;
use crate::crypto::seal::SealingKey;
use crate::login::piece::Piece;
use crate::random::SecureRandom;

/// A message of a login as it was on the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Sent {
    /// `agent` or `verifier`.
    from: &'static str,
    /// `message`, or `blob` and its number: a long field that the next message names.
    kind: String,
    #[serde(flatten)]
    bytes: Bytes,
}

/// What is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Bytes {
    Whole {
        #[serde(serialize_with = "as_base64")]
        base64: Piece,
    },
    /// What lets its reader in, before it is sealed. It cannot be written: what nobody has sealed leaves its digest only.
    #[serde(serialize_with = "as_digest")]
    Bearer(Piece),
    /// What lets its reader in.
    Sealed {
        sealed: String,
        #[serde(flatten)]
        digest: Digest,
    },
    /// Of what nobody has proven anything by: enough to recognise it, and not enough to fill a disk with.
    Digest(Digest),
}

/// Enough to recognise a piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Digest {
    len: usize,
    sha256: String,
}

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self {
            len: bytes.len(),
            sha256: hex::encode(super::sha256(bytes)),
        }
    }
}

impl Sent {
    /// `lets_in`: whether it lets in whoever reads it.
    pub(super) fn new(from: &'static str, kind: String, bytes: Piece, lets_in: bool) -> Self {
        let bytes = match lets_in {
            true => Bytes::Bearer(bytes),
            false => Bytes::Whole { base64: bytes },
        };
        Self { from, kind, bytes }
    }

    /// Bytes of it when it is kept whole or sealed, about as they are written.
    pub(super) fn len(&self) -> usize {
        match &self.bytes {
            Bytes::Whole { base64: bytes } | Bytes::Bearer(bytes) => bytes.len().div_ceil(3) * 4,
            Bytes::Sealed { sealed, .. } => sealed.len(),
            Bytes::Digest(_) => 0,
        }
    }

    /// With hash and length only.
    pub(super) fn reduced(&mut self) {
        self.bytes = match &self.bytes {
            Bytes::Whole { base64: bytes } | Bytes::Bearer(bytes) => {
                Bytes::Digest(Digest::of(bytes))
            }
            Bytes::Sealed { digest, .. } | Bytes::Digest(digest) => Bytes::Digest(digest.clone()),
        };
    }

    /// Sealed where it lets its reader in: in the record of this login, at this position.
    pub(super) fn sealed(
        &mut self,
        (login_id, position): (&str, usize),
        key: &SealingKey,
        random: &dyn SecureRandom,
    ) {
        let Bytes::Bearer(bytes) = &self.bytes else {
            return;
        };
        let place = Place {
            login_id,
            position,
            from: self.from,
            kind: &self.kind,
        };
        let digest = Digest::of(bytes);
        self.bytes = match place.seal(key, bytes, random) {
            Ok(sealed) => Bytes::Sealed {
                sealed: STANDARD.encode(sealed),
                digest,
            },
            // The decision counts; that it cannot be judged again is less than that somebody else is let in.
            Err(_) => Bytes::Digest(digest),
        };
    }
}

fn as_base64<S: serde::Serializer>(bytes: &Piece, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(&**bytes))
}

fn as_digest<S: serde::Serializer>(bytes: &Piece, serializer: S) -> Result<S::Ok, S::Error> {
    Digest::of(bytes).serialize(serializer)
}
