//! `ca_subject`, key types, and how long authorities and SVIDs live.

use super::Import;
use super::out::Node;
use super::settings::{Settings, texts};
use super::spans;
use crate::config::{CA_TTL, JWT_TTL, X509_TTL};
use crate::svid::Settings as Defaults;
use crate::svid::keys::KeyType;

/// RFC 5280 appendix A, as `ca.subject` has it.
const LONGEST_NAME: usize = 64;

pub(super) fn import(server: &mut Settings, service: &mut Node, import: &mut Import) {
    subject(server, service, import);
    key_types(server, service, import);
    lifetimes(server, service, import);
    let issuer = server.peek("jwt_issuer").map(ToOwned::to_owned);
    if let Some(issuer) = issuer {
        // Whoever verifies by OpenID Connect Discovery needs such a URL; others need no issuer.
        match issuer.starts_with("https://") {
            true => server.carry("jwt_issuer", &["svid", "jwtIssuer"], service, import),
            false => {
                let reason = "the issuer in JWT-SVIDs is an https URL, or there is none";
                let instead = "svid.jwtIssuer: https://oidc.example.org";
                server.leave("jwt_issuer", reason, instead, import);
            }
        }
    }
}

fn subject(server: &mut Settings, service: &mut Node, import: &mut Import) {
    let Some(mut subject) = server.block("ca_subject") else {
        return;
    };
    for (key, own) in [
        ("country", "country"),
        ("organization", "organization"),
        ("common_name", "commonName"),
    ] {
        let to = format!("ca.subject.{own}");
        let all = subject.get(key).map(texts).unwrap_or_default();
        // SPIRE's are lists; ours has one of each.
        let Some(first) = all.first() else {
            continue;
        };
        let legal = match key {
            "country" => first.len() == 2 && first.bytes().all(|b| b.is_ascii_uppercase()),
            _ => {
                let len = first.chars().count();
                (1..=LONGEST_NAME).contains(&len) && !first.chars().any(char::is_control)
            }
        };
        if !legal {
            let reason = match key {
                "country" => "a country is two capital letters, as in ISO 3166-1",
                _ => "a name has 1 to 64 printable characters",
            };
            subject.leave(key, reason, &to, import);
            continue;
        }
        subject.take(key, &to, import);
        service.put(&["ca", "subject", own], Node::Text(first.clone()));
        if all.len() > 1 {
            import.note(format!("{to} is the first of several"));
        }
    }
    subject.finish(import);
}

/// `ca_key_type` is both authorities', unless `jwt_key_type` says otherwise.
fn key_types(server: &mut Settings, service: &mut Node, import: &mut Import) {
    let is_known = |name: &str| KeyType::from_name(name).is_some();
    for (key, own) in [
        ("ca_key_type", &["keyType", "jwtKeyType"][..]),
        ("jwt_key_type", &["jwtKeyType"]),
    ] {
        let Some(name) = server.peek(key).map(ToOwned::to_owned) else {
            continue;
        };
        if !is_known(&name) {
            let reason = "there is no such type of key";
            let instead = format!("one of {}", KeyType::ALL.map(KeyType::name).join(", "));
            server.leave(key, reason, &instead, import);
            continue;
        }
        let to: Vec<String> = own.iter().map(|own| format!("ca.{own}")).collect();
        server.take(key, &to.join(", "), import);
        for own in own {
            service.put(&["ca", own], Node::Text(name.clone()));
        }
    }
}

fn lifetimes(server: &mut Settings, service: &mut Node, import: &mut Import) {
    const OF_SVID: &str = "no SVID outlives its authority, which signs for five sixths of its life; raise ca.ttl for longer ones";
    let why = "an authority that lives longer is one whose key is never changed";
    let ca = spans::carry(
        server,
        "ca_ttl",
        &["ca", "ttl"],
        (CA_TTL, why),
        service,
        import,
    );
    let ca = ca.unwrap_or_else(|| Defaults::new("").ca_ttl);
    let (shortest, longest) = X509_TTL;
    let limits = (shortest, longest.min(ca / 6));
    for key in ["default_svid_ttl", "default_x509_svid_ttl"] {
        spans::carry(
            server,
            key,
            &["svid", "x509Ttl"],
            (limits, OF_SVID),
            service,
            import,
        );
    }
    let why = "a token can be replayed for as long";
    spans::carry(
        server,
        "default_jwt_svid_ttl",
        &["svid", "jwtTtl"],
        (JWT_TTL, why),
        service,
        import,
    );
}
