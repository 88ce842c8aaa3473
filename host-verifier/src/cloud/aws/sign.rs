//! Signature Version 4, by AWS's own crate.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use jiff::Timestamp;

use super::keys::Keys;
use super::settings::Service;
use crate::outside::{Header, Method, Request, Target};

/// Adds what shows who asks: `authorization`, `x-amz-date`, and the session's token. Signed are the method, the URL, the host,
/// the body and every header that the request has by now.
pub(super) fn signed(
    mut request: Request,
    keys: &Keys,
    (service, region): (Service, &str),
    now: Timestamp,
) -> Result<Request, &'static str> {
    let wrong = "the request cannot be signed";
    let target = Target::parse(&request.url).map_err(|_| wrong)?;
    // As the client sends it.
    let authority = target.authority();
    let (url, method) = (target.url(), method(request.method));
    let identity = Credentials::new(&*keys.id, &*keys.secret, keys.token.clone(), None, "assay");
    let identity = identity.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service.name())
        .time(now.into())
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| wrong)?
        .into();
    let headers = request.headers.iter();
    let headers = headers.map(|header| (header.name, header.value.as_str()));
    let headers = headers.chain(core::iter::once(("host", authority.as_str())));
    let body = match request.method {
        Method::Get => SignableBody::empty(),
        Method::Post | Method::Put => SignableBody::Bytes(&request.body),
    };
    let signable = SignableRequest::new(method, url, headers, body).map_err(|_| wrong)?;
    let (instructions, _) = sign(signable, &params).map_err(|_| wrong)?.into_parts();
    let (added, _) = instructions.into_parts();
    for header in added {
        let name = header.name();
        request.headers.push(Header::new(name, header.value()));
    }
    Ok(request)
}

const fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Keys, Service, signed};
    use crate::outside::{Header, Reach, Request};

    /// AWS's documentation has this key and this time in its test suite; the expected signature is botocore's (see
    /// `tests/outside/aws/botocore.rs`, which compares more of them).
    #[test]
    fn a_request_shows_who_asks_and_not_with_what() {
        let keys = Keys {
            id: "AKIDEXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            token: Some("t0ken".into()),
            expires: None,
        };
        let mut request = Request::get("https://sts.us-east-1.amazonaws.com/", Reach::OPERATORS);
        request.headers.push(Header::new("accept", "text/xml"));
        let now = "2015-08-30T12:36:00Z".parse().unwrap();
        let request = signed(request, &keys, (Service::Sts, "us-east-1"), now).unwrap();
        let value = |name: &str| {
            let mut all = request.headers.iter().filter(|header| header.name == name);
            let one = all.next().map(|header| header.value.to_string());
            assert!(all.next().is_none(), "{name} stands once");
            one.unwrap()
        };
        assert_eq!(value("x-amz-date"), "20150830T123600Z");
        assert_eq!(value("x-amz-security-token"), "t0ken");
        let shown = value("authorization");
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/sts/aws4_request, SignedHeaders=accept;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(shown.starts_with(expected), "{shown}");
        assert!(!shown.contains("wJalr"), "{shown}");
    }
}
