//! The messages field by field, as a node reads and writes them: the same bytes as serde's, without its code.
//!
//! Only the directions that a node needs. A host uses [`decode`](super::decode) and [`encode`](super::encode); the
//! order of fields here is that of the structs, and the tests compare both ways for every message.

use super::blob::BlobRef;
use super::codes::{DenyCode, Trouble};
use super::message::{
    AgentMessage, Challenge, DecodeError, Denied, Grant, Hello, Item, Items, MAX_ITEMS, Renewal,
    SealedGrant, SignedChallenge, SignedRenewal, SvidGrant, VerifierMessage,
};
use super::reader::MessageReader;
use super::writer::MessageWriter;
use crate::policy::AttestorKind;

/// What a node can read.
pub trait ReadFields<'a>: Sized {
    /// Takes the value's fields; meaningless when the reader has failed.
    fn read_fields(reader: &mut MessageReader<'a>) -> Self;
}

/// What a node can write.
pub trait WriteFields {
    /// Appends the value's fields.
    fn write_fields(&self, writer: &mut MessageWriter<'_>);
}

/// Reads a message; every byte must belong to it. Agrees with [`decode`](super::decode).
///
/// # Errors
///
/// [`DecodeError`], never a panic.
pub fn read<'a, T: ReadFields<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = MessageReader::new(bytes);
    let value = T::read_fields(&mut reader);
    reader.finish().map(|()| value)
}

impl<'a> ReadFields<'a> for VerifierMessage<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        match r.u32() {
            0 => Self::Challenge(SignedChallenge {
                body: r.bytes(),
                signature: r.bytes(),
            }),
            1 => Self::Granted(sealed(r)),
            3 => Self::SvidGranted(sealed(r)),
            4 => Self::Renewed(SignedRenewal {
                body: r.bytes(),
                signature: r.bytes(),
            }),
            variant => {
                if variant != 2 {
                    r.fail();
                }
                Self::Denied(Denied {
                    code: DenyCode(r.byte()),
                    reason: r.text(),
                    retry_after_s: r.u32(),
                })
            }
        }
    }
}

fn sealed<'a>(r: &mut MessageReader<'a>) -> SealedGrant<'a> {
    SealedGrant {
        body: r.bytes(),
        tag: r.array(),
    }
}

impl<'a> ReadFields<'a> for Challenge<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        Self {
            version: r.byte(),
            login_id: r.array(),
            round: r.byte(),
            server_nonce: r.array(),
            items: items(r),
        }
    }
}

fn items<'a>(r: &mut MessageReader<'a>) -> Items<'a> {
    let mut items = Items::new();
    for _ in 0..r.len(MAX_ITEMS) {
        let kind = AttestorKind(r.byte());
        let payload = r.bytes();
        // The length was checked against the same limit.
        let _ = items.push(Item { kind, payload });
    }
    items
}

impl<'a> ReadFields<'a> for Grant<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        Self {
            session_id: r.array(),
            issued_at: r.u64(),
            expires_at: r.u64(),
            spiffe_id: r.text(),
            sealed_secret: r.array(),
        }
    }
}

impl<'a> ReadFields<'a> for SvidGrant<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        Self {
            grant: Grant::read_fields(r),
            renew_after: r.u64(),
            renewal_nonce: r.array(),
            svid: r.bytes(),
        }
    }
}

impl<'a> ReadFields<'a> for Renewal<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        Self {
            session_id: r.array(),
            issued_at: r.u64(),
            expires_at: r.u64(),
            renew_after: r.u64(),
            renewal_nonce: r.array(),
            svid: r.bytes(),
        }
    }
}

impl AgentMessage<'_> {
    /// The byte before a [`Hello`].
    pub const HELLO: u8 = 0;
    /// The byte before [`Proofs`](super::Proofs).
    pub const PROOFS: u8 = 1;
    /// The byte before a [`Trouble`].
    pub const TROUBLE: u8 = 2;
    /// The byte before a [`Renew`](super::Renew).
    pub const RENEW: u8 = 3;
}

impl WriteFields for Hello<'_> {
    fn write_fields(&self, w: &mut MessageWriter<'_>) {
        w.byte(self.versions.min);
        w.byte(self.versions.max);
        w.bytes(self.cluster.as_bytes());
        w.bytes(self.methods);
        w.raw(&self.agent_nonce);
        w.bytes(self.key_share);
        w.bytes(self.untrusted_board.as_bytes());
        w.bytes(self.untrusted_version.as_bytes());
    }
}

impl WriteFields for Trouble {
    fn write_fields(&self, w: &mut MessageWriter<'_>) {
        w.byte(self.code.0);
        w.number(self.detail);
        w.number(self.command);
        w.number(self.attempt);
        w.number(self.retry_in_ms);
    }
}

impl WriteFields for BlobRef {
    fn write_fields(&self, w: &mut MessageWriter<'_>) {
        w.byte(self.blob);
        w.number(self.len);
        w.raw(&self.sha256);
    }
}
