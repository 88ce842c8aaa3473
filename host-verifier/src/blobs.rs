//! Long fields of one login, put together from the chunks that an agent sends ahead of its message.
//!
//! Bounded: [`MAX_BLOBS`] blobs of [`MAX_BLOB`] bytes. Chunks must follow one another without a gap; offset 0
//! starts a blob afresh. Nothing is known of the bytes until a message names them by length and SHA-256
//! ([`Blobs::resolve`]).

use assay_common::protocol::{BlobRef, Chunk, MAX_BLOB, MAX_BLOBS, MAX_CHUNK};

/// Why a chunk is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A blob number of [`MAX_BLOBS`] or more.
    #[error("blob number {0} is out of range")]
    Number(u8),
    /// No bytes, or more than [`MAX_CHUNK`].
    #[error("chunk of {0} bytes")]
    Length(usize),
    /// The chunk does not begin where the one before it ended.
    #[error("chunk at offset {got} where {expected} comes next")]
    Gap {
        /// Where the next chunk has to begin.
        expected: u32,
        /// Where it begins.
        got: u32,
    },
    /// The blob would be longer than [`MAX_BLOB`].
    #[error("blob longer than {MAX_BLOB} bytes")]
    TooLong,
}

/// Why a blob that a message names cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// No chunk of it came, or its number is out of range.
    #[error("blob {0} was not sent")]
    Missing(u8),
    /// Fewer or more bytes came than the message says.
    #[error("blob of {got} bytes where the message says {expected}")]
    Length {
        /// What the message says.
        expected: u32,
        /// What came.
        got: u32,
    },
    /// The bytes are not those that the message means.
    #[error("blob {0} with a wrong SHA-256")]
    Digest(u8),
}

/// The blobs of one login.
#[derive(Debug, Clone, Default)]
pub struct Blobs {
    blobs: [Vec<u8>; MAX_BLOBS],
}

impl Blobs {
    /// Adds a chunk.
    ///
    /// # Errors
    ///
    /// [`ChunkError`]. The blob's bytes up to then are dropped, so that what is left cannot be taken for whole.
    pub fn add(&mut self, untrusted: &Chunk<'_>) -> Result<(), ChunkError> {
        let blob = self
            .blobs
            .get_mut(usize::from(untrusted.blob))
            .ok_or(ChunkError::Number(untrusted.blob))?;
        if untrusted.offset == 0 {
            blob.clear();
        }
        let result = extend(blob, untrusted);
        if result.is_err() {
            blob.clear();
        }
        result
    }

    /// Takes a whole blob, from a transport that has no need of chunks.
    ///
    /// # Errors
    ///
    /// [`ChunkError`]; nothing is taken then.
    pub fn put(&mut self, number: u8, untrusted: &[u8]) -> Result<(), ChunkError> {
        let blob = self
            .blobs
            .get_mut(usize::from(number))
            .ok_or(ChunkError::Number(number))?;
        if untrusted.is_empty() {
            return Err(ChunkError::Length(0));
        }
        if u32::try_from(untrusted.len()).map_or(true, |len| len > MAX_BLOB) {
            return Err(ChunkError::TooLong);
        }
        *blob = untrusted.to_vec();
        Ok(())
    }

    /// The bytes that a message means by `reference`.
    ///
    /// # Errors
    ///
    /// [`BlobError`].
    pub fn resolve(&self, reference: &BlobRef) -> Result<&[u8], BlobError> {
        let bytes = self
            .blobs
            .get(usize::from(reference.blob))
            .filter(|blob| !blob.is_empty())
            .ok_or(BlobError::Missing(reference.blob))?;
        let got = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if got != reference.len {
            return Err(BlobError::Length {
                expected: reference.len,
                got,
            });
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        if digest.as_ref() != reference.sha256 {
            return Err(BlobError::Digest(reference.blob));
        }
        Ok(bytes)
    }

    /// What was sent so far, by number.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let blobs = self.blobs.iter().map(Vec::as_slice).enumerate();
        blobs.filter(|(_, bytes)| !bytes.is_empty())
    }

    /// Those that a message names: its bytes have their SHA-256 in them, as a [`BlobRef`] is written. Whatever else was
    /// sent ahead belongs to nothing.
    pub fn named_by(&self, message: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
        self.iter().filter(|(_, bytes)| {
            let digest = crate::crypto::sha256(&[bytes]);
            message.windows(digest.len()).any(|part| part == digest)
        })
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.blobs = Default::default();
    }
}

fn extend(blob: &mut Vec<u8>, chunk: &Chunk<'_>) -> Result<(), ChunkError> {
    if chunk.bytes.is_empty() || chunk.bytes.len() > MAX_CHUNK {
        return Err(ChunkError::Length(chunk.bytes.len()));
    }
    let expected = u32::try_from(blob.len()).unwrap_or(u32::MAX);
    if chunk.offset != expected {
        return Err(ChunkError::Gap {
            expected,
            got: chunk.offset,
        });
    }
    if blob.len() + chunk.bytes.len() > MAX_BLOB as usize {
        return Err(ChunkError::TooLong);
    }
    blob.extend_from_slice(chunk.bytes);
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{BlobError, Blobs, ChunkError};
    use assay_common::protocol::{BlobRef, Chunk, MAX_BLOB, MAX_BLOBS, MAX_CHUNK};

    fn chunk(blob: u8, offset: u32, bytes: &[u8]) -> Chunk<'_> {
        Chunk {
            blob,
            offset,
            bytes,
        }
    }

    fn reference(blob: u8, bytes: &[u8]) -> BlobRef {
        let mut sha256 = [0; 32];
        sha256
            .copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
        BlobRef {
            blob,
            len: u32::try_from(bytes.len()).unwrap(),
            sha256,
        }
    }

    #[test]
    fn chunks_in_order_make_the_blob_that_the_message_names() {
        let mut blobs = Blobs::default();
        blobs.add(&chunk(3, 0, b"abc")).unwrap();
        blobs.add(&chunk(3, 3, b"def")).unwrap();
        assert_eq!(
            blobs.resolve(&reference(3, b"abcdef")),
            Ok(b"abcdef".as_slice())
        );
    }

    #[test]
    fn a_gap_or_an_overlap_drops_the_blob() {
        for offset in [2, 4, u32::MAX] {
            let mut blobs = Blobs::default();
            blobs.add(&chunk(0, 0, b"abc")).unwrap();
            let error = blobs.add(&chunk(0, offset, b"def"));
            assert_eq!(
                error,
                Err(ChunkError::Gap {
                    expected: 3,
                    got: offset
                })
            );
            assert_eq!(
                blobs.resolve(&reference(0, b"abc")),
                Err(BlobError::Missing(0))
            );
        }
    }

    #[test]
    fn offset_0_starts_afresh() {
        let mut blobs = Blobs::default();
        blobs.add(&chunk(0, 0, b"old")).unwrap();
        blobs.add(&chunk(0, 0, b"new")).unwrap();
        assert!(blobs.resolve(&reference(0, b"new")).is_ok());
    }

    #[test]
    fn number_length_and_total_are_bounded() {
        let mut blobs = Blobs::default();
        let limit = u8::try_from(MAX_BLOBS).unwrap();
        assert_eq!(
            blobs.add(&chunk(limit, 0, b"a")),
            Err(ChunkError::Number(limit))
        );
        assert_eq!(blobs.add(&chunk(0, 0, b"")), Err(ChunkError::Length(0)));
        let long = vec![7; MAX_CHUNK + 1];
        assert_eq!(
            blobs.add(&chunk(0, 0, &long)),
            Err(ChunkError::Length(MAX_CHUNK + 1))
        );
        let full = vec![7; MAX_CHUNK];
        for offset in (0..MAX_BLOB).step_by(MAX_CHUNK) {
            blobs.add(&chunk(0, offset, &full)).unwrap();
        }
        assert_eq!(
            blobs.add(&chunk(0, MAX_BLOB, b"a")),
            Err(ChunkError::TooLong)
        );
    }

    #[test]
    fn what_a_message_does_not_name_belongs_to_nothing() {
        let mut blobs = Blobs::default();
        blobs.put(0, b"stray").unwrap();
        blobs.put(3, b"meant").unwrap();
        let mut buffer = [0; 64];
        let message = assay_common::protocol::encode(&reference(3, b"meant"), &mut buffer).unwrap();
        let named: Vec<_> = blobs.named_by(message).collect();
        assert_eq!(named, [(3, b"meant".as_slice())]);
        assert_eq!(blobs.named_by(b"").count(), 0);
    }

    #[test]
    fn a_blob_of_another_length_or_digest_is_not_the_one_meant() {
        let mut blobs = Blobs::default();
        blobs.add(&chunk(0, 0, b"abc")).unwrap();
        assert_eq!(
            blobs.resolve(&reference(0, b"ab")),
            Err(BlobError::Length {
                expected: 2,
                got: 3
            })
        );
        assert_eq!(
            blobs.resolve(&reference(0, b"abd")),
            Err(BlobError::Digest(0))
        );
        assert_eq!(
            blobs.resolve(&reference(200, b"abc")),
            Err(BlobError::Missing(200))
        );
    }
}
