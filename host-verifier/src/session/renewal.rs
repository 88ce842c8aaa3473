//! What a session's next renewal is judged by.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestor::BootState;

/// The state of the node as its last login or renewal has proven it, and where the next renewal starts from.
///
/// A renewal is accepted only while all of this stands: the same key, under the same configuration; where the key is in a
/// TPM, one not reset since, with the same PCR values. Anything else is a matter for a full login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct RenewalBasis {
    /// What a renewal has to show.
    pub shown: Shown,
    /// When it was shown last.
    pub shown_at: Timestamp,
    /// Names the configuration under which the login was granted.
    pub configuration: String,
    /// The SubjectPublicKeyInfo that the SVID is for, DER.
    pub svid_key: Option<Vec<u8>>,
    /// SHA-256 of the message whose renewal came to this: who asks with it again, for want of an answer, gets the same.
    pub renewed_for: Option<[u8; 32]>,
    /// What bans of the keys, tokens and names are by that the login was proven by
    /// ([`identity_hash`](crate::store::identity_hash)), where the node is not known by its TPM.
    pub known_as: Vec<String>,
}

/// What a renewal has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The TPM's state, by a quote.
    Quote(QuotedState),
    /// That the node still holds its SVID's key. Only where a method of the login cannot be repeated.
    SvidKey,
}

/// The state of a TPM, as its last quote has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedState {
    /// The attestation key's public area, TPMT_PUBLIC.
    pub ak_public: Vec<u8>,
    /// The PCRs that were quoted, as the request to the node named them.
    pub selection: Vec<u8>,
    /// SHA-256 of their values.
    pub values_sha256: [u8; 32],
    /// Counters, clock and firmware version as the key signed them; disguised or not, they are comparable among quotes
    /// of one key.
    pub boot: BootState,
}

impl RenewalBasis {
    /// The attestation key's public area, where there is one.
    #[must_use]
    pub fn ak_public(&self) -> Option<&[u8]> {
        match &self.shown {
            Shown::Quote(state) => Some(&state.ak_public),
            Shown::SvidKey => None,
        }
    }
}

/// As it is written: the members of a quote are all there, or none of them is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "base64_option"
    )]
    ak_public: Option<Vec<u8>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "base64_option"
    )]
    selection: Option<Vec<u8>>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex_option")]
    values_sha256: Option<[u8; 32]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<BootState>,
    quoted_at: Timestamp,
    configuration: String,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "base64_option"
    )]
    svid_key: Option<Vec<u8>>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex_option")]
    renewed_for: Option<[u8; 32]>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    known_as: Vec<String>,
}

impl From<RenewalBasis> for Stored {
    fn from(basis: RenewalBasis) -> Self {
        let quote = match basis.shown {
            Shown::Quote(state) => Some(state),
            Shown::SvidKey => None,
        };
        let boot = quote.as_ref().map(|state| state.boot);
        let values_sha256 = quote.as_ref().map(|state| state.values_sha256);
        let (ak_public, selection) = quote
            .map(|state| (state.ak_public, state.selection))
            .unzip();
        Self {
            ak_public,
            selection,
            values_sha256,
            boot,
            quoted_at: basis.shown_at,
            configuration: basis.configuration,
            svid_key: basis.svid_key,
            renewed_for: basis.renewed_for,
            known_as: basis.known_as,
        }
    }
}

impl TryFrom<Stored> for RenewalBasis {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let shown = match (
            stored.ak_public,
            stored.selection,
            stored.values_sha256,
            stored.boot,
        ) {
            (Some(ak_public), Some(selection), Some(values_sha256), Some(boot)) => {
                Shown::Quote(QuotedState {
                    ak_public,
                    selection,
                    values_sha256,
                    boot,
                })
            }
            // What cannot be shown by a key that nobody knows is not renewed.
            (None, None, None, None) if stored.svid_key.is_some() => Shown::SvidKey,
            _ => return Err("a renewal's basis with a part of a quote"),
        };
        Ok(Self {
            shown,
            shown_at: stored.quoted_at,
            configuration: stored.configuration,
            svid_key: stored.svid_key,
            renewed_for: stored.renewed_for,
            known_as: stored.known_as,
        })
    }
}

/// What one renewal was judged by, so that it can be judged again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JudgedBy {
    /// When, whole seconds.
    pub at: Timestamp,
    /// What the renewal had to be over: the nonce of the grant or renewal before it.
    #[serde(with = "hex_digest")]
    pub nonce: [u8; 32],
    /// What had been proven until then.
    pub basis: RenewalBasis,
}

mod hex_digest {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        digest: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 32], D::Error> {
        let mut digest = [0; 32];
        let text = String::deserialize(deserializer)?;
        hex::decode_to_slice(text, &mut digest).map_err(D::Error::custom)?;
        Ok(digest)
    }
}

mod hex_option {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        digest: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => super::hex_digest::serialize(digest, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        #[derive(Deserialize)]
        struct Digest(#[serde(with = "super::hex_digest")] [u8; 32]);
        Ok(Option::<Digest>::deserialize(deserializer)?.map(|digest| digest.0))
    }
}

mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

mod base64_option {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => super::base64_bytes::serialize(bytes, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        #[derive(Deserialize)]
        struct Bytes(#[serde(with = "super::base64_bytes")] Vec<u8>);
        Ok(Option::<Bytes>::deserialize(deserializer)?.map(|bytes| bytes.0))
    }
}
