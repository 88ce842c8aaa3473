//! Names: the hash by which a TPM refers to an object.
//!
//! A verifier *computes* a Name from the public area it was sent and compares; a Name that arrives
//! on the wire is only ever compared with a computed one.

use core::fmt;

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::alg::AlgId;
use super::codec::{DecodeError, Reader};
use super::handle::Handle;
use super::public::Public;

/// Longest digest, in bytes (SHA-512).
const MAX_DIGEST: usize = 64;

/// Why there is no Name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameError {
    /// Not the two bytes of an algorithm and a digest.
    Decode(DecodeError),
    /// No implementation of this name algorithm; [`AlgId::NULL`] means the object has no Name.
    Unsupported(AlgId),
}

impl From<DecodeError> for NameError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "name: {error}"),
            Self::Unsupported(alg) => write!(f, "name: algorithm {alg} not supported"),
        }
    }
}

impl core::error::Error for NameError {}

/// Name of an object or NV index, or a Qualified Name: algorithm (2 bytes, big-endian) and digest.
///
/// [TPM2.0 1.83 Part 1] 13 and 23.5.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    // Algorithm and digest as on the wire; the tail beyond `len` is always zero, so that the
    // derived comparison compares names.
    bytes: [u8; 2 + MAX_DIGEST],
    len: u8,
}

impl Name {
    /// Computes the Name of an object: `nameAlg ‖ H(TPMT_PUBLIC)` over the bytes as received.
    ///
    /// # Errors
    /// [`NameError::Unsupported`] when the name algorithm is not SHA-256, SHA-384 or SHA-512.
    pub fn of(public: &Public<'_>) -> Result<Self, NameError> {
        Self::hash(public.name_alg, &[public.raw()])
    }

    /// Computes the Qualified Name of a primary object: `nameAlg ‖ H(hierarchy ‖ Name)`.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn qualified_of_primary(hierarchy: Handle, name: &Self) -> Result<Self, NameError> {
        Self::hash(name.alg(), &[&hierarchy.0.to_be_bytes(), name.as_bytes()])
    }

    /// Computes the Qualified Name of an object below a parent: `nameAlg ‖ H(QN(parent) ‖ Name)`,
    /// with the name algorithm of the object.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn qualified_of_child(parent: &Self, name: &Self) -> Result<Self, NameError> {
        Self::hash(name.alg(), &[parent.as_bytes(), name.as_bytes()])
    }

    /// Puts a Name together from a digest that the caller computed: the way for a firmware that
    /// carries one hash only. [`of`](Self::of) links SHA-256 and SHA-512, which are most of the
    /// flash that this module can cost.
    ///
    /// # Errors
    /// [`NameError::Unsupported`] for a hash whose size is not known;
    /// [`DecodeError::Truncated`] or [`DecodeError::Trailing`] when `digest` has another size.
    pub fn from_digest(alg: AlgId, digest: &[u8]) -> Result<Self, NameError> {
        let len = alg.digest_len().ok_or(NameError::Unsupported(alg))?;
        let mut name = Self {
            bytes: [0; 2 + MAX_DIGEST],
            len: 0,
        };
        let mut r = Reader::new(digest);
        let digest = r.bytes(len)?;
        r.finish()?;
        let source = alg.0.to_be_bytes();
        for (to, from) in name.bytes.iter_mut().zip(source.iter().chain(digest)) {
            *to = *from;
            name.len += 1;
        }
        Ok(name)
    }

    /// Reads a Name that fills `bytes` exactly: the content of a `TPM2B_NAME` of an object.
    ///
    /// Names of hierarchies, PCRs and sessions are their 4-byte handles and are no `Name` here.
    ///
    /// # Errors
    /// As [`from_digest`](Self::from_digest).
    pub fn parse(bytes: &[u8]) -> Result<Self, NameError> {
        let mut r = Reader::new(bytes);
        let alg = AlgId(r.u16()?);
        Self::from_digest(alg, r.rest())
    }

    /// Algorithm of the digest.
    #[must_use]
    pub const fn alg(&self) -> AlgId {
        let [high, low, ..] = self.bytes;
        AlgId(u16::from_be_bytes([high, low]))
    }

    /// The digest, 20 to 64 bytes.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        self.as_bytes().get(2..).unwrap_or(&[])
    }

    /// Algorithm and digest, as the TPM hashes and sends them (without a length).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    fn hash(alg: AlgId, parts: &[&[u8]]) -> Result<Self, NameError> {
        match alg {
            AlgId::SHA256 => Self::from_digest(alg, &digest::<Sha256>(parts)),
            AlgId::SHA384 => Self::from_digest(alg, &digest::<Sha384>(parts)),
            AlgId::SHA512 => Self::from_digest(alg, &digest::<Sha512>(parts)),
            _ => Err(NameError::Unsupported(alg)),
        }
    }
}

fn digest<D: Digest>(parts: &[&[u8]]) -> sha2::digest::Output<D> {
    let mut hash = D::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize()
}

/// Lower-case hexadecimal, algorithm included, as tpm2-tools prints it.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// Computes the Qualified Name of a primary object; see [`Name::qualified_of_primary`].
///
/// # Errors
/// As [`Name::of`].
pub fn qualified_name_of_primary(hierarchy: Handle, name: &Name) -> Result<Name, NameError> {
    Name::qualified_of_primary(hierarchy, name)
}
