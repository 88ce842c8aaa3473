//! Blobs: fields too long for one packet (certificates, event logs), sent in chunks ahead of the message
//! that needs them.
//!
//! The message names a blob by number, length and SHA-256 ([`BlobRef`]), so the transcript covers every byte of it
//! although the bytes travelled outside. Chunks are [`FrameKind::CHUNK`](super::FrameKind::CHUNK) frames; a
//! blob's chunks come in order, and offset 0 starts the blob afresh. A node can so pass an NV index on, 512
//! bytes at a time, without ever holding it.

use serde::{Deserialize, Serialize};

use super::message::EncodeError;
use super::writer::MessageWriter;

/// Longest blob, bytes. The largest EK certificate index seen is 1.6 KiB; event logs will want more.
pub const MAX_BLOB: u32 = 16 * 1024;
/// Most blobs in one login.
pub const MAX_BLOBS: usize = 8;
/// Most bytes in one chunk: one `TPM2_NV_Read` of the size every PC Client TPM supports.
pub const MAX_CHUNK: usize = 512;

/// A piece of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk<'a> {
    /// Which blob, below [`MAX_BLOBS`].
    pub blob: u8,
    /// Where the bytes go, from the blob's start.
    pub offset: u32,
    /// At most [`MAX_CHUNK`] bytes.
    pub bytes: &'a [u8],
}

/// A message's commitment to a blob that was sent before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BlobRef {
    /// Which blob.
    pub blob: u8,
    /// Its whole length in bytes.
    pub len: u32,
    /// SHA-256 over all its bytes.
    pub sha256: [u8; 32],
}

impl Chunk<'_> {
    /// Most bytes before the content.
    pub const MAX_HEAD: usize = 1 + 5 + 2;

    /// Writes everything but the content, which follows as it is: a node sends it from where it lies.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] for a content longer than [`MAX_CHUNK`]; [`MAX_HEAD`](Self::MAX_HEAD) bytes are always enough.
    pub fn write_head<'o>(&self, out: &'o mut [u8]) -> Result<&'o [u8], EncodeError> {
        if self.bytes.len() > MAX_CHUNK {
            return Err(EncodeError);
        }
        let mut head = MessageWriter::new(out);
        head.byte(self.blob);
        head.number(self.offset);
        head.number(self.bytes.len() as u32);
        head.finish()
    }
}
