#![doc = include_str!("../../../../docs/methods/join_token.md")]

pub mod config;
pub mod payload;
pub mod verify;

use assay_common::{login::proof_nonce, policy::AttestorKind};

pub use config::Config;

use self::verify::{Answer, Shown, Token, TokenError};
use super::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Judged, LoginContext,
    Running, When,
};
use crate::outside::Outside;

/// The attribute with the token's public name.
const ID: &str = "join_token.id";
/// The attribute with the identity that the token names. A login by such a token gets this identity.
pub const SPIFFE_ID: &str = "join_token.spiffe_id";

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    matches!(attribute, ID | SPIFFE_ID)
}

/// A `join_token` entry of a policy.
#[derive(Clone, Copy, Debug)]
pub struct JoinTokenAttestor;

impl Attestor for JoinTokenAttestor {
    fn kind(&self) -> AttestorKind {
        AttestorKind::JOIN_TOKEN
    }

    fn is_once(&self) -> bool {
        true
    }

    fn attributes(&self) -> Vec<String> {
        [ID, SPIFFE_ID].map(str::to_owned).to_vec()
    }

    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let nonce = proof_nonce(AttestorKind::JOIN_TOKEN, cx.transcript);
        let untrusted = payload::parse(payload)?;
        let shown = verify::possession(&untrusted, &nonce)?;
        Ok(Judged::Errand(Box::new(Take { shown })))
    }
}

/// A token that waits to be taken.
#[derive(Debug)]
struct Take {
    shown: Shown,
}

impl Errand for Take {
    /// A login that fails for another reason leaves the token as it was, and what the token is bound to is proven by then.
    fn when(&self) -> When {
        When::Last
    }

    fn run<'a>(&'a self, outside: &'a dyn Outside, cx: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let taken = outside.take_join_token(self.shown.digest(), cx.now).await;
            let taken = taken.map_err(|error| error.failed("join-token-store"))?;
            let answer = Answer::of(&self.shown, taken, cx);
            serde_json::to_vec(&answer)
                .map_err(|error| TokenError::Answer(error.to_string()).into())
        })
    }

    fn judge(self: Box<Self>, _: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        Ok(claims(verify::decide(&self.shown, answer)?))
    }
}

fn claims(token: Token) -> Claims {
    let kind = AttestorKind::JOIN_TOKEN;
    // Never the token: this name is in certificates, lists and logs. A node that joins again, by a new token for the identity
    // that it had, is the same node.
    let identity = token.spiffe_id.clone().unwrap_or_else(|| token.id.clone());
    let named = [(ID, Some(token.id)), (SPIFFE_ID, token.spiffe_id)];
    let attribute = |(name, value): (&'static str, Option<String>)| {
        value.map(|value| Attribute {
            origin: kind,
            name: name.into(),
            value,
        })
    };
    Claims {
        kind,
        attributes: named.into_iter().filter_map(attribute).collect(),
        facts: Facts {
            identity: Some(identity),
            ..Facts::default()
        },
    }
}
