//! Questions to somebody outside: keys of an issuer, a node's own web server, an operator's webhook, one-time tokens.
//!
//! A method that must ask does not open a connection. It describes the question ([`Request`], [`KeySource`]) and is handed
//! an [`Outside`] that asks it. So the judging stays pure, every rule about addresses, sizes and times stands in one place,
//! and a test answers with whatever it likes.
//!
//! * [`Reach`]: which addresses a method may talk to.
//! * [`Target`]: the strict reading of a URL; what it refuses is never resolved.
//! * [`Error`]: why there is no answer. Nothing in it came from the other side.
//! * `Client`, with the feature `service`: what asks; [`Outbound`]: how it is set up.
//! * [`NoOutside`]: asks nobody, for judging without a network.

#[cfg(feature = "service")]
pub mod client;
mod credentials;
mod error;
mod network;
mod outbound;
mod question;
mod reach;
mod target;

use std::sync::Arc;

use jiff::Timestamp;

pub use credentials::{
    CREDENTIAL_WITH_ROOTS, CREDENTIALS_ROOTS, Credential, CredentialError, Credentials, Lent,
    Origin,
};
pub use error::{Error, ErrorKind, TlsFault};
pub use network::{NetworkError, PrivateNetwork};
pub use outbound::Outbound;
pub use question::{Header, KeyLocation, KeySource, Method, Request, Response};
pub use reach::{AddressClass, Reach};
pub use target::{Host, MAX_NAME, Scheme, Target, TargetError, parse_name};

use crate::cloud::{CallError, CallErrorKind, Known, Question};
use crate::store::{ImageRecord, JoinTokenTaken, NodeBoot};

/// Sends one request and reads one answer.
#[async_trait::async_trait]
pub trait Fetch: Send + Sync + core::fmt::Debug {
    /// Asks. Only an answer with a status from 200 to 299 is one; the body of any other is not read.
    ///
    /// # Errors
    ///
    /// [`Error`]. Whether the request was worked on is not known then.
    async fn fetch(&self, request: &Request) -> Result<Response, Error>;
}

/// All that a method may ask of the world.
#[async_trait::async_trait]
pub trait Outside: Fetch {
    /// The one JWK of `source` that has this `kid`, as its JSON. Without a `kid`: the only key that there is.
    ///
    /// The set is cached; an unknown `kid` has it fetched anew, not more often than the cache allows.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`ErrorKind::NoKey`] when the set was read and has no such key, or several.
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error>;

    /// Takes the join token with this SHA-256, for exactly one caller; see
    /// [`take_join_token`](crate::store::JoinTokens::take_join_token).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`]; the token may be taken then, and nobody may be let in.
    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, Error>;

    /// The images that are registered by these names or with these digests; see
    /// [`images_for`](crate::store::MeasuredBoot::images_for). Where nobody keeps a register, an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`].
    async fn images_for(
        &self,
        names: &[String],
        digests: &[[u8; 32]],
    ) -> Result<Vec<ImageRecord>, Error> {
        let _ = (names, digests);
        Err(Error::store(ErrorKind::Offline))
    }

    /// The boot that was noted of a node last, and this one noted in its place; see
    /// [`note_boot`](crate::store::MeasuredBoot::note_boot). Where nobody keeps a record, an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`].
    async fn note_boot(&self, ek_hash: &str, boot: &NodeBoot) -> Result<Option<NodeBoot>, Error> {
        let _ = (ek_hash, boot);
        Err(Error::store(ErrorKind::Offline))
    }

    /// The boot that was noted of a node last. Where nobody keeps a record, an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`].
    async fn noted_boot(&self, ek_hash: &str) -> Result<Option<NodeBoot>, Error> {
        let _ = ek_hash;
        Err(Error::store(ErrorKind::Offline))
    }

    /// What a cloud answers to `question`: an answer that is known, if it is fresh. Where no cloud can be asked, an error.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    async fn answer(&self, question: Arc<dyn Question>) -> Result<Known, CallError> {
        let (to, kind) = (question.key().cloud.name(), ErrorKind::Offline);
        Err(CallError::new(to, "call", CallErrorKind::Outside(kind)))
    }
}

/// Asks nobody: for evidence that is judged without a network. Every question is an error that says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoOutside;

#[async_trait::async_trait]
impl Fetch for NoOutside {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        Err(Error::new(&request.url, ErrorKind::Offline))
    }
}

#[async_trait::async_trait]
impl Outside for NoOutside {
    async fn jwk(&self, source: &KeySource, _: Option<&str>) -> Result<Vec<u8>, Error> {
        Err(Error::new(source.location.url(), ErrorKind::Offline))
    }

    async fn take_join_token(&self, _: &[u8; 32], _: Timestamp) -> Result<JoinTokenTaken, Error> {
        Err(Error::store(ErrorKind::Offline))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{ErrorKind, KeyLocation, KeySource, NoOutside, Outside, Reach, Request};
    use jiff::Timestamp;

    #[tokio::test]
    async fn without_an_outside_every_question_is_refused_and_says_so() {
        let outside: &dyn Outside = &NoOutside;
        let request = Request::get("https://issuer.example.org/keys", Reach::PUBLIC);
        let told = outside.fetch(&request).await.unwrap_err();
        assert_eq!(told.kind, ErrorKind::Offline);
        assert_eq!(
            told.to_string(),
            "https://issuer.example.org: no outside calls here"
        );
        let source = KeySource {
            location: KeyLocation::Jwks("https://issuer.example.org/keys".to_owned()),
            reach: Reach::PUBLIC,
            roots: None,
        };
        let told = outside.jwk(&source, None).await.unwrap_err();
        assert_eq!(told.kind, ErrorKind::Offline);
        let told = outside
            .take_join_token(&[0; 32], Timestamp::UNIX_EPOCH)
            .await;
        assert_eq!(told.unwrap_err().kind, ErrorKind::Offline);
    }
}
