//! One request to a metadata service, and when it is made again.

use core::fmt;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;

/// How this program names itself.
const AGENT: &str = concat!("assay/", env!("CARGO_PKG_VERSION"));
/// Longest body of an answer, bytes. The longest that is wanted, Azure's description of an instance, has some kilobytes.
const MAX_BODY: usize = 256 * 1024;
/// How long connecting takes at most: the service is in the same house.
const CONNECT: Duration = Duration::from_secs(2);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// How long Azure's service says that it may be away for, when it says that it is (410).
const GONE: Duration = Duration::from_secs(70);

/// How long is waited, and how often is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// All attempts of one request together.
    pub timeout: Duration,
    /// How many attempts may follow the first.
    pub retries: u32,
    /// The first pause between two; it doubles.
    pub delay: Duration,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Question {
    /// The verb.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers; values are secrets.
    pub headers: Vec<(&'static str, Secret)>,
    /// One attempt.
    pub within: Duration,
    /// Whether 410 means: ask again for 70 s, whatever the time-out.
    pub waits_for_gone: bool,
}

/// A header's value that no `Debug` shows.
#[derive(Clone)]
pub struct Secret(pub Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl Question {
    /// A `GET` without headers of its own.
    #[must_use]
    pub fn get(path: impl Into<String>, within: Duration) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: Vec::new(),
            within,
            waits_for_gone: false,
        }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Secret>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer, whole.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, which may be a secret.
    pub body: Zeroizing<Vec<u8>>,
    /// Who gave it: the endpoint.
    pub by: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// The body as text, without blanks and line ends around it; `None` when it is none.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        core::str::from_utf8(&self.body).ok().map(str::trim_ascii)
    }

    /// Whether the status says that the next attempt may do better.
    const fn is_transient(&self) -> bool {
        matches!(self.status, 429 | 500 | 502 | 503 | 504)
    }

    /// What it asks for before the next attempt, in seconds.
    fn pause(&self) -> Duration {
        let seconds = self.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
        let seconds = seconds.and_then(|text| text.trim().parse().ok());
        Duration::from_secs(seconds.unwrap_or(0))
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody is there, or the way to it is barred.
    #[error("{to}: {why}")]
    Unreached {
        /// The endpoint.
        to: String,
        /// What the system says.
        why: String,
    },
    /// Nobody takes the connection.
    #[error("{to}: nobody takes the connection")]
    NoConnection {
        /// The endpoint.
        to: String,
    },
    /// The connection was taken, and there is no answer.
    #[error("{to}: it takes the connection and does not answer")]
    Silent {
        /// The endpoint.
        to: String,
    },
    /// It broke off, or what came is no HTTP.
    #[error("{to}: {why}")]
    Broken {
        /// The endpoint.
        to: String,
        /// What is wrong.
        why: String,
    },
    /// The answer is longer than it may be.
    #[error("{to}: the answer has more than {MAX_BODY} bytes")]
    TooLong {
        /// The endpoint.
        to: String,
    },
    /// This machine cannot even ask.
    #[error("a request could not be made: {0}")]
    Own(String),
}

/// Asks one service.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    patience: Patience,
}

impl Client {
    /// A client of this service.
    #[must_use]
    pub const fn new(endpoint: Endpoint, patience: Patience) -> Self {
        Self { endpoint, patience }
    }

    /// Whom it asks.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How patient it is.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        self.patience
    }

    /// Asks until there is an answer that counts, and returns the last one, whatever its status. Overload and errors of the
    /// service are asked again as often as the settings say; silence once, for somebody who never answers would only hold the
    /// login up.
    ///
    /// # Errors
    ///
    /// [`AskError`] of the last attempt.
    pub fn ask(&self, question: &Question) -> Result<Answer, AskError> {
        let begun = Instant::now();
        let Patience {
            mut timeout,
            retries,
            mut delay,
        } = self.patience;
        let (mut repeated, mut was_silent) = (0, false);
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            let result = once(&self.endpoint, question, left.min(question.within));
            let (again, wished) = match &result {
                Ok(answer) if answer.status == 410 && question.waits_for_gone => {
                    timeout = timeout.max(GONE);
                    (true, answer.pause())
                }
                Ok(answer) => (answer.is_transient() && repeated < retries, answer.pause()),
                Err(AskError::Own(_) | AskError::TooLong { .. }) => (false, Duration::ZERO),
                Err(_) => (!was_silent && retries > 0, Duration::ZERO),
            };
            was_silent |= result.is_err();
            let pause = jittered(delay).max(wished);
            if !again || begun.elapsed().saturating_add(pause) >= timeout {
                return result;
            }
            std::thread::sleep(pause);
            repeated = repeated.saturating_add(1);
            delay = delay.saturating_mul(2).min(MAX_PAUSE);
        }
    }
}

/// A pause and up to a quarter of it by chance, so that machines that were started together do not ask together.
fn jittered(pause: Duration) -> Duration {
    let mut chance = [0];
    // Without chance it is the pause itself.
    let _ = aws_lc_rs::rand::fill(&mut chance);
    let [chance] = chance;
    let quarter = pause / 4;
    pause.saturating_add(quarter.saturating_mul(u32::from(chance)) / 255)
}

/// Runs something to its end on a thread and a runtime of its own: a login is already within one.
///
/// # Errors
///
/// What the system says when there is no thread or no runtime to be had.
pub(crate) fn wait<T: Send>(future: impl Future<Output = T> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let runs = std::thread::Builder::new()
            .name("metadata".to_owned())
            .spawn_scoped(scope, || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime
                    .map(|runtime| runtime.block_on(future))
                    .map_err(|error| error.to_string())
            });
        let runs = runs.map_err(|error| error.to_string())?;
        runs.join()
            .unwrap_or_else(|_| Err("the thread has ended early".to_owned()))
    })
}

fn once(endpoint: &Endpoint, question: &Question, within: Duration) -> Result<Answer, AskError> {
    wait(attempt(endpoint, question, within)).unwrap_or_else(|why| Err(AskError::Own(why)))
}

/// One attempt. Nobody who takes the connection is told apart from somebody who takes it and is silent.
async fn attempt(
    endpoint: &Endpoint,
    question: &Question,
    within: Duration,
) -> Result<Answer, AskError> {
    let to = || endpoint.to_string();
    let begun = Instant::now();
    let connecting = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    let tcp = match tokio::time::timeout(within.min(CONNECT), connecting).await {
        Ok(tcp) => tcp.map_err(|error| AskError::Unreached {
            to: to(),
            why: error.to_string(),
        })?,
        Err(_) => return Err(AskError::NoConnection { to: to() }),
    };
    let left = within.saturating_sub(begun.elapsed());
    let exchanged = tokio::time::timeout(left, exchange(endpoint, question, tcp)).await;
    exchanged.unwrap_or_else(|_| Err(AskError::Silent { to: to() }))
}

async fn exchange(
    endpoint: &Endpoint,
    question: &Question,
    tcp: TcpStream,
) -> Result<Answer, AskError> {
    let to = || endpoint.to_string();
    let broken = |error: hyper::Error| AskError::Broken {
        to: to(),
        why: error.to_string(),
    };
    let request = framed(endpoint, question)?;
    let handshake = http1::handshake(TokioIo::new(tcp)).await;
    let (mut sender, connection) = handshake.map_err(broken)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (parts, mut body) = answer.into_parts();
        // At once, so that no copy of a token is left behind by growing.
        let mut whole = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            if whole.len().saturating_add(data.len()) > MAX_BODY {
                return Err(AskError::TooLong { to: to() });
            }
            whole.extend_from_slice(&data);
        }
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: whole,
            by: to(),
        })
    };
    // The connection moves the bytes; it is dropped with this future, whichever way that ends.
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Err(error) => Err(broken(error)),
            // It has ended behind the answer, which is all there.
            Ok(()) => answer.await,
        },
    }
}

fn framed(endpoint: &Endpoint, question: &Question) -> Result<Request<Full<Bytes>>, AskError> {
    let own = |what: &str| AskError::Own(what.to_owned());
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = question.method.clone();
    let path = question.path.parse();
    *request.uri_mut() = path.map_err(|_| own("its path is none"))?;
    let headers = request.headers_mut();
    let host = HeaderValue::try_from(&endpoint.authority).map_err(|_| own("its host is none"))?;
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for (name, Secret(value)) in &question.headers {
        let mut value =
            HeaderValue::try_from(value.as_str()).map_err(|_| own("a header's value is none"))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(request)
}
