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
    /// What lets its reader in, before it is sealed. It cannot be written: what nobody has sealed leaves its length only.
    #[serde(serialize_with = "as_length")]
    Bearer(Piece),
    /// What lets its reader in. No hash of it: a secret that somebody thought of would be found by hashing guesses. That it is
    /// what was said, its seal says.
    Sealed { sealed: String, len: usize },
    /// What is left of such a piece where nothing else is kept.
    Length(Length),
    /// Of what nobody has proven anything by: enough to recognise it, and not enough to fill a disk with.
    Digest(Digest),
}

/// How long a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Length {
    len: usize,
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
            Bytes::Digest(_) | Bytes::Length(_) => 0,
        }
    }

    /// Whether it lets in whoever reads it.
    pub(super) const fn lets_in(&self) -> bool {
        match &self.bytes {
            Bytes::Bearer(_) | Bytes::Sealed { .. } | Bytes::Length(_) => true,
            Bytes::Whole { .. } | Bytes::Digest(_) => false,
        }
    }

    /// With hash and length only; with the length alone of what lets its reader in.
    pub(super) fn reduced(&mut self) {
        self.bytes = match &self.bytes {
            Bytes::Whole { base64: bytes } => Bytes::Digest(Digest::of(bytes)),
            Bytes::Bearer(bytes) => Bytes::Length(Length { len: bytes.len() }),
            Bytes::Sealed { len, .. } => Bytes::Length(Length { len: *len }),
            Bytes::Digest(digest) => Bytes::Digest(digest.clone()),
            Bytes::Length(length) => Bytes::Length(*length),
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
        let len = bytes.len();
        self.bytes = match place.seal(key, bytes, random) {
            Ok(sealed) => Bytes::Sealed {
                sealed: STANDARD.encode(sealed),
                len,
            },
            // The decision counts; that it cannot be judged again is less than that somebody else is let in.
            Err(_) => Bytes::Length(Length { len }),
        };
    }
}

fn as_base64<S: serde::Serializer>(bytes: &Piece, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(&**bytes))
}

fn as_length<S: serde::Serializer>(bytes: &Piece, serializer: S) -> Result<S::Ok, S::Error> {
    Length { len: bytes.len() }.serialize(serializer)
}
