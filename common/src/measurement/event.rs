//! What our own records say.
//!
//! One event is one TLV inside the record's content ([`CONTENT_TYPE`]), with fields in a fixed order, each a TLV:
//!
//! | event | field | value |
//! |---|---|---|
//! | 1, an image | 0 | its name: 1 to 32 of `a-z 0-9 . _ -` |
//! | | 1 | its version: 1 to 48 of `A-Z a-z 0-9 . + -`, by custom a semantic version |
//! | | 2 | bytes that were hashed, 4 bytes big-endian |
//! | | 3 | a TLV of its own: type 11 (TPM_ALG_SHA256), 32 bytes |
//! | 2, a boot | 0 | the MCU's boot counter, 4 bytes big-endian; left out by a node without one |
//! | | 1 | the TPM's resetCount when the node booted, 4 bytes big-endian |
//! | | 2 | its restartCount, 4 bytes big-endian |
//! | | 3 | Name of the reset witness, 34 bytes: see [`Witness`] |

use sha2::{Digest, Sha256};

use super::log::Reason;
use super::tlv;
use crate::tpm::alg::AlgId;
use crate::tpm::codec::{EncodeError, Reader, Writer};

/// The type of our content TLVs. The registry of CEL 5.1 has nothing for makers of firmware; this number is in none of the
/// ranges that public implementations use.
pub const CONTENT_TYPE: u8 = 0xA5;

/// Longest name of an image, bytes.
pub const MAX_NAME: usize = 32;
/// Longest version of an image, bytes.
pub const MAX_VERSION: usize = 48;

const IMAGE: u8 = 1;
const BOOT: u8 = 2;
/// The low byte of TPM_ALG_SHA256, which is how CEL writes it.
const SHA256: u8 = AlgId::SHA256.0 as u8;

/// An image that was handed over to, or that measured itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// What it is called. Its own claim: a verifier knows images by their digest.
    pub name: &'a str,
    /// Its version; as the name.
    pub version: &'a str,
    /// How many bytes were hashed.
    pub len: u32,
    /// SHA-256 over them, in place.
    pub sha256: [u8; 32],
}

/// Name of a primary key of the null hierarchy, whose seed every TPM reset draws anew: while the Name stays, the TPM was not
/// reset. `TPM_ALG_SHA256` and a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness(pub [u8; Self::LEN]);

impl Witness {
    /// Bytes of a Name by SHA-256.
    pub const LEN: usize = 2 + 32;
}

/// The state of node and TPM when the node booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// How often the MCU has booted, this time included; written before the TPM is started, so that it never rises less than
    /// resetCount. `None` where nothing keeps count.
    pub counter: Option<u32>,
    /// The TPM's resetCount.
    pub reset_count: u32,
    /// Its restartCount.
    pub restart_count: u32,
    /// Tells one reset of the TPM from the next even where counters are disguised.
    pub witness: Witness,
}

/// One event of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// What was booted.
    Image(Image<'a>),
    /// How.
    Boot(Boot),
}

/// Whether this may be the name of an image.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(is_inner)
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
}

/// Whether this may be the version of an image. What the parts mean is not looked at: a node has no use for it.
#[must_use]
pub fn is_version(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
    (1..=MAX_VERSION).contains(&text.len()) && text.bytes().all(is_inner)
}

impl<'a> Event<'a> {
    /// Reads the value of a content TLV.
    ///
    /// # Errors
    /// [`Reason`]: anything but one whole event of this version.
    pub fn read(content: &'a [u8]) -> Result<Self, Reason> {
        let mut outer = Reader::new(content);
        let (kind, value) = tlv::any(&mut outer)?;
        tlv::finish(outer)?;
        let mut r = Reader::new(value);
        let event = match kind {
            IMAGE => Self::Image(Image {
                name: tlv::text(&mut r, 0, is_name)?,
                version: tlv::text(&mut r, 1, is_version)?,
                len: u32::from_be_bytes(tlv::exact(&mut r, 2)?),
                sha256: {
                    let mut digest = Reader::new(tlv::field(&mut r, 3)?);
                    let value = tlv::exact(&mut digest, SHA256)?;
                    tlv::finish(digest)?;
                    value
                },
            }),
            BOOT => Self::Boot(Boot {
                counter: match r.peek().first() {
                    Some(0) => Some(u32::from_be_bytes(tlv::exact(&mut r, 0)?)),
                    _ => None,
                },
                reset_count: u32::from_be_bytes(tlv::exact(&mut r, 1)?),
                restart_count: u32::from_be_bytes(tlv::exact(&mut r, 2)?),
                witness: {
                    let name: [u8; Witness::LEN] = tlv::exact(&mut r, 3)?;
                    if !name.starts_with(&AlgId::SHA256.0.to_be_bytes()) {
                        return Err(Reason::Bank);
                    }
                    Witness(name)
                },
            }),
            _ => return Err(Reason::Event),
        };
        tlv::finish(r)?;
        Ok(event)
    }

    /// Writes the content TLV, with the type and length that its digest covers too.
    ///
    /// Fails with [`EncodeError::Value`] on a name or a version that [`read`](Self::read) would refuse.
    pub fn write(&self, w: &mut Writer<'_>) {
        w.u8(CONTENT_TYPE);
        let content = w.begin_u32();
        match self {
            Self::Image(image) => {
                w.u8(IMAGE);
                let fields = w.begin_u32();
                if !is_name(image.name) || !is_version(image.version) {
                    w.fail(EncodeError::Value);
                }
                tlv::put(w, 0, image.name.as_bytes());
                tlv::put(w, 1, image.version.as_bytes());
                tlv::put(w, 2, &image.len.to_be_bytes());
                tlv::head(w, 3, (tlv::HEAD + image.sha256.len()) as u32);
                tlv::put(w, SHA256, &image.sha256);
                w.end_u32(fields);
            }
            Self::Boot(boot) => {
                w.u8(BOOT);
                let fields = w.begin_u32();
                if let Some(counter) = boot.counter {
                    tlv::put(w, 0, &counter.to_be_bytes());
                }
                tlv::put(w, 1, &boot.reset_count.to_be_bytes());
                tlv::put(w, 2, &boot.restart_count.to_be_bytes());
                tlv::put(w, 3, &boot.witness.0);
                w.end_u32(fields);
            }
        }
        w.end_u32(content);
    }
}

impl<'a> Image<'a> {
    /// An image that lies in memory as it is.
    #[must_use]
    pub fn measure(name: &'a str, version: &'a str, bytes: &[u8]) -> Self {
        Self {
            name,
            version,
            // No flash of a microcontroller is larger.
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            sha256: Sha256::digest(bytes).into(),
        }
    }
}
