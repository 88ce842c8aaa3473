//! Attestation methods: payload in, challenge out, claims at the end. One folder per method.
//!
//! A method knows nothing of transports, policies, stores or other methods. What it may use is in
//! [`LoginContext`]; what it concludes is in [`Claims`]. It does no I/O and reads no clock.
//!
//! # How a login uses a method
//!
//! 1. [`MethodConfig`] is read from a policy's `config:` when the policy is loaded, and built into an
//!    [`Attestor`]: one object per entry of `requiredAttestors`, so two policies may ask for the same
//!    method with different settings.
//! 2. The login asks each attestor whose facts are there ([`Attestor::stands_on`]) for its
//!    [`request`](Attestor::request). One challenge item per method travels, so the attestors of one method
//!    fold their wishes into one request.
//! 3. Every attestor of the method judges the same answer ([`Attestor::judge`]). Either it concludes, or it
//!    wants a second step: a [`Pending`] step makes one challenge, and judges the response to it.
//!    Attestors of one method share the login's secret, so one challenge serves them all. Or it needs an answer from
//!    outside: an [`Errand`] asks, and judges what comes.
//!
//! # Adding a method
//!
//! A folder here, `pub mod` below, and one line in [`registry`].

pub mod aws_iid;
pub mod aws_token;
pub mod azure;
pub mod azure_imds;
pub mod azure_msi;
pub mod claims;
pub mod custom_jwt;
pub mod documented;
pub mod elsewhere;
pub mod errand;
pub mod error;
pub mod extension;
pub mod gcp_iit;
pub mod http_dns;
pub mod issuer;
pub mod join_token;
pub mod k8s_psat;
pub mod k8s_sat;
pub mod k8s_token;
pub mod kubernetes;
pub mod mcu_key;
pub mod nonce_audience;
pub mod registry;
pub mod restriction;
pub mod run;
pub mod source;
pub mod ssh_pop;
pub mod tpm_devid;
pub mod tpm_ek;
pub mod tpm_quote;
pub mod x509pop;

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::{AttestorKind, AttestorSet};

pub use claims::{Attribute, BootState, BoundKey, Claims, Facts, McuKey, Quoted};
pub use errand::{Errand, ErrandContext, Running, When};
pub use error::{AttestError, ConfigError, Fault};

use self::source::SourceRule;
use crate::blobs::Blobs;
use crate::document::Files;
use crate::random::SecureRandom;

/// What a method may use to judge a message, besides the message.
#[derive(Clone, Copy)]
pub struct LoginContext<'a> {
    /// When the message arrived.
    pub now: jiff::Timestamp,
    /// All messages up to and including the challenge that asked for the one being judged.
    pub transcript: &'a Transcript,
    /// The item payload that asked: exactly what the agent was told to answer.
    pub request: &'a [u8],
    /// Long fields that the agent sent ahead of its message.
    pub blobs: &'a Blobs,
    /// What other methods have proven in this login so far.
    pub facts: &'a Facts,
    /// What the store knows of the node that `facts` names, from its last login with proven counters, by whichever AK.
    pub last_boot: Option<&'a BootState>,
    /// The keys made from the secret that this method's challenge hides: fresh for every login and every method.
    pub keys: &'a LoginKeys,
}

/// Whether a proof of this method lets in whoever has read it, until it expires if ever: it does not hold the login's nonce or
/// transcript. So is every method that is not known to be otherwise; and `extension`, whose webhook gets the login's nonce, and
/// whether it compares that with anything is its own affair. The audit trail seals such proofs (`audit::sealed`).
#[must_use]
pub const fn is_bearer(kind: AttestorKind) -> bool {
    !matches!(
        kind,
        AttestorKind::TPM_EK
            | AttestorKind::TPM_QUOTE
            | AttestorKind::TPM_DEVID
            | AttestorKind::AZURE_IMDS
            | AttestorKind::HTTP_DNS
            | AttestorKind::JOIN_TOKEN
            | AttestorKind::SSH_POP
            | AttestorKind::X509POP
            | AttestorKind::MCU_KEY
            | AttestorKind::SVID_KEY
            | AttestorKind::SESSION_KEY
    )
}

/// One entry of `requiredAttestors`: a method with its settings.
pub trait Attestor: Send + Sync + core::fmt::Debug {
    /// Which method.
    fn kind(&self) -> AttestorKind;

    /// Methods of which one must be proven in the same login before this one can be judged. A policy that
    /// requires this method must require one of them too. Empty: stands alone.
    fn stands_on(&self) -> AttestorSet {
        AttestorSet::EMPTY
    }

    /// Whether what it accepts was made for this very login: it holds this login's nonce or transcript. What it does not, an
    /// onlooker could send again, as long as it is valid. The audit trail goes by the method alone (see [`is_bearer`]).
    fn is_fresh(&self) -> bool {
        !is_bearer(self.kind())
    }

    /// Whether a proof is used up by being accepted. A node that was let in by one renews its session by its SVID's key: it could
    /// not log in again.
    fn is_once(&self) -> bool {
        false
    }

    /// Whether the first login with such a proof binds what it names to the key of the login's SVID (`tofu`, trust on first use):
    /// later ones must be with the same key, until the node is evicted. Its claims then have an
    /// [`identity`](Facts::identity). Such a node renews its session by that key.
    fn binds_first_use(&self) -> bool {
        false
    }

    /// What is weak about the method itself, whatever is required beside it, for warnings when a policy is checked: what is
    /// wrong, and what to do about it.
    fn weakness(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// All that is weak, where it can be several things.
    fn weaknesses(&self) -> Vec<(&'static str, &'static str)> {
        self.weakness().into_iter().collect()
    }

    /// What becomes of a login that comes from none of the [`addresses`](Facts::addresses) that it proves.
    fn source_rule(&self) -> SourceRule {
        SourceRule::Ignore
    }

    /// When the first certificate ends of those that it trusts and that are somebody else's to replace, for whoever watches.
    fn trust_ends(&self) -> Option<jiff::Timestamp> {
        None
    }

    /// The names of the attributes that a proof can give with these settings. One that ends in `*` stands for all that begin
    /// with what is before it. What is not among them is never given: a template that needs it can be refused at once.
    fn attributes(&self) -> Vec<String> {
        vec![format!("{}.*", self.kind().origin().unwrap_or("?"))]
    }

    /// The item payload that asks the agent for this method.
    ///
    /// `so_far` is the request of the attestors of the same method that were asked before; the answer
    /// must satisfy both. An empty payload is a request too.
    ///
    /// # Errors
    ///
    /// [`Fault::Misconfigured`] when the two cannot be had at once.
    fn request(&self, so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError>;

    /// Judges the agent's answer to the request.
    ///
    /// # Errors
    ///
    /// Any failed check. Nothing of the payload may be used then.
    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError>;
}

/// What comes of a judged payload.
#[derive(Debug)]
pub enum Judged {
    /// Every check passed.
    Proven(Box<Claims>),
    /// The checks so far passed; a challenge decides.
    Challenge(Box<dyn Pending>),
    /// The checks so far passed; somebody outside decides.
    Errand(Box<dyn Errand>),
}

/// A proof that waits for the response to its challenge.
pub trait Pending: Send + Sync + core::fmt::Debug {
    /// Who the proof says it is, to look up what is known of it: nothing is proven yet.
    fn untrusted_subject(&self) -> Option<String> {
        None
    }

    /// What the operator should know of a payload that passed, e.g. a proof in it that failed and was not needed.
    /// Never a secret.
    fn remark(&self) -> Option<String> {
        None
    }

    /// What it would conclude if the response fitted: no proof, since whoever asks has no response that could be judged. For
    /// stored logins, whose secrets were never kept. `None`: nothing can be said.
    fn if_answered(&self) -> Option<Claims> {
        None
    }

    /// The item payload of the challenge: hides `secret` so that only the right key finds it.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`] when the agent's key cannot be used, [`Fault::Internal`] otherwise.
    fn challenge(
        &self,
        secret: &[u8; 32],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, AttestError>;

    /// Judges the response. `cx.transcript` includes the challenge.
    ///
    /// # Errors
    ///
    /// Any failed check.
    fn finish(
        self: Box<Self>,
        cx: &LoginContext<'_>,
        response: &[u8],
    ) -> Result<Claims, AttestError>;
}

/// A method's settings as they stand in a policy, shape checked.
pub trait MethodConfig: Send + Sync + core::fmt::Debug {
    /// Checks the meaning, reads the files that the settings name, and builds the attestor. What a name means is
    /// `files`' to say: no method joins paths itself.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: an empty or unreadable allow-list is one, never an attestor that lets all pass.
    fn build_in(&self, files: Files<'_>) -> Result<std::sync::Arc<dyn Attestor>, ConfigError>;

    /// As [`Self::build_in`], for settings that lie in a directory of their own.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    fn build(&self, base: &std::path::Path) -> Result<std::sync::Arc<dyn Attestor>, ConfigError> {
        self.build_in(Files::beside(base))
    }
}
