//! Is what was booted what should be? Images by digest, against reference values.

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::MeasuredImage;
use crate::attestor::{AttestError, Fault};
use crate::store::ImageRecord;

/// What an image is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The name that its digest is registered by.
    Name(String),
    /// SHA-256 over it.
    Digest([u8; 32]),
}

/// An image that must have been booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// Which.
    pub what: Wanted,
    /// Of which versions; only with a name.
    pub version: Option<VersionReq>,
}

impl core::fmt::Display for Required {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.what {
            Wanted::Name(name) => f.write_str(name)?,
            Wanted::Digest(digest) => write!(f, "sha256:{}", hex::encode(digest))?,
        }
        match &self.version {
            Some(version) => write!(f, " {version}"),
            None => Ok(()),
        }
    }
}

/// A reference value: which image has this digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `sha256:` and 64 hex digits.
    pub digest: Sha256Text,
    /// It was good, and is not any more.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub revoked: bool,
}

impl From<ImageRecord> for Reference {
    fn from(image: ImageRecord) -> Self {
        Self {
            name: image.name,
            version: image.version,
            digest: Sha256Text(image.sha256),
            revoked: image.revoked_at.is_some(),
        }
    }
}

/// A digest as text: `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha256Text(pub [u8; 32]);

impl core::fmt::Display for Sha256Text {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl core::str::FromStr for Sha256Text {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a digest is `sha256:` and 64 hexadecimal digits";
        let digits = text.strip_prefix("sha256:").ok_or(FORM)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| FORM)?;
        Ok(Self(digest))
    }
}

impl Serialize for Sha256Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The measurement that differs from what should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// An image of a known name and version with other content.
    #[error("image {name} {version}: measured {measured}, registered is {registered}")]
    Differs {
        /// The name that it claims.
        name: String,
        /// The version that it claims.
        version: String,
        /// Its digest.
        measured: Sha256Text,
        /// The digests that name and version have.
        registered: String,
    },
    /// An image that nobody registered.
    #[error("image {0} is not registered")]
    Unknown(MeasuredImage),
    /// A registered image of a version that is not wanted.
    #[error("image {image} was booted, the policy wants {wanted}")]
    Version {
        /// Which.
        image: MeasuredImage,
        /// What is wanted.
        wanted: String,
    },
    /// A registered image that was revoked.
    #[error("image {0} was revoked")]
    Revoked(MeasuredImage),
    /// A registered image that calls itself otherwise.
    #[error("image {image} is registered as {name} {version}")]
    Claims {
        /// By its own account.
        image: Box<MeasuredImage>,
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Nothing of the kind was measured.
    #[error("{wanted} was not booted; measured was {measured}")]
    Missing {
        /// What is wanted.
        wanted: String,
        /// What there is.
        measured: String,
    },
    /// Something was booted that the policy does not name.
    #[error("image {0} was booted, which the policy does not name")]
    Unexpected(MeasuredImage),
}

impl ImageError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Differs { .. } => "image-digest",
            Self::Unknown(_) => "image-unknown",
            Self::Version { .. } => "image-version",
            Self::Revoked(_) => "image-revoked",
            Self::Claims { .. } => "image-claims",
            Self::Missing { .. } => "image-missing",
            Self::Unexpected(_) => "image-unexpected",
        }
    }
}

impl From<ImageError> for AttestError {
    fn from(error: ImageError) -> Self {
        Self::new(Fault::Refused, error.check(), error.to_string())
    }
}

/// A measured image, and what it is by the reference values; `None` for one that they do not know.
pub type Identified<'a> = (&'a MeasuredImage, Option<&'a Reference>);

/// Decides on what was booted: every image that is required was, and, where any is required, no other.
///
/// An image is what its digest is registered as. What it calls itself must agree, and is otherwise only good for saying which
/// one differs.
///
/// # Errors
/// [`ImageError`].
pub fn decide<'a>(
    images: &'a [MeasuredImage],
    required: &[Required],
    references: &'a [Reference],
) -> Result<Vec<Identified<'a>>, ImageError> {
    let identified: Vec<Identified<'_>> = images
        .iter()
        .map(|image| {
            let known = references.iter().find(|r| r.digest.0 == image.sha256);
            (image, known)
        })
        .collect();
    for (image, known) in &identified {
        let Some(known) = known else { continue };
        if known.revoked {
            return Err(ImageError::Revoked((*image).clone()));
        }
        if known.name != image.name || known.version != image.version {
            return Err(ImageError::Claims {
                image: Box::new((*image).clone()),
                name: known.name.clone(),
                version: known.version.clone(),
            });
        }
    }
    for wanted in required {
        if !identified.iter().any(|found| satisfies(wanted, found)) {
            return Err(explain(wanted, &identified, references));
        }
    }
    let named = |found: &Identified<'_>| required.iter().any(|wanted| satisfies(wanted, found));
    if !required.is_empty()
        && let Some((other, _)) = identified.iter().find(|found| !named(found))
    {
        return Err(ImageError::Unexpected((*other).clone()));
    }
    Ok(identified)
}

fn satisfies(wanted: &Required, (image, known): &Identified<'_>) -> bool {
    match &wanted.what {
        Wanted::Digest(digest) => image.sha256 == *digest,
        Wanted::Name(name) => known.is_some_and(|known| {
            let in_range = |range: &VersionReq| {
                Version::parse(&known.version).is_ok_and(|version| range.matches(&version))
            };
            known.name == *name && wanted.version.as_ref().is_none_or(in_range)
        }),
    }
}

/// Why nothing that was measured is what is wanted: the nearest that there is.
fn explain(
    wanted: &Required,
    identified: &[Identified<'_>],
    references: &[Reference],
) -> ImageError {
    if let Wanted::Name(name) = &wanted.what {
        if let Some((image, _)) = identified
            .iter()
            .find(|(_, known)| known.is_some_and(|known| known.name == *name))
        {
            return ImageError::Version {
                image: (*image).clone(),
                wanted: wanted.to_string(),
            };
        }
        if let Some((image, _)) = identified
            .iter()
            .find(|(image, known)| known.is_none() && image.name == *name)
        {
            let registered: Vec<_> = references
                .iter()
                .filter(|r| r.name == *name && r.version == image.version && !r.revoked)
                .map(|r| r.digest.to_string())
                .collect();
            return match registered.is_empty() {
                true => ImageError::Unknown((*image).clone()),
                false => ImageError::Differs {
                    name: image.name.clone(),
                    version: image.version.clone(),
                    measured: Sha256Text(image.sha256),
                    registered: registered.join(" or "),
                },
            };
        }
    }
    let measured: Vec<_> = identified.iter().map(|(i, _)| i.to_string()).collect();
    ImageError::Missing {
        wanted: wanted.to_string(),
        measured: match measured.is_empty() {
            true => "nothing".to_owned(),
            false => measured.join(", "),
        },
    }
}
