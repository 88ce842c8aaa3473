#![doc = include_str!("../../../../docs/methods/aws_token.md")]

pub mod config;
pub mod verify;

use assay_common::policy::AttestorKind;

pub use config::Config;

use self::verify::{NAMES, Rules, TAGS};
use super::issuer::{self, IssuedToken, Keys};
use super::nonce_audience;
use super::{AttestError, Attestor, Claims, Fault, Judged, LoginContext};
use crate::jwt::{self, Algorithm, Expectations, Unverified, shown};

/// The algorithms that AWS signs with.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES384];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let tag = |prefix: &&str| {
        attribute
            .strip_prefix(*prefix)
            .is_some_and(|tag| !tag.is_empty())
    };
    NAMES.contains(&attribute) || TAGS.iter().any(tag)
}

/// The attestor of an `aws_token` entry. AWS accounts are issuers of their own: there is one judge for each that is configured.
#[derive(Debug)]
pub struct AwsToken {
    issuers: Vec<IssuedToken<Rules>>,
    nonce_in_audience: bool,
    tofu: bool,
}

impl AwsToken {
    /// The judge of the issuer that the token in this payload names. That it is the issuer's is not proven by that.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`]: no token, or one without an issuer; [`Fault::Refused`]: an issuer that is not configured, or a
    /// token that names no key.
    pub fn issuer_of(&self, payload: &[u8]) -> Result<&IssuedToken<Rules>, AttestError> {
        self.issuer_named(&jwt::parse(payload).map_err(issuer::failed)?)
    }

    fn issuer_named(&self, token: &Unverified<'_>) -> Result<&IssuedToken<Rules>, AttestError> {
        let refused = |check, why: String| {
            let detail = format!("JWT verification failed: {why}");
            AttestError::new(Fault::Refused, check, detail)
        };
        let [named] = jwt::untrusted_texts(token, ["iss"]).map_err(issuer::failed)?;
        let named = named
            .ok_or_else(|| refused("token-claims", "the token has no issuer (iss)".to_owned()))?;
        let found = self.issuers.iter().find(|one| one.rules().issuer == named);
        let found = found.ok_or_else(|| {
            let why = format!("issuer (iss) {} is not among issuerURLs", shown(&named));
            refused("token-issuer", why)
        })?;
        // Accounts have several keys, which are rotated: which one it was is the token's to say.
        match token.header().kid {
            Some(_) => Ok(found),
            None => {
                let why = "the token names no key (kid)".to_owned();
                Err(refused("token-key-unknown", why))
            }
        }
    }
}

impl Attestor for AwsToken {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AWS_TOKEN
    }

    fn is_fresh(&self) -> bool {
        self.nonce_in_audience
    }

    fn binds_first_use(&self) -> bool {
        self.tofu
    }

    fn attributes(&self) -> Vec<String> {
        let fixed = NAMES.into_iter().map(str::to_owned);
        fixed
            .chain(TAGS.iter().map(|tag| format!("{tag}*")))
            .collect()
    }

    fn request(&self, so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(nonce_audience::request(self.nonce_in_audience, so_far))
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let token = jwt::parse_and_read(payload).map_err(issuer::failed)?;
        self.issuer_named(&token)?.judge_token(cx, token)
    }
}

impl issuer::Rules for Rules {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AWS_TOKEN
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn expectations(&self) -> Expectations<'_> {
        Expectations {
            issuer: &self.issuer,
            audiences: &self.settings.audiences,
            subject: None,
            typ: None,
            algorithms: Some(&ALGORITHMS),
            leeway: self.settings.leeway,
            max_lifetime: None,
        }
    }

    fn attributes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The token itself: no JSON around it, no line's end behind it.
    fn token<'p>(&self, payload: &'p [u8]) -> Result<&'p [u8], AttestError> {
        Ok(payload)
    }

    fn check_login(
        &self,
        cx: &LoginContext<'_>,
        token: &jwt::Claims<'_>,
    ) -> Result<(), AttestError> {
        let settings = &self.settings;
        issuer::check_age(token, cx.now, settings.max_age, settings.leeway)?;
        match settings.nonce_in_audience {
            true => verify::check_nonce(settings, cx.transcript, token),
            false => Ok(()),
        }
    }

    fn claims(&self, token: jwt::Claims<'_>) -> Result<Claims, AttestError> {
        verify::claims(self, &token)
    }
}
