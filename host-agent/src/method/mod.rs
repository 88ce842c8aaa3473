//! What a host can prove without a TPM: one file per method, each a [`Method`], each one line in [`registry`].
//!
//! A method knows its own payload and where it comes from, and nothing of states, messages or the order of a login. What
//! it reads (a token, a key, a certificate) it reads anew for every login, so that whoever rotates it need tell nobody.
//!
//! The methods of the TPM are no part of this: their keys live from one round to the next, and they are the firmware's own
//! [`EvidenceSource`](assay_firmware::evidence::EvidenceSource).

pub mod aws_iid;
pub mod aws_token;
pub mod azure_imds;
pub mod azure_msi;
mod bound;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod documents;
mod elsewhere;
pub mod extension;
pub mod gcp_iit;
pub mod http_dns;
pub mod join_token;
pub mod registry;
pub mod ssh_pop;
pub mod token;
pub mod tpm_devid;
pub mod x509pop;

use core::fmt;
use std::path::{Path, PathBuf};

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::AttestorKind;

use crate::finding::Finding;
use crate::key::Term;

pub use token::{custom_jwt, kubernetes};

/// One method's part of a challenge.
#[derive(Debug, Clone, Copy)]
pub struct ProofRequest<'a> {
    /// The challenge's round: 0 asks for a payload, later rounds ask about it.
    pub round: u8,
    /// The verifier's own data for the method; empty for most.
    pub payload: &'a [u8],
    /// The login so far, this challenge included.
    pub transcript: &'a Transcript,
    /// The verifier's nonce for this method in this login: both sides derive it from the transcript, so that a proof
    /// over it is good for this login and this method and no other.
    pub nonce: &'a [u8; 32],
}

/// A proof.
#[derive(Debug)]
pub struct Proof {
    /// The method's payload or response as it travels.
    pub payload: Vec<u8>,
    /// The login's keys, when the request was a credential and it was opened.
    pub keys: Option<LoginKeys>,
}

impl From<Vec<u8>> for Proof {
    fn from(payload: Vec<u8>) -> Self {
        Self {
            payload,
            keys: None,
        }
    }
}

/// Why there is no proof: what is wrong, and what to do about it. Neither ever has a secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodError {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl MethodError {
    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for MethodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl core::error::Error for MethodError {}

/// What the SHA-256 of a public key is called, in hex: the name that the verifier's audit trail has for it, and that
/// allow-lists take.
pub(crate) const PUBLIC_HASH: &str = "public hash";

/// What would be offered by a method now: names and values for people, such as a token's issuer or a certificate's end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// What the verifier would see. Never a secret, never a whole token.
    pub details: Vec<(String, String)>,
}

impl Offer {
    /// With one more detail.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.push((name.into(), value.into()));
        self
    }

    /// With the end of it, when it has one.
    #[must_use]
    pub fn until(self, term: &Term) -> Self {
        match term.until {
            Some(until) => self.with("expires", until.to_string()),
            None => self,
        }
    }
}

/// A source of one method's proofs.
pub trait Method: fmt::Debug + Send {
    /// The method.
    fn kind(&self) -> AttestorKind;

    /// Makes ready for a login; whatever an earlier one left behind is gone afterwards.
    ///
    /// # Errors
    ///
    /// [`MethodError`]. The method is then left out of the login: a policy that does not need it may still be satisfied.
    fn begin(&mut self) -> Result<(), MethodError> {
        Ok(())
    }

    /// The payload, or the response to a challenge. May block: a login has a thread of its own.
    ///
    /// # Errors
    ///
    /// [`MethodError`]. The method is left out of the answer, and the login ends when no other has proven anything.
    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError>;

    /// Ends a login, however it went: nothing of it stays, neither a secret in memory nor an open port.
    fn end(&mut self) {}

    /// What would be offered now. Changes nothing and asks nobody outside the machine.
    ///
    /// # Errors
    ///
    /// [`MethodError`] when there is nothing to offer.
    fn show(&self) -> Result<Offer, MethodError>;

    /// Everything about it that keeps, or will keep, a login from succeeding; what is in order is said too.
    fn doctor(&self) -> Vec<Finding>;
}

/// The agent's contribution to what a key signs, so that no verifier gets a signature over what it chose alone.
fn fresh_nonce() -> Result<[u8; 32], MethodError> {
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| {
        MethodError::new(
            "the random number generator failed",
            "try again; look at the kernel's log",
        )
    })?;
    Ok(nonce)
}

/// What a method is built in.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The method, for modules that stand for several.
    pub kind: AttestorKind,
    /// The directory of the configuration file, which relative paths begin at.
    pub base: &'a Path,
    /// The cluster that the node belongs to.
    pub cluster: &'a str,
    /// The trust domain that the node belongs to.
    pub trust_domain: &'a str,
}

impl Surroundings<'_> {
    /// A path as the configuration has it, from the configuration's directory.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }
}

/// A method's `config:` as it was read. It implements `serde::Deserialize` with `deny_unknown_fields` and camelCase names,
/// and is named `Config` in the method's module.
pub trait MethodConfig: fmt::Debug + Send {
    /// The method with these settings. Looks at the settings only: files are read when a proof is made.
    ///
    /// # Errors
    ///
    /// [`MethodError`] for settings that can never work; the agent does not start with them.
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError>;

    /// Which of the settings is, or may hold, a secret that stands in the configuration itself. Others must not be able to read
    /// the file then.
    fn inline_secret(&self) -> Option<&'static str> {
        None
    }

    /// The DevID's settings, which are the TPM's source's to use: `tpm_devid` is the one method with settings that is no
    /// [`Method`].
    fn devid(&self) -> Option<&crate::tpm::devid::Config> {
        None
    }
}
