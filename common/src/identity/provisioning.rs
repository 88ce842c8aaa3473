//! The provisioning record: what a node must be told once, in write-protected flash, before it can log in.
//!
//! ```text
//!   magic "ASSAYP01" | length u16 be | postcard Provisioning | crc u32 be
//!   magic "ASSAYP02" | length u16 be | postcard Provisioning | postcard Pins | crc u32 be
//!   crc : CRC-32/ISO-HDLC over everything before it
//! ```
//!
//! The first form holds no secret: the cluster's name, the trust domain, and the verifier's public key that the node pins. A
//! node without a whole record does not log in (there is no trust on first use). The second form ties the record to one
//! device: to its TPM, by the Name of the endorsement key, and to a secret of its own. With a secret in it the flash must
//! not be readable from outside, and the file must not be kept. An image that does not know the second form finds no
//! record, and does not log in.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::{Deserialize, Serialize};

use super::{ClusterName, TrustDomain};
use crate::protocol::{MessageReader, ReadFields};

const MAGIC: &[u8; 8] = b"ASSAYP01";
/// Of a record with [`Pins`].
const MAGIC_PINNED: &[u8; 8] = b"ASSAYP02";
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
const HEADER: usize = MAGIC.len() + 2;

/// Longest record, bytes: trust domain 255, cluster 64, key 65, Name 66, secret 64, lengths and frame around them.
pub const MAX_RECORD: usize = 544;
/// Longest Name of an endorsement key: algorithm and SHA-512 digest.
pub const MAX_EK_NAME: usize = 66;
/// The least noise of a board that stands in for a secret, bytes: 128 bits.
pub const MIN_NOISE: usize = 16;
/// Lengths of a device's secret, bytes.
pub const SECRET_LEN: core::ops::RangeInclusive<usize> = 32..=64;
/// Length of an uncompressed SEC1 P-256 point.
pub const KEY_LEN: usize = 65;

/// What a node is provisioned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioning<'a> {
    /// The cluster it belongs to.
    pub cluster: &'a str,
    /// The trust domain whose identities it accepts.
    pub trust_domain: &'a str,
    /// The verifier's challenge key: an uncompressed SEC1 P-256 point, [`KEY_LEN`] bytes.
    pub verifier_key: &'a [u8],
}

/// What ties a record to one device. A field that is empty says nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins<'a> {
    /// The Name of the TPM's endorsement key, algorithm and digest, at most [`MAX_EK_NAME`] bytes: the node talks to no
    /// other TPM.
    pub ek_name: &'a [u8],
    /// A secret of this device alone, of [`SECRET_LEN`] bytes: where its random numbers begin, so that nobody on the bus
    /// can foresee them.
    pub secret: &'a [u8],
}

impl Pins<'_> {
    /// Whether a board that has so many bytes of noise cannot hold to them: they name a TPM and give no secret, and it has less
    /// noise than [`MIN_NOISE`]. What the secrets of a session with that TPM are made of, whoever is on the bus would know or try.
    #[must_use]
    pub const fn lack(&self, noise: usize) -> bool {
        !self.ek_name.is_empty() && self.secret.is_empty() && noise < MIN_NOISE
    }
}

impl core::fmt::Debug for Pins<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pins")
            .field("ek_name", &self.ek_name)
            .field("has_secret", &!self.secret.is_empty())
            .finish()
    }
}

/// Why there is no usable record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum ProvisioningError {
    /// The flash is blank or holds something else.
    Missing = 1,
    /// Cut short, or a wrong CRC: written in part.
    Damaged = 2,
    /// Whole, but a field is not legal.
    Invalid = 3,
    /// The buffer for a new record is too small.
    NoSpace = 4,
    /// It names a TPM and gives no secret, and the board has no noise ([`Pins::lack`]).
    NoSecret = 5,
}

impl core::fmt::Display for ProvisioningError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Missing => "no provisioning record",
            Self::Damaged => "provisioning record cut short or damaged",
            Self::Invalid => "provisioning record with an illegal field",
            Self::NoSpace => "provisioning record longer than its buffer",
            Self::NoSecret => {
                "provisioning record names a TPM without a secret, and the board has no noise"
            }
        })
    }
}

impl core::error::Error for ProvisioningError {}

impl<'a> Provisioning<'a> {
    /// Reads the record at the front of a flash region; what follows it is ignored.
    ///
    /// # Errors
    ///
    /// [`ProvisioningError`]; never a panic, whatever the flash holds.
    pub fn read(region: &'a [u8]) -> Result<Self, ProvisioningError> {
        Self::read_pinned(region).map(|(record, _)| record)
    }

    /// Reads the record and what ties it to this device; a record of the first form ties to nothing.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_pinned(region: &'a [u8]) -> Result<(Self, Pins<'a>), ProvisioningError> {
        let (magic, rest) = region
            .split_first_chunk::<8>()
            .ok_or(ProvisioningError::Missing)?;
        let is_pinned = magic == MAGIC_PINNED;
        if !is_pinned && magic != MAGIC {
            return Err(ProvisioningError::Missing);
        }
        let (len, rest) = rest
            .split_first_chunk::<2>()
            .ok_or(ProvisioningError::Damaged)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (body, rest) = rest
            .split_at_checked(len)
            .ok_or(ProvisioningError::Damaged)?;
        let crc = rest.first_chunk::<4>().ok_or(ProvisioningError::Damaged)?;
        let covered = region
            .get(..HEADER + len)
            .ok_or(ProvisioningError::Damaged)?;
        if CRC.checksum(covered) != u32::from_be_bytes(*crc) {
            return Err(ProvisioningError::Damaged);
        }
        let mut fields = MessageReader::new(body);
        let record = Self::read_fields(&mut fields);
        let pins = if is_pinned {
            Pins::read_fields(&mut fields)
        } else {
            Pins::default()
        };
        fields.finish().map_err(|_| ProvisioningError::Invalid)?;
        record.check()?;
        pins.check()?;
        Ok((record, pins))
    }

    /// Writes the record to the front of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`ProvisioningError::Invalid`] or [`ProvisioningError::NoSpace`]; [`MAX_RECORD`] bytes are always enough.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, ProvisioningError> {
        self.write_pinned(&Pins::default(), out)
    }

    /// Writes the record with what ties it to a device. When that is nothing, every image can read it.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_pinned(
        &self,
        pins: &Pins<'_>,
        out: &mut [u8],
    ) -> Result<usize, ProvisioningError> {
        self.check()?;
        pins.check()?;
        let body = out.get_mut(HEADER..).ok_or(ProvisioningError::NoSpace)?;
        let (magic, written) = if *pins == Pins::default() {
            (MAGIC, postcard::to_slice(self, body))
        } else {
            (MAGIC_PINNED, postcard::to_slice(&(self, pins), body))
        };
        let len = written.map_err(|_| ProvisioningError::NoSpace)?.len();
        let short = u16::try_from(len).map_err(|_| ProvisioningError::NoSpace)?;
        let (head, _) = out
            .split_at_mut_checked(HEADER)
            .ok_or(ProvisioningError::NoSpace)?;
        for (slot, byte) in head
            .iter_mut()
            .zip(magic.iter().chain(&short.to_be_bytes()))
        {
            *slot = *byte;
        }
        let end = HEADER + len;
        let crc = CRC.checksum(out.get(..end).ok_or(ProvisioningError::NoSpace)?);
        let tail = out
            .get_mut(end..end + 4)
            .ok_or(ProvisioningError::NoSpace)?;
        tail.copy_from_slice(&crc.to_be_bytes());
        Ok(end + 4)
    }

    fn check(&self) -> Result<(), ProvisioningError> {
        let legal = ClusterName::parse(self.cluster).is_ok()
            && TrustDomain::parse(self.trust_domain).is_ok()
            && self.verifier_key.len() == KEY_LEN
            && self.verifier_key.first() == Some(&4);
        if legal {
            Ok(())
        } else {
            Err(ProvisioningError::Invalid)
        }
    }
}

impl Pins<'_> {
    fn check(&self) -> Result<(), ProvisioningError> {
        // The length says whether it is one of the hashes that name keys: TPM_ALG_SHA256, SHA384, SHA512.
        let name_is_legal = match self.ek_name {
            [] => true,
            [0, alg, digest @ ..] => {
                matches!((alg, digest.len()), (0x0B, 32) | (0x0C, 48) | (0x0D, 64))
            }
            _ => false,
        };
        let secret_is_legal = self.secret.is_empty() || SECRET_LEN.contains(&self.secret.len());
        if name_is_legal && secret_is_legal {
            Ok(())
        } else {
            Err(ProvisioningError::Invalid)
        }
    }
}

impl<'a> ReadFields<'a> for Pins<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        Self {
            ek_name: r.bytes(),
            secret: r.bytes(),
        }
    }
}

impl<'a> ReadFields<'a> for Provisioning<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        Self {
            cluster: r.text(),
            trust_domain: r.text(),
            verifier_key: r.bytes(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::{KEY_LEN, MAX_EK_NAME, MAX_RECORD, Pins, Provisioning, ProvisioningError};

    fn record() -> ([u8; MAX_RECORD], usize) {
        let key = [4; KEY_LEN];
        let record = Provisioning {
            cluster: "lab",
            trust_domain: "example.org",
            verifier_key: &key,
        };
        let mut out = [0xFF; MAX_RECORD];
        let len = record.write(&mut out).expect("fits");
        (out, len)
    }

    #[test]
    fn what_was_written_is_read() {
        let (out, _) = record();
        let read = Provisioning::read(&out).expect("whole");
        assert_eq!((read.cluster, read.trust_domain), ("lab", "example.org"));
        assert_eq!(read.verifier_key, [4; KEY_LEN]);
    }

    #[test]
    fn blank_flash_has_no_record() {
        assert_eq!(
            Provisioning::read(&[0xFF; 64]),
            Err(ProvisioningError::Missing)
        );
        assert_eq!(Provisioning::read(&[]), Err(ProvisioningError::Missing));
    }

    #[test]
    fn a_record_cut_at_any_byte_or_with_any_bit_flipped_is_refused() {
        let (out, len) = record();
        for cut in 0..len {
            assert!(
                Provisioning::read(out.get(..cut).expect("in range")).is_err(),
                "cut at {cut}"
            );
        }
        for bit in 0..len * 8 {
            let mut bad = out;
            if let Some(byte) = bad.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert!(Provisioning::read(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_key_that_is_no_uncompressed_point_is_not_written() {
        let key = [2; KEY_LEN];
        let record = Provisioning {
            cluster: "lab",
            trust_domain: "example.org",
            verifier_key: &key,
        };
        assert_eq!(
            record.write(&mut [0; MAX_RECORD]),
            Err(ProvisioningError::Invalid)
        );
    }

    const NAME: [u8; 34] = *b"\x00\x0B................................";

    fn write(pins: &Pins<'_>) -> Result<([u8; MAX_RECORD], usize), ProvisioningError> {
        let record = Provisioning {
            cluster: "lab",
            trust_domain: "example.org",
            verifier_key: &[4; KEY_LEN],
        };
        let mut out = [0xFF; MAX_RECORD];
        let len = record.write_pinned(pins, &mut out)?;
        Ok((out, len))
    }

    #[test]
    fn what_ties_a_record_to_a_device_is_read_and_belongs_to_the_record() {
        let secret = [9; 32];
        let pins = Pins {
            ek_name: &NAME,
            secret: &secret,
        };
        let (out, len) = write(&pins).expect("legal");
        let (read, tied) = Provisioning::read_pinned(&out).expect("whole");
        assert_eq!((read.cluster, tied), ("lab", pins));
        assert_eq!(Provisioning::read(&out).expect("whole"), read);
        for bit in 0..len * 8 {
            let mut bad = out;
            if let Some(byte) = bad.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert!(Provisioning::read_pinned(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_that_is_tied_to_nothing_is_of_the_form_that_every_image_knows() {
        let (plain, plain_len) = record();
        let (out, len) = write(&Pins::default()).expect("legal");
        assert_eq!(out.get(..len), plain.get(..plain_len));
        let (_, pins) = Provisioning::read_pinned(&plain).expect("whole");
        assert_eq!(pins, Pins::default());
    }

    #[test]
    fn pins_that_can_fit_no_device_are_not_written() {
        let long = [0; MAX_EK_NAME + 1];
        for ek_name in [
            &[0, 0x0B][..],
            NAME.split_last().expect("long").1,
            &[0, 0x04, 1],
            NAME.split_first().expect("long").1,
            &long,
        ] {
            let pins = Pins {
                ek_name,
                secret: &[],
            };
            assert_eq!(write(&pins), Err(ProvisioningError::Invalid));
        }
        for len in [1, 31, 65] {
            let pins = Pins {
                ek_name: &[],
                secret: [1; 80].get(..len).unwrap_or_default(),
            };
            assert_eq!(write(&pins), Err(ProvisioningError::Invalid), "{len}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        extern crate std;
        let pins = Pins {
            ek_name: &[],
            secret: &[0xAB; 32],
        };
        let printed = std::format!("{pins:?}");
        assert!(
            !printed.contains("171") && !printed.contains("ab"),
            "{printed}"
        );
    }
}
