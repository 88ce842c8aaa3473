//! Algorithm and curve numbers of the TCG registry.
//!
//! Both are newtypes over the number: one that is not listed here is carried like any other.

use core::fmt;
use core::str::FromStr;

/// `TPM_ALG_ID`, 16 bits on the wire.
///
/// [TPM2.0 1.83 Part 2] 6.3, Table 9. `Display` writes the short name (`sha256`) or, for a number
/// without one, four hexadecimal digits (`0x1234`); `FromStr` reads exactly these two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlgId(pub u16);

impl AlgId {
    /// RSA keys.
    pub const RSA: Self = Self(0x0001);
    /// SHA-1, 20 bytes.
    pub const SHA1: Self = Self(0x0004);
    /// HMAC, of keyed-hash objects and signatures.
    pub const HMAC: Self = Self(0x0005);
    /// AES.
    pub const AES: Self = Self(0x0006);
    /// Mask generation function 1, also named as a key derivation function.
    pub const MGF1: Self = Self(0x0007);
    /// Keyed-hash objects: HMAC keys and sealed data.
    pub const KEYEDHASH: Self = Self(0x0008);
    /// Exclusive-or obfuscation; never in a public area.
    pub const XOR: Self = Self(0x000A);
    /// SHA-256, 32 bytes.
    pub const SHA256: Self = Self(0x000B);
    /// SHA-384, 48 bytes.
    pub const SHA384: Self = Self(0x000C);
    /// SHA-512, 64 bytes.
    pub const SHA512: Self = Self(0x000D);
    /// "None": takes the place of any algorithm.
    pub const NULL: Self = Self(0x0010);
    /// SM3, 32 bytes.
    pub const SM3_256: Self = Self(0x0012);
    /// SM4.
    pub const SM4: Self = Self(0x0013);
    /// RSASSA-PKCS1-v1_5 signatures.
    pub const RSASSA: Self = Self(0x0014);
    /// RSAES-PKCS1-v1_5 encryption.
    pub const RSAES: Self = Self(0x0015);
    /// RSASSA-PSS signatures.
    pub const RSAPSS: Self = Self(0x0016);
    /// RSAES-OAEP encryption.
    pub const OAEP: Self = Self(0x0017);
    /// ECDSA signatures.
    pub const ECDSA: Self = Self(0x0018);
    /// ECDH key agreement.
    pub const ECDH: Self = Self(0x0019);
    /// ECDAA anonymous signatures.
    pub const ECDAA: Self = Self(0x001A);
    /// SM2 signatures and key agreement.
    pub const SM2: Self = Self(0x001B);
    /// Schnorr signatures over an elliptic curve.
    pub const ECSCHNORR: Self = Self(0x001C);
    /// Two-phase elliptic-curve key exchange.
    pub const ECMQV: Self = Self(0x001D);
    /// Elliptic-curve keys.
    pub const ECC: Self = Self(0x0023);
    /// Symmetric-cipher objects.
    pub const SYMCIPHER: Self = Self(0x0025);
    /// SHA3-256, 32 bytes.
    pub const SHA3_256: Self = Self(0x0027);
    /// SHA3-384, 48 bytes.
    pub const SHA3_384: Self = Self(0x0028);
    /// SHA3-512, 64 bytes.
    pub const SHA3_512: Self = Self(0x0029);
    /// Cipher feedback mode.
    pub const CFB: Self = Self(0x0043);

    /// Digest size in bytes, or `None` when this is no hash algorithm known here.
    #[must_use]
    pub const fn digest_len(self) -> Option<usize> {
        match self {
            Self::SHA1 => Some(20),
            Self::SHA256 | Self::SM3_256 | Self::SHA3_256 => Some(32),
            Self::SHA384 | Self::SHA3_384 => Some(48),
            Self::SHA512 | Self::SHA3_512 => Some(64),
            _ => None,
        }
    }

    /// Short lower-case name as tpm2-tools writes it, or `None` when the number is not listed.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|entry| entry.0 == self)
            .map(|entry| entry.1)
    }
}

/// Names, for both directions.
const NAMES: &[(AlgId, &str)] = &[
    (AlgId::RSA, "rsa"),
    (AlgId::SHA1, "sha1"),
    (AlgId::HMAC, "hmac"),
    (AlgId::AES, "aes"),
    (AlgId::MGF1, "mgf1"),
    (AlgId::KEYEDHASH, "keyedhash"),
    (AlgId::XOR, "xor"),
    (AlgId::SHA256, "sha256"),
    (AlgId::SHA384, "sha384"),
    (AlgId::SHA512, "sha512"),
    (AlgId::NULL, "null"),
    (AlgId::SM3_256, "sm3_256"),
    (AlgId::SM4, "sm4"),
    (AlgId::RSASSA, "rsassa"),
    (AlgId::RSAES, "rsaes"),
    (AlgId::RSAPSS, "rsapss"),
    (AlgId::OAEP, "oaep"),
    (AlgId::ECDSA, "ecdsa"),
    (AlgId::ECDH, "ecdh"),
    (AlgId::ECDAA, "ecdaa"),
    (AlgId::SM2, "sm2"),
    (AlgId::ECSCHNORR, "ecschnorr"),
    (AlgId::ECMQV, "ecmqv"),
    (AlgId::ECC, "ecc"),
    (AlgId::SYMCIPHER, "symcipher"),
    (AlgId::SHA3_256, "sha3_256"),
    (AlgId::SHA3_384, "sha3_384"),
    (AlgId::SHA3_512, "sha3_512"),
    (AlgId::CFB, "cfb"),
];

impl fmt::Display for AlgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}

/// The text is neither a listed algorithm name nor `0x` and four lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnknownAlgName;

impl fmt::Display for UnknownAlgName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown algorithm name")
    }
}

impl core::error::Error for UnknownAlgName {}

impl FromStr for AlgId {
    type Err = UnknownAlgName;

    fn from_str(text: &str) -> Result<Self, UnknownAlgName> {
        if let Some(entry) = NAMES.iter().find(|entry| entry.1 == text) {
            return Ok(entry.0);
        }
        let digits = text.strip_prefix("0x").ok_or(UnknownAlgName)?;
        // `from_str_radix` would also take a sign, other lengths and capitals: one form only.
        if digits.len() != 4
            || !digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(UnknownAlgName);
        }
        let alg = u16::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|_| UnknownAlgName)?;
        // An algorithm with a name has that one text form.
        if alg.name().is_some() {
            Err(UnknownAlgName)
        } else {
            Ok(alg)
        }
    }
}

/// `TPM_ECC_CURVE`, 16 bits on the wire.
///
/// [TPM2.0 1.83 Part 2] 6.4, Table 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EccCurve(pub u16);

impl EccCurve {
    /// NIST P-256.
    pub const NIST_P256: Self = Self(0x0003);
    /// NIST P-384.
    pub const NIST_P384: Self = Self(0x0004);
    /// NIST P-521.
    pub const NIST_P521: Self = Self(0x0005);
    /// SM2's curve over a 256-bit prime.
    pub const SM2_P256: Self = Self(0x0020);

    /// Size of a coordinate in bytes, or `None` for a curve not known here.
    #[must_use]
    pub const fn field_len(self) -> Option<usize> {
        match self {
            Self::NIST_P256 | Self::SM2_P256 => Some(32),
            Self::NIST_P384 => Some(48),
            Self::NIST_P521 => Some(66),
            _ => None,
        }
    }

    /// Name as in the registry, in lower case, or `None` for a curve not known here.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::NIST_P256 => Some("nist_p256"),
            Self::NIST_P384 => Some("nist_p384"),
            Self::NIST_P521 => Some("nist_p521"),
            Self::SM2_P256 => Some("sm2_p256"),
            _ => None,
        }
    }
}

impl fmt::Display for EccCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}
