//! `agent.output`: which files the agent writes.

use core::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer};

/// A file's permission bits, as `chmod` takes them: octal digits in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl de::Visitor<'_> for Digits {
            type Value = Mode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("octal digits in quotes, e.g. \"0640\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                let wrong = || de::Error::invalid_value(de::Unexpected::Str(text), &self);
                let mode = u32::from_str_radix(text, 8).map_err(|_| wrong())?;
                if mode > 0o777 || text.starts_with('+') {
                    return Err(wrong());
                }
                Ok(Mode(mode))
            }
        }
        // A number is not taken for its digits: `0640` is four hundred and sixteen to one reader of YAML and six hundred and
        // forty to another.
        deserializer.deserialize_any(Digits)
    }
}

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Source {
    directory: PathBuf,
    key_mode: Option<Mode>,
    public_mode: Option<Mode>,
}

/// Which files are written. All of them in one directory: who reads them watches one place, and each is replaced whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// Where.
    pub directory: PathBuf,
    /// Who may read the private key. Default 0600.
    pub key_mode: Mode,
    /// Who may read certificates and bundles. Default 0644.
    pub public_mode: Mode,
}

impl Outputs {
    /// The SVID and its chain, PEM, the leaf first.
    pub const SVID: &'static str = "svid.pem";
    /// The SVID's private key, PKCS #8, PEM. There is none, and an old one is removed, while the key is in the TPM.
    pub const KEY: &'static str = "svid-key.pem";
    /// The authorities of X.509-SVIDs, PEM.
    pub const BUNDLE: &'static str = "bundle.pem";
    /// All authorities, as a SPIFFE bundle (JWKS).
    pub const SPIFFE_BUNDLE: &'static str = "bundle.json";
}

/// What is wrong with a mode for a private key.
pub(super) const KEY_FOR_ALL: &str = "a private key that everybody may read";

impl Source {
    pub(super) fn check(self, base: &Path) -> Result<Outputs, &'static str> {
        let key_mode = self.key_mode.unwrap_or(Mode(0o600));
        if key_mode.0 & 0o007 != 0 {
            return Err(KEY_FOR_ALL);
        }
        Ok(Outputs {
            directory: base.join(self.directory),
            key_mode,
            public_mode: self.public_mode.unwrap_or(Mode(0o644)),
        })
    }
}
