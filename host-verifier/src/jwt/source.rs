//! Fetching an issuer's keys: directly, or by OpenID Connect Discovery 1.0.

use super::json::{self, Json};
use super::set::{JwkSet, MAX_SET, SetError};
use crate::outside::{Error, ErrorKind, Fetch, KeyLocation, KeySource, Request, Scheme, Target};

/// Longest discovery document, bytes. Real ones have one to ten thousand.
const MAX_DISCOVERY: usize = 64 * 1024;
/// What is put behind the issuer (Discovery section 4); an issuer's own last slash is not doubled.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// The keys of a source, now. One request, or two that follow each other, each with its own deadline.
///
/// # Errors
///
/// [`Error`]: there is no answer; [`ErrorKind::Content`] for an answer that is not what it must be.
pub async fn fetch(fetch: &dyn Fetch, source: &KeySource) -> Result<JwkSet, Error> {
    match &source.location {
        KeyLocation::Jwks(url) => fetch_set(fetch, source, url).await,
        KeyLocation::Discovery { issuer } | KeyLocation::OwnDiscovery { issuer } => {
            let base = issuer.strip_suffix('/').unwrap_or(issuer);
            discover(fetch, source, &format!("{base}{WELL_KNOWN}"), issuer).await
        }
        KeyLocation::DiscoveryAt { document, issuer } => {
            discover(fetch, source, document, issuer).await
        }
    }
}

async fn discover(
    fetch: &dyn Fetch,
    source: &KeySource,
    document: &str,
    issuer: &str,
) -> Result<JwkSet, Error> {
    let body = ask(fetch, source, document, MAX_DISCOVERY).await?;
    let content = |why| Error::new(document, ErrorKind::Content(why));
    let keys = keys_of(&body, issuer).map_err(content)?;
    if matches!(source.location, KeyLocation::OwnDiscovery { .. }) {
        own_host(issuer, &keys).map_err(content)?;
    }
    fetch_set(fetch, source, &keys).await
}

async fn fetch_set(fetch: &dyn Fetch, source: &KeySource, url: &str) -> Result<JwkSet, Error> {
    let body = ask(fetch, source, url, MAX_SET).await?;
    let content = |why| Error::new(url, ErrorKind::Content(why));
    JwkSet::parse_fetched(&body).map_err(|error| content(told(&error)))
}

/// The media type is not looked at: sets are often served from plain storage. What counts is that it reads as one.
async fn ask(
    fetch: &dyn Fetch,
    source: &KeySource,
    url: &str,
    max_body: usize,
) -> Result<Vec<u8>, Error> {
    let request = Request {
        max_body,
        roots: source.roots.clone(),
        ..Request::get(url, source.reach)
    };
    fetch.fetch(&request).await.map(|answer| answer.body)
}

/// The `jwks_uri` of a discovery document, which must be the issuer's own (Discovery section 4.3).
fn keys_of(document: &[u8], issuer: &str) -> Result<String, &'static str> {
    let document = json::object(document).map_err(|_| "no discovery document")?;
    let text = |name| document.get(name).and_then(Json::text);
    match text("issuer") {
        Some(own) if own == issuer => {}
        Some(_) => return Err("the discovery document is of another issuer"),
        None => return Err("the discovery document names no issuer"),
    }
    let keys = text("jwks_uri").ok_or("the discovery document names no jwks_uri")?;
    match Target::parse(keys) {
        Ok(target) if target.scheme == Scheme::Https => Ok(keys.to_owned()),
        Ok(_) => Err("the jwks_uri is not https"),
        Err(_) => Err("the jwks_uri is no plain URL"),
    }
}

/// The keys are where the issuer is: same host, same port.
fn own_host(issuer: &str, keys: &str) -> Result<(), &'static str> {
    let place = |url| {
        Target::parse(url)
            .map(|target| (target.host, target.port))
            .ok()
    };
    match (place(issuer), place(keys)) {
        (Some(own), Some(named)) if own == named => Ok(()),
        _ => Err("the jwks_uri is on another host than the issuer"),
    }
}

/// Nothing of what the other side sent.
const fn told(error: &SetError) -> &'static str {
    match error {
        SetError::Form(_) => "no JWK set",
        SetError::TooMany(_) => "a JWK set with too many keys",
        SetError::Key { .. } => "a JWK set that shows a private key",
        SetError::Twice(_) => "a JWK set with two keys of one kid",
        SetError::Empty => "a JWK set without a key for signatures",
    }
}

#[cfg(test)]
mod tests {
    use super::{keys_of, own_host};

    const ISSUER: &str = "https://issuer.example.org";

    /// CVE-2026-49478: whoever can answer for the document can name keys, so the document must be the issuer's, its keys
    /// must come over TLS, and no redirect leads elsewhere.
    #[test]
    fn a_document_of_another_issuer_is_refused() {
        for (document, why) in [
            (
                r#"{"issuer":"https://issuer.example.org","jwks_uri":"https://a.example/k"}"#,
                None,
            ),
            (
                r#"{"issuer":"https://issuer.example.org/","jwks_uri":"https://a.example/k"}"#,
                Some("the discovery document is of another issuer"),
            ),
            (
                r#"{"issuer":"https://evil.example","jwks_uri":"https://a.example/k"}"#,
                Some("the discovery document is of another issuer"),
            ),
            (
                r#"{"issuer":["https://issuer.example.org"],"jwks_uri":"https://a.example/k"}"#,
                Some("the discovery document names no issuer"),
            ),
            (
                r#"{"jwks_uri":"https://a.example/k"}"#,
                Some("the discovery document names no issuer"),
            ),
            (
                r#"{"issuer":"https://issuer.example.org"}"#,
                Some("the discovery document names no jwks_uri"),
            ),
            (
                r#"{"issuer":"https://issuer.example.org","jwks_uri":"http://a.example/k"}"#,
                Some("the jwks_uri is not https"),
            ),
            (
                r#"{"issuer":"https://issuer.example.org","jwks_uri":"file:///etc/keys"}"#,
                Some("the jwks_uri is no plain URL"),
            ),
            (
                r#"{"issuer":"https://issuer.example.org","issuer":"https://issuer.example.org","jwks_uri":"https://a.example/k"}"#,
                Some("no discovery document"),
            ),
            ("", Some("no discovery document")),
        ] {
            assert_eq!(
                keys_of(document.as_bytes(), ISSUER).err(),
                why,
                "{document}"
            );
        }
    }
    #[test]
    fn keys_on_another_host_than_the_issuers_are_refused() {
        let issuer = "https://0a.tokens.sts.global.api.aws";
        for (keys, own) in [
            (
                "https://0a.tokens.sts.global.api.aws/.well-known/jwks.json",
                true,
            ),
            ("https://0A.tokens.sts.global.api.aws:443/keys", true),
            (
                "https://0b.tokens.sts.global.api.aws/.well-known/jwks.json",
                false,
            ),
            (
                "https://0a.tokens.sts.global.api.aws.evil.example/keys",
                false,
            ),
            ("https://0a.tokens.sts.global.api.aws:8443/keys", false),
            ("", false),
        ] {
            assert_eq!(own_host(issuer, keys).is_ok(), own, "{keys}");
        }
    }
}
