//! What nodes may boot, and how often they did: images that were registered, and the counters of each node's last boot.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// Most images of one name that are compared with what a node measured.
pub(super) const MAX_OF_A_NAME: u32 = 128;

/// An image as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// SHA-256 over what lies in a node's flash: what the node measures.
    pub sha256: [u8; 32],
    /// What it is called.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// Bytes that are hashed.
    pub len: u32,
    /// The linker's build id in hex, or empty: which build it was, for people.
    pub build_id: String,
    /// Whole seconds.
    pub registered_at: Timestamp,
    /// Who did.
    pub registered_by: String,
    /// From when on it is refused, whole seconds.
    pub revoked_at: Option<Timestamp>,
}

/// How often a node had started, when it logged in with an event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeBoot {
    /// The MCU's boot counter.
    pub counter: u32,
    /// The TPM's resetCount.
    pub reset_count: u32,
    /// SHA-256 in the Name of the reset witness.
    #[serde(with = "hex_digest")]
    pub witness: [u8; 32],
}

/// 32 bytes as 64 lower-case hex digits.
mod hex_digest {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(d)?;
        let mut value = [0; 32];
        hex::decode_to_slice(&text, &mut value).map_err(de::Error::custom)?;
        Ok(value)
    }
}

/// Why a node's boot does not follow from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootConflict {
    /// The TPM was reset more often than the MCU.
    #[error("the TPM was reset {resets} times while the MCU booted {boots} times")]
    TpmReset {
        /// Resets of the TPM since the last login.
        resets: u32,
        /// Boots of the MCU since then.
        boots: u32,
    },
    /// The same boot, and another witness.
    #[error("the TPM was reset since the last login, and the MCU has not booted since")]
    Witness,
    /// The MCU's counter went back: its settings were erased, or it is another MCU.
    #[error("the MCU's boot counter is {now}, it was {last} at the last login")]
    Backwards {
        /// Now.
        now: u32,
        /// Then.
        last: u32,
    },
}

impl NodeBoot {
    /// Whether this boot can follow `last`: the TPM is reset only where the MCU boots. An MCU may boot without its TPM.
    ///
    /// Counters are compared by their differences, wrapping; a difference of half the range and more is one backwards.
    ///
    /// # Errors
    ///
    /// [`BootConflict`].
    pub fn follows(&self, last: &Self) -> Result<(), BootConflict> {
        let boots = self.counter.wrapping_sub(last.counter);
        let resets = self.reset_count.wrapping_sub(last.reset_count);
        if boots > u32::MAX / 2 {
            return Err(BootConflict::Backwards {
                now: self.counter,
                last: last.counter,
            });
        }
        if resets > boots {
            return Err(BootConflict::TpmReset { resets, boots });
        }
        if boots == 0 && self.witness != last.witness {
            return Err(BootConflict::Witness);
        }
        Ok(())
    }
}

/// Reference values of measured boot, and what is known of nodes' boots.
#[async_trait::async_trait]
pub trait MeasuredBoot {
    /// Stores an image; false, and nothing stored, when its digest is there already.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn register_image(&self, image: &ImageRecord) -> Result<bool, StoreError>;

    /// The images of these names and those with these digests, each once, by digest; also those that were revoked. Of each name the
    /// 128 that were registered last.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn images_for(
        &self,
        names: &[String],
        digests: &[[u8; 32]],
    ) -> Result<Vec<ImageRecord>, StoreError>;

    /// At most `limit` images whose digest is greater than `after`, by digest; also those that were revoked.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn images(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<ImageRecord>, StoreError>;

    /// Revokes an image; returns it, or `None` when there is none or it was revoked before.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn revoke_image(
        &self,
        sha256: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<ImageRecord>, StoreError>;

    /// What was noted of the node last; and notes `boot` in its place, unless it does not [follow](NodeBoot::follows): then
    /// what was noted stays, so that the next login is refused as well, until an operator has it forgotten.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn note_boot(
        &self,
        ek_hash: &str,
        boot: &NodeBoot,
    ) -> Result<Option<NodeBoot>, StoreError>;

    /// What was noted of the node last.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn noted_boot(&self, ek_hash: &str) -> Result<Option<NodeBoot>, StoreError>;

    /// Forgets what was noted of the node, and nothing else of it: its next boot is taken as it is. False when there was nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn forget_boot(&self, ek_hash: &str) -> Result<bool, StoreError>;
}
