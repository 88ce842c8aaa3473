#![doc = include_str!("../../../../docs/methods/http_dns.md")]

pub mod config;
pub mod payload;
pub mod rules;
pub mod verify;

use assay_common::{login::proof_nonce, policy::AttestorKind};

pub use config::Config;
pub use rules::Rules;

use self::verify::{Answer, ChallengeError, Place};
use super::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Judged, LoginContext,
    Running,
};
use crate::outside::Outside;

/// The attribute with the host's name.
const HOSTNAME: &str = "http_dns.hostname";
/// The attribute with the port that was asked.
const PORT: &str = "http_dns.port";

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    matches!(attribute, HOSTNAME | PORT)
}

/// A `http_dns` entry of a policy.
#[derive(Clone, Debug)]
pub struct HttpDns {
    rules: Rules,
}

impl HttpDns {
    /// An attestor that decides by `rules`.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self { rules }
    }
}

impl Attestor for HttpDns {
    fn kind(&self) -> AttestorKind {
        AttestorKind::HTTP_DNS
    }

    fn attributes(&self) -> Vec<String> {
        [HOSTNAME, PORT].map(str::to_owned).to_vec()
    }

    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, _: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let place = self.rules.check(payload::parse(payload)?)?;
        Ok(Judged::Errand(Box::new(Visit {
            place,
            private: self.rules.private,
        })))
    }
}

/// A host that is to be asked for the nonce.
#[derive(Debug)]
struct Visit {
    place: Place,
    private: bool,
}

impl Errand for Visit {
    fn run<'a>(&'a self, outside: &'a dyn Outside, _: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let request = self.place.request(self.private);
            let response = outside.fetch(&request).await;
            let response = response.map_err(ChallengeError::Outside)?;
            let answer = Answer::of(&self.place, &response)?;
            serde_json::to_vec(&answer).map_err(|_| ChallengeError::Answer.into())
        })
    }

    fn judge(self: Box<Self>, cx: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let nonce = proof_nonce(AttestorKind::HTTP_DNS, cx.transcript);
        verify::decide(&self.place, &nonce, answer)?;
        Ok(claims(self.place))
    }
}

fn claims(place: Place) -> Claims {
    let kind = AttestorKind::HTTP_DNS;
    let attribute = |name: &'static str, value: String| Attribute {
        origin: kind,
        name: name.into(),
        value,
    };
    Claims {
        kind,
        attributes: vec![
            attribute(HOSTNAME, place.hostname.clone()),
            attribute(PORT, place.port.to_string()),
        ],
        facts: Facts {
            // Not the port: a host that moves its responder is the same host.
            identity: Some(place.hostname),
            ..Facts::default()
        },
    }
}
