//! OpenSSH certificates (PROTOCOL.certkeys): what one says, and the bytes its signature covers.

use std::sync::OnceLock;

use super::{
    key::{HostKey, KeyError, KeyType},
    signature::{Signature, SignatureError},
    wire::{Reader, WireError},
};
use crate::crypto::Seen;

/// Longest certificate read, bytes.
pub const MAX_CERTIFICATE_LEN: usize = 16 * 1024;
/// Most principals; OpenSSH's own limit.
pub const MAX_PRINCIPALS: usize = 256;
/// Most options of either kind.
const MAX_OPTIONS: usize = 64;
/// `valid before` of a certificate that never ends.
pub const FOREVER: u64 = u64::MAX;

/// Why bytes are not a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Longer than [`MAX_CERTIFICATE_LEN`].
    #[error("ssh certificate of {0} bytes, at most {MAX_CERTIFICATE_LEN} are read")]
    TooLong(usize),
    /// A field is broken.
    #[error("ssh certificate, {field}: {source}")]
    Wire {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        source: WireError,
    },
    /// A plain key.
    #[error("this is a plain ssh key, not a certificate")]
    PlainKey,
    /// A certificate of a type that is not supported: DSA, a security key.
    #[error("ssh certificate of type {0:?} is not supported")]
    Type(String),
    /// The certified key or the authority's cannot be used.
    #[error("ssh certificate, {field}: {source}")]
    Key {
        /// Which.
        field: &'static str,
        /// What is wrong.
        source: KeyError,
    },
    /// Neither for a user nor for a host.
    #[error("ssh certificate is neither a user's (1) nor a host's (2): {0}")]
    Role(u32),
    /// More than the limit, or one stands twice, or options are not in order.
    #[error("ssh certificate, {0}: too many, one stands twice, or not in order")]
    List(&'static str),
    /// The reserved field is not empty.
    #[error("ssh certificate: the reserved field is not empty")]
    Reserved,
}

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A person.
    User,
    /// A machine.
    Host,
}

/// A certificate that was read, and in no way verified.
#[derive(Clone, Debug)]
pub struct Certificate {
    blob: Box<[u8]>,
    /// Length of what the signature covers.
    covered: usize,
    key: HostKey,
    serial: u64,
    role: Role,
    key_id: String,
    principals: Vec<String>,
    valid_after: u64,
    valid_before: u64,
    critical_options: Vec<String>,
    extensions: Vec<String>,
    authority: HostKey,
    signature: Box<[u8]>,
    /// That the signature verified, and whether SHA-1 was admitted then.
    signed: OnceLock<bool>,
}

/// By the bytes, which everything else follows from.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob
    }
}

impl Eq for Certificate {}

impl Certificate {
    /// Reads a certificate's blob; nothing may follow it.
    ///
    /// # Errors
    /// [`CertificateError`]. Never panics.
    pub fn from_blob(blob: &[u8]) -> Result<Self, CertificateError> {
        if blob.len() > MAX_CERTIFICATE_LEN {
            return Err(CertificateError::TooLong(blob.len()));
        }
        let at = |field| move |source| CertificateError::Wire { field, source };
        let mut reader = Reader::new(blob);
        let name = reader.text().map_err(at("type"))?;
        let Some(kind) = KeyType::ALL
            .into_iter()
            .find(|kind| kind.certificate_name() == name)
        else {
            return Err(match KeyType::ALL.iter().any(|kind| kind.name() == name) {
                true => CertificateError::PlainKey,
                false => CertificateError::Type(name.chars().take(64).collect()),
            });
        };
        // Random bytes of the authority's, against collisions in what it signs.
        reader.string().map_err(at("nonce"))?;
        let key = key_fields(kind, &mut reader)?;
        let serial = reader.u64().map_err(at("serial"))?;
        let role = match reader.u32().map_err(at("role"))? {
            1 => Role::User,
            2 => Role::Host,
            other => return Err(CertificateError::Role(other)),
        };
        let key_id = reader.text().map_err(at("key id"))?.to_owned();
        let principals = principals(reader.string().map_err(at("principals"))?)?;
        let valid_after = reader.u64().map_err(at("valid after"))?;
        let valid_before = reader.u64().map_err(at("valid before"))?;
        let critical_options = options(
            "critical options",
            reader.string().map_err(at("critical options"))?,
        )?;
        let extensions = options("extensions", reader.string().map_err(at("extensions"))?)?;
        if !reader.string().map_err(at("reserved"))?.is_empty() {
            return Err(CertificateError::Reserved);
        }
        let authority = reader.string().map_err(at("authority"))?;
        // A certificate is no plain key, so an authority that is certified itself is refused here.
        let authority = HostKey::from_blob(authority).map_err(|source| CertificateError::Key {
            field: "authority",
            source,
        })?;
        let covered = blob.len() - reader.rest().len();
        let signature = reader.string().map_err(at("signature"))?.into();
        reader.finish().map_err(at("signature"))?;
        Ok(Self {
            blob: blob.into(),
            covered,
            key,
            serial,
            role,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            authority,
            signature,
            signed: OnceLock::new(),
        })
    }

    /// As it travels.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The certified key.
    #[must_use]
    pub fn key(&self) -> &HostKey {
        &self.key
    }

    /// The authority's number for it; 0 when it gives none.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Whom it is for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The authority's text for it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The host's names. None means any to OpenSSH, so a judge must refuse that.
    #[must_use]
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// First second of validity, Unix time.
    #[must_use]
    pub fn valid_after(&self) -> u64 {
        self.valid_after
    }

    /// First second at which it is no longer valid; [`FOREVER`].
    #[must_use]
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }

    /// Names of the critical options. A judge must refuse what it does not enforce.
    #[must_use]
    pub fn critical_options(&self) -> &[String] {
        &self.critical_options
    }

    /// Names of the extensions, which may be ignored.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Whose signature it says it has.
    #[must_use]
    pub fn authority(&self) -> &HostKey {
        &self.authority
    }

    /// Verifies the signature under the authority's key, once: that it verified is remembered here, for as long as this
    /// certificate is kept, and in `seen`, for one that is read anew. Whether that authority counts is the caller's to say.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_signature(
        &self,
        danger_allow_sha1: bool,
        seen: &Seen,
    ) -> Result<(), SignatureError> {
        if self.signed.get() == Some(&danger_allow_sha1) {
            return Ok(());
        }
        let covered = self.blob.get(..self.covered).unwrap_or_default();
        let signature = Signature::from_bytes(&self.signature)?;
        signature.verify_once(&self.authority, covered, danger_allow_sha1, seen)?;
        self.signed.get_or_init(|| danger_allow_sha1);
        Ok(())
    }
}

/// The fields of the certified key, which the type prescribes.
fn key_fields(kind: KeyType, reader: &mut Reader<'_>) -> Result<HostKey, CertificateError> {
    let field = "key";
    let start = reader.rest();
    let key = kind
        .read(reader)
        .map_err(|source| CertificateError::Key { field, source })?;
    let fields = start
        .get(..start.len() - reader.rest().len())
        .unwrap_or_default();
    HostKey::of_fields(kind, key, fields).map_err(|source| CertificateError::Key { field, source })
}

fn principals(list: &[u8]) -> Result<Vec<String>, CertificateError> {
    let field = "principals";
    let mut principals: Vec<String> = Vec::new();
    let mut reader = Reader::new(list);
    while !reader.is_empty() {
        let name = reader
            .text()
            .map_err(|source| CertificateError::Wire { field, source })?;
        if principals.len() == MAX_PRINCIPALS || principals.iter().any(|known| known == name) {
            return Err(CertificateError::List(field));
        }
        principals.push(name.to_owned());
    }
    Ok(principals)
}

/// The names of options, which stand in lexical order, each once; their values are whole strings.
fn options(field: &'static str, list: &[u8]) -> Result<Vec<String>, CertificateError> {
    let at = |source| CertificateError::Wire { field, source };
    let mut names: Vec<String> = Vec::new();
    let mut reader = Reader::new(list);
    while !reader.is_empty() {
        let name = reader.text().map_err(at)?;
        reader.string().map_err(at)?;
        if names.len() == MAX_OPTIONS || names.last().is_some_and(|last| last.as_str() >= name) {
            return Err(CertificateError::List(field));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}
