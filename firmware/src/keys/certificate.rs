//! Certificates in NV, read piece by piece.
//!
//! A certificate has 800 to 1,600 bytes and the agent no room for one, so it is streamed: each piece
//! borrows from the response buffer. An index can be longer than its certificate (ST fills 1,600 bytes
//! with 0xFF), and old chips put a header of TPM 1.2 times in front, so the certificate's own length
//! decides what is handed on; the padding of an EK certificate isn't even read. An index of the issuing chain may
//! hold several certificates, one after the other, and all are handed on.

use assay_common::tpm::codec::Reader;
use assay_common::tpm::handle::Handle;

use super::KeyError;
use crate::tpm::{NvPublic, Tpm, TpmTransport};

/// Takes the pieces of a certificate, each with its offset; an error ends the reading.
pub type Sink<'s, E> = &'s mut dyn FnMut(u16, &[u8]) -> Result<(), E>;

/// The public area of an index that may be tried. A node comes back for years: each of its logins would count as an
/// attack on an index with a password, until the TPM is locked for everybody.
pub(super) fn public<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    index: Handle,
) -> Result<NvPublic, KeyError> {
    let nv = tpm.nv_read_public(index)?;
    if nv.is_safe_to_try() {
        Ok(nv)
    } else {
        Err(KeyError::BadNv(index))
    }
}

/// One certificate, or the certificates of a chain, in one NV index, and how far they were read.
#[derive(Clone, Copy, Debug)]
pub struct Certificate {
    nv: NvPublic,
    /// Another certificate may follow.
    is_chain: bool,
    /// Where the certificate at hand ends in the index, once its first bytes were seen.
    end: Option<u16>,
    next: u16,
}

impl Certificate {
    /// Looks at an index with one certificate, reads nothing of it yet. What follows the certificate is padding.
    ///
    /// # Errors
    /// [`KeyError::Tpm`] when there is no such index, [`KeyError::BadNv`] when an attempt to read it could lock the TPM.
    pub fn open<T: TpmTransport>(tpm: &mut Tpm<T>, index: Handle) -> Result<Self, KeyError> {
        Ok(Self {
            nv: public(tpm, index)?,
            is_chain: false,
            end: None,
            next: 0,
        })
    }

    /// Looks at an index of the issuing chain, with one certificate or several without anything between them. What
    /// follows the last whole one is padding.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_chain<T: TpmTransport>(tpm: &mut Tpm<T>, index: Handle) -> Result<Self, KeyError> {
        let one = Self::open(tpm, index)?;
        Ok(Self {
            is_chain: true,
            ..one
        })
    }

    /// The index it is in.
    pub const fn index(&self) -> Handle {
        self.nv.index
    }

    /// The next piece, at most [`NV_CHUNK`](crate::tpm::NV_CHUNK) bytes; `None` after the last one.
    ///
    /// # Errors
    /// [`KeyError::NotACertificate`] when the index doesn't begin with a DER sequence, or ends before
    /// it does.
    pub fn next<'t, T: TpmTransport>(
        &mut self,
        tpm: &'t mut Tpm<T>,
    ) -> Result<Option<&'t [u8]>, KeyError> {
        let is_first = self.end.is_none();
        let not_a_certificate = KeyError::NotACertificate(self.nv.index);
        if self.end == Some(self.next) && !self.is_chain {
            return Ok(None);
        }
        // Inside a certificate up to its end, else as much as there is: a new one begins here, or nothing does.
        let inside = self.end.filter(|end| self.next < *end);
        let end = inside.unwrap_or(self.nv.data_size);
        let left = end.saturating_sub(self.next);
        if left == 0 {
            return if is_first {
                Err(not_a_certificate)
            } else {
                Ok(None)
            };
        }
        let piece = tpm.nv_read(&self.nv, self.next, left)?;
        let read = piece.len() as u16;
        if inside.is_some() {
            self.next += read;
            return Ok(Some(piece));
        }
        let found = bounds(piece)
            .filter(|(_, end)| *end <= left)
            .and_then(|(start, end)| {
                Some((
                    end,
                    piece.get(usize::from(start)..usize::from(end.min(read)))?,
                ))
            });
        match found {
            Some((end, piece)) => {
                self.end = Some(self.next + end);
                self.next += end.min(read);
                Ok(Some(piece))
            }
            None if is_first => Err(not_a_certificate),
            // Padding, or a certificate that is cut off.
            None => {
                self.next = self.nv.data_size;
                Ok(None)
            }
        }
    }

    /// Hands all pieces to `sink`; the length in bytes.
    ///
    /// # Errors
    /// Those of [`next`](Self::next) and of `sink`.
    pub fn stream<T: TpmTransport, E: From<KeyError>>(
        mut self,
        tpm: &mut Tpm<T>,
        sink: Sink<'_, E>,
    ) -> Result<u16, E> {
        let mut offset = 0;
        while let Some(piece) = self.next(tpm)? {
            sink(offset, piece)?;
            // An index has no more bytes than 16 bits can count.
            offset += piece.len() as u16;
        }
        Ok(offset)
    }
}

/// Where the certificate at the front of `bytes` begins and ends.
///
/// Two headers may stand before it: `TCG_PCCLIENT_STORED_CERT` (1001, type 00, length) and inside it
/// `TCG_FULL_CERT` (1002).
fn bounds(bytes: &[u8]) -> Option<(u16, u16)> {
    let mut r = Reader::new(bytes);
    if r.peek().starts_with(&[0x10, 0x01, 0x00]) {
        r.bytes(5).ok()?;
        if r.peek().starts_with(&[0x10, 0x02]) {
            r.bytes(2).ok()?;
        }
    }
    let start = bytes.len() - r.len();
    const SEQUENCE: u8 = 0x30;
    if r.u8().ok()? != SEQUENCE {
        return None;
    }
    let content = match r.u8().ok()? {
        short @ 0..=0x7F => usize::from(short),
        0x81 => usize::from(r.u8().ok()?),
        0x82 => usize::from(r.u16().ok()?),
        // Longer than any NV index, or no length at all.
        _ => return None,
    };
    let end = bytes.len() - r.len() + content;
    Some((u16::try_from(start).ok()?, u16::try_from(end).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_der_length_says_where_a_certificate_ends() {
        assert_eq!(
            bounds(&[0x30, 0x82, 0x03, 0x46, 0x30]),
            Some((0, 4 + 0x346))
        );
        assert_eq!(bounds(&[0x30, 0x81, 0x90]), Some((0, 3 + 0x90)));
        assert_eq!(bounds(&[0x30, 0x10]), Some((0, 2 + 0x10)));
    }

    #[test]
    fn headers_of_tpm_1_2_times_are_passed_over() {
        let der = [0x30, 0x82, 0x01, 0x00];
        let stored = [&[0x10, 0x01, 0x00, 0x01, 0x04][..], &der].concat();
        assert_eq!(bounds(&stored), Some((5, 9 + 0x100)));
        let full = [&[0x10, 0x01, 0x00, 0x01, 0x06, 0x10, 0x02][..], &der].concat();
        assert_eq!(bounds(&full), Some((7, 11 + 0x100)));
    }

    #[test]
    fn anything_but_a_der_sequence_is_no_certificate() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x82],
            &[0x30, 0x82, 0x01],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x83, 0, 1, 0],
            &[0xFF; 16],
            &[0x1F, 0x8B, 0x08],
            &[0x10, 0x01, 0x00],
            &[0x10, 0x01, 0x00, 0, 4, 0xFF],
        ] {
            assert_eq!(bounds(bytes), None, "{bytes:x?}");
        }
    }
}
