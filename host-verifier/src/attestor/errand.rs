//! Questions that a proof puts to somebody outside: a key server, an API, a name, a store of one-time tokens.
//!
//! A method does no I/O while it judges. Where its proof needs an answer from outside, judging ends with an [`Errand`]: the
//! login runs it, keeps the answer's bytes with the evidence, and has the errand judge them. So an answer is fetched once per
//! login, whoever goes on with it, and a stored login is judged again over the answer that it was decided by.

use core::future::Future;
use core::pin::Pin;

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use super::{AttestError, Attribute, Claims, Fault, LoginContext, documented};
use crate::outside::Outside;

/// Longest answer that is kept, bytes.
pub const MAX_ANSWER: usize = 64 * 1024;

/// What an errand's run comes to.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, AttestError>> + Send + 'a>>;

/// When an errand is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// As soon as the payload is read.
    AtOnce,
    /// When nothing else is open in its policy, and every policy before it is out: it is told what the others have proven.
    AfterOthers,
    /// As `AfterOthers`, and after those: it uses up something that must not be wasted on a login that fails otherwise.
    Last,
}

/// What is known of the login when an errand is run.
#[derive(Debug, Clone)]
pub struct ErrandContext {
    /// When.
    pub now: Timestamp,
    /// The login's name.
    pub login_id: String,
    /// The cluster that the agent named.
    pub cluster: String,
    /// The trust domain.
    pub trust_domain: String,
    /// The policy that asks.
    pub policy: String,
    /// The methods of that policy that have proven something, and what.
    pub proven: Vec<(AttestorKind, Vec<Attribute>)>,
    /// The method's nonce in this login (see [`assay_common::login::proof_nonce`]).
    pub proof_nonce: [u8; 32],
}

/// A question to somebody outside, made of a payload whose own checks have passed.
pub trait Errand: Send + Sync + core::fmt::Debug {
    /// When it is run.
    fn when(&self) -> When {
        When::AtOnce
    }

    /// Asks. The answer's bytes are kept with the evidence, and are all that [`judge`](Self::judge) will see of it: at most
    /// [`MAX_ANSWER`], no secret, in a strict form of the method's own which also names whom was asked, so that an answer
    /// is never taken for somebody else's.
    ///
    /// An error is kept as well, and is the end of this proof.
    fn run<'a>(&'a self, outside: &'a dyn Outside, cx: &'a ErrandContext) -> Running<'a>;

    /// Judges the answer. Pure, and the same whenever it is done. `cx` is of the message that carried the payload, but for
    /// the facts.
    ///
    /// # Errors
    ///
    /// Any failed check.
    fn judge(self: Box<Self>, cx: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError>;
}

/// What came of an errand, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Answered {
    /// The method's number.
    pub kind: u8,
    /// The position of its policy in the document.
    pub policy: u16,
    /// The position of the entry in its policy.
    pub entry: u16,
    /// When it came, Unix milliseconds.
    pub at: i64,
    /// The answer, or whose fault it is that there is none, and why.
    pub result: Result<Vec<u8>, (FaultNumber, String)>,
}

/// A [`Fault`] as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FaultNumber(u8);

const FAULTS: [Fault; 5] = [
    Fault::Malformed,
    Fault::Refused,
    Fault::Misconfigured,
    Fault::Unavailable,
    Fault::Internal,
];

impl From<Fault> for FaultNumber {
    fn from(fault: Fault) -> Self {
        let position = FAULTS.iter().position(|known| *known == fault);
        Self(
            position
                .and_then(|at| u8::try_from(at).ok())
                .unwrap_or(u8::MAX),
        )
    }
}

impl From<FaultNumber> for Fault {
    fn from(number: FaultNumber) -> Self {
        let known = FAULTS.get(usize::from(number.0));
        known.copied().unwrap_or(Self::Internal)
    }
}

impl Answered {
    /// What it takes, bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.result {
            Ok(answer) => answer.len(),
            Err((_, detail)) => detail.len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The answer; an error is the one that the errand ended with, which is kept as its text: the check is the one that this
    /// begins with, and `outside` where the method lists none of this name.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub fn answer(&self) -> Result<&[u8], AttestError> {
        match &self.result {
            Ok(answer) => Ok(answer),
            Err((fault, text)) => {
                let fault = (*fault).into();
                let named = text.split_once(": ").and_then(|(check, detail)| {
                    let check = documented::check(AttestorKind(self.kind), check)?;
                    Some(AttestError::new(fault, check, detail))
                });
                Err(named.unwrap_or_else(|| AttestError::new(fault, "outside", text.clone())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answered, AttestError, AttestorKind, Fault};

    fn ended(kind: AttestorKind, check: &'static str, detail: &str) -> AttestError {
        let error = AttestError::new(Fault::Refused, check, detail);
        let answered = Answered {
            kind: kind.0,
            policy: 0,
            entry: 0,
            at: 0,
            result: Err((error.fault.into(), error.to_string())),
        };
        answered.answer().map(drop).err().unwrap_or(error)
    }

    #[test]
    fn an_errand_that_ended_is_told_by_the_check_that_ended_it() {
        let (dns, webhook) = (AttestorKind::HTTP_DNS, AttestorKind::EXTENSION);
        let detail = "http://a.example.org: no address for this name";
        let told = ended(dns, "name-not-found", detail);
        assert_eq!(
            (told.check, told.detail.as_str()),
            ("name-not-found", detail)
        );
        assert_eq!(told.fault, Fault::Refused);
        assert_eq!(
            ended(webhook, "webhook-connect", "no connection").check,
            "webhook-connect"
        );
        // What the method does not list has no mend, and keeps all its words.
        let strange = ended(webhook, "name-not-found", detail);
        assert_eq!(strange.check, "outside");
        assert_eq!(strange.detail, format!("name-not-found: {detail}"));
    }
}
