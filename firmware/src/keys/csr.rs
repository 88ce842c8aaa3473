//! The SVID key's certification request: PKCS #10 (RFC 2986), DER, without a heap.
//!
//! ```text
//! CertificationRequest     ::= SEQUENCE { info, signatureAlgorithm, signature BIT STRING }
//! CertificationRequestInfo ::= SEQUENCE { version 0, subject {}, subjectPKInfo, attributes [0] {} }
//! ```
//!
//! No subject and no attributes: the name is the verifier's to give. What surrounds the key is constant, so the request is
//! written from constants and the numbers of the TPM, into the message it is sent in. Numbers are taken as DER has them:
//! a coordinate fills its field, a modulus has all its bits, an INTEGER is as short as it can be.

use assay_common::protocol::MessageWriter;
use assay_common::tpm::codec::Reader;
use assay_common::tpm::signature::Signature;
use sha2::{Digest, Sha256};

use super::KeyError;
use super::svid_key::{SvidKey, SvidKeyTemplate};
use crate::tpm::{Malformed, Tpm, TpmTransport};

/// Bytes of a coordinate, and of each number of a signature, over P-256.
const FIELD: usize = 32;
/// Bytes of a modulus, and of a signature, of RSA-2048.
const MODULUS: usize = 256;

/// Up to the point: SEQUENCE of 98 bytes; version; no subject; the key's algorithm, id-ecPublicKey over prime256v1 (RFC
/// 5480 section 2.1.1); a BIT STRING with an uncompressed point.
const P256_INFO: [u8; 34] = [
    0x30, 0x62, 0x02, 0x01, 0x00, 0x30, 0x00, 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48,
    0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42,
    0x00, 0x04,
];
/// Up to the modulus: SEQUENCE of 301 bytes; version; no subject; rsaEncryption (RFC 3279 section 2.3.1); a BIT STRING
/// with the SEQUENCE of an INTEGER whose first byte, 0, says that it is positive.
const RSA_INFO: [u8; 42] = [
    0x30, 0x82, 0x01, 0x2D, 0x02, 0x01, 0x00, 0x30, 0x00, 0x30, 0x82, 0x01, 0x22, 0x30, 0x0D, 0x06,
    0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0F,
    0x00, 0x30, 0x82, 0x01, 0x0A, 0x02, 0x82, 0x01, 0x01, 0x00,
];
/// After the modulus: the exponent, 65,537, and no attributes.
const RSA_END: [u8; 7] = [0x02, 0x03, 0x01, 0x00, 0x01, 0xA0, 0x00];
/// No attributes.
const P256_END: [u8; 2] = [0xA0, 0x00];

/// ecdsa-with-SHA256 (RFC 5758 section 3.2).
const ECDSA_SHA256: [u8; 12] = [
    0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02,
];
/// sha256WithRSAEncryption (RFC 4055 section 5).
const RSA_SHA256: [u8; 15] = [
    0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B, 0x05, 0x00,
];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// Fills a coordinate whose leading zeros the chip left out.
const ZEROS: [u8; FIELD] = [0; FIELD];

/// Writes the request for `key`, whose `TPMT_PUBLIC` is `public`, signed by it.
///
/// # Errors
/// [`KeyError::Tpm`] when the TPM does not sign; with [`Malformed::Value`] when the public area is not that of the template, or
/// the signature not one of this scheme.
pub fn write<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    key: &SvidKey,
    public: &[u8],
    out: &mut MessageWriter<'_>,
) -> Result<(), KeyError> {
    let template = key.template();
    let malformed = KeyError::Tpm(crate::tpm::TpmError::Malformed(Malformed::Value));
    let info = info(template, public).ok_or(malformed)?;
    let mut hash = Sha256::new();
    let mut info_len = 0;
    for piece in info {
        hash.update(piece);
        info_len += piece.len();
    }
    let digest: [u8; 32] = hash.finalize().into();
    let scheme = template.csr_scheme();
    let signature = tpm.sign(key.handle(), &digest, scheme)?;
    let signature = Signature::parse(signature).map_err(|_| malformed)?;
    if [signature.scheme(), signature.hash()] != scheme {
        return Err(malformed);
    }
    match signature {
        Signature::Ecdsa { r, s, .. } => {
            let numbers = [integer(r).ok_or(malformed)?, integer(s).ok_or(malformed)?];
            // Each with its tag and its length, below 128 bytes all together.
            let len = numbers.iter().map(Integer::len).sum::<usize>();
            head(out, info, info_len, &ECDSA_SHA256, 2 + len);
            header(out, SEQUENCE, len);
            for Integer { sign, digits } in numbers {
                header(out, INTEGER, sign.len() + digits.len());
                out.raw(sign);
                out.raw(digits);
            }
        }
        Signature::Rsassa { sig, .. } if sig.len() == MODULUS => {
            head(out, info, info_len, &RSA_SHA256, MODULUS);
            out.raw(sig);
        }
        _ => return Err(malformed),
    }
    Ok(())
}

/// What the holder of a P-256 key outside of a TPM signs, by ECDSA with SHA-256: one piece after the other. `point` is both
/// coordinates.
#[must_use]
pub const fn p256_info(point: &[u8; 2 * FIELD]) -> [&[u8]; 3] {
    [&P256_INFO, point, &P256_END]
}

/// Writes the request for a P-256 key outside of a TPM, with its signature over [`p256_info`] in DER.
pub fn write_p256(point: &[u8; 2 * FIELD], signature: &[u8], out: &mut MessageWriter<'_>) {
    let [start, point, end] = p256_info(point);
    let info = [start, point, end, &[], &[], &[]];
    let len = info.iter().map(|piece| piece.len()).sum();
    head(out, info, len, &ECDSA_SHA256, signature.len());
    out.raw(signature);
}

/// The pieces of a `CertificationRequestInfo`; `None` for a public area that the template does not lead to.
fn info(template: SvidKeyTemplate, public: &[u8]) -> Option<[&[u8]; 6]> {
    let (head, unique) = public.split_at_checked(template.head().len())?;
    let mut unique = Reader::new(unique);
    let pieces = match template {
        SvidKeyTemplate::P256 if head == template.head() => {
            let x = unique.tpm2b_max(FIELD).ok()?;
            let y = unique.tpm2b_max(FIELD).ok()?;
            let [x_zeros, y_zeros] = [x, y].map(|number| ZEROS.get(number.len()..));
            [&P256_INFO, x_zeros?, x, y_zeros?, y, &P256_END]
        }
        SvidKeyTemplate::Rsa2048 if is_rsa(template, head) => {
            let modulus = unique.tpm2b_max(MODULUS).ok()?;
            if modulus.len() != MODULUS || modulus.first()? < &0x80 {
                return None;
            }
            [&RSA_INFO, modulus, &RSA_END, &[], &[], &[]]
        }
        _ => return None,
    };
    unique.finish().ok().map(|()| pieces)
}

/// True for the template's head with either way to say 65,537: a chip may write the exponent out.
fn is_rsa(template: SvidKeyTemplate, head: &[u8]) -> bool {
    let exponent = template.head().len() - 4;
    head.get(..exponent) == template.head().get(..exponent)
        && matches!(head.get(exponent..), Some([0, 0, 0, 0] | [0, 1, 0, 1]))
}

/// A positive number as DER has it.
struct Integer<'a> {
    /// A zero, if the first digit would make it negative.
    sign: &'static [u8],
    digits: &'a [u8],
}

impl Integer<'_> {
    /// With its tag and its length.
    const fn len(&self) -> usize {
        2 + self.sign.len() + self.digits.len()
    }
}

/// One of a signature's numbers; `None` for zero, which no signature has, and for one that is too long.
fn integer(bytes: &[u8]) -> Option<Integer<'_>> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..)?;
    let first = digits.first()?;
    let sign: &[u8] = if *first < 0x80 { &[] } else { &[0] };
    (digits.len() <= FIELD).then_some(Integer { sign, digits })
}

/// Everything before a signature of `signature` bytes.
fn head(
    out: &mut MessageWriter<'_>,
    info: [&[u8]; 6],
    info_len: usize,
    algorithm: &[u8],
    signature: usize,
) {
    // One byte says that the signature's bits fill its bytes.
    let bits = 1 + signature;
    header(
        out,
        SEQUENCE,
        info_len + algorithm.len() + header_len(bits) + bits,
    );
    for piece in info {
        out.raw(piece);
    }
    out.raw(algorithm);
    header(out, BIT_STRING, bits);
    out.byte(0);
}

/// A tag and a length below 65,536, in its shortest form (X.690 section 10.1).
fn header(out: &mut MessageWriter<'_>, tag: u8, len: usize) {
    out.byte(tag);
    let [high, low] = (len as u16).to_be_bytes();
    match header_len(len) {
        2 => out.byte(low),
        3 => out.raw(&[0x81, low]),
        _ => out.raw(&[0x82, high, low]),
    }
}

const fn header_len(len: usize) -> usize {
    match len {
        0..0x80 => 2,
        0x80..0x100 => 3,
        _ => 4,
    }
}
