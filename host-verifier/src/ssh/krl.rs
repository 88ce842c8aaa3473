//! Key revocation lists (OpenSSH's PROTOCOL.krl), as `ssh-keygen -k` makes them.
//!
//! Stricter than OpenSSH in what decides: a section that is not known refuses the list, and so does a signed one, whose
//! signature would have to be judged by somebody; serial number 0 is looked up like any other.

use std::collections::{BTreeSet, HashSet};

use super::{
    Certificate, HostKey,
    wire::{Reader, WireError},
};
use crate::crypto::HashAlgorithm;

/// Longest list read, bytes.
pub const MAX_KRL_LEN: usize = 4 * 1024 * 1024;
const MAGIC: &[u8; 8] = b"SSHKRL\n\0";
/// Longest bitmap of serial numbers, bits; OpenSSH's own limit.
const MAX_BITMAP: usize = 1 << 24;

/// Why bytes are not a list that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KrlError {
    /// Longer than [`MAX_KRL_LEN`].
    #[error("revocation list of {0} bytes, at most {MAX_KRL_LEN} are read")]
    TooLong(usize),
    /// Another file.
    #[error("not a key revocation list as `ssh-keygen -k` makes them")]
    Magic,
    /// Another version.
    #[error("revocation list of format {0}, 1 is read")]
    Version(u32),
    /// A field is broken.
    #[error("revocation list, {field}: {source}")]
    Wire {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        source: WireError,
    },
    /// A part that is not understood: taken for less it would let revoked keys pass.
    #[error("revocation list: section {0:#04x} is not understood")]
    Section(u8),
    /// It has a signature.
    #[error("revocation list is signed: signed lists are not read")]
    Signed,
    /// A range from more to less, or a bitmap that is too long.
    #[error("revocation list: a range of serial numbers is not one")]
    Range,
    /// An authority in it cannot be read.
    #[error("revocation list: an authority in it is no ssh key")]
    Authority,
}

/// A list of what no longer counts.
#[derive(Default)]
pub struct Krl {
    keys: HashSet<Vec<u8>>,
    sha1: HashSet<Vec<u8>>,
    sha256: HashSet<Vec<u8>>,
    certificates: Vec<OfAuthority>,
}

/// Nothing of what it says: a policy whose lists were renewed is the same policy, and the sessions under it go on.
impl core::fmt::Debug for Krl {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Krl(..)")
    }
}

/// What a list says about the certificates of one authority.
struct OfAuthority {
    /// Its key's blob; `None` for every authority.
    authority: Option<Vec<u8>>,
    /// First and last of each range.
    serials: Vec<(u64, u64)>,
    /// Bit 0, the lowest of the last byte, stands for the number in front.
    bitmaps: Vec<(u64, Box<[u8]>)>,
    key_ids: BTreeSet<String>,
}

impl Krl {
    /// Reads a list; nothing may follow it.
    ///
    /// # Errors
    /// [`KrlError`]. Never panics.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KrlError> {
        if bytes.len() > MAX_KRL_LEN {
            return Err(KrlError::TooLong(bytes.len()));
        }
        let at = |field| move |source| KrlError::Wire { field, source };
        let rest = bytes.strip_prefix(MAGIC).ok_or(KrlError::Magic)?;
        let mut reader = Reader::new(rest);
        let version = reader.u32().map_err(at("header"))?;
        if version != 1 {
            return Err(KrlError::Version(version));
        }
        // Number of the list, when it was made, and flags that mean nothing yet.
        for _ in 0..3 {
            reader.u64().map_err(at("header"))?;
        }
        // A reserved field and a comment.
        for _ in 0..2 {
            reader.string().map_err(at("header"))?;
        }
        let mut krl = Self::default();
        while !reader.is_empty() {
            let section = reader.byte().map_err(at("section"))?;
            let data = reader.string().map_err(at("section"))?;
            match section {
                1 => krl.certificates.push(of_authority(data)?),
                2 => krl.keys.extend(strings(data)?),
                3 => krl.sha1.extend(strings(data)?),
                4 => return Err(KrlError::Signed),
                5 => krl.sha256.extend(strings(data)?),
                other => return Err(KrlError::Section(other)),
            }
        }
        Ok(krl)
    }

    /// What of this certificate is on the list; `None` when nothing is. Its key and its authority's count, too.
    #[must_use]
    pub fn revokes(&self, certificate: &Certificate) -> Option<&'static str> {
        if self.revokes_key(certificate.key()) {
            return Some("its key");
        }
        if self.revokes_key(certificate.authority()) {
            return Some("its authority's key");
        }
        let authority = certificate.authority().blob();
        let of = self.certificates.iter().filter(|of| {
            of.authority
                .as_ref()
                .is_none_or(|blob| blob.as_slice() == authority)
        });
        for list in of {
            if list.lists(certificate.serial()) {
                return Some("its serial number");
            }
            if list.key_ids.contains(certificate.key_id()) {
                return Some("its key id");
            }
        }
        None
    }

    fn revokes_key(&self, key: &HostKey) -> bool {
        self.keys.contains(key.blob())
            || self.sha256.contains(key.sha256().as_slice())
            || self
                .sha1
                .contains(HashAlgorithm::Sha1.hash(&[key.blob()]).as_ref())
    }
}

impl OfAuthority {
    fn lists(&self, serial: u64) -> bool {
        let is_set = |(offset, bitmap): &(u64, Box<[u8]>)| {
            let index = serial.checked_sub(*offset)?;
            let from_end = usize::try_from(index / 8).ok()?;
            let byte = bitmap.iter().rev().nth(from_end)?;
            Some(byte >> (index % 8) & 1 == 1)
        };
        let mut ranges = self.serials.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&serial))
            || self
                .bitmaps
                .iter()
                .any(|bitmap| is_set(bitmap) == Some(true))
    }
}

fn strings(data: &[u8]) -> Result<Vec<Vec<u8>>, KrlError> {
    let mut all = Vec::new();
    let mut reader = Reader::new(data);
    while !reader.is_empty() {
        let item = reader.string().map_err(|source| KrlError::Wire {
            field: "keys",
            source,
        })?;
        all.push(item.to_vec());
    }
    Ok(all)
}

fn of_authority(data: &[u8]) -> Result<OfAuthority, KrlError> {
    let at = |source| KrlError::Wire {
        field: "certificates",
        source,
    };
    let mut reader = Reader::new(data);
    let authority = reader.string().map_err(at)?;
    let authority = match authority {
        [] => None,
        blob => {
            HostKey::from_blob(blob).map_err(|_| KrlError::Authority)?;
            Some(blob.to_vec())
        }
    };
    reader.string().map_err(at)?;
    let mut of = OfAuthority {
        authority,
        serials: Vec::new(),
        bitmaps: Vec::new(),
        key_ids: BTreeSet::new(),
    };
    while !reader.is_empty() {
        let section = reader.byte().map_err(at)?;
        let data = reader.string().map_err(at)?;
        let mut fields = Reader::new(data);
        match section {
            0x20 => {
                while !fields.is_empty() {
                    let serial = fields.u64().map_err(at)?;
                    of.serials.push((serial, serial));
                }
            }
            0x21 => {
                let (first, last) = (fields.u64().map_err(at)?, fields.u64().map_err(at)?);
                fields.finish().map_err(at)?;
                if first > last {
                    return Err(KrlError::Range);
                }
                of.serials.push((first, last));
            }
            0x22 => {
                let offset = fields.u64().map_err(at)?;
                let bitmap = fields.positive().map_err(at)?;
                fields.finish().map_err(at)?;
                let bits = bitmap.len() * 8;
                if bits > MAX_BITMAP || offset.checked_add(bits as u64).is_none() {
                    return Err(KrlError::Range);
                }
                of.bitmaps.push((offset, bitmap.into()));
            }
            0x23 => {
                while !fields.is_empty() {
                    of.key_ids.insert(fields.text().map_err(at)?.to_owned());
                }
            }
            other => return Err(KrlError::Section(other)),
        }
    }
    Ok(of)
}
