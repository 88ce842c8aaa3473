//! The agent's bytes, read once.

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::attestor::{AttestError, Fault};
use crate::jwt::MAX_TOKEN;

/// Longest payload, bytes: a token, what is around it, and room for blanks.
pub const MAX_PAYLOAD: usize = MAX_TOKEN + 1024;

/// `{"token": "…"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    token: &'a str,
}

/// `{"cluster": "…", "token": "…"}`, as SPIRE's agents send it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOfCluster<'a> {
    cluster: &'a str,
    token: &'a str,
}

/// The token of `{"token": "…"}`, and nothing besides.
///
/// # Errors
///
/// [`Fault::Malformed`].
pub fn token(payload: &[u8]) -> Result<&[u8], AttestError> {
    if let Some(token) = plain(payload) {
        return Ok(token);
    }
    let wire: Wire<'_> = read(payload)?;
    Ok(wire.token.as_bytes())
}

/// The token, where the JSON is written in the shortest way: then it is what stands between beginning and end, as long as no
/// character there has a meaning of its own in JSON. All else is left to the library.
fn plain(payload: &[u8]) -> Option<&[u8]> {
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    let rest = payload.strip_prefix(br#"{"token":""#)?;
    let token = rest.strip_suffix(br#""}"#)?;
    // Without an end at the first other character, which lets the compiler look at many at a time.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    let all = token.iter().fold(true, |all, byte| all & is_plain(*byte));
    all.then_some(token)
}

/// Cluster and token of `{"cluster": "…", "token": "…"}`.
///
/// # Errors
///
/// [`Fault::Malformed`], with SPIRE's texts where a member is empty.
pub fn of_cluster(payload: &[u8]) -> Result<(String, Zeroizing<String>), AttestError> {
    let wire: WireOfCluster<'_> = read(payload)?;
    for (name, value) in [("cluster", wire.cluster), ("token", wire.token)] {
        if value.is_empty() {
            return Err(malformed(format!("missing {name} in attestation data")));
        }
    }
    if wire.token.len() > MAX_TOKEN {
        return Err(malformed(format!(
            "the token has {} bytes",
            wire.token.len()
        )));
    }
    Ok((
        wire.cluster.to_owned(),
        Zeroizing::new(wire.token.to_owned()),
    ))
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, AttestError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(malformed(format!(
            "{} bytes, more than {MAX_PAYLOAD}",
            payload.len()
        )));
    }
    // The library's message may quote the token.
    serde_json::from_slice(payload).map_err(|error| {
        malformed(format!(
            "not the JSON of this method: line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

fn malformed(why: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Malformed, "payload-malformed", why)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_PAYLOAD, Wire, plain, read, token};

    #[test]
    fn the_shortest_form_is_read_as_any_other() {
        for (payload, short) in [
            (r#"{"token":"a.b.c"}"#, true),
            (r#"{"token":""}"#, true),
            (r#"{ "token" : "a.b.c" }"#, false),
            (r#"{"token":"a\u002eb"}"#, false),
            (r#"{"token":"a","token":"b"}"#, false),
            (r#"{"token":"a","more":"b"}"#, false),
            (r#"{"token":"}"#, false),
            (r#"{"token":"a"}}"#, false),
            (r#"{"token":"ä"}"#, false),
            ("{\"token\":\"a\nb\"}", false),
            ("{\"token\":\"a\x7fb\"}", false),
        ] {
            assert_eq!(plain(payload.as_bytes()).is_some(), short, "{payload}");
        }
        let long = format!(r#"{{"token":"{}"}}"#, "a".repeat(MAX_PAYLOAD));
        assert!(token(long.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_plain_is_what_the_library_reads(
            inside in r#"([A-Za-z0-9_.-]{0,8}|["\\ -~]{0,3}|[\x00-\x7fä]{0,2}){0,3}"#,
        ) {
            let payload = format!(r#"{{"token":"{inside}"}}"#);
            if let Some(found) = plain(payload.as_bytes()) {
                let wire: Wire<'_> = read(payload.as_bytes()).unwrap();
                prop_assert_eq!(found, wire.token.as_bytes());
            }
        }
    }
}
