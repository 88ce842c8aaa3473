//! The verifiers: their names, whether they answer, whether they are who the node thinks they are, and what time they have.

use std::time::{Duration, SystemTime};

use assay_host::http::{Answer, HttpError};
use hyper::body::Bytes;
use hyper::header::DATE;
use hyper::{Method, Uri};
use jiff::Timestamp;
use serde_json::Value;

use crate::client::Verifiers;
use crate::config::Config;
use crate::finding::Finding;

/// What a clock may be off before somebody should know, and before tokens and certificates are refused for it.
const SLIGHT: Duration = Duration::from_secs(10);
const GRAVE: Duration = Duration::from_secs(300);
/// The subject of what is wrong with the authorities that servers are judged by.
const CA: &str = "server ca";
/// A name that takes longer is a finding of its own.
const RESOLVED: Duration = Duration::from_secs(10);

/// Every verifier by itself: one of three that is wrong is found before the other two are away. Whether it is the node's own
/// can be said of a node only that is tied to one.
pub(super) async fn examine(config: &Config, is_tied: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in &config.servers {
        if !resolve(address, &mut findings).await {
            continue;
        }
        let verifiers = match Verifiers::new(core::slice::from_ref(address), &config.roots) {
            Ok(verifiers) => verifiers,
            Err(error) => {
                // The same for all of them.
                if !findings.iter().any(|finding| finding.subject == CA) {
                    findings.push(Finding::fail(CA, error.to_string(), error.hint()));
                }
                continue;
            }
        };
        let asked = verifiers
            .ask(Method::GET, "/v1/bundle", &[], Bytes::new())
            .await;
        match asked {
            Ok(answered) => {
                findings.push(Finding::ok(
                    "server",
                    format!("{address} answers, its certificate is good"),
                ));
                findings.extend(clock(&answered.answer));
                findings.extend(key(is_tied.then_some(config), address, &answered.answer));
            }
            Err(errors) => findings.extend(errors.iter().map(unreached)),
        }
    }
    findings
}

/// Whether the name has an address.
async fn resolve(address: &str, findings: &mut Vec<Finding>) -> bool {
    let subject = "server name";
    let uri = address.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let inner = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let looked =
        tokio::time::timeout(RESOLVED, tokio::net::lookup_host((inner.as_str(), 443))).await;
    let mend = "correct `addresses`, or the resolver of this machine (/etc/resolv.conf)";
    match looked {
        Ok(Ok(addresses)) => {
            let addresses: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
            let seen = format!("{inner} is {}", addresses.join(", "));
            findings.push(Finding::ok(subject, seen));
            true
        }
        Ok(Err(error)) => {
            findings.push(Finding::fail(subject, format!("{inner}: {error}"), mend));
            false
        }
        Err(_) => {
            let seen = format!("{inner}: no answer within {} s", RESOLVED.as_secs());
            findings.push(Finding::fail(subject, seen, mend));
            false
        }
    }
}

fn unreached(error: &HttpError) -> Finding {
    let told = error.to_string();
    let mend = match error {
        // Authorities of one name and different keys are told apart by the signature.
        HttpError::Tls { .. }
            if told.contains("UnknownIssuer") || told.contains("BadSignature") =>
        {
            "`ca` below `server` has to name the certificate of the authority that the server's comes from"
        }
        HttpError::Tls { .. } if told.contains("NotValidForName") => {
            "write the address with a name that is in the server's certificate, or have that one made anew"
        }
        HttpError::Tls { .. } if told.contains("Expired") || told.contains("NotValidYet") => {
            "compare this machine's clock with another's; else the server's certificate is to be renewed"
        }
        HttpError::Tls { .. } => "is this the port of assayd's API? It speaks TLS",
        HttpError::Connect { .. } => {
            "is assayd running there, is the port right, does a firewall stand between?"
        }
        _ => "look at the server's log and its /ready",
    };
    Finding::fail("server", told, mend)
}

/// The machine's clock against the server's, which says its own to the second.
fn clock(answer: &Answer) -> Option<Finding> {
    let date = answer.headers.get(DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .ok()?;
    let ours = Timestamp::try_from(SystemTime::now()).ok()?;
    Some(told(
        ours.duration_since(theirs).unsigned_abs(),
        ours > theirs,
    ))
}

fn told(off: Duration, ahead: bool) -> Finding {
    let direction = if ahead { "ahead of" } else { "behind" };
    let seen = format!("{} s {direction} the server's", off.as_secs());
    let mend = "let chrony or systemd-timesyncd keep the time, on both machines";
    match off {
        off if off > GRAVE => Finding::fail("clock", seen, mend),
        off if off > SLIGHT => Finding::warn("clock", seen, mend),
        _ => Finding::ok("clock", "the same as the server's"),
    }
}

/// The key that the server says it signs with, against the one that is pinned.
fn key(config: Option<&Config>, address: &str, answer: &Answer) -> Vec<Finding> {
    let Ok(bundle) = serde_json::from_slice::<Value>(&answer.body) else {
        return vec![Finding::fail(
            "server",
            format!("{address} is no verifier: HTTP {}", answer.status.as_u16()),
            "correct `addresses`: the API of assayd is meant",
        )];
    };
    let Some(config) = config else {
        return Vec::new();
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let domain = text(bundle.get("trustDomain"));
    let sec1 = text(bundle.pointer("/challengeKey/sec1"));
    let mut findings = Vec::new();
    if domain == config.trust_domain {
        findings.push(Finding::ok("trust domain", domain));
    } else {
        findings.push(Finding::fail(
            "trust domain",
            format!(
                "the server's is {domain:?}, the node's {:?}",
                config.trust_domain
            ),
            "correct `trustDomain` or `addresses`: one of them is another's",
        ));
    }
    if sec1.eq_ignore_ascii_case(&hex::encode(config.verifier_key)) {
        findings.push(Finding::ok("pinned key", "is the server's"));
    } else {
        findings.push(Finding::fail(
            "pinned key",
            "is not the server's",
            "if the server's key was replaced on purpose, pin the new one: `assay provision record` on the verifier; else this is not the server that it should be",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::told;
    use crate::finding::Level;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        for (seconds, level) in [
            (0, Level::Ok),
            (10, Level::Ok),
            (11, Level::Warn),
            (300, Level::Warn),
            (301, Level::Fail),
        ] {
            for ahead in [true, false] {
                assert_eq!(
                    told(Duration::from_secs(seconds), ahead).level,
                    level,
                    "{seconds}"
                );
            }
        }
        assert!(
            told(Duration::from_secs(60), true)
                .seen
                .contains("60 s ahead")
        );
    }
}
