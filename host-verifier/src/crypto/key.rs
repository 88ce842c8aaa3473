//! Public keys, independent of the structure they arrived in.

use super::{
    HashAlgorithm,
    encode::{integer_len, put_head, put_integer, spki_head, tlv_len, trim_leading_zeros},
    verify::MAX_RSA_BITS,
};

/// Why bytes are not a public key that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The RSA modulus is empty, even, or longer than the limit, which is [`MAX_RSA_BITS`] for keys of peers.
    #[error("rsa modulus is not usable: {bits} bits")]
    Modulus {
        /// Length of the modulus in bits.
        bits: usize,
    },
    /// The RSA exponent is even, below 3, or above 2^32.
    #[error("rsa exponent is not usable")]
    Exponent,
    /// A coordinate is longer than the field.
    #[error("elliptic curve coordinate is longer than the field of {0:?}")]
    Coordinate(Curve),
    /// The bytes are not an uncompressed point of the curve.
    #[error("not an uncompressed point of {0:?}")]
    Point(Curve),
}

/// A named curve. Others are not supported: no brainpool, no Barreto-Naehrig, no SM2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256 (prime256v1, secp256r1).
    P256,
    /// NIST P-384 (secp384r1).
    P384,
    /// NIST P-521 (secp521r1).
    P521,
}

impl Curve {
    /// Length of a coordinate in bytes.
    #[must_use]
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// DER of `AlgorithmIdentifier { id-ecPublicKey, namedCurve }` (RFC 5480 section 2.1.1).
    const fn algorithm_identifier(self) -> &'static [u8] {
        match self {
            Self::P256 => &[
                0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
                0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
            ],
            Self::P384 => &[
                0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                0x81, 0x04, 0x00, 0x22,
            ],
            Self::P521 => &[
                0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                0x81, 0x04, 0x00, 0x23,
            ],
        }
    }
}

/// DER of `AlgorithmIdentifier { rsaEncryption, NULL }` (RFC 3279 section 2.3.1).
const RSA_ALGORITHM_IDENTIFIER: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// DER of `AlgorithmIdentifier { id-Ed25519 }` (RFC 8410 section 3).
const ED25519_ALGORITHM_IDENTIFIER: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// Bytes of an Ed25519 public key.
pub const ED25519_LEN: usize = 32;

/// An RSA public key: odd modulus without leading zeros, odd exponent of 3 to 2^32.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    modulus: Box<[u8]>,
    exponent: u64,
}

impl RsaPublicKey {
    /// Takes big-endian modulus (leading zeros allowed) and exponent.
    ///
    /// # Errors
    /// [`KeyError::Modulus`], [`KeyError::Exponent`]. Small moduli are a matter of policy and
    /// pass here; see [`super::Legacy`].
    pub fn new(modulus: &[u8], exponent: u64) -> Result<Self, KeyError> {
        Self::up_to(MAX_RSA_BITS, modulus, exponent)
    }

    /// As [`Self::new`] with another limit on the modulus, for keys that do not come from the peer that is judged.
    ///
    /// # Errors
    /// [`KeyError::Modulus`], [`KeyError::Exponent`].
    pub fn up_to(max_bits: usize, modulus: &[u8], exponent: u64) -> Result<Self, KeyError> {
        let modulus = trim_leading_zeros(modulus);
        let bits = bit_len(modulus);
        let odd = modulus.last().is_some_and(|b| b & 1 == 1);
        if !odd || bits > max_bits {
            return Err(KeyError::Modulus { bits });
        }
        // The upper limit keeps the cost of a verification bounded (a huge exponent turns one
        // signature check into seconds of work).
        if exponent < 3 || exponent & 1 == 0 || exponent > 1 << 32 {
            return Err(KeyError::Exponent);
        }
        Ok(Self {
            modulus: modulus.into(),
            exponent,
        })
    }

    /// Big-endian modulus without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The public exponent.
    #[must_use]
    pub fn exponent(&self) -> u64 {
        self.exponent
    }

    /// Length of the modulus in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        bit_len(&self.modulus)
    }
}

/// A point on a named curve, uncompressed.
///
/// Holding one does not prove that the point lies on the curve: aws-lc checks that when the key
/// is used, and [`PublicKey::check`] asks it to.
#[derive(Clone, PartialEq, Eq)]
pub struct EcPublicKey {
    curve: Curve,
    point: Box<[u8]>,
}

impl EcPublicKey {
    /// Takes big-endian coordinates; shorter ones are padded on the left, since TPMs may drop
    /// leading zeros ([TPM2.0 Part 1] Annex C.8).
    ///
    /// # Errors
    /// [`KeyError::Coordinate`] when a coordinate is longer than the field or empty.
    pub fn new(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let n = curve.field_len();
        let mut point = Vec::with_capacity(1 + 2 * n);
        point.push(4);
        for coordinate in [x, y] {
            let pad = n
                .checked_sub(coordinate.len())
                .filter(|pad| *pad < n)
                .ok_or(KeyError::Coordinate(curve))?;
            point.resize(point.len() + pad, 0);
            point.extend_from_slice(coordinate);
        }
        Ok(Self {
            curve,
            point: point.into(),
        })
    }

    /// Takes an uncompressed point, `04 || X || Y`.
    ///
    /// # Errors
    /// [`KeyError::Point`] for another form or length.
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        if point.first() != Some(&4) || point.len() != 1 + 2 * curve.field_len() {
            return Err(KeyError::Point(curve));
        }
        Ok(Self {
            curve,
            point: point.into(),
        })
    }

    /// The curve.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// `04 || X || Y`.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// The X coordinate, padded to the field length.
    #[must_use]
    pub fn x(&self) -> &[u8] {
        self.point
            .get(1..1 + self.curve.field_len())
            .unwrap_or_default()
    }

    /// The Y coordinate, padded to the field length.
    #[must_use]
    pub fn y(&self) -> &[u8] {
        self.point
            .get(1 + self.curve.field_len()..)
            .unwrap_or_default()
    }
}

/// A public key of a supported type.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa(RsaPublicKey),
    /// A NIST curve.
    Ec(EcPublicKey),
    /// Ed25519 (RFC 8032): the 32 bytes of the encoded point.
    Ed25519([u8; ED25519_LEN]),
}

impl PublicKey {
    /// Canonical `SubjectPublicKeyInfo` in DER: `rsaEncryption` with NULL parameters, or a named
    /// curve with an uncompressed point, whatever the source looked like. It is what
    /// `openssl pkey -pubin -outform DER` prints for the same key.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        // Written in one go: credentials are made from it, one per login.
        match self {
            Self::Rsa(rsa) => {
                let exponent = rsa.exponent.to_be_bytes();
                let exponent = trim_leading_zeros(&exponent);
                let numbers = integer_len(&rsa.modulus) + integer_len(exponent);
                let mut out = spki_head(RSA_ALGORITHM_IDENTIFIER, tlv_len(numbers));
                put_head(&mut out, 0x30, numbers);
                put_integer(&mut out, &rsa.modulus);
                put_integer(&mut out, exponent);
                out
            }
            Self::Ec(ec) => {
                let mut out = spki_head(ec.curve.algorithm_identifier(), ec.point.len());
                out.extend_from_slice(&ec.point);
                out
            }
            Self::Ed25519(point) => {
                let mut out = spki_head(ED25519_ALGORITHM_IDENTIFIER, point.len());
                out.extend_from_slice(point);
                out
            }
        }
    }

    /// SHA-256 of [`PublicKey::spki_der`]: the hash that allow-lists and `tpm_ek.public_hash` use.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(HashAlgorithm::Sha256.hash(&[&self.spki_der()]).as_ref());
        out
    }

    /// Size in bits as commonly quoted: modulus length, or field size.
    #[must_use]
    pub fn bits(&self) -> usize {
        match self {
            Self::Rsa(rsa) => rsa.bits(),
            Self::Ec(ec) => match ec.curve {
                Curve::P256 => 256,
                Curve::P384 => 384,
                Curve::P521 => 521,
            },
            Self::Ed25519(_) => 255,
        }
    }

    /// `rsa`, `ecc` or `ed25519`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa",
            Self::Ec(_) => "ecc",
            Self::Ed25519(_) => "ed25519",
        }
    }

    /// Asks aws-lc whether the key is usable at all: for a curve, that the point lies on it and
    /// is not the point at infinity.
    ///
    /// # Errors
    /// [`KeyError::Point`] for a point off its curve.
    pub fn check(&self) -> Result<(), KeyError> {
        use aws_lc_rs::agreement::{
            ECDH_P256, ECDH_P384, ECDH_P521, ParsedPublicKey, UnparsedPublicKey,
        };
        match self {
            // The library decodes an Ed25519 point when it verifies with it; a wrong one verifies nothing.
            Self::Rsa(_) | Self::Ed25519(_) => Ok(()),
            Self::Ec(ec) => {
                let algorithm = match ec.curve {
                    Curve::P256 => &ECDH_P256,
                    Curve::P384 => &ECDH_P384,
                    Curve::P521 => &ECDH_P521,
                };
                let unparsed = UnparsedPublicKey::new(algorithm, ec.point());
                ParsedPublicKey::try_from(&unparsed)
                    .map(drop)
                    .map_err(|_| KeyError::Point(ec.curve))
            }
        }
    }
}

impl core::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Rsa(rsa) => write!(f, "rsa-{}", rsa.bits()),
            Self::Ec(ec) => f.write_str(match ec.curve {
                Curve::P256 => "ecc-p256",
                Curve::P384 => "ecc-p384",
                Curve::P521 => "ecc-p521",
            }),
            Self::Ed25519(_) => f.write_str("ed25519"),
        }
    }
}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self} {}", hex::encode(self.spki_sha256()))
    }
}

fn bit_len(trimmed: &[u8]) -> usize {
    trimmed
        .first()
        .map_or(0, |b| trimmed.len() * 8 - b.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;
    use crate::x509::spki;

    #[test]
    fn canonical_encodings_are_read_back() {
        for (modulus, exponent) in [
            (vec![0x7f; 256], 3),
            (vec![0xff; 256], 65_537),
            (vec![0x81; 1024], 65_537),
            (vec![0x81; 512], 1 << 32 | 1),
            ([&[0, 0][..], &[0xc1; 128]].concat(), 0x1_0001),
            (vec![5], 3),
        ] {
            if exponent > 1 << 32 {
                assert_eq!(
                    RsaPublicKey::new(&modulus, exponent).err(),
                    Some(KeyError::Exponent)
                );
                continue;
            }
            let key = PublicKey::Rsa(RsaPublicKey::new(&modulus, exponent).unwrap());
            assert_eq!(spki::from_der(&key.spki_der()), Ok(key));
        }
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let key = PublicKey::Ec(EcPublicKey::new(curve, &[1], &[0x80, 2]).unwrap());
            assert_eq!(spki::from_der(&key.spki_der()), Ok(key));
        }
        let key = PublicKey::Ed25519([7; 32]);
        assert_eq!(spki::from_der(&key.spki_der()), Ok(key));
    }

    #[test]
    fn refuses_numbers_that_are_no_rsa_key() {
        let modulus = |m: &[u8]| RsaPublicKey::new(m, 65_537).err();
        assert!(matches!(modulus(&[]), Some(KeyError::Modulus { .. })));
        assert!(matches!(modulus(&[0, 0]), Some(KeyError::Modulus { .. })));
        assert!(matches!(
            modulus(&[0xc0; 256]),
            Some(KeyError::Modulus { .. })
        ));
        assert!(matches!(
            modulus(&[0xff; 1025]),
            Some(KeyError::Modulus { .. })
        ));
        for exponent in [0, 1, 2, 65_536, (1 << 32) + 1, u64::MAX] {
            let key = RsaPublicKey::new(&[0xff; 256], exponent);
            assert_eq!(key.err(), Some(KeyError::Exponent), "{exponent}");
        }
    }

    #[test]
    fn coordinates_are_padded_and_never_cut() {
        let curve = Curve::P256;
        let key = EcPublicKey::new(curve, &[1], &[2; 32]).unwrap();
        assert_eq!(
            (key.x().len(), key.x().last(), key.y()),
            (32, Some(&1), &[2; 32][..])
        );
        assert!(EcPublicKey::new(curve, &[0; 33], &[2]).is_err());
        assert!(EcPublicKey::new(curve, &[], &[2]).is_err());
        assert!(EcPublicKey::from_point(curve, &[4; 64]).is_err());
        assert!(EcPublicKey::from_point(curve, &[2; 65]).is_err());
        let off = PublicKey::Ec(EcPublicKey::new(curve, &[1], &[1]).unwrap());
        assert_eq!(off.check(), Err(KeyError::Point(curve)));
    }
}
