//! A verifier over its API, for commands: one request at a time, every error with a hint.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::report::read_file;
use super::service::Failure;
use crate::api::auth::ApiToken;
use crate::http::{Answer, Client, HttpError, Limits, Roots};

/// What a request may cost.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(30),
    body: 64 * 1024 * 1024,
};
/// Longest token file, bytes.
const TOKEN_FILE: usize = 4096;
/// Most entries of a page.
pub(super) const PAGE: usize = 1000;

/// A verifier that answers.
#[derive(Debug)]
pub(super) struct Remote {
    client: Client,
    /// Without a slash at its end.
    base: String,
    authorization: HeaderValue,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// A problem (RFC 9457) as the API tells it.
#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
    hint: Option<String>,
    file: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
}

impl Remote {
    /// A verifier at a URL, with the token of a file. Warns of a file that others can read.
    pub(super) fn new(server: &str, token: &Path, ca: Option<PathBuf>) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!("--server: {why}")).hint("e.g. https://assay.example.org:8443")
        };
        let uri: Uri = server.parse().map_err(|_| wrong("this is no URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(wrong("the URL begins with https://"));
        }
        let plain = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
        if !plain || uri.authority().is_none_or(|a| a.as_str().contains('@')) {
            return Err(wrong("the URL has a host and a port, and nothing else"));
        }
        let roots = ca.map_or(Roots::System, Roots::File);
        let client = Client::new(&roots, LIMITS)
            .map_err(|error| Failure::usage(error.to_string()).hint(error.hint()))?;
        Ok(Self {
            client,
            base: server.trim_end_matches('/').to_owned(),
            authorization: authorization(token)?,
        })
    }

    /// Asks for something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.ask(Method::GET, path, None, &[]).await?;
        self.read(&answer)
    }

    /// Asks for a document, as it is.
    pub(super) async fn text(&self, path: &str) -> Result<String, Failure> {
        let answer = self.ask(Method::GET, path, None, &[]).await?;
        String::from_utf8(answer.body.to_vec())
            .map_err(|_| Failure::failed(format!("{}: an answer that is no text", self.base)))
    }

    /// Sends something and reads what comes of it.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<T, Failure> {
        let answer = self.ask(method, path, body, headers).await?;
        self.read(&answer)
    }

    /// Takes something away.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, path, None, &[]).await.map(|_| ())
    }

    /// Every entry of a list that `wanted` takes, until it has enough: page after page.
    pub(super) async fn each<T: DeserializeOwned>(
        &self,
        path: &str,
        mut wanted: impl FnMut(T) -> bool,
    ) -> Result<(), Failure> {
        let mut next: Option<String> = None;
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let mut page = format!("{path}{sign}limit={PAGE}");
            if let Some(cursor) = &next {
                page += &format!("&cursor={}", encoded(cursor));
            }
            let Page { items, next: more } = self.get::<Page<T>>(&page).await?;
            for item in items {
                if !wanted(item) {
                    return Ok(());
                }
            }
            match more {
                Some(_) if more == next => {
                    return Err(Failure::failed(format!("{path}: a list that does not end")));
                }
                Some(_) => next = more,
                None => return Ok(()),
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Answer, Failure> {
        let mut request = Request::new(match body {
            None => Bytes::new(),
            Some(body) => Bytes::from(body.to_string()),
        });
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.base)
            .parse()
            .map_err(|_| Failure::usage(format!("no path: {path}")))?;
        let sent = request.headers_mut();
        sent.insert(AUTHORIZATION, self.authorization.clone());
        sent.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            sent.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            sent.insert(name, value.clone());
        }
        let answer = self
            .client
            .send(request)
            .await
            .map_err(|e| unanswered(&e))?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(refused(&answer)),
        }
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            Failure::failed(format!(
                "{}: an answer that cannot be read: {error}",
                self.base
            ))
            .hint("is it an assayd, and of this version? /openapi.json says what it answers")
        })
    }
}

/// A part of a path or query: everything but what RFC 3986, section 2.3 leaves as it is.
pub(super) fn encoded(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

/// The header of a file with a token.
fn authorization(path: &Path) -> Result<HeaderValue, Failure> {
    let shown = path.display();
    let text = Zeroizing::new(
        read_file(path, TOKEN_FILE).map_err(|error| Failure::usage(error.message()))?,
    );
    let token = core::str::from_utf8(&text).ok().map(str::trim);
    let token = token.and_then(ApiToken::read).ok_or_else(|| {
        Failure::usage(format!("{shown}: no token"))
            .hint("one line, as `assay token create` prints it")
    })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode());
        if mode & 0o077 != 0 {
            eprintln!("warning: {shown}: others can read this token");
            eprintln!(
                "hint: chmod 600 {shown}; if they may have, revoke it (`assay token revoke`)"
            );
        }
    }
    let text = Zeroizing::new(format!("Bearer {}", token.expose()));
    let mut header = HeaderValue::try_from(text.as_str())
        .map_err(|_| Failure::usage(format!("{shown}: no token")))?;
    header.set_sensitive(true);
    Ok(header)
}

fn unanswered(error: &HttpError) -> Failure {
    let hint = match error {
        HttpError::Url(_) => "e.g. https://assay.example.org:8443",
        HttpError::Connect { .. } => "does assayd run there, and is this its port?",
        HttpError::Tls { .. } => {
            "name the authority of its certificate with --ca FILE, and the host by a name of the certificate"
        }
        HttpError::Protocol { .. } | HttpError::Body { .. } => "is this an assayd?",
        HttpError::Late { .. } => "whether it was done is not known: look before it is tried again",
    };
    match error {
        HttpError::Url(_) => Failure::usage(error.to_string()),
        _ => Failure::failed(error.to_string()),
    }
    .hint(hint)
}

/// An answer that is no success. What the caller got wrong is bad usage, everything else a failure.
fn refused(answer: &Answer) -> Failure {
    let status = answer.status;
    let told: Told = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut message = match told.detail.as_str() {
        "" => format!("the server answers {status}"),
        detail => detail.to_owned(),
    };
    if let Some(file) = told.file {
        let number = |n: Option<u64>| n.map_or_else(String::new, |n| format!(":{n}"));
        let (line, column) = (number(told.line), number(told.column));
        message = format!("{file}{line}{column}: {message}");
    }
    // A line, whatever a server says.
    let message = crate::document::visible(&message);
    let failure = match status {
        StatusCode::BAD_REQUEST
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE => Failure::usage(message),
        _ => Failure::failed(message),
    };
    let hint = command_for(&told.code).map(str::to_owned);
    let waits = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    let wait = answer.headers.get(hyper::header::RETRY_AFTER);
    let wait = wait.and_then(|wait| wait.to_str().ok()).filter(|_| waits);
    match (hint.or(told.hint), wait) {
        (Some(hint), Some(wait)) => failure.hint(format!("{hint} ({wait} s)")),
        (Some(hint), None) => failure.hint(hint),
        (None, _) => failure,
    }
}

/// What to do where nothing is known of an identity.
pub(super) const NO_IDENTITY: &str = "only policies with `tofu` bind; `assay audit show LOGIN` has what each method calls the node as `identity`";

/// What the API's hints say of paths, of commands.
fn command_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "no-such-session" => "`assay session list` shows those that have not ended",
        "no-such-node" => "`assay node list` shows all of them",
        "no-such-identity" => NO_IDENTITY,
        "no-such-ban" => "`assay node bans` shows all bans",
        "banned-already" => "`assay node bans` shows since when and why",
        "no-such-token" => "`assay token list` shows their ids; it is not the token itself",
        "no-such-join-token" => "`assay join-token list` shows those that were not used",
        "no-such-login" => "`assay audit list` shows the last ones; each replica has its own",
        "unknown-token" => "name a file with another token: --token-file FILE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;
    use hyper::{HeaderMap, StatusCode};

    use super::{Answer, encoded, refused};

    #[test]
    fn what_is_put_into_a_path_stays_one_part_of_it() {
        assert_eq!(encoded("lab-1.a_b~"), "lab-1.a_b~");
        assert_eq!(encoded("../a b?c#d%é"), "..%2Fa%20b%3Fc%23d%25%C3%A9");
    }

    #[test]
    fn an_answer_that_is_no_problem_is_an_error_all_the_same() {
        for (status, body) in [(502, "<html>"), (302, ""), (404, "{\"detail\": 7}")] {
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap_or_default(),
                headers: HeaderMap::new(),
                body: Bytes::from(body),
            };
            let failure = refused(&answer);
            assert!(
                failure.message().contains(&status.to_string()),
                "{failure:?}"
            );
        }
    }
}
