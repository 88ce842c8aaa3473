//! SHA-256 and SHA-384 chosen at run time, HMAC (FIPS 198-1), and the key derivations of a TPM.
//!
//! A session takes the hash of the endorsement key it is salted to, which is known only when the TPM has said it. With
//! the hash as a type parameter everything above would be in flash twice.

use assay_common::tpm::alg::AlgId;
use sha2::{Digest as _, Sha256, Sha384};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Longest digest here.
pub(crate) const MAX_DIGEST: usize = 48;
/// Longest block: SHA-384.
const MAX_BLOCK: usize = 128;

/// A hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
}

impl Hash {
    /// The hash with this number; `None` for one that is not here.
    pub(crate) const fn of(alg: AlgId) -> Option<Self> {
        match alg {
            AlgId::SHA256 => Some(Self::Sha256),
            AlgId::SHA384 => Some(Self::Sha384),
            _ => None,
        }
    }

    /// Its number.
    pub(crate) const fn alg(self) -> AlgId {
        match self {
            Self::Sha256 => AlgId::SHA256,
            Self::Sha384 => AlgId::SHA384,
        }
    }

    /// Bytes of a digest.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    const fn block(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 128,
        }
    }

    /// The digest of `parts`, one after the other.
    pub(crate) fn digest(self, parts: &[&[u8]]) -> Digest {
        let mut hasher = Hasher::new(self);
        for part in parts {
            hasher.update(part);
        }
        hasher.finish()
    }
}

/// A digest, a MAC or a key of a digest's length. Wiped when dropped; never printed.
pub(crate) struct Digest {
    bytes: [u8; MAX_DIGEST],
    hash: Hash,
}

impl Digest {
    /// Zeros, to be written over.
    pub(crate) const fn zero(hash: Hash) -> Self {
        Self {
            bytes: [0; MAX_DIGEST],
            hash,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.hash.len()).unwrap_or_default()
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.hash.len()).unwrap_or_default()
    }

    /// Whether it is `other`, in the same time wherever the two differ. A wrong length is no secret.
    pub(crate) fn is(&self, other: &[u8]) -> bool {
        self.as_bytes().ct_eq(other).into()
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// A hash under way.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
}

impl Hasher {
    pub(crate) fn new(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256(Sha256::new()),
            Hash::Sha384 => Self::Sha384(Sha384::new()),
        }
    }

    #[inline(never)]
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Sha384(state) => state.update(bytes),
        }
    }

    #[inline(never)]
    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(state) => filled(Hash::Sha256, &state.finalize()),
            Self::Sha384(state) => filled(Hash::Sha384, &state.finalize()),
        }
    }
}

fn filled(hash: Hash, bytes: &[u8]) -> Digest {
    let mut digest = Digest::zero(hash);
    for (to, from) in digest.bytes.iter_mut().zip(bytes) {
        *to = *from;
    }
    digest
}

/// An HMAC under way.
pub(crate) struct Mac {
    inner: Hasher,
    outer: Hasher,
}

impl Mac {
    /// With a key in parts. All keys here are one or two digests long; one beyond a block is hashed first, as the standard
    /// says.
    #[inline(never)]
    pub(crate) fn new(hash: Hash, key: &[&[u8]]) -> Self {
        let mut block = [0; MAX_BLOCK];
        let len: usize = key.iter().map(|part| part.len()).sum();
        if len > hash.block() {
            let digest = hash.digest(key);
            for (to, from) in block.iter_mut().zip(digest.as_bytes()) {
                *to = *from;
            }
        } else {
            let bytes = key.iter().flat_map(|part| part.iter());
            for (to, from) in block.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
        let mut padded = |pad: u8| {
            block.iter_mut().for_each(|byte| *byte ^= pad);
            let mut hasher = Hasher::new(hash);
            hasher.update(block.get(..hash.block()).unwrap_or_default());
            hasher
        };
        const INNER: u8 = 0x36;
        const OUTER: u8 = 0x5C;
        let inner = padded(INNER);
        let outer = padded(INNER ^ OUTER);
        block.zeroize();
        Self { inner, outer }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        let Self { inner, mut outer } = self;
        outer.update(inner.finish().as_bytes());
        outer.finish()
    }
}

/// KDFa (`[TPM2.0 1.85 Part 1]` 8.4.10.2): fills `out` from a key in parts. `label` is without its final zero.
#[inline(never)]
pub(crate) fn kdfa(hash: Hash, key: &[&[u8]], label: &[u8], contexts: [&[u8]; 2], out: &mut [u8]) {
    let bits = (out.len() as u32 * 8).to_be_bytes();
    for (counter, chunk) in (1u32..).zip(out.chunks_mut(hash.len())) {
        let mut mac = Mac::new(hash, key);
        mac.update(&counter.to_be_bytes());
        mac.update(label);
        mac.update(&[0]);
        for context in contexts {
            mac.update(context);
        }
        mac.update(&bits);
        for (to, from) in chunk.iter_mut().zip(mac.finish().as_bytes()) {
            *to = *from;
        }
    }
}

/// KDFe (`[TPM2.0 1.85 Part 1]` 8.4.10.3) of one digest: `H(1 ‖ Z ‖ use ‖ 0 ‖ U.x ‖ V.x)`, with coordinates as long as the
/// field. A plain hash, as TPMs compute it; version 1.85's words say HMAC, its formula does not.
pub(crate) fn kdfe(hash: Hash, z: &[u8], label: &[u8], points: [&[u8]; 2]) -> Digest {
    let [u, v] = points;
    hash.digest(&[&1u32.to_be_bytes(), z, label, &[0], u, v])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

    use hmac::{Hmac, KeyInit, Mac as _};
    use proptest::prelude::*;

    use super::*;

    fn theirs(hash: Hash, key: &[u8], message: &[u8]) -> Vec<u8> {
        match hash {
            Hash::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
            Hash::Sha384 => {
                let mut mac = Hmac::<Sha384>::new_from_slice(key).unwrap();
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    proptest! {
        #[test]
        fn a_mac_is_the_hmac_crates(key in proptest::collection::vec(any::<u8>(), 0..200), cut: prop::sample::Index,
                                    message: Vec<u8>, long: bool) {
            let hash = if long { Hash::Sha384 } else { Hash::Sha256 };
            let (a, b) = key.split_at(cut.index(key.len() + 1));
            let mut mac = Mac::new(hash, &[a, b]);
            mac.update(&message);
            let mac = mac.finish();
            prop_assert_eq!(mac.as_bytes(), theirs(hash, &key, &message));
            prop_assert!(mac.is(&theirs(hash, &key, &message)));
        }
    }

    #[test]
    fn a_digest_is_no_other_and_no_part_of_itself() {
        let digest = Hash::Sha256.digest(&[b"a"]);
        for byte in 0..32 {
            let mut other = digest.as_bytes().to_vec();
            *other.get_mut(byte).unwrap() ^= 0x10;
            assert!(!digest.is(&other));
        }
        assert!(!digest.is(digest.as_bytes().get(..31).unwrap()));
        assert!(!digest.is(&[]));
        let long = [digest.as_bytes(), &[0]].concat();
        assert!(!digest.is(&long));
    }
}
