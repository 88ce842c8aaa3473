//! What revocation lists a policy has, and what it demands of them.
//!
//! Lists are read when the policy is loaded, and again when their files change. What is demanded fails closed: where lists are given and nothing else is
//! said, every element below the anchor must be covered by a list of its own issuer that is not past its time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{crypto::Legacy, document::Files};

use super::{
    Certificate, PathError, UnixTime,
    checks::describe,
    crl::Crl,
    decode::{DecodeError, MAX_FILE_LEN, pem_blocks, pem_text},
    extensions::KeyUsage,
    files::{CertificateSource, SourceError},
};

/// Which certificates need a list of their issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequireCrl {
    /// Every one below the anchor.
    #[default]
    Chain,
    /// The leaf. An intermediate is looked for where its issuer has a list.
    Leaf,
    /// None: one whose issuer has no list passes, and one that a list names is refused.
    None,
}

/// What is done with a list that is past its `nextUpdate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StaleCrl {
    /// Whatever it is to cover is refused until a new list is there.
    #[default]
    Refuse,
    /// It counts as if it were fresh.
    Accept,
}

/// The lists of one policy.
pub struct Revocation {
    by_issuer: HashMap<Vec<u8>, Vec<Crl>>,
    require: RequireCrl,
    stale: StaleCrl,
    consulted: AtomicU64,
}

/// What is demanded, without the lists: a policy whose lists were renewed is the same policy, and the sessions under it go on.
impl core::fmt::Debug for Revocation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Revocation")
            .field("require", &self.require)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

impl Revocation {
    /// Lists and demands.
    #[must_use]
    pub fn new(crls: impl IntoIterator<Item = Crl>, require: RequireCrl, stale: StaleCrl) -> Self {
        let mut by_issuer: HashMap<Vec<u8>, Vec<Crl>> = HashMap::new();
        for crl in crls {
            by_issuer
                .entry(crl.issuer().key().to_vec())
                .or_default()
                .push(crl);
        }
        Self {
            by_issuer,
            require,
            stale,
            consulted: AtomicU64::new(0),
        }
    }

    /// How often a list was held against an issuer's key, which may mean hashing megabytes.
    #[must_use]
    pub fn consulted(&self) -> u64 {
        self.consulted.load(Ordering::Relaxed)
    }

    /// Judges one link of a path that leads to an anchor and whose signatures were all verified: is `subject` still vouched for by `issuer`?
    ///
    /// Of several lists that the issuer's key signed, the newest at that time counts.
    ///
    /// # Errors
    /// [`PathError::Revoked`], [`PathError::CrlMissing`], [`PathError::CrlStale`], [`PathError::CrlIssuer`].
    pub(super) fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        is_leaf: bool,
        legacy: Legacy,
        at: UnixTime,
    ) -> Result<(), PathError> {
        let issuer_name = || subject.issuer().to_string();
        let lists = self.by_issuer.get(subject.issuer().key());
        let newest = issuer.key().ok().and_then(|key| {
            lists?
                .iter()
                .filter(|crl| {
                    self.consulted.fetch_add(1, Ordering::Relaxed);
                    crl.this_update() <= at && crl.is_signed_by(key, legacy)
                })
                .max_by_key(|crl| crl.this_update())
        });
        let Some(crl) = newest else {
            let needed = match self.require {
                RequireCrl::Chain => true,
                RequireCrl::Leaf => is_leaf,
                RequireCrl::None => false,
            };
            return match needed {
                false => Ok(()),
                true => Err(PathError::CrlMissing {
                    subject: describe(subject),
                    issuer: issuer_name(),
                }),
            };
        };
        if issuer
            .extensions()
            .key_usage
            .is_some_and(|usage| !usage.contains(KeyUsage::CRL_SIGN))
        {
            return Err(PathError::CrlIssuer {
                subject: describe(issuer),
            });
        }
        if crl.lists(subject.serial()) {
            return Err(PathError::Revoked {
                subject: describe(subject),
                serial: hex::encode(subject.serial()),
                issuer: issuer_name(),
                this_update: crl.this_update(),
            });
        }
        if self.stale == StaleCrl::Refuse && at > crl.next_update() {
            return Err(PathError::CrlStale {
                issuer: issuer_name(),
                next_update: crl.next_update(),
                at,
            });
        }
        Ok(())
    }
}

/// Reads the lists of one entry of a configuration's `crls`: the path of a PEM or DER file, or PEM itself.
///
/// # Errors
/// [`SourceError`]. One list that cannot be used fails the entry.
pub fn read_crls(source: &CertificateSource, files: Files<'_>) -> Result<Vec<Crl>, SourceError> {
    let blob = source.bytes(files)?;
    crls(&blob).map_err(|why| SourceError::Unusable(format!("{}: {why}", source.name())))
}

/// All lists of a blob, at least one: several in PEM, one in DER.
///
/// # Errors
/// What is wrong, as text for the operator.
pub fn crls(blob: &[u8]) -> Result<Vec<Crl>, String> {
    if blob.len() > MAX_FILE_LEN {
        return Err(DecodeError::TooLong(blob.len()).to_string());
    }
    let Some(text) = pem_text(blob) else {
        return Crl::from_der(blob)
            .map(|crl| vec![crl])
            .map_err(|error| error.to_string());
    };
    let blocks = pem_blocks(text).map_err(|error| error.to_string())?;
    let lists = blocks.iter().filter(|block| block.label == "X509 CRL");
    let lists: Result<Vec<Crl>, _> = lists.map(|block| Crl::from_der(&block.contents)).collect();
    match lists {
        Ok(lists) if lists.is_empty() => Err("no `X509 CRL` block in it".to_owned()),
        Ok(lists) => Ok(lists),
        Err(error) => Err(error.to_string()),
    }
}
