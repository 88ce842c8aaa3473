//! The wrappings that certificates come in, each undone by an explicit, bounded decoder.
//!
//! | wrapping | where it is found |
//! |---|---|
//! | PEM, one or several, text between the blocks | operators' files, `openssl`, vendors' bundles |
//! | DER | vendors' downloads, `tpm2_getekcertificate` |
//! | DER followed by 0xFF or 0x00 up to the size of the NV index | NV as read from the chip |
//! | several of them, DER one after the other | chain indices, only by [`chain`] |
//! | `10 01 00`, 16-bit length, optional `10 02`, then DER | NV in TPM 1.2's stored-certificate form |
//! | one OCTET STRING around DER | some firmware TPMs |
//!
//! Compressed certificates and vendors' JSON are not decoded: whoever downloads them unpacks them.

use base64::Engine as _;

use super::{
    Certificate, ParseError,
    der::{Reader, tag},
};

/// Longest file of certificates read, in bytes.
pub const MAX_FILE_LEN: usize = 4 * 1024 * 1024;
/// Most certificates in one file.
pub const MAX_CERTIFICATES: usize = 4096;

/// Why a blob holds no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`MAX_FILE_LEN`].
    #[error("{0} bytes, at most {MAX_FILE_LEN} are read")]
    TooLong(usize),
    /// More than [`MAX_CERTIFICATES`].
    #[error("more than {MAX_CERTIFICATES} certificates")]
    TooMany,
    /// There is nothing in it.
    #[error("no certificate in it")]
    Empty,
    /// More than one certificate where one is expected.
    #[error("{0} certificates where one is expected")]
    NotOne(usize),
    /// An NV index that was never written: nothing but 0xFF or 0x00.
    #[error("nothing but padding: the NV index was never written")]
    OnlyPadding,
    /// Neither PEM nor DER nor a known wrapping of DER.
    #[error("neither PEM nor DER (first byte {0:#04x})")]
    UnknownFormat(u8),
    /// The length in a header does not fit the data.
    #[error("{0}: the length in the header does not fit the data")]
    HeaderLength(&'static str),
    /// Bytes after the certificate that are not padding.
    #[error("{0} bytes after the certificate that are not padding")]
    Trailing(usize),
    /// A PEM block without its end line, or with other than base64 in it.
    #[error("pem block {0} is broken")]
    Pem(usize),
    /// A certificate could not be read.
    #[error("certificate {number}: {source}")]
    Certificate {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        source: ParseError,
    },
}

/// One certificate in any wrapping of the table above.
///
/// # Errors
/// See [`DecodeError`].
pub fn certificate(blob: &[u8]) -> Result<Certificate, DecodeError> {
    let mut all = certificates(blob)?;
    match (all.pop(), all.len()) {
        (Some(only), 0) => Ok(only),
        (_, others) => Err(DecodeError::NotOne(others + 1)),
    }
}

/// All certificates of a blob, at least one: several in PEM, one otherwise.
///
/// # Errors
/// See [`DecodeError`]. One unreadable certificate fails the whole blob, by its number: a list of
/// trust that is read in part is not the list that its author wrote.
pub fn certificates(blob: &[u8]) -> Result<Vec<Certificate>, DecodeError> {
    if blob.len() > MAX_FILE_LEN {
        return Err(DecodeError::TooLong(blob.len()));
    }
    let at = |number| move |source| DecodeError::Certificate { number, source };
    if let Some(text) = pem_text(blob) {
        let mut all = Vec::new();
        for block in pem_blocks(text)? {
            if !matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE") {
                continue;
            }
            if all.len() == MAX_CERTIFICATES {
                return Err(DecodeError::TooMany);
            }
            let der = trim_padding(&block.contents)?;
            all.push(Certificate::from_der(der).map_err(at(all.len() + 1))?);
        }
        return if all.is_empty() {
            Err(DecodeError::Empty)
        } else {
            Ok(all)
        };
    }
    let certificate = Certificate::from_der(unwrap(blob)?).map_err(at(1))?;
    Ok(vec![certificate])
}

/// The certificates of a TPM's chain index, at least one: DER one after the other, cut where the length of each
/// says so, and padding after the last. An index with another wrapping is read as by [`certificates`].
///
/// # Errors
/// See [`DecodeError`]. What follows a certificate is another one or padding to the end; anything else, or one
/// unreadable certificate, fails the whole index.
pub fn chain(blob: &[u8]) -> Result<Vec<Certificate>, DecodeError> {
    if blob.first() != Some(&tag::SEQUENCE) {
        return certificates(blob);
    }
    if blob.len() > MAX_FILE_LEN {
        return Err(DecodeError::TooLong(blob.len()));
    }
    let mut all = Vec::new();
    let mut reader = Reader::new(blob);
    loop {
        let element = reader
            .expect(tag::SEQUENCE)
            .map_err(|_| DecodeError::HeaderLength("certificate"))?;
        let number = all.len() + 1;
        if number > MAX_CERTIFICATES {
            return Err(DecodeError::TooMany);
        }
        let at = |source| DecodeError::Certificate { number, source };
        all.push(Certificate::from_der(element.raw).map_err(at)?);
        match reader.rest() {
            rest if is_padding(rest) => return Ok(all),
            [tag::SEQUENCE, ..] => {}
            rest => return Err(DecodeError::Trailing(rest.len())),
        }
    }
}

/// The DER inside a binary wrapping, padding trimmed.
///
/// # Errors
/// [`DecodeError`] for anything that is not in the table of this module.
pub fn unwrap(blob: &[u8]) -> Result<&[u8], DecodeError> {
    match blob {
        [] => Err(DecodeError::Empty),
        [0x30, ..] => trim_padding(blob),
        // TCG_PCCLIENT_STORED_CERT: tag 1001, type 0 (full certificate), size; the size counts the
        // inner tag 1002 when there is one.
        [0x10, 0x01, 0x00, hi, lo, rest @ ..] => {
            let len = usize::from(u16::from_be_bytes([*hi, *lo]));
            let (body, after) = rest
                .split_at_checked(len)
                .ok_or(DecodeError::HeaderLength("stored-certificate header"))?;
            if !is_padding(after) {
                return Err(DecodeError::Trailing(after.len()));
            }
            trim_padding(body.strip_prefix(&[0x10, 0x02]).unwrap_or(body))
        }
        [tag::OCTET_STRING, ..] => {
            let mut reader = Reader::new(blob);
            let inner = reader
                .any()
                .map_err(|_| DecodeError::HeaderLength("octet string"))?;
            if !is_padding(reader.rest()) {
                return Err(DecodeError::Trailing(reader.rest().len()));
            }
            trim_padding(inner.contents)
        }
        _ if is_padding(blob) => Err(DecodeError::OnlyPadding),
        [first, ..] => Err(DecodeError::UnknownFormat(*first)),
    }
}

/// Cuts what follows the outermost element. Only 0xFF or 0x00 throughout counts as padding, and
/// in PEM files also a line end that was encoded with the certificate.
fn trim_padding(blob: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(blob);
    match reader.expect(tag::SEQUENCE) {
        Ok(element) if is_padding(reader.rest()) => Ok(element.raw),
        Ok(_) => Err(DecodeError::Trailing(reader.rest().len())),
        Err(_) => Err(DecodeError::HeaderLength("certificate")),
    }
}

fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0xff)
        || bytes.iter().all(|b| *b == 0)
        || matches!(bytes, b"\n" | b"\r\n")
}

/// One PEM block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemBlock<'a> {
    /// The label, for example `CERTIFICATE`.
    pub label: &'a str,
    /// The decoded contents.
    pub contents: Vec<u8>,
}

/// The blob as text if it contains a PEM block.
#[must_use]
pub fn pem_text(blob: &[u8]) -> Option<&str> {
    // DER may contain the same characters, but it does not start with them and is not UTF-8.
    if blob.first() == Some(&0x30) {
        return None;
    }
    core::str::from_utf8(blob)
        .ok()
        .filter(|text| text.contains("-----BEGIN "))
}

/// The PEM blocks of a text (RFC 7468, lax): other text may stand before, between and after.
///
/// # Errors
/// [`DecodeError::Pem`] for a block without end line, with another label in its end line, or with
/// other than base64 and headers in it; [`DecodeError::TooLong`].
pub fn pem_blocks(text: &str) -> Result<Vec<PemBlock<'_>>, DecodeError> {
    if text.len() > MAX_FILE_LEN {
        return Err(DecodeError::TooLong(text.len()));
    }
    let mut blocks: Vec<PemBlock<'_>> = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let broken = || DecodeError::Pem(blocks.len() + 1);
        let (label, after) = after.split_once("-----").ok_or_else(broken)?;
        let (body, after) = after.split_once("-----END ").ok_or_else(broken)?;
        let after = after
            .strip_prefix(label)
            .and_then(|after| after.strip_prefix("-----"))
            .ok_or_else(broken)?;
        let digits: String = body.split_ascii_whitespace().collect();
        let contents = base64::engine::general_purpose::STANDARD
            .decode(digits)
            .map_err(|_| broken())?;
        blocks.push(PemBlock { label, contents });
        rest = after;
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    const DER: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x05];

    #[test]
    fn trims_padding_of_an_nv_index() {
        for pad in [0xff, 0x00] {
            let mut blob = DER.to_vec();
            blob.resize(1600, pad);
            assert_eq!(unwrap(&blob).unwrap(), DER);
        }
    }

    #[test]
    fn refuses_bytes_after_the_certificate_that_are_not_padding() {
        let mut blob = DER.to_vec();
        blob.extend([0xff, 0x00]);
        assert_eq!(unwrap(&blob), Err(DecodeError::Trailing(2)));
    }

    #[test]
    fn undoes_the_stored_certificate_header_in_both_forms() {
        let short = [&[0x10, 0x01, 0x00, 0x00, 5][..], &DER, &[0xff; 9]].concat();
        assert_eq!(unwrap(&short).unwrap(), DER);
        let tagged = [&[0x10, 0x01, 0x00, 0x00, 7, 0x10, 0x02][..], &DER].concat();
        assert_eq!(unwrap(&tagged).unwrap(), DER);
    }

    #[test]
    fn undoes_an_octet_string() {
        let wrapped = [&[0x04, 5][..], &DER, &[0; 3]].concat();
        assert_eq!(unwrap(&wrapped).unwrap(), DER);
    }

    #[test]
    fn refuses_headers_that_claim_more_than_there_is() {
        assert_eq!(
            unwrap(&[0x10, 0x01, 0x00, 0xff, 0xff, 0x30]),
            Err(DecodeError::HeaderLength("stored-certificate header"))
        );
        assert_eq!(
            unwrap(&[0x04, 9, 0x30]),
            Err(DecodeError::HeaderLength("octet string"))
        );
        assert_eq!(
            unwrap(&[0x30, 0x82, 0xff, 0xff]),
            Err(DecodeError::HeaderLength("certificate"))
        );
    }

    #[test]
    fn tells_an_unwritten_index_from_an_unknown_format() {
        assert_eq!(unwrap(&[0xff; 32]), Err(DecodeError::OnlyPadding));
        assert_eq!(unwrap(b"\x1f\x8b"), Err(DecodeError::UnknownFormat(0x1f)));
        assert_eq!(unwrap(&[]), Err(DecodeError::Empty));
    }

    #[test]
    fn reads_pem_blocks_with_text_between() {
        let text = "subject=A\n-----BEGIN X-----\nMAMC\nAQU=\n-----END X-----\r\nnote\n\
                    -----BEGIN Y Z-----\r\nMAMCAQU=\r\n-----END Y Z-----";
        let blocks = pem_blocks(text).unwrap();
        assert_eq!(blocks.len(), 2);
        assert!(blocks.iter().all(|b| b.contents == DER));
    }

    #[test]
    fn refuses_broken_pem_blocks() {
        for text in [
            "-----BEGIN X-----\nMAMC",
            "-----BEGIN X-----\nMAMCAQU=\n-----END Y-----",
            "-----BEGIN X-----\nMA*C\n-----END X-----",
            "-----BEGIN X",
        ] {
            assert_eq!(pem_blocks(text), Err(DecodeError::Pem(1)), "{text}");
        }
    }
}
