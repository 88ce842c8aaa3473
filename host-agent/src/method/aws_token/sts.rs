//! Two requests to AWS' Security Token Service (Query protocol, version 2011-06-15): the token, signed by a role's credentials
//! (SigV4), and a role's credentials for a web identity, which nobody signs.
//!
//! `GetWebIdentityToken` exists on the regional endpoints only.

use core::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use assay_host::document::visible;
use assay_host::http::{Answer, Client, HttpError, Limits, Roots};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Uri};
use zeroize::Zeroizing;

use super::xml;
use crate::metadata::client::{Patience, wait};
use crate::metadata::encoded;
use crate::method::MethodError;

const VERSION: &str = "2011-06-15";
const FORM: &str = "application/x-www-form-urlencoded";
/// One attempt, and the longest answer.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(10),
    body: 64 * 1024,
};
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The longest word of the service that is told on, characters.
const TOLD: usize = 300;

/// The service in one region.
#[derive(Debug)]
pub(super) struct Sts {
    client: Client,
    url: String,
    region: String,
    patience: Patience,
}

/// A token that is wanted.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) audiences: &'a [String],
    pub(super) algorithm: &'a str,
    pub(super) seconds: u16,
    pub(super) tags: &'a std::collections::BTreeMap<String, String>,
}

/// An answer that is none of those that were hoped for.
struct Refused {
    code: String,
    said: String,
    status: u16,
}

/// The address of the service in a region.
pub(super) fn regional(region: &str) -> String {
    let domain = match region {
        region if region.starts_with("cn-") => "amazonaws.com.cn",
        region if region.starts_with("eusc-") => "amazonaws.eu",
        _ => "amazonaws.com",
    };
    format!("https://sts.{region}.{domain}")
}

/// A URL that requests can go to.
pub(super) fn checked_endpoint(url: &str) -> Result<String, MethodError> {
    const HINT: &str = "https://sts.REGION.amazonaws.com, or a VPC endpoint's name";
    let wrong = |why: &str| MethodError::new(format!("stsEndpoint: {why}"), HINT);
    let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(wrong("it does not begin with `https://`"));
    }
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || !matches!(uri.path(), "/" | "") || uri.query().is_some() {
        return Err(wrong("it has more in it than a host and a port"));
    }
    if host == "sts.amazonaws.com" {
        return Err(wrong(
            "the global endpoint has no GetWebIdentityToken; a regional one has",
        ));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

impl Sts {
    pub(super) fn new(
        url: String,
        region: String,
        roots: &Roots,
        patience: Patience,
    ) -> Result<Self, MethodError> {
        let limits = Limits {
            deadline: LIMITS.deadline.min(patience.timeout),
            ..LIMITS
        };
        let client = Client::new(roots, limits)
            .map_err(|error| MethodError::new(format!("stsCa: {error}"), error.hint()))?;
        Ok(Self {
            client,
            url,
            region,
            patience,
        })
    }

    /// The token that AWS makes of the credentials.
    pub(super) fn web_identity_token(
        &self,
        credentials: Credentials,
        wanted: &Wanted<'_>,
    ) -> Result<Zeroizing<String>, MethodError> {
        let mut form = format!(
            "Action=GetWebIdentityToken&Version={VERSION}&SigningAlgorithm={}&DurationSeconds={}",
            wanted.algorithm, wanted.seconds
        );
        // Writing to a text cannot fail.
        for (number, audience) in (1..).zip(wanted.audiences) {
            let _ = write!(form, "&Audience.member.{number}={}", encoded(audience));
        }
        for (number, (key, value)) in (1..).zip(wanted.tags) {
            let (key, value) = (encoded(key), encoded(value));
            let _ = write!(
                form,
                "&Tags.member.{number}.Key={key}&Tags.member.{number}.Value={value}"
            );
        }
        let answer = self.ask(&form, Some(credentials), refused_token)?;
        let text = xml::text(&answer, "WebIdentityToken").unwrap_or_default();
        crate::method::bound::checked_token(&self.url, text)
    }

    /// A role's credentials for a web identity: key, secret, session token.
    pub(super) fn assume_with_web_identity(
        &self,
        role: &str,
        session: &str,
        token: &str,
    ) -> Result<(String, Zeroizing<String>, Zeroizing<String>), MethodError> {
        let form = Zeroizing::new(format!(
            "Action=AssumeRoleWithWebIdentity&Version={VERSION}&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
            encoded(role),
            encoded(session),
            encoded(token)
        ));
        let answer = self.ask(&form, None, refused_role)?;
        let text = |name: &str| xml::text(&answer, name).filter(|text| !text.is_empty());
        let all = (
            text("AccessKeyId"),
            text("SecretAccessKey"),
            text("SessionToken"),
        );
        match all {
            (Some(id), Some(secret), Some(token)) => Ok((
                id.to_owned(),
                Zeroizing::new(secret.to_owned()),
                Zeroizing::new(token.to_owned()),
            )),
            _ => {
                let what = format!("{}: there are no credentials in its answer", self.url);
                Err(MethodError::new(
                    what,
                    "is this STS? Correct `stsEndpoint`, or leave it out",
                ))
            }
        }
    }

    /// Sends a form until there is an answer that counts.
    fn ask(
        &self,
        form: &str,
        credentials: Option<Credentials>,
        hint: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Zeroizing<String>, MethodError> {
        let begun = Instant::now();
        let mut pause = self.patience.delay;
        for attempt in 0.. {
            // Signed anew: the time is in the signature.
            let request = self.request(form, credentials.clone())?;
            let result = wait(self.client.send(request))
                .map_err(|why| MethodError::new(why, "try again; look at the machine's limits"))?;
            let again = match &result {
                Ok(answer) => answer.status.is_server_error() || is_throttled(answer),
                Err(error) => matches!(error, HttpError::Connect { .. }),
            };
            let over = begun.elapsed().saturating_add(pause) >= self.patience.timeout;
            if !again || over || attempt >= self.patience.retries {
                return self.read(result, hint);
            }
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
        // The retries are counted in as many bits as the attempts.
        Err(MethodError::new(
            "no attempt was made",
            "report this as a bug",
        ))
    }

    fn request(
        &self,
        form: &str,
        credentials: Option<Credentials>,
    ) -> Result<Request<Bytes>, MethodError> {
        let failed = |what: &dyn core::fmt::Display| {
            MethodError::new(
                format!("{}: a request could not be made: {what}", self.url),
                "correct `stsEndpoint` and the credentials: a character in them cannot travel",
            )
        };
        let url = format!("{}/", self.url);
        let mut request = Request::new(Bytes::copy_from_slice(form.as_bytes()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.parse().map_err(|error| failed(&error))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        headers.insert(ACCEPT, HeaderValue::from_static("application/xml"));
        let Some(credentials) = credentials else {
            return Ok(request);
        };
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("sts")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let signable = SignableRequest::new(
            "POST",
            url.as_str(),
            [("content-type", FORM)].into_iter(),
            SignableBody::Bytes(form.as_bytes()),
        );
        let signed = signable.and_then(|signable| sign(signable, &params));
        let (instructions, _) = signed.map_err(|error| failed(&error))?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    fn read(
        &self,
        result: Result<Answer, HttpError>,
        hint: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Zeroizing<String>, MethodError> {
        let answer = result.map_err(|error| unreached(&error))?;
        if answer.status.is_success() {
            let text = core::str::from_utf8(&answer.body).unwrap_or_default();
            return Ok(Zeroizing::new(text.to_owned()));
        }
        let Refused { code, said, status } = refused(&answer);
        let shown = match code.as_str() {
            "" => format!("{}: HTTP {status}", self.url),
            code => format!("{}: {code}: {said}", self.url),
        };
        let hint = hint(&code).unwrap_or_else(|| general(&code, status));
        Err(MethodError::new(shown, hint))
    }
}

fn refused(answer: &Answer) -> Refused {
    let text = core::str::from_utf8(&answer.body).unwrap_or_default();
    let word = |name: &str| -> String {
        let text = visible(xml::text(text, name).unwrap_or_default());
        text.chars().take(TOLD).collect()
    };
    Refused {
        code: word("Code"),
        said: word("Message"),
        status: answer.status.as_u16(),
    }
}

fn is_throttled(answer: &Answer) -> bool {
    let code = refused(answer).code;
    answer.status.as_u16() == 429
        || ["Throttling", "ThrottlingException", "RequestLimitExceeded"].contains(&code.as_str())
}

fn unreached(error: &HttpError) -> MethodError {
    let hint = match error {
        HttpError::Tls { .. } => {
            "is this STS? A proxy that opens TLS needs its authority in `stsCa`; a VPC endpoint its own name in `stsEndpoint`"
        }
        HttpError::Connect { .. } | HttpError::Late { .. } => {
            "let this machine reach STS: a route to the internet, or a VPC endpoint for STS (`stsEndpoint`)"
        }
        _ => "what answers there may be a proxy: let this process ask STS itself",
    };
    MethodError::new(error.to_string(), hint)
}

/// What refusals of `GetWebIdentityToken` mean.
fn refused_token(code: &str) -> Option<&'static str> {
    Some(match code.trim_end_matches("Exception") {
        "OutboundWebIdentityFederationDisabled" => {
            "switch it on in the account: `aws iam enable-outbound-web-identity-federation`; the issuer that it tells belongs \
             into the policy's `issuerURLs`"
        }
        "JWTPayloadSizeExceeded" => "fewer or shorter `tags`: the token would be too long",
        "SessionDurationEscalation" => {
            "a token may not outlive the session of the credentials: lower `durationSeconds`, to 60 at the least"
        }
        "AccessDenied" => {
            "the role's policy must allow sts:GetWebIdentityToken, sts:TagGetWebIdentityToken too where `tags` are set, and \
             its conditions this audience, duration and algorithm"
        }
        "InvalidAction" => {
            "this endpoint has no GetWebIdentityToken: set `region`, or a regional `stsEndpoint`"
        }
        _ => return None,
    })
}

/// What refusals of `AssumeRoleWithWebIdentity` mean.
fn refused_role(code: &str) -> Option<&'static str> {
    Some(match code.trim_end_matches("Exception") {
        "AccessDenied" => {
            "the role's trust policy must name the cluster's OIDC provider and this service account: compare AWS_ROLE_ARN with it"
        }
        "InvalidIdentityToken" | "IDPRejectedClaim" => {
            "the account must know the cluster's OIDC provider, with `sts.amazonaws.com` among its audiences"
        }
        "ExpiredTokenException" | "ExpiredToken" => {
            "the pod's token is over: does the kubelet renew AWS_WEB_IDENTITY_TOKEN_FILE?"
        }
        _ => return None,
    })
}

fn general(code: &str, status: u16) -> &'static str {
    match code.trim_end_matches("Exception") {
        "ExpiredToken" => "the credentials are over: renew what is in the agent's environment",
        "InvalidClientTokenId" | "UnrecognizedClient" => {
            "AWS does not know these credentials here: are they of another partition, or is the region switched off in the account?"
        }
        "SignatureDoesNotMatch" | "RequestExpired" | "InvalidSignature" => {
            "compare this machine's clock with another's; then the secret key with its key"
        }
        "ValidationError" | "InvalidParameterValue" => {
            "compare `audience`, `durationSeconds`, `signingAlgorithm` and `tags` with the documentation"
        }
        "" if (300..400).contains(&status) => "something between redirects, which nobody follows",
        "" => "is this STS? What answers there may be a proxy",
        _ => "look at the account's CloudTrail; the agent asks again by itself",
    }
}

#[cfg(test)]
mod tests {
    use super::{checked_endpoint, regional};

    #[test]
    fn each_partition_has_its_own_domain() {
        assert_eq!(regional("eu-west-1"), "https://sts.eu-west-1.amazonaws.com");
        assert_eq!(
            regional("us-gov-west-1"),
            "https://sts.us-gov-west-1.amazonaws.com"
        );
        assert_eq!(
            regional("cn-north-1"),
            "https://sts.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(
            regional("eusc-de-east-1"),
            "https://sts.eusc-de-east-1.amazonaws.eu"
        );
    }

    #[test]
    fn an_endpoint_is_regional_and_over_tls() {
        let checked = checked_endpoint("https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(
            checked.as_deref(),
            Ok("https://sts.eu-west-1.amazonaws.com")
        );
        for wrong in [
            "https://sts.amazonaws.com",
            "http://sts.eu-west-1.amazonaws.com",
            "sts.eu-west-1.amazonaws.com",
            "https://a/b",
            "https://a?b",
            "",
        ] {
            assert!(checked_endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
