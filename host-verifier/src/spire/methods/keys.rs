//! What shows that it has a key, a name or a token: `x509pop`, `sshpop`, `tpm_devid`, `http_challenge`, `join_token`.

use super::{Method, same};
use crate::spire::Import;
use crate::spire::out::Node;
use crate::spire::paths::Naming;
use crate::spire::settings::{Settings, texts};

pub(super) fn x509pop(data: &mut Settings, import: &mut Import) -> Option<Method> {
    // In the other mode SPIRE takes its own bundle; that is a file here, and which one is not said.
    match data.peek("mode") {
        None => {}
        Some("external_pki") => {
            data.take("mode", "mode", import);
        }
        Some(_) => {
            let reason =
                "in SPIFFE mode the trust domain's bundle is a file here, so no policy was written";
            let instead = "x509pop: {mode: spiffe, trustDomain, caBundle: [FILE], spiffePrefix}";
            data.leave_all(reason, instead, import);
            return None;
        }
    }
    let mut bundles = Vec::new();
    for key in ["ca_bundle_path", "ca_bundle_paths"] {
        let value = data.take(key, "caBundle", import);
        bundles.extend(value.as_ref().map(texts).unwrap_or_default());
    }
    if bundles.is_empty() {
        let reason = "no authority is named, so no policy was written";
        data.leave_all(reason, "x509pop: {caBundle: [FILE]}", import);
        return None;
    }
    let mut config = Node::map();
    config.put(&["caBundle"], Node::texts(bundles));
    for (key, own) in [
        ("max_intermediates", "maxIntermediates"),
        ("max_rsa_key_size", "maxRsaKeySize"),
    ] {
        let (least, most) = match key {
            "max_intermediates" => (1, 6),
            _ => (2048, 8192),
        };
        number(data, key, (own, least, most), &mut config, import);
    }
    let values = [
        ("Subject.CommonName", "x509_pop.subject.common_name"),
        ("SerialNumberHex", "x509_pop.serial_number"),
    ];
    let default = ("x509pop", "/{{x509_pop.serial_number}}");
    let is_own = data.has("agent_path_template");
    let naming = Naming::of(data, default, &values, import);
    if !is_own {
        import.note("x509pop: SPIRE's path has the SHA-1 of the certificate, which no proof says here: the path has its serial number, which one authority gives once");
    }
    Some(Method {
        kind: "x509pop",
        config,
        naming: Some(naming),
    })
}

pub(super) fn sshpop(data: &mut Settings, import: &mut Import) -> Option<Method> {
    let named = ["cert_authorities", "cert_authorities_path"];
    if named
        .iter()
        .all(|key| data.get(key).map(texts).is_none_or(|all| all.is_empty()))
    {
        let reason = "no authority is named, so no policy was written";
        data.leave_all(reason, "ssh_pop: {certAuthorities: [KEY]}", import);
        return None;
    }
    let mut config = Node::map();
    same(
        &[
            ("cert_authorities", "certAuthorities"),
            ("cert_authorities_path", "certAuthoritiesFile"),
            ("canonical_domain", "canonicalDomain"),
        ],
        data,
        &mut config,
        import,
    );
    let values = [("Serial", "ssh_pop.serial")];
    let default = ("sshpop", "/{{ssh_pop.principal}}");
    let is_own = data.has("agent_path_template");
    let naming = Naming::of(data, default, &values, import);
    if !is_own {
        import.note("ssh_pop: SPIRE's path has the hash of the certificate, which is another one after each renewal; here it has the host's name (ssh_pop.principal), of which a certificate must have one then");
    }
    Some(Method {
        kind: "ssh_pop",
        config,
        naming: Some(naming),
    })
}

pub(super) fn tpm_devid(data: &mut Settings, import: &mut Import) -> Option<Method> {
    if !data.has("devid_ca_path") {
        let reason = "no authority of DevIDs is named, so no policy was written";
        data.leave_all(
            reason,
            "tpm_devid: {devidCAs: [FILE], endorsementCAs: [FILE]}",
            import,
        );
        return None;
    }
    let mut config = Node::map();
    for (key, own) in [
        ("devid_ca_path", "devidCAs"),
        ("endorsement_ca_path", "endorsementCAs"),
    ] {
        if let Some(path) = data.take(key, own, import) {
            config.put(&[own], Node::texts(texts(&path)));
        }
    }
    if config.at(&["endorsementCAs"]).is_none() {
        // A hash that no key has: nobody is let in until the operator says whose TPMs count.
        config.put(&["allowedHashes"], Node::texts(["0".repeat(64)]));
        import.note("tpm_devid.allowedHashes lets nobody in: name the authorities of your TPMs' EKs in `endorsementCAs`, or the EKs' hashes (`assay ek show`)");
    }
    let values = [
        ("Subject.CommonName", "tpm_devid.subject.cn"),
        ("SerialNumberHex", "tpm_devid.serial_number"),
    ];
    let naming = Naming::of(
        data,
        ("tpm_devid", "/{{tpm_devid.fingerprint}}"),
        &values,
        import,
    );
    import.note("tpm_devid: SPIRE's path has the SHA-1 of the DevID certificate, and tpm_devid.fingerprint is its SHA-256: paths differ in that");
    Some(Method {
        kind: "tpm_devid",
        config,
        naming: Some(naming),
    })
}

pub(super) fn http_challenge(data: &mut Settings, import: &mut Import) -> Option<Method> {
    const PATTERNS: &str = "allowed_dns_patterns";
    const INSTEAD: &str = "http_dns: {allowedHostnames: [node-1.example.org, \"*.nodes.example.org\"], allowedPorts: [80]}, where `*` is one label";
    let patterns = data.get(PATTERNS).map(texts);
    let Some(patterns) = patterns.filter(|all| !all.is_empty()) else {
        let reason = "SPIRE lets in every name where allowed_dns_patterns says none, and here names are listed: no policy was written";
        import.note(format!("http_challenge: {reason}"));
        data.leave_all(reason, INSTEAD, import);
        return None;
    };
    let names: Option<Vec<String>> = patterns.iter().map(|pattern| name_of(pattern)).collect();
    // One that cannot be said as a name is listed, and with it the others: what is let in is not cut down in silence.
    let Some(names) = names else {
        let reason = "a pattern that fits more than one name is none of a list of names, so no policy was written";
        data.leave_all(reason, INSTEAD, import);
        return None;
    };
    data.take(PATTERNS, "allowedHostnames", import);
    let mut config = Node::map();
    config.put(&["allowedHostnames"], Node::texts(names));
    if let Some(port) = data
        .peek("required_port")
        .and_then(|port| port.parse::<u16>().ok())
    {
        data.take("required_port", "allowedPorts", import);
        let port = Node::Plain(port.to_string());
        config.put(&["allowedPorts"], Node::List(vec![port]));
    }
    let values = [("Hostname", "http_dns.hostname")];
    let default = ("http_challenge", "/{{http_dns.hostname}}");
    let naming = Naming::of(data, default, &values, import);
    Some(Method {
        kind: "http_dns",
        config,
        naming: Some(naming),
    })
}

/// The one name that a regular expression fits, or the names of one more label.
fn name_of(pattern: &str) -> Option<String> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let (wild, rest) = match pattern.strip_prefix(r"[^.]+\.") {
        Some(rest) => ("*.", rest),
        None => ("", pattern),
    };
    let name = rest.replace(r"\.", ".");
    let legal = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    // A dot that is not escaped is any character in a pattern; in a name of that form it was meant as itself.
    let is_name = name.contains('.') && name.split('.').all(legal);
    is_name.then(|| format!("{wild}{}", name.to_ascii_lowercase()))
}

pub(super) fn join_token(import: &mut Import) -> Method {
    import.note("join_token: SPIRE's tokens are not carried over; `assay join-token create` makes them, for a cluster, each good for one login");
    Method {
        kind: "join_token",
        config: Node::map(),
        naming: Some(Naming {
            template: "/spire/agent/join_token/{{join_token.id}}".to_owned(),
            told_by: None,
        }),
    }
}

/// A number within limits; another one stays, and is listed.
fn number(
    data: &mut Settings,
    key: &str,
    (own, least, most): (&str, u32, u32),
    config: &mut Node,
    import: &mut Import,
) {
    let Some(text) = data.peek(key) else {
        return;
    };
    match text.parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => {
            data.take(key, own, import);
            config.put(&[own], Node::Plain(number.to_string()));
        }
        _ => {
            let reason = format!("it is not from {least} to {most}");
            data.leave(key, &reason, own, import);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn a_pattern_of_one_name_is_the_name() {
        for (pattern, name) in [
            (r"p1\.example\.com", Some("p1.example.com")),
            (r"^P1\.example\.com$", Some("p1.example.com")),
            ("p1.example.com", Some("p1.example.com")),
            (r"[^.]+\.nodes\.example\.com", Some("*.nodes.example.com")),
            (r"p[0-9]\.example\.com", None),
            (r".*\.example\.com", None),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(name_of(pattern).as_deref(), name, "{pattern}");
        }
    }
}
