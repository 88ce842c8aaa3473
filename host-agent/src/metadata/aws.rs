//! The instance metadata service of EC2, version 2: a token first, by a `PUT` that no simple forgery of a request makes; then
//! everything else with it.
//!
//! Version 1, without a token, is asked only where the operator of the agent has said so.

use std::time::Duration;

use hyper::Method;
use zeroize::Zeroizing;

use super::client::{Answer, AskError, Client, Question, Secret};
use super::{Cloud, in_container};
use crate::method::MethodError;

/// Where it is.
pub const ENDPOINT: &str = "http://169.254.169.254";

const TOKEN: &str = "/latest/api/token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
/// How long a token is good for, seconds. It is used at once.
const TTL: &str = "60";
/// The longest token that is taken for one, bytes. They have 56.
const MAX_TOKEN: usize = 1024;
/// One attempt. The service is on the machine that the instance runs on.
const WITHIN: Duration = Duration::from_secs(2);

/// The service.
#[derive(Debug, Clone)]
pub struct Imds {
    client: Client,
    imdsv1: bool,
}

/// Asking it, from the token on.
pub struct Visit<'a> {
    imds: &'a Imds,
    /// `None` where version 1 is spoken.
    token: Option<Zeroizing<String>>,
}

impl core::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Visit").finish_non_exhaustive()
    }
}

impl Imds {
    /// The service behind this client; `imdsv1` lets version 1 stand in where there is no version 2.
    #[must_use]
    pub const fn new(client: Client, imdsv1: bool) -> Self {
        Self { client, imdsv1 }
    }

    /// Whom it asks.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.client.endpoint().to_string()
    }

    /// Which versions it speaks, for people.
    #[must_use]
    pub const fn versions(&self) -> &'static str {
        match self.imdsv1 {
            false => "IMDSv2",
            true => "IMDSv2, and IMDSv1 where there is no other",
        }
    }

    /// Gets a token.
    ///
    /// # Errors
    ///
    /// [`MethodError`]: nobody answers, another cloud does, the service is switched off, or the answer is lost on the way.
    pub fn open(&self) -> Result<Visit<'_>, MethodError> {
        let visit = |token| Visit { imds: self, token };
        match self.token() {
            Ok(token) => Ok(visit(Some(token))),
            // Where nobody is there at all, version 1 is not either.
            Err(Tokenless { error, v1 }) if !(self.imdsv1 && v1) => Err(error),
            Err(_) => Ok(visit(None)),
        }
    }

    fn token(&self) -> Result<Zeroizing<String>, Tokenless> {
        let mut question = Question::get(TOKEN, WITHIN).with(TTL_HEADER, TTL);
        question.method = Method::PUT;
        let answer = match self.client.ask(&question) {
            Ok(answer) => answer,
            Err(error @ AskError::Silent { .. }) => {
                return Err(Tokenless {
                    error: lost(&error),
                    v1: true,
                });
            }
            Err(error) => {
                return Err(Tokenless {
                    error: Cloud::Aws.unasked(&error),
                    v1: false,
                });
            }
        };
        if answer.status != 200 {
            return Err(tokenless(&answer));
        }
        let token = answer.text().unwrap_or_default();
        let legal = |b: u8| b.is_ascii_graphic();
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(legal) {
            let what = format!("{}: what it answers is no token", answer.by);
            let hint =
                "this is no metadata service of EC2: correct `metadataEndpoint`, or leave it out";
            return Err(Tokenless {
                error: MethodError::new(what, hint),
                v1: false,
            });
        }
        Ok(Zeroizing::new(token.to_owned()))
    }
}

/// Why there is no token, and whether version 1 may be there.
struct Tokenless {
    error: MethodError,
    v1: bool,
}

/// A packet with a token in it lives for as many hops as the instance's settings say: one, unless they say more, which ends
/// at the host of a container.
fn lost(error: &AskError) -> MethodError {
    let place = match in_container() {
        true => "this agent runs in a container, one hop further than the instance's answers go",
        false => {
            "if this agent runs in a container, the instance's answers do not go as far as that"
        }
    };
    let hint = format!(
        "{place}: raise the hop limit with `aws ec2 modify-instance-metadata-options --instance-id ID \
         --http-put-response-hop-limit 2`, or run the agent in the host's network"
    );
    MethodError::new(format!("{error}: the token was lost on the way"), hint)
}

fn tokenless(answer: &Answer) -> Tokenless {
    if let Some(error) = Cloud::Aws.elsewhere(answer) {
        return Tokenless { error, v1: false };
    }
    let status = answer.status;
    let (hint, v1) = match status {
        403 => (
            "the instance's metadata service is switched off, or this process may not ask it: `aws ec2 \
             modify-instance-metadata-options --instance-id ID --http-endpoint enabled --http-tokens required`",
            true,
        ),
        404 | 405 | 501 => (
            "this is no EC2 instance, or something that imitates one without IMDSv2; `imdsv1: true` asks without a token, \
             which any forged request can",
            true,
        ),
        400 => (
            "something between changes requests: look for a proxy, and let this process ask the address itself",
            false,
        ),
        300..=399 => (
            "something between redirects, which nobody follows: let this process ask the address itself",
            false,
        ),
        _ => (
            "look at the instance's health; the service is overloaded, or broken",
            false,
        ),
    };
    let what = format!("{}: no token for IMDSv2: HTTP {status}", answer.by);
    Tokenless {
        error: MethodError::new(what, hint),
        v1,
    }
}

impl Visit<'_> {
    /// Whether there is a token: version 2.
    #[must_use]
    pub const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The answer at a path below `/latest`; `None` when there is nothing there.
    ///
    /// # Errors
    ///
    /// [`MethodError`] for every other status than 200 and 404, and for no answer.
    pub fn get(&mut self, path: &str) -> Result<Option<Answer>, MethodError> {
        let mut answer = self.ask(path)?;
        if answer.status == 401 && self.token.is_some() {
            // It has run out, or the service was restarted.
            self.token = Some(self.imds.token().map_err(|tokenless| tokenless.error)?);
            answer = self.ask(path)?;
        }
        if let Some(error) = Cloud::Aws.elsewhere(&answer) {
            return Err(error);
        }
        match answer.status {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            status => {
                let hint = match status {
                    401 if self.token.is_none() => {
                        "this instance speaks IMDSv2 only, and its token could not be had: raise the hop limit"
                    }
                    401 => {
                        "the service takes no token that it has just given: look at what stands between"
                    }
                    403 => {
                        "this process may not ask it: look for a firewall rule, such as those of kube2iam or a network policy"
                    }
                    300..=399 => "something between redirects, which nobody follows",
                    _ => "look at the instance's health; the service is overloaded, or broken",
                };
                let what = format!("{}{path}: HTTP {status}", answer.by);
                Err(MethodError::new(what, hint))
            }
        }
    }

    fn ask(&self, path: &str) -> Result<Answer, MethodError> {
        let mut question = Question::get(format!("/latest{path}"), WITHIN);
        if let Some(token) = &self.token {
            question = question.with(TOKEN_HEADER, Secret(token.clone()));
        }
        let answer = self.imds.client.ask(&question);
        answer.map_err(|error| Cloud::Aws.unasked(&error))
    }
}
