//! The signature of a request to AWS, version 4, from the verifying side. Written after AWS' description of it and of nobody
//! else's code, so that it is a second opinion on whoever signs.

use aws_lc_rs::{digest, hmac};

use super::server::Request;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the clocks may be apart, seconds.
const SKEW: i64 = 300;

/// What is wrong with a signature: AWS' code.
pub(super) type Code = &'static str;

/// Verifies a request, and returns the name of the key that signed it.
///
/// `place` is the region and the service that it has to be for; `secret_of` knows the secret and the session token of a key.
pub(super) fn verify<'a>(
    request: &'a Request,
    place: Option<(&str, &str)>,
    now: i64,
    secret_of: impl Fn(&str) -> Option<(String, Option<String>)>,
) -> Result<&'a str, Code> {
    let authorization = request
        .header("authorization")
        .ok_or("MissingAuthenticationToken")?;
    let fields = authorization
        .strip_prefix(ALGORITHM)
        .ok_or("IncompleteSignature")?;
    let field = |name: &str| {
        let mut fields = fields.split(',').map(str::trim);
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let credential = field("Credential").ok_or("IncompleteSignature")?;
    let signed = field("SignedHeaders").ok_or("IncompleteSignature")?;
    let signature = field("Signature").ok_or("IncompleteSignature")?;
    let scope: Vec<&str> = credential.split('/').collect();
    let [key, date, region, service, "aws4_request"] = scope[..] else {
        return Err("IncompleteSignature");
    };
    let time = request.header("x-amz-date").ok_or("IncompleteSignature")?;
    let stamp = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", time)
        .and_then(|parsed| parsed.to_datetime())
        .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|_| "IncompleteSignature")?;
    let stamp = stamp.timestamp().as_second();
    if (stamp - now).abs() > SKEW {
        return Err("RequestExpired");
    }
    let names: Vec<&str> = signed.split(';').collect();
    if place.is_some_and(|place| place != (region, service))
        || !time.starts_with(date)
        || !names.contains(&"host")
    {
        return Err("SignatureDoesNotMatch");
    }
    let (secret, session) = secret_of(key).ok_or("InvalidClientTokenId")?;
    if let Some(session) = session {
        let sent = request.header("x-amz-security-token");
        if sent != Some(session.as_str()) || !names.contains(&"x-amz-security-token") {
            return Err("InvalidClientTokenId");
        }
    }
    let mut canonical = format!("{}\n{}\n\n", request.method, request.path());
    for name in &names {
        let value = request.header(name).ok_or("SignatureDoesNotMatch")?;
        canonical += &format!("{name}:{value}\n");
    }
    canonical += &format!("\n{signed}\n{}", hashed(&request.body));
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let text = format!(
        "{ALGORITHM}\n{time}\n{scope}\n{}",
        hashed(canonical.as_bytes())
    );
    let mut derived = format!("AWS4{secret}").into_bytes();
    for part in [date, region, service, "aws4_request"] {
        derived = tag(&derived, part).as_ref().to_vec();
    }
    match hex::encode(tag(&derived, &text)) == signature {
        true => Ok(key),
        false => Err("SignatureDoesNotMatch"),
    }
}

fn hashed(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn tag(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}
