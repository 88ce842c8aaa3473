//! The signature algorithms that count: RFC 7518 section 3.1 and RFC 8037.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::crypto::Curve;

/// A signature algorithm, by its JOSE name. `none` and the MACs (`HS256` and so on) are not among them and cannot be: there is
/// no value that stands for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256, salt of 32 bytes.
    PS256,
    /// RSASSA-PSS with SHA-384, salt of 48 bytes.
    PS384,
    /// RSASSA-PSS with SHA-512, salt of 64 bytes.
    PS512,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// ECDSA with P-384 and SHA-384.
    ES384,
    /// ECDSA with P-521 and SHA-512.
    ES512,
    /// Ed25519. Ed448 has the same name and is not supported.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What the library verifies with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Primitive {
    Rsa(&'static RsaParameters),
    Ec(Curve, &'static EcdsaVerificationAlgorithm),
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDsa,
    ];

    /// The name in a header, e.g. `RS256`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The inverse of [`Algorithm::name`]; names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    pub(super) fn primitive(self) -> Primitive {
        match self {
            Self::RS256 => Primitive::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Primitive::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Primitive::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Primitive::Rsa(&RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Primitive::Rsa(&RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Primitive::Rsa(&RSA_PSS_2048_8192_SHA512),
            Self::ES256 => Primitive::Ec(Curve::P256, &ECDSA_P256_SHA256_FIXED),
            Self::ES384 => Primitive::Ec(Curve::P384, &ECDSA_P384_SHA384_FIXED),
            Self::ES512 => Primitive::Ec(Curve::P521, &ECDSA_P521_SHA512_FIXED),
            Self::EdDsa => Primitive::Ed25519,
        }
    }
}

impl core::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
