//! What an SSH certificate says of itself (OpenSSH's PROTOCOL.certkeys), read for people. Nobody has verified it here.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::leaf::Term;
use super::openssh::Reader;

/// A certificate of SSH as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCertificate {
    /// Whether it is a host's. A user's proves nothing of a host.
    pub is_hosts: bool,
    /// The names that it is for.
    pub principals: Vec<String>,
    /// When it counts.
    pub term: Term,
    /// SHA-256 of the host key, as `ssh-keygen -l` has it in base64 and the verifier's audit trail in hex.
    pub key_sha256: [u8; 32],
}

impl HostCertificate {
    /// Reads a certificate's blob. `None`: it is none of a kind that is known here.
    #[must_use]
    pub fn read(blob: &[u8]) -> Option<Self> {
        let mut reader = Reader(blob);
        let kind = reader.string().ok()?;
        let plain = kind.strip_suffix(b"-cert-v01@openssh.com")?;
        let _nonce = reader.string().ok()?;
        // The fields of the plain key's blob, behind its name.
        let fields = match plain {
            b"ssh-ed25519" => 1,
            b"ssh-rsa" => 2,
            _ if plain.starts_with(b"ecdsa-sha2-") => 2,
            _ => return None,
        };
        let mut key = string(plain);
        for _ in 0..fields {
            key.extend(string(reader.string().ok()?));
        }
        let _serial = reader.u64().ok()?;
        let is_hosts = reader.u32().ok()? == 2;
        let _id = reader.string().ok()?;
        let mut names = Reader(reader.string().ok()?);
        let mut principals = Vec::new();
        while !names.0.is_empty() {
            principals.push(String::from_utf8_lossy(names.string().ok()?).into_owned());
        }
        let (from, until) = (reader.u64().ok()?, reader.u64().ok()?);
        // Zero is no beginning, and what is after all time is no end.
        let at = |seconds: u64| Timestamp::from_second(i64::try_from(seconds).ok()?).ok();
        Some(Self {
            is_hosts,
            principals,
            term: Term {
                from: at(from).filter(|_| from != 0),
                until: at(until),
            },
            key_sha256: Sha256::digest(key).into(),
        })
    }
}

/// RFC 4251, section 5. A part of a blob that was read, so its length fits.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}
