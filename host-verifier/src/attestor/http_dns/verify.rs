//! The question to the host, and every check on its answer. Pure.

use core::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde::{Deserialize, Serialize};

use crate::{
    attestor::{AttestError, Fault},
    outside::{Error, ErrorKind, Reach, Request, Response, Scheme, Target},
};

/// Where the nonce is served, below which the agent's name stands: SPIRE's path.
pub const PATH: &str = "/.well-known/spiffe/nodeattestor/http_challenge/";
/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 64;
/// From the question for the name to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);
/// 32 bytes in padded base64url.
const NONCE_LEN: usize = 44;

/// The failed check. The operator reads all of it; the agent learns only whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// The payload is not one whole message.
    #[error("payload cannot be read")]
    Payload,
    /// The port is 0 or not among those that are let in.
    #[error("port {0} is not let in")]
    Port(u16),
    /// No name of an agent.
    #[error("agent name: a letter, then letters, digits and hyphens, 32 in all")]
    AgentName,
    /// An IP address, in whatever notation.
    #[error("the host name is an IP address")]
    Address,
    /// No host name.
    #[error("no host name: labels of ASCII letters, digits and hyphens")]
    Hostname,
    /// The verifier itself.
    #[error("the host name is this machine's own, `localhost`")]
    Localhost,
    /// A host that is not let in.
    #[error("host name `{0}` is not let in")]
    NotAllowed(String),
    /// It could not be asked, or has no answer that is one.
    #[error("{0}")]
    Outside(Error),
    /// A success, but not 200.
    #[error("status {0} instead of 200")]
    Status(u16),
    /// What it serves is no nonce.
    #[error("what the host serves is no nonce")]
    NoNonce,
    /// It serves another login's nonce.
    #[error("the host serves another nonce")]
    Nonce,
    /// What is kept of the answer cannot be read, or is about another host.
    #[error("the host's answer cannot be read, or is another host's")]
    Answer,
}

impl ChallengeError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Payload => "payload-malformed",
            Self::Port(_) => "port-not-allowed",
            Self::AgentName => "agent-name",
            Self::Address => "hostname-is-address",
            Self::Hostname => "hostname-malformed",
            Self::Localhost => "hostname-localhost",
            Self::NotAllowed(_) => "hostname-not-allowed",
            Self::Outside(error) => match error.kind {
                ErrorKind::Address(_) => "address-refused",
                ErrorKind::NameNotFound => "name-not-found",
                ErrorKind::Resolver => "resolver",
                ErrorKind::Connect => "connect",
                ErrorKind::Deadline => "deadline",
                ErrorKind::TooLarge => "answer-too-large",
                ErrorKind::Status(_) => "status",
                ErrorKind::Redirect(_) => "redirect",
                ErrorKind::Malformed | ErrorKind::ContentType => "answer-malformed",
                ErrorKind::Busy => "busy",
                ErrorKind::Offline => "offline",
                _ => "outside",
            },
            Self::Status(_) => "status",
            Self::NoNonce => "nonce-malformed",
            Self::Nonce => "nonce",
            Self::Answer => "answer-kept",
        }
    }

    /// Whose fault. The agent chose whom to ask, so what is wrong there is its own; the verifier's are its resolver and
    /// its own limits.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Payload => Fault::Malformed,
            Self::Outside(error) => match error.kind {
                ErrorKind::Resolver | ErrorKind::Busy | ErrorKind::Open | ErrorKind::Offline => {
                    Fault::Unavailable
                }
                _ => Fault::Refused,
            },
            Self::Answer => Fault::Internal,
            _ => Fault::Refused,
        }
    }
}

impl From<ChallengeError> for AttestError {
    fn from(error: ChallengeError) -> Self {
        Self::new(error.fault(), error.check(), error.to_string())
    }
}

/// A host that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In lower case, without a trailing dot.
    pub hostname: String,
    /// Not 0.
    pub port: u16,
    /// Letters, digits, hyphens.
    pub agentname: String,
}

impl Place {
    /// The question. Whether the name may stand for private addresses is the policy's to say.
    #[must_use]
    pub fn request(&self, private: bool) -> Request {
        let target = Target {
            scheme: Scheme::Http,
            host: crate::outside::Host::Name(self.hostname.clone()),
            port: self.port,
            path: format!("{PATH}{}/challenge", self.agentname),
        };
        let reach = Reach {
            plain: true,
            literals: false,
            private,
            metadata: false,
        };
        Request {
            max_body: MAX_ANSWER,
            deadline: DEADLINE,
            ..Request::get(target.url(), reach)
        }
    }
}

/// The host's answer, as it is kept with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    hostname: String,
    agentname: String,
    port: u16,
    /// What it served, when it has a nonce's form: nothing else of a stranger's server is kept.
    nonce: String,
}

impl Answer {
    /// Reads the host's answer.
    ///
    /// # Errors
    /// [`ChallengeError::Status`], [`ChallengeError::NoNonce`].
    pub fn of(place: &Place, response: &Response) -> Result<Self, ChallengeError> {
        if response.status != 200 {
            return Err(ChallengeError::Status(response.status));
        }
        let nonce = response.body.trim_ascii();
        let is_nonce = nonce.len() == NONCE_LEN && URL_SAFE.decode(nonce).is_ok();
        let nonce = core::str::from_utf8(nonce).ok().filter(|_| is_nonce);
        Ok(Self {
            hostname: place.hostname.clone(),
            agentname: place.agentname.clone(),
            port: place.port,
            nonce: nonce.ok_or(ChallengeError::NoNonce)?.to_owned(),
        })
    }
}

/// Whether an answer that was kept is this host's, and has this login's nonce.
///
/// # Errors
/// [`ChallengeError::Answer`], [`ChallengeError::Nonce`].
pub fn decide(place: &Place, nonce: &[u8; 32], answer: &[u8]) -> Result<(), ChallengeError> {
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| ChallengeError::Answer)?;
    let of = (answer.hostname, answer.agentname, answer.port);
    let own = (&place.hostname, &place.agentname, place.port);
    if (&of.0, &of.1, of.2) != own {
        return Err(ChallengeError::Answer);
    }
    let served = URL_SAFE
        .decode(&answer.nonce)
        .map_err(|_| ChallengeError::Answer)?;
    verify_slices_are_equal(&served, nonce).map_err(|_| ChallengeError::Nonce)
}
