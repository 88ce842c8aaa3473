//! What a session's next renewal is judged by.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestor::BootState;

/// The state of the node as its last login or renewal has proven it, and where the next renewal starts from.
///
/// A renewal is accepted only while all of this stands: the same key in the same TPM, not reset since, with the same
/// PCR values, under the same configuration. Anything else is a matter for a full login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewalBasis {
    /// The attestation key's public area, TPMT_PUBLIC.
    #[serde(with = "base64_bytes")]
    pub ak_public: Vec<u8>,
    /// The PCRs that were quoted, as the request to the node named them.
    #[serde(with = "base64_bytes")]
    pub selection: Vec<u8>,
    /// SHA-256 of their values.
    #[serde(with = "hex_digest")]
    pub values_sha256: [u8; 32],
    /// Counters, clock and firmware version as the key signed them; disguised or not, they are comparable among quotes
    /// of one key.
    pub boot: BootState,
    /// When that quote was judged.
    pub quoted_at: Timestamp,
    /// Names the configuration under which the login was granted.
    pub configuration: String,
    /// The SubjectPublicKeyInfo that the SVID is for, DER.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "base64_option"
    )]
    pub svid_key: Option<Vec<u8>>,
    /// SHA-256 of the message whose renewal came to this: who asks with it again, for want of an answer, gets the same.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex_option")]
    pub renewed_for: Option<[u8; 32]>,
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
