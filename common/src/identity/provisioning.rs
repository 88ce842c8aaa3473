//! The provisioning record: what a node must be told once, in write-protected flash, before it can log in.
//!
//! ```text
//!   magic "ASSAYP01" | length u16 be | postcard Provisioning | crc u32 be
//!   crc : CRC-32/ISO-HDLC over everything before it
//! ```
//!
//! It holds no secret: the cluster's name, the trust domain, and the verifier's public key that the node pins. A
//! node without a whole record does not log in (there is no trust on first use).

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::{Deserialize, Serialize};

use super::{ClusterName, TrustDomain};
use crate::protocol::{MessageReader, ReadFields, read};

const MAGIC: &[u8; 8] = b"ASSAYP01";
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
const HEADER: usize = MAGIC.len() + 2;

/// Longest record, bytes: trust domain 255, cluster 64, key 65, lengths and frame around them.
pub const MAX_RECORD: usize = 512;
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
}

impl core::fmt::Display for ProvisioningError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Missing => "no provisioning record",
            Self::Damaged => "provisioning record cut short or damaged",
            Self::Invalid => "provisioning record with an illegal field",
            Self::NoSpace => "provisioning record longer than its buffer",
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
        let rest = region
            .strip_prefix(MAGIC.as_slice())
            .ok_or(ProvisioningError::Missing)?;
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
        let record: Self = read(body).map_err(|_| ProvisioningError::Invalid)?;
        record.check()?;
        Ok(record)
    }

    /// Writes the record to the front of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`ProvisioningError::Invalid`] or [`ProvisioningError::NoSpace`]; [`MAX_RECORD`] bytes are always enough.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, ProvisioningError> {
        self.check()?;
        let body = out.get_mut(HEADER..).ok_or(ProvisioningError::NoSpace)?;
        let len = postcard::to_slice(self, body)
            .map_err(|_| ProvisioningError::NoSpace)?
            .len();
        let short = u16::try_from(len).map_err(|_| ProvisioningError::NoSpace)?;
        let (head, _) = out
            .split_at_mut_checked(HEADER)
            .ok_or(ProvisioningError::NoSpace)?;
        for (slot, byte) in head
            .iter_mut()
            .zip(MAGIC.iter().chain(&short.to_be_bytes()))
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
    use super::{KEY_LEN, MAX_RECORD, Provisioning, ProvisioningError};

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
}
