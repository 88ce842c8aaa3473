//! What a TPM shall be made with.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The endorsement keys that a TPM may have a certificate for. `[EKP 2.5] 2.2.1.4, annex B`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EkKind {
    /// RSA-2048, template L-1.
    Rsa2048,
    /// P-256, template L-2.
    P256,
    /// P-384, template H-3.
    P384,
}

/// PolicyA with SHA-256: PolicySecret(endorsement hierarchy). `[EKP 2.5] annex B`
const POLICY_A_SHA256: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];
/// PolicyB with SHA-384: PolicyA or the NV policy. `[EKP 2.5] annex B`
const POLICY_B_SHA384: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
    0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
    0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
];

/// TPMA_OBJECT.noDA, which a stored template sets so that its key differs from the default's.
const NO_DA: u8 = 0x04;

impl EkKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::P256, Self::P384];

    /// Name in arguments and file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::P256 => "p256",
            Self::P384 => "p384",
        }
    }

    /// NV index of the certificate.
    #[must_use]
    pub const fn certificate_index(self) -> u32 {
        match self {
            Self::Rsa2048 => 0x01C0_0002,
            Self::P256 => 0x01C0_000A,
            Self::P384 => 0x01C0_0016,
        }
    }

    /// NV index of the nonce; keys of the high range have none.
    #[must_use]
    pub const fn nonce_index(self) -> Option<u32> {
        match self {
            Self::Rsa2048 => Some(0x01C0_0003),
            Self::P256 => Some(0x01C0_000B),
            Self::P384 => None,
        }
    }

    /// NV index of the template.
    #[must_use]
    pub const fn template_index(self) -> u32 {
        match self {
            Self::Rsa2048 => 0x01C0_0004,
            Self::P256 => 0x01C0_000C,
            Self::P384 => 0x01C0_0017,
        }
    }

    /// Whether swtpm_setup makes a certificate for this key.
    #[must_use]
    pub const fn has_certificate_by_setup(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::P384)
    }

    /// The default public area: TPMT_PUBLIC bytes.
    #[must_use]
    pub fn default_template(self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Rsa2048 => {
                out.extend_from_slice(&[
                    0x00, 0x01, 0x00, 0x0B, 0x00, 0x03, 0x00, 0xB2, 0x00, 0x20,
                ]);
                out.extend_from_slice(&POLICY_A_SHA256);
                // AES-128-CFB, no scheme, 2,048 bits, default exponent, zero modulus.
                out.extend_from_slice(&[0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 8, 0, 0, 0, 0, 0, 1, 0]);
                out.extend_from_slice(&[0; 256]);
            }
            Self::P256 => {
                out.extend_from_slice(&[
                    0x00, 0x23, 0x00, 0x0B, 0x00, 0x03, 0x00, 0xB2, 0x00, 0x20,
                ]);
                out.extend_from_slice(&POLICY_A_SHA256);
                // AES-128-CFB, no scheme, P-256, no KDF, zero point of full length.
                out.extend_from_slice(&[0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 0, 3, 0, 0x10, 0, 0x20]);
                out.extend_from_slice(&[0; 32]);
                out.extend_from_slice(&[0, 0x20]);
                out.extend_from_slice(&[0; 32]);
            }
            Self::P384 => {
                out.extend_from_slice(&[
                    0x00, 0x23, 0x00, 0x0C, 0x00, 0x03, 0x00, 0xF2, 0x00, 0x30,
                ]);
                out.extend_from_slice(&POLICY_B_SHA384);
                // AES-256-CFB, no scheme, P-384, no KDF, empty point.
                out.extend_from_slice(&[0, 6, 1, 0, 0, 0x43, 0, 0x10, 0, 4, 0, 0x10, 0, 0, 0, 0]);
            }
        }
        out
    }
}

/// Why a text names no [`EkKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no EK: rsa2048, p256 or p384")]
pub struct EkKindError(String);

impl fmt::Display for EkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EkKind {
    type Err = EkKindError;

    fn from_str(text: &str) -> Result<Self, EkKindError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| EkKindError(text.to_owned()))
    }
}

/// What a TPM shall have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// Certificates to leave in NV.
    pub certificates: BTreeSet<EkKind>,
    /// Fill certificate indices with 0xFF up to this length, as some chips do (ST33: 1,600 bytes).
    pub padded_to: Option<u16>,
    /// Store a nonce for the keys that may have one; their keys and certificates follow it.
    pub nonce: bool,
    /// Store templates that differ from the defaults (noDA set); keys and certificates follow them.
    pub template: bool,
    /// Store the intermediate CA's certificate at 01C00100.
    pub chain: bool,
    /// TPMs of another number have another seed and another CA.
    pub instance: u8,
}

impl Recipe {
    /// A TPM with certificates of these kinds.
    #[must_use]
    pub fn with(certificates: impl IntoIterator<Item = EkKind>) -> Self {
        Self {
            certificates: certificates.into_iter().collect(),
            padded_to: None,
            nonce: false,
            template: false,
            chain: false,
            instance: 0,
        }
    }

    /// A TPM with all three certificates.
    #[must_use]
    pub fn all() -> Self {
        Self::with(EkKind::ALL)
    }

    /// A TPM without any certificate.
    #[must_use]
    pub fn none() -> Self {
        Self::with([])
    }

    /// Name of the recipe's folder in a cache.
    #[must_use]
    pub fn key(&self) -> String {
        let mut parts: Vec<String> = self
            .certificates
            .iter()
            .map(|kind| kind.name().to_owned())
            .collect();
        if parts.is_empty() {
            parts.push("none".to_owned());
        }
        if let Some(len) = self.padded_to {
            parts.push(format!("padded{len}"));
        }
        for (on, name) in [
            (self.nonce, "nonce"),
            (self.template, "template"),
            (self.chain, "chain"),
        ] {
            if on {
                parts.push(name.to_owned());
            }
        }
        parts.push(format!("i{}", self.instance));
        parts.join("-")
    }

    /// What the template index holds.
    #[must_use]
    pub fn stored_template(&self, kind: EkKind) -> Vec<u8> {
        let mut template = kind.default_template();
        // Attributes are bytes 4..8, big-endian; noDA is bit 10.
        if let Some(byte) = template.get_mut(6) {
            *byte |= NO_DA;
        }
        template
    }

    /// What the nonce index holds.
    #[must_use]
    pub fn nonce_of(&self, kind: EkKind) -> Option<Vec<u8>> {
        let len = match kind {
            EkKind::Rsa2048 => 256,
            EkKind::P256 => 32,
            EkKind::P384 => return None,
        };
        // Not zero, not the same for both keys, and recognisable in a dump.
        self.nonce.then(|| {
            (0..=u8::MAX)
                .cycle()
                .skip(usize::from(self.instance) + 1)
                .take(len)
                .collect()
        })
    }

    /// The public area from which the EK of `kind` is made: the stored template or the default, with the
    /// nonce in the left part of `unique`. Keys without a certificate in NV are made from the default.
    #[must_use]
    pub fn template_of(&self, kind: EkKind) -> Vec<u8> {
        if !self.certificates.contains(&kind) {
            return kind.default_template();
        }
        let mut template = if self.template {
            self.stored_template(kind)
        } else {
            kind.default_template()
        };
        if let Some(nonce) = self.nonce_of(kind) {
            let unique = match kind {
                EkKind::Rsa2048 => 256,
                // x of 32 bytes, the length field of y, y of 32 bytes.
                EkKind::P256 | EkKind::P384 => 66,
            };
            let start = template.len().saturating_sub(unique);
            for (slot, byte) in template.iter_mut().skip(start).zip(nonce) {
                *slot = byte;
            }
        }
        template
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_the_lengths_of_the_profile() {
        let lengths = EkKind::ALL.map(|kind| kind.default_template().len());
        assert_eq!(lengths, [314, 122, 74]);
    }

    #[test]
    fn a_nonce_fills_x_and_leaves_y() {
        let mut recipe = Recipe::with([EkKind::P256]);
        recipe.nonce = true;
        let template = recipe.template_of(EkKind::P256);
        let tail = template.get(56..).unwrap_or_default();
        let expected: Vec<u8> = (1..=32).chain([0, 0x20]).chain([0; 32]).collect();
        assert_eq!(tail, expected);
        assert_eq!(
            recipe.template_of(EkKind::P384),
            EkKind::P384.default_template()
        );
    }

    #[test]
    fn every_choice_shows_in_the_key() {
        let mut recipe = Recipe::all();
        assert_eq!(recipe.key(), "rsa2048-p256-p384-i0");
        recipe.padded_to = Some(1600);
        recipe.nonce = true;
        recipe.template = true;
        recipe.chain = true;
        recipe.instance = 2;
        assert_eq!(
            recipe.key(),
            "rsa2048-p256-p384-padded1600-nonce-template-chain-i2"
        );
        assert_eq!(Recipe::none().key(), "none-i0");
    }
}
