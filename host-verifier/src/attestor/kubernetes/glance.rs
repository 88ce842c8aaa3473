//! A look at what a token says of itself, before its cluster is asked. Pure.
//!
//! Nobody has verified it, so it lets nobody in: it only refuses, at once and without a question to the API server, what no
//! honest API server would say yes to. Whoever sends rubbish by the thousand is then no burden to the cluster. A token whose
//! claims cannot be read is left to the API server.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::review;
use crate::attestor::{AttestError, Fault};
use crate::jwt::shown;

/// What the API server's clock may be behind.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

#[derive(Deserialize)]
struct Said {
    exp: Option<i64>,
    aud: Option<Audience>,
    sub: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Refuses a token that by its own word is over, is for somebody else, or is of a service account that is not allowed. An empty
/// list of `audiences` stands for the API server's own, which is not known here.
///
/// # Errors
///
/// `token-expired`, `token-audience`, and those of [`review::allowed`].
pub fn refuse_hopeless(
    token: &str,
    audiences: &[String],
    allowed: &BTreeSet<String>,
    now: Timestamp,
) -> Result<(), AttestError> {
    let Some(said) = read(token) else {
        return Ok(());
    };
    let refused =
        |check: &'static str, detail: String| Err(AttestError::new(Fault::Refused, check, detail));
    let end = said.exp.and_then(|exp| Timestamp::from_second(exp).ok());
    if let Some(end) = end
        && now.duration_since(end) > LEEWAY
    {
        return refused("token-expired", format!("the token expired at {end}"));
    }
    let own = match &said.aud {
        None => &[],
        Some(Audience::One(one)) => core::slice::from_ref(one),
        Some(Audience::Many(many)) => many.as_slice(),
    };
    let fits = audiences.is_empty() || own.iter().any(|one| audiences.contains(one));
    // Of a legacy token, which is for nobody in particular, the API server says whom it counts for.
    if said.aud.is_some() && !fits {
        let own = own.first().map_or("", String::as_str);
        let detail = format!("the token is for {}", shown(own));
        return refused("token-audience", detail);
    }
    match said.sub {
        Some(sub) => review::allowed(&sub, allowed).map(drop),
        None => Ok(()),
    }
}

fn read(token: &str) -> Option<Said> {
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&claims).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::refuse_hopeless;

    const SUB: &str = "system:serviceaccount:assay:assay-agent";

    fn told(claims: &Value, audiences: &[&str]) -> Result<(), &'static str> {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let audiences: Vec<_> = audiences.iter().map(ToString::to_string).collect();
        let allowed = ["assay:assay-agent".to_owned()].into();
        let now = Timestamp::from_second(10_000).unwrap();
        refuse_hopeless(&token, &audiences, &allowed, now).map_err(|error| error.check)
    }

    #[test]
    fn what_a_token_says_against_itself_refuses_it() {
        let good = json!({"exp": 10_001, "aud": ["a", "b"], "sub": SUB});
        assert_eq!(told(&good, &["b"]), Ok(()));
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        for (name, value, check) in [
            ("exp", json!(9_939), "token-expired"),
            ("aud", json!(["c"]), "token-audience"),
            ("aud", json!("c"), "token-audience"),
            ("aud", json!([]), "token-audience"),
            (
                "sub",
                json!("system:serviceaccount:assay:default"),
                "service-account-not-allowed",
            ),
            ("sub", json!("system:node:a"), "token-username"),
        ] {
            let claims = with(name, value);
            assert_eq!(told(&claims, &["b"]), Err(check), "{claims}");
        }
        // A clock that is a little ahead.
        assert_eq!(told(&with("exp", json!(9_940)), &["b"]), Ok(()));
        // The API server's own audience.
        assert_eq!(told(&with("aud", json!(["c"])), &[]), Ok(()));
    }

    #[test]
    fn a_token_that_says_nothing_is_left_to_the_api_server() {
        assert_eq!(told(&json!({}), &["b"]), Ok(()));
        assert_eq!(told(&json!({"sub": SUB}), &["b"]), Ok(()));
        assert_eq!(told(&json!({"exp": "soon", "sub": 7}), &["b"]), Ok(()));
        let allowed = ["assay:assay-agent".to_owned()].into();
        for token in ["", "to.ke.n", "a.!.c"] {
            let told = refuse_hopeless(token, &[], &allowed, Timestamp::UNIX_EPOCH);
            assert_eq!(told, Ok(()), "{token}");
        }
    }
}
