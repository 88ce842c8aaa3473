//! Public areas that keys are created from: endorsement keys by the TCG's templates, and ours for
//! attestation keys.
//!
//! An EK is derived from the chip's seed and the *exact* template, so these bytes decide whether
//! the key fits the manufacturer's certificate ([EK Profile 2.6] annex B). Each is a compile-time
//! array, from which [`EkTemplate::with_nonce`] cuts the parts around a nonce when the chip has one.

use crate::tpm::alg::AlgId;
use crate::tpm::codec::{EncodeError, Writer};
use crate::tpm::handle::Handle;

/// PolicyA for SHA-256: `TPM2_PolicySecret(TPM_RH_ENDORSEMENT)`.
pub const POLICY_A_SHA256: [u8; 32] =
    hex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa");
/// PolicyA for SHA-384.
pub const POLICY_A_SHA384: [u8; 48] = hex(
    "8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f532050c3278c930e143e8bb1133824ccb431053871c6db53",
);
/// PolicyA for SHA-512.
pub const POLICY_A_SHA512: [u8; 64] = hex(
    "1e3b76502c8a1425aa0b7b3fc646a1b0fae063b03b5368f9c4cddecaff0891dd682bac1a85d4d832b781ea451915de5fc5bf0dc4a1917cd42fa041e3f998e0ee",
);
/// PolicyC for SHA-256: `TPM2_PolicyAuthorizeNV` with index 01C07F01.
pub const POLICY_C_SHA256: [u8; 32] =
    hex("3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde");
/// PolicyC for SHA-384, with index 01C07F02.
pub const POLICY_C_SHA384: [u8; 48] = hex(
    "d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165",
);
/// PolicyB for SHA-256: `TPM2_PolicyOR` of PolicyA and PolicyC.
pub const POLICY_B_SHA256: [u8; 32] =
    hex("ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0");
/// PolicyB for SHA-384.
pub const POLICY_B_SHA384: [u8; 48] = hex(
    "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12",
);

// The heads: everything up to the length field of `unique`.
const HEAD_L1: [u8; 56] = join(&[
    &hex::<10>("0001000b000300b20020"),
    &POLICY_A_SHA256,
    &hex::<14>("0006008000430010080000000000"),
]);
const HEAD_L2: [u8; 54] = join(&[
    &hex::<10>("0023000b000300b20020"),
    &POLICY_A_SHA256,
    &hex::<12>("000600800043001000030010"),
]);
const HEAD_H1: [u8; 56] = join(&[
    &hex::<10>("0001000b000300f20020"),
    &POLICY_B_SHA256,
    &hex::<14>("0006008000430010080000000000"),
]);
const HEAD_H2: [u8; 54] = join(&[
    &hex::<10>("0023000b000300f20020"),
    &POLICY_B_SHA256,
    &hex::<12>("000600800043001000030010"),
]);
const HEAD_H3: [u8; 70] = join(&[
    &hex::<10>("0023000c000300f20030"),
    &POLICY_B_SHA384,
    &hex::<12>("000601000043001000040010"),
]);

/// L-1: RSA-2048, SHA-256, AES-128-CFB, PolicyA; `unique` is 256 zeros.
pub const EK_RSA2048_L1: [u8; 314] = join(&[&HEAD_L1, &[1, 0], &[0; 256]]);
/// L-2: P-256, SHA-256, AES-128-CFB, PolicyA; both coordinates are 32 zeros.
pub const EK_P256_L2: [u8; 122] = join(&[&HEAD_L2, &[0, 32], &[0; 32], &[0, 32], &[0; 32]]);
/// H-1: RSA-2048, SHA-256, AES-128-CFB, PolicyB; `unique` is empty.
pub const EK_RSA2048_H1: [u8; 58] = join(&[&HEAD_H1, &[0; 2]]);
/// H-2: P-256, SHA-256, AES-128-CFB, PolicyB; `unique` is empty.
pub const EK_P256_H2: [u8; 58] = join(&[&HEAD_H2, &[0; 4]]);
/// H-3: P-384, SHA-384, AES-256-CFB, PolicyB; `unique` is empty.
pub const EK_P384_H3: [u8; 74] = join(&[&HEAD_H3, &[0; 4]]);

/// Attestation key, P-256, ECDSA with SHA-256.
pub const AK_P256: [u8; 24] = hex("0023000b00050472000000100018000b0003001000000000");
/// Attestation key, P-384, ECDSA with SHA-384, which is the name algorithm too.
pub const AK_P384: [u8; 24] = hex("0023000c00050472000000100018000c0004001000000000");
/// Attestation key, RSA-2048, RSASSA with SHA-256.
pub const AK_RSA2048: [u8; 24] = hex("0001000b00050472000000100014000b0800000000000000");
/// SVID key, P-256, ECDSA with SHA-256, up to `unique`: a key that signs anything, and leaves the TPM never.
pub const SVID_KEY_P256_HEAD: [u8; 20] = hex("0023000b00040472000000100018000b00030010");
/// SVID key, RSA-2048, up to `unique`. Without a scheme, since TLS 1.3 wants RSASSA-PSS from a key whose CSR is signed by
/// RSASSA-PKCS1-v1_5 (RFC 8446 section 4.2.3).
pub const SVID_KEY_RSA2048_HEAD: [u8; 20] = hex("0001000b00040472000000100010080000000000");
/// Storage primary (also the null-hierarchy witness of a reset), P-256.
pub const STORAGE_P256: [u8; 26] = hex("0023000b00030472000000060080004300100003001000000000");

/// The storage key of the TCG's provisioning guidance (TPM 2.0 Provisioning Guidance 1.0, table 3), P-256, whose `unique` is zeros.
pub const SRK_P256: [u8; 90] = join(&[
    &hex::<22>("0023000b000304720000000600800043001000030010"),
    &[0, 32],
    &[0; 32],
    &[0, 32],
    &[0; 32],
]);
/// The same, RSA-2048.
pub const SRK_RSA2048: [u8; 282] = join(&[
    &hex::<24>("0001000b0003047200000006008000430010080000000000"),
    &[1, 0],
    &[0; 256],
]);

/// The endorsement-key templates, by their names in [EK Profile 2.6] annex B.
///
/// The number is what the link protocol carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EkTemplate {
    /// RSA-2048, low range.
    L1 = 0x01,
    /// P-256, low range.
    L2 = 0x02,
    /// RSA-2048, high range.
    H1 = 0x11,
    /// P-256, high range.
    H2 = 0x12,
    /// P-384, high range.
    H3 = 0x13,
}

impl EkTemplate {
    /// All of them, in the order in which the firmware tries them: the strongest and the quickest
    /// to create first. RSA primaries take seconds on real chips.
    pub const ALL: [Self; 5] = [Self::H3, Self::L2, Self::H2, Self::L1, Self::H1];

    /// Number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The template with this number, or `None`.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0x01 => Some(Self::L1),
            0x02 => Some(Self::L2),
            0x11 => Some(Self::H1),
            0x12 => Some(Self::H2),
            0x13 => Some(Self::H3),
            _ => None,
        }
    }

    /// Name in the profile, `L-1` to `H-3`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1 => "L-1",
            Self::L2 => "L-2",
            Self::H1 => "H-1",
            Self::H2 => "H-2",
            Self::H3 => "H-3",
        }
    }

    /// The whole `TPMT_PUBLIC`, without a nonce.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::L1 => &EK_RSA2048_L1,
            Self::L2 => &EK_P256_L2,
            Self::H1 => &EK_RSA2048_H1,
            Self::H2 => &EK_P256_H2,
            Self::H3 => &EK_P384_H3,
        }
    }

    /// Hash of Name and policy.
    #[must_use]
    pub const fn name_alg(self) -> AlgId {
        match self {
            Self::H3 => AlgId::SHA384,
            _ => AlgId::SHA256,
        }
    }

    /// True when `userWithAuth` is clear and only a policy session opens the key.
    #[must_use]
    pub const fn needs_policy_session(self) -> bool {
        matches!(self, Self::L1 | Self::L2)
    }

    /// NV index of the certificate.
    #[must_use]
    pub const fn certificate_index(self) -> Handle {
        Handle(match self {
            Self::L1 => 0x01C0_0002,
            Self::L2 => 0x01C0_000A,
            Self::H1 => 0x01C0_0012,
            Self::H2 => 0x01C0_0014,
            Self::H3 => 0x01C0_0016,
        })
    }

    /// NV index of the nonce, which only the low range has.
    #[must_use]
    pub const fn nonce_index(self) -> Option<Handle> {
        match self {
            Self::L1 => Some(Handle(0x01C0_0003)),
            Self::L2 => Some(Handle(0x01C0_000B)),
            _ => None,
        }
    }

    /// NV index of a template that, if present, takes the place of this one.
    #[must_use]
    pub const fn template_index(self) -> Handle {
        Handle(match self {
            Self::L1 => 0x01C0_0004,
            Self::L2 => 0x01C0_000C,
            Self::H1 => 0x01C0_0013,
            Self::H2 => 0x01C0_0015,
            Self::H3 => 0x01C0_0017,
        })
    }

    /// The end of the template: `unique`, from its first length field.
    #[must_use]
    pub fn unique(self) -> &'static [u8] {
        let len = match self {
            Self::L1 => 2 + 256,
            Self::L2 => 2 + 32 + 2 + 32,
            Self::H1 => 2,
            Self::H2 | Self::H3 => 2 + 2,
        };
        let bytes = self.bytes();
        bytes
            .split_at_checked(bytes.len() - len)
            .map_or(&[], |(_, unique)| unique)
    }

    /// The `TPMT_PUBLIC` with the content of the nonce index in `unique`, in three parts, of which the
    /// second is the nonce. `None` for a nonce that does not fit and for one of a high-range template.
    ///
    /// The nonce fills the modulus, or the first coordinate, from the left; zeros follow.
    #[must_use]
    pub fn with_nonce(self, nonce: &[u8]) -> Option<[&[u8]; 3]> {
        let room = match self {
            Self::L1 => 256,
            Self::L2 => 32,
            Self::H1 | Self::H2 | Self::H3 => 0,
        };
        if nonce.len() > room {
            return None;
        }
        let bytes = self.bytes();
        let (head, rest) = bytes.split_at_checked(bytes.len() - self.unique().len() + 2)?;
        Some([head, nonce, rest.get(nonce.len()..)?])
    }

    /// Writes what [`with_nonce`](Self::with_nonce) gives.
    ///
    /// Fails with [`EncodeError::Value`] where that gives nothing.
    pub fn encode(self, nonce: &[u8], w: &mut Writer<'_>) {
        match self.with_nonce(nonce) {
            Some(parts) => parts.iter().for_each(|part| w.put(part)),
            None => w.fail(EncodeError::Value),
        }
    }
}

/// Bytes of a hexadecimal literal; a wrong one does not compile.
#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "evaluated at compile time only, over literals of this file"
)]
const fn hex<const N: usize>(text: &str) -> [u8; N] {
    const fn digit(c: u8) -> u8 {
        match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            _ => panic!("not a lower-case hexadecimal digit"),
        }
    }
    let text = text.as_bytes();
    assert!(text.len() == 2 * N, "literal of the wrong length");
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
        i += 1;
    }
    out
}

/// The parts in a row; lengths that do not add up do not compile.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time only, over constants of this file"
)]
const fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            out[at] = parts[part][i];
            at += 1;
            i += 1;
        }
        part += 1;
    }
    assert!(at == N, "lengths do not add up");
    out
}
