//! The firmware's login over requests and answers: `POST /v1/login`, a message each way, and the verifier's sealed state in
//! between ([`assay_common::protocol::envelope`]). The states, and all that is checked in them, are
//! [`assay_firmware::agent`]'s.

use std::time::{Duration, Instant};

use assay_common::policy::AttestorSet;
use assay_common::protocol::envelope::{Blob, LoginAnswer, LoginRequest, MAX_MESSAGE, POSTCARD};
use assay_common::protocol::{
    AgentMessage, Challenge, Denied, DenyCode, MAX_BLOB, MAX_BLOBS, MessageWriter, SignedChallenge,
    VerifierMessage, WriteFields as _, decode,
};
use assay_firmware::agent::{self, Failure, Opening, Refusal, Term};
use assay_firmware::evidence::EvidenceSource as _;
use assay_firmware::link::{BlobSink, LinkError};
use assay_firmware::platform::BoardInfo;
use assay_host::document::visible;
use assay_host::http::Answer;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use zeroize::Zeroizing;

use super::{Answered, LoginError, Verifiers, retry_after};
use crate::evidence::Evidence;

const PATH: &str = "/v1/login";
/// What the agent calls itself in the verifier's log.
const BOARD: BoardInfo = BoardInfo {
    name: "host",
    version: env!("CARGO_PKG_VERSION"),
};

/// A session.
pub struct Granted {
    /// Names it, 32 hex digits.
    pub session_id: String,
    /// The identity.
    pub spiffe_id: String,
    /// What only the node and the verifier know.
    pub secret: Zeroizing<[u8; 32]>,
    /// How long it lasts, and how it is renewed.
    pub term: Term,
    /// When the answer came: what the term counts from.
    pub since: Instant,
    /// The SVID, DER, the leaf first; empty when none was issued.
    pub svid: Vec<Vec<u8>>,
    /// The SVID's private key, PKCS #8; `None` when it is in the TPM.
    pub key: Option<Zeroizing<Vec<u8>>>,
    /// What the verifier asked for, and got.
    pub proven: AttestorSet,
    /// The verifier's address.
    pub by: String,
}

impl core::fmt::Debug for Granted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Granted")
            .field("session_id", &self.session_id)
            .field("spiffe_id", &self.spiffe_id)
            .finish_non_exhaustive()
    }
}

/// A renewal: the session goes on, with a new term and a new SVID for the same key.
#[derive(Debug)]
pub struct Renewable {
    /// The new term.
    pub term: Term,
    /// When the answer came.
    pub since: Instant,
    /// The SVID, DER, the leaf first; empty when the session has none.
    pub svid: Vec<Vec<u8>>,
}

/// The long fields of a message.
#[derive(Default)]
struct Blobs(Vec<(u8, Vec<u8>)>);

impl BlobSink for Blobs {
    fn chunk(&mut self, blob: u8, offset: u32, bytes: &[u8]) -> Result<(), LinkError> {
        let known = self.0.iter().position(|(number, _)| *number == blob);
        let index = match known {
            Some(index) => index,
            None if self.0.len() < MAX_BLOBS => {
                self.0.push((blob, Vec::new()));
                self.0.len().saturating_sub(1)
            }
            None => return Err(LinkError),
        };
        let (_, content) = self.0.get_mut(index).ok_or(LinkError)?;
        if offset == 0 {
            content.clear();
        }
        let whole = content.len().saturating_add(bytes.len());
        let fits = u32::try_from(whole).is_ok_and(|whole| whole <= MAX_BLOB);
        if usize::try_from(offset) != Ok(content.len()) || !fits {
            return Err(LinkError);
        }
        content.extend_from_slice(bytes);
        Ok(())
    }
}

/// One login, from hello to grant.
///
/// # Errors
///
/// [`LoginError`]; nothing of the attempt is left in the sources.
pub async fn log_in(
    record: &[u8],
    verifiers: &Verifiers,
    evidence: &mut Evidence,
) -> Result<Granted, LoginError> {
    let result = attempt(record, verifiers, evidence).await;
    let result = result.map_err(|error| error.offering(evidence.offered()));
    if let Err(LoginError::Denied {
        code: DenyCode::REFUSED | DenyCode::NO_POLICY,
        ..
    }) = &result
        && let Some(error) = evidence.left_out()
    {
        report(verifiers, error.into()).await;
    }
    match &result {
        Ok(_) => evidence.keep(),
        Err(_) => evidence.end(),
    }
    result
}

async fn attempt(
    record: &[u8],
    verifiers: &Verifiers,
    evidence: &mut Evidence,
) -> Result<Granted, LoginError> {
    let own = |failure: Failure, evidence: &mut Evidence| {
        LoginError::of(failure, evidence.take_troubles())
    };
    let opening = Opening::new(record).map_err(|failure| own(failure, evidence))?;
    evidence
        .begin()
        .map_err(|error| own(error.into(), evidence))?;
    let mut nonce = [0; 32];
    let drawn = evidence.random(&mut nonce);
    drawn.map_err(|error| own(error.into(), evidence))?;
    let mut out = vec![0; MAX_MESSAGE];
    let share = evidence.key_share().to_vec();
    let hello = opening.hello(nonce, evidence.kinds(), &share, BOARD, &mut out);
    let (hello, mut waiting) = hello.map_err(|failure| own(failure, evidence))?;
    let mut message = hello.to_vec();
    let (mut state, mut blobs) = (Vec::new(), Blobs::default());
    let mut login_id = None;
    // The states end a login that has too many rounds.
    loop {
        let Answered { by, answer } = exchange(verifiers, &state, &blobs, &message).await?;
        let since = Instant::now();
        let answer = read(&answer)?;
        let answered = waiting.handle(answer.message);
        match answered.map_err(|refusal| refused(refusal, answer.message, login_id))? {
            agent::Answer::Asked(proving) => {
                login_id = named(answer.message).or(login_id);
                blobs = Blobs::default();
                let proofs = proving.prove(evidence, &mut blobs, &mut out);
                match proofs {
                    Ok(proofs) => message = proofs.to_vec(),
                    Err(failure) => {
                        report(verifiers, failure).await;
                        return Err(own(failure, evidence));
                    }
                }
                state = answer.state.to_vec();
            }
            agent::Answer::Granted(session) => {
                let key = evidence.svid_key().map(|key| key.to_pkcs8());
                let key = key
                    .transpose()
                    .map_err(|error| LoginError::Own(error.to_string()))?;
                return Ok(Granted {
                    session_id: hex::encode(session.id()),
                    spiffe_id: session.spiffe_id().to_string(),
                    secret: Zeroizing::new(*session.secret()),
                    term: *session.term(),
                    since,
                    svid: certificates(session.svid())?,
                    key,
                    proven: evidence.proven(),
                    by,
                });
            }
        }
    }
}

/// One renewal of a session, in one round trip.
///
/// # Errors
///
/// [`LoginError`]. The session is as it was: whether it can be renewed later depends on what failed.
pub async fn renew(
    record: &[u8],
    verifiers: &Verifiers,
    evidence: &mut Evidence,
    term: Term,
) -> Result<Renewable, LoginError> {
    let own = |failure: Failure, evidence: &mut Evidence| {
        LoginError::of(failure, evidence.take_troubles())
    };
    let opening = Opening::new(record).map_err(|failure| own(failure, evidence))?;
    let mut nonce = [0; 32];
    let drawn = evidence.random(&mut nonce);
    drawn.map_err(|error| own(error.into(), evidence))?;
    let mut out = vec![0; MAX_MESSAGE];
    let (message, renewing) = opening
        .renew(term, nonce, evidence, &mut out)
        .map_err(|failure| own(failure, evidence))?;
    let Answered { answer, .. } = exchange(verifiers, &[], &Blobs::default(), message).await?;
    let since = Instant::now();
    let answer = read(&answer)?;
    let renewed = renewing.handle(answer.message);
    let renewed = renewed.map_err(|refusal| refused(refusal, answer.message, None))?;
    Ok(Renewable {
        term: *renewed.term(),
        since,
        svid: certificates(renewed.svid())?,
    })
}

async fn exchange(
    verifiers: &Verifiers,
    state: &[u8],
    blobs: &Blobs,
    message: &[u8],
) -> Result<Answered, LoginError> {
    let blobs = blobs
        .0
        .iter()
        .map(|(blob, bytes)| Blob { blob: *blob, bytes });
    let request = LoginRequest {
        state,
        blobs: blobs.collect(),
        message,
    };
    let body = postcard::to_allocvec(&request);
    let body = body.map_err(|error| LoginError::Own(error.to_string()))?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(POSTCARD))];
    let asked = verifiers.ask(Method::POST, PATH, &headers, Bytes::from(body));
    asked.await.map_err(LoginError::Unreachable)
}

/// The envelope of an answer. What is in another form is of somebody else, or of the API before the login.
fn read(answer: &Answer) -> Result<LoginAnswer<'_>, LoginError> {
    let form = answer.headers.get(CONTENT_TYPE);
    if form.is_none_or(|form| form.as_bytes() != POSTCARD.as_bytes()) {
        return Err(LoginError::Answer {
            status: answer.status.as_u16(),
            detail: detail(answer),
            retry_after: retry_after(answer),
        });
    }
    decode(&answer.body).map_err(|error| LoginError::Protocol(error.to_string()))
}

/// What an answer that is no login's says: a problem's detail (RFC 9457), or nothing. The body of a stranger is not repeated.
fn detail(answer: &Answer) -> String {
    let problem = serde_json::from_slice::<serde_json::Value>(&answer.body);
    let problem = problem.unwrap_or_default();
    let said = problem.get("detail").and_then(serde_json::Value::as_str);
    let mut detail = visible(said.unwrap_or("not the answer of a verifier"));
    if let Some((end, _)) = detail.char_indices().nth(200) {
        detail.truncate(end);
    }
    detail
}

/// Over a request there is no later message: what a line would wait past is the end here.
fn refused(refusal: Refusal, message: &[u8], login: Option<[u8; 16]>) -> LoginError {
    let (Refusal::Ignored(failure) | Refusal::Over(failure)) = refusal;
    let said = match decode(message) {
        Ok(VerifierMessage::Denied(Denied { reason, .. })) => reason,
        _ => "",
    };
    LoginError::of(failure, Vec::new()).told(said, login)
}

/// The login's name in a challenge whose signature was checked.
fn named(message: &[u8]) -> Option<[u8; 16]> {
    let Ok(VerifierMessage::Challenge(SignedChallenge { body, .. })) = decode(message) else {
        return None;
    };
    decode::<Challenge<'_>>(body)
        .ok()
        .map(|challenge| challenge.login_id)
}

/// Tells the verifier why there is no login, as a node on a line does: its log is where somebody looks for a node that is
/// missing. That it does not hear of it changes nothing.
async fn report(verifiers: &Verifiers, failure: Failure) {
    let Some(error) = failure.trouble() else {
        return;
    };
    let mut buffer = [0; 64];
    let mut writer = MessageWriter::new(&mut buffer);
    writer.byte(AgentMessage::TROUBLE);
    error.trouble(1, 0).write_fields(&mut writer);
    if let Ok(message) = writer.finish() {
        let none = Blobs::default();
        let told = exchange(verifiers, &[], &none, message);
        let _ = tokio::time::timeout(Duration::from_secs(5), told).await;
    }
}

/// Certificates one after the other, cut apart by the lengths that DER has.
fn certificates(mut chain: &[u8]) -> Result<Vec<Vec<u8>>, LoginError> {
    let mut certificates = Vec::new();
    while !chain.is_empty() {
        let broken = || LoginError::Protocol("a chain that is no certificates".to_owned());
        let len = der_len(chain).ok_or_else(broken)?;
        let (certificate, rest) = chain.split_at_checked(len).ok_or_else(broken)?;
        certificates.push(certificate.to_vec());
        chain = rest;
    }
    Ok(certificates)
}

/// Length of the SEQUENCE at the front, its header included (X.690, section 8.1.3).
fn der_len(der: &[u8]) -> Option<usize> {
    match der {
        [0x30, len @ 0..=0x7F, ..] => usize::from(*len).checked_add(2),
        [0x30, 0x81, len, ..] => usize::from(*len).checked_add(3),
        [0x30, 0x82, high, low, ..] => {
            usize::from(u16::from_be_bytes([*high, *low])).checked_add(4)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use assay_firmware::link::BlobSink as _;

    use super::{Blobs, certificates};

    #[test]
    fn a_chain_is_cut_where_its_certificates_end() {
        let mut chain = vec![0x30, 2, 1, 2];
        chain.extend([0x30, 0x81, 0x80]);
        chain.extend([7; 0x80]);
        let cut = certificates(&chain).ok();
        let lengths = cut.map(|all| all.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(lengths, Some(vec![4, 131]));
        chain.pop();
        assert!(certificates(&chain).is_err(), "cut short");
        assert!(certificates(&[0x31, 0]).is_err(), "another tag");
        assert!(certificates(&[0x30, 0x80]).is_err(), "no length");
    }

    #[test]
    fn blobs_come_in_order_and_end() {
        let mut blobs = Blobs::default();
        assert!(blobs.chunk(0, 0, &[1; 512]).is_ok());
        assert!(blobs.chunk(0, 512, &[2; 4]).is_ok());
        assert!(blobs.chunk(0, 512, &[2; 4]).is_err(), "not where it ends");
        assert!(blobs.chunk(0, 0, &[3; 4]).is_ok(), "begun afresh");
        assert_eq!(blobs.0.first().map(|(_, bytes)| bytes.len()), Some(4));
        for number in 1..8 {
            assert!(blobs.chunk(number, 0, &[]).is_ok());
        }
        assert!(blobs.chunk(8, 0, &[]).is_err(), "too many");
        let mut offset = 0;
        while blobs.chunk(1, offset, &[0; 512]).is_ok() {
            offset += 512;
        }
        assert_eq!(offset, 16 * 1024);
    }
}
