//! Settings that are refused before anybody logs in, and the documents that must be accepted.

use std::path::Path;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::document::{Files, Provided};
use assay_host_verifier::outside::{Credential, Credentials, Origin};
use assay_host_verifier::policy::PolicyDocument;
use assay_host_verifier::policy::review::review;
use serde_json::{Value, json};

use super::attestor;
use crate::jwt::signer::Signer;
use crate::pki::Pki;

const ISSUER: &str = "https://issuer.example.org";

/// The field that is to blame.
fn field(kind: AttestorKind, config: Value) -> String {
    match attestor(kind, config.clone()) {
        Ok(_) => panic!("{kind} accepts {config}"),
        Err(error) => error.field,
    }
}

fn keys() -> String {
    json!({"keys": [Signer::new(1).jwk()]}).to_string()
}

/// Exactly one source of keys.
#[test]
fn keys_come_from_one_place() {
    let kind = AttestorKind::CUSTOM_JWT;
    let pki = Pki::new();
    pki.key("p256", "p256");
    let pem = String::from_utf8(pki.openssl("pkey -in p256.key -pubout")).unwrap();
    let sources = [
        ("oidcURI", json!(ISSUER)),
        ("jwksURI", json!("https://issuer.example.org/keys")),
        ("jwks", json!(keys())),
        ("publicKeys", json!([pem])),
    ];
    for (i, (name, value)) in sources.iter().enumerate() {
        let one = json!({"issuer": ISSUER, (*name): value});
        assert!(attestor(kind, one.clone()).is_ok(), "{name}");
        for (other, second) in &sources[i + 1..] {
            let mut two = one.clone();
            two[*other] = second.clone();
            assert_eq!(field(kind, two), *other, "{name} and {other}");
        }
    }
    assert_eq!(field(kind, json!({"issuer": ISSUER})), "jwksURI");
    let both = json!({"issuerURL": ISSUER, "jwksURI": "https://a.example/k", "jwks": keys()});
    assert_eq!(field(AttestorKind::K8S_TOKEN, both), "jwks");
}

#[test]
fn what_could_let_nobody_or_anybody_in_is_refused() {
    let custom = |name: &str, value: Value| {
        let config = json!({"issuer": ISSUER, "jwks": keys(), (name): value});
        field(AttestorKind::CUSTOM_JWT, config)
    };
    for (name, value) in [
        ("issuer", json!("")),
        ("subject", json!("")),
        ("tokenType", json!("")),
        ("algorithms", json!([])),
        ("leeway", json!("61s")),
        ("leeway", json!("0s")),
        ("leeway", json!("soon")),
        ("maxLifetime", json!("-1h")),
    ] {
        assert_eq!(custom(name, value.clone()), name, "{value}");
    }
    assert_eq!(
        custom("attributeClaims", json!(["a b"])),
        "attributeClaims[0]"
    );
    assert_eq!(
        custom("attributeClaims", json!(["a", "a"])),
        "attributeClaims[1]"
    );
    assert_eq!(
        custom("caCerts", json!("x")),
        "caCerts",
        "nothing is fetched"
    );
    assert_eq!(
        custom("allowPrivateAddresses", json!(true)),
        "allowPrivateAddresses"
    );
    for (name, value) in [
        ("audience", json!([])),
        ("requiredClaims", json!({"a": []})),
        ("algorithms", json!(["none"])),
        ("algorithms", json!(["HS256"])),
        ("unknown", json!(1)),
    ] {
        let config = json!({"issuer": ISSUER, "jwks": keys(), (name): value});
        assert!(
            deserialize_config(AttestorKind::CUSTOM_JWT, config).is_err(),
            "{name}"
        );
    }
}

#[test]
fn urls_are_https_and_plain() {
    for url in [
        "http://issuer.example.org",
        "issuer.example.org",
        "https://user:pass@issuer.example.org",
        "https://127.1/",
        "file:///etc/keys",
        "",
    ] {
        let config = json!({"issuer": ISSUER, "jwksURI": url});
        assert_eq!(field(AttestorKind::CUSTOM_JWT, config), "jwksURI", "{url}");
        if !url.is_empty() {
            let config = json!({"issuerURL": url});
            assert_eq!(field(AttestorKind::K8S_TOKEN, config), "issuerURL", "{url}");
        }
    }
    // What paths are put behind has no query; a whole URL may have one.
    for url in [
        "https://issuer.example.org?a=1",
        "https://issuer.example.org/x?y#z",
        "https://issuer.example.org/#z",
    ] {
        let config = json!({"issuerURL": url});
        assert_eq!(field(AttestorKind::K8S_TOKEN, config), "issuerURL", "{url}");
        let config = json!({"oidcURI": url});
        assert_eq!(field(AttestorKind::CUSTOM_JWT, config), "oidcURI", "{url}");
        for kind in [AttestorKind::K8S_PSAT, AttestorKind::K8S_SAT] {
            let cluster = json!({"serviceAccountAllowList": ["a:b"], "apiServer": url, "tokenFile": "/token"});
            let config = json!({"clusters": {"x": cluster}});
            assert_eq!(field(kind, config), "clusters.x.apiServer", "{url}");
        }
    }
    let config = json!({"issuer": ISSUER, "jwksURI": "https://issuer.example.org/keys?v=2"});
    assert!(attestor(AttestorKind::CUSTOM_JWT, config).is_ok());
    // With the keys at hand the issuer is a name and no URL.
    let legacy = json!({"issuerURL": "kubernetes/serviceaccount", "jwks": keys()});
    assert!(attestor(AttestorKind::K8S_TOKEN, legacy).is_ok());
}

#[test]
fn a_discovery_document_is_its_issuers() {
    let kind = AttestorKind::CUSTOM_JWT;
    let with = |issuer: &str| json!({"issuer": issuer, "oidcURI": ISSUER});
    assert_eq!(field(kind, with("https://other.example.org")), "oidcURI");
    for same in [ISSUER, "https://issuer.example.org/"] {
        assert!(attestor(kind, with(same)).is_ok(), "{same}");
    }
    let whole = format!("{ISSUER}/.well-known/openid-configuration");
    assert!(attestor(kind, json!({"oidcURI": whole})).is_ok());
}

/// "Public keys only", when the policy is set and not when somebody logs in.
#[test]
fn inline_keys_are_public_and_strong() {
    let mut private = Signer::new(1).jwk();
    private["d"] = "AAAA".into();
    let mut twin = Signer::new(1).jwk();
    twin["kid"] = "a".into();
    for keys in [
        json!([private]),
        json!([twin, twin]),
        json!([]),
        json!([{"kty": "oct", "k": "AAAA"}]),
        json!([{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]),
    ] {
        let keys = json!({"keys": keys}).to_string();
        let config = json!({"issuerURL": ISSUER, "jwks": keys});
        assert_eq!(field(AttestorKind::K8S_TOKEN, config), "jwks", "{keys}");
    }
    let pem = json!({"issuer": ISSUER, "publicKeys": ["/nonexistent.pem"]});
    assert_eq!(field(AttestorKind::CUSTOM_JWT, pem), "publicKeys[0]");
    let none = json!({"issuer": ISSUER, "publicKeys": []});
    assert_eq!(field(AttestorKind::CUSTOM_JWT, none), "publicKeys");
}

#[test]
fn accounts_are_names_of_kubernetes() {
    for (name, value) in [
        ("serviceAccountName", "*"),
        ("serviceAccountName", ""),
        ("serviceAccountName", "a:b"),
        ("serviceAccountNamespace", "Default"),
        ("serviceAccountNamespace", "-a"),
    ] {
        let config = json!({"issuerURL": ISSUER, (name): value});
        assert_eq!(field(AttestorKind::K8S_TOKEN, config), name, "{value}");
    }
}

fn clusters(change: impl FnOnce(&mut Value)) -> Value {
    let mut cluster = json!({
        "serviceAccountAllowList": ["ns:agent"],
        "apiServer": "https://kubernetes.default.svc",
        "tokenFile": "/nonexistent/token",
    });
    change(&mut cluster);
    json!({"clusters": {"c": cluster}})
}

#[test]
fn a_cluster_can_be_asked_and_lets_somebody_in() {
    let kind = AttestorKind::K8S_PSAT;
    assert!(attestor(kind, clusters(|_| {})).is_ok());
    assert_eq!(field(kind, json!({"clusters": {}})), "clusters");
    for list in [
        json!([]),
        json!(["agent"]),
        json!(["*:agent"]),
        json!(["ns:*"]),
        json!(["a:b:c"]),
    ] {
        let config = clusters(|c| c["serviceAccountAllowList"] = list.clone());
        let field = field(kind, config);
        assert!(
            field.starts_with("clusters.c.serviceAccountAllowList"),
            "{field}"
        );
    }
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("apiServer", |c| {
            drop(c.as_object_mut().unwrap().remove("apiServer"))
        }),
        ("apiServer", |c| {
            drop(c.as_object_mut().unwrap().remove("tokenFile"))
        }),
        ("apiServer", |c| {
            c["apiServer"] = "http://kubernetes.default.svc".into()
        }),
        ("kubeConfigFile", |c| {
            c["kubeConfigFile"] = "/nonexistent".into()
        }),
        ("caCerts", |c| c["caCerts"] = "/nonexistent.pem".into()),
        ("audience", |c| c["audience"] = json!([""])),
        ("allowedPodLabelKeys[0]", |c| {
            c["allowedPodLabelKeys"] = json!(["a b"])
        }),
        ("allowedNodeLabelKeys[1]", |c| {
            c["allowedNodeLabelKeys"] = json!(["a.b/c", "a.b.c"])
        }),
    ];
    for (name, change) in changes {
        assert_eq!(field(kind, clusters(change)), format!("clusters.c.{name}"));
    }
    let both = clusters(|c| c["serviceAccountKeyFile"] = "/nonexistent".into());
    assert_eq!(
        field(AttestorKind::K8S_SAT, both),
        "clusters.c.serviceAccountKeyFile"
    );
}

/// A kubeconfig is read for its server, authority and token; what would have somebody else asked, or as somebody else, is
/// refused.
#[test]
fn a_kubeconfig_says_whom_to_ask_and_as_whom() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    pki.root("ca", "p256", crate::pki::CA);
    std::fs::copy(pki.path("ca.crt"), dir.path().join("ca.crt")).unwrap();
    let path = dir.path().join("kubeconfig");
    let judged = |cluster: &str, user: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: two\ncontexts:\n\
             - name: one\n  context: {{cluster: none, user: none}}\n\
             - name: two\n  context: {{cluster: c, user: u, namespace: x}}\n\
             clusters:\n- name: c\n  cluster: {cluster}\nusers:\n- name: u\n  user: {user}\n"
        );
        std::fs::write(&path, text).unwrap();
        let config = json!({"clusters": {"c": {
            "serviceAccountAllowList": ["ns:agent"], "kubeConfigFile": path,
        }}});
        attestor(AttestorKind::K8S_PSAT, config).map_err(|error| error.message)
    };
    let (server, token) = ("{server: \"https://10.0.0.1:6443\"}", "{token: hunter2}");
    let read = judged(server, token).unwrap();
    let shown = format!("{read:?}");
    assert!(
        shown.contains("https://10.0.0.1:6443") && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(judged(server, "{tokenFile: token}").is_ok());
    let pinned = "{server: \"https://10.0.0.1\", certificate-authority: ca.crt}";
    assert!(judged(pinned, token).is_ok());
    for (cluster, user, what) in [
        ("{server: \"http://10.0.0.1\"}", token, "https"),
        (
            "{server: \"https://10.0.0.1\", insecure-skip-tls-verify: true}",
            token,
            "insecure-skip-tls-verify",
        ),
        (
            "{server: \"https://10.0.0.1\", proxy-url: \"http://p\"}",
            token,
            "proxy-url",
        ),
        (
            "{server: \"https://10.0.0.1\", certificate-authority: none.crt}",
            token,
            "none.crt",
        ),
        (
            "{server: \"https://10.0.0.1\", certificate-authority-data: \"!\"}",
            token,
            "no PEM",
        ),
        (
            server,
            "{client-certificate-data: eA==}",
            "client-certificate-data",
        ),
        (server, "{token: hunter2, exec: {command: x}}", "exec"),
        (server, "{token: hunter2, as: admin}", "as"),
        (server, "{username: a, password: hunter2}", "username"),
        (server, "{}", "has no token"),
        (server, "{token: [hunter2]}", "no kubeconfig"),
    ] {
        let told = judged(cluster, user).unwrap_err();
        assert!(told.contains(what), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// The documents of the method's public page, to the letter.
#[test]
fn the_pages_documents_are_accepted() {
    let inline =
        json!({"keys": [{"kty": "RSA", "kid": "abc123", "n": "placeholder", "e": "AQAB"}]});
    let modulus = {
        let pki = Pki::new();
        pki.key("rsa2048", "rsa2048");
        let printed = pki.openssl("rsa -in rsa2048.key -modulus -noout");
        let printed = String::from_utf8(printed).unwrap();
        let hex = printed.trim().strip_prefix("Modulus=").unwrap();
        crate::jwt::signer::b64(hex::decode(hex).unwrap())
    };
    let inline = inline.to_string().replace("placeholder", &modulus);
    for config in [
        "issuerURL: https://oidc.eks.us-east-1.amazonaws.com/id/ABCDEF123456".to_owned(),
        "issuerURL: https://kubernetes.default.svc.cluster.local\n            jwksURI: https://jwks.internal.example.com/cluster-a/jwks.json".to_owned(),
        format!("issuerURL: https://kubernetes.default.svc.cluster.local\n            jwks: '{inline}'"),
    ] {
        let text = format!(
            "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: k8s_policy\n      requiredAttestors:\n        - type: k8s_token\n          config:\n            {config}\n"
        );
        let document = PolicyDocument::parse("page.yaml", &text).unwrap();
        let set = document.build("page.yaml", Path::new("/"));
        assert!(set.is_ok(), "{text}");
    }
}

/// Seed 004: a policy with it is allowed, and is warned of.
#[test]
fn a_policy_with_legacy_tokens_is_warned_of() {
    let text = "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: old\n      requiredAttestors:\n        - type: k8s_sat\n          config:\n            clusters:\n              c:\n                serviceAccountAllowList: [\"ns:agent\"]\n                apiServer: https://kubernetes.default.svc\n                tokenFile: /nonexistent/token\n";
    let document = PolicyDocument::parse("old.yaml", text).unwrap();
    let set = document.build("old.yaml", Path::new("/")).unwrap();
    let remarks = review(&document, &set);
    let warned = remarks
        .iter()
        .any(|remark| remark.message.contains("cannot tell one node from another"));
    assert!(warned, "{remarks:?}");
}

/// A token that was shown to one deployment is not for another.
#[test]
fn the_audience_is_the_trust_domains_unless_another_is_named() {
    let read = |kind, config: Value, domain: Option<&str>| {
        let files = Files::beside(Path::new("/"));
        let files = domain.map_or(files, |name| files.in_trust_domain(name));
        let config = deserialize_config(kind, config).unwrap();
        format!("{:?}", config.build_in(files).unwrap())
    };
    let url = "https://issuer.example.org";
    let cluster = json!({"serviceAccountAllowList": ["a:b"], "apiServer": url, "tokenFile": "x"});
    for (kind, config) in [
        (AttestorKind::K8S_TOKEN, json!({"issuerURL": url})),
        (AttestorKind::CUSTOM_JWT, json!({"oidcURI": url})),
        (AttestorKind::K8S_PSAT, json!({"clusters": {"c": cluster}})),
    ] {
        for domain in ["one.example", "two.example"] {
            let shown = read(kind, config.clone(), Some(domain));
            let audience = format!("audiences: [\"urn:assay:{domain}:server\"]");
            assert!(shown.contains(&audience), "{shown}");
        }
        // Nobody's, where it is not known whose it is.
        let shown = read(kind, config, None);
        assert!(shown.contains("urn:assay:{trustDomain}:server"), "{shown}");
    }
}

/// Whoever answers to a name with a certificate of these authorities is sent the secret. So who says what is sent to whom
/// names them, and no policy.
#[test]
fn a_policy_does_not_choose_whose_certificates_count_for_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "secret").unwrap();
    let pem = |name: &str| {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    };
    let (own, chosen) = (pem("own"), pem("chosen"));
    let mut credentials = Credentials::default();
    let credential = Credential {
        file: dir.path().join("token"),
        origins: vec![Origin::parse("https://good.example").unwrap()],
        roots: Some(own.clone().into()),
    };
    credentials.add("good", credential);
    let provided = Provided {
        credentials: credentials.into(),
        ..Provided::default()
    };
    let url = "https://good.example";
    let with = |more: Value| {
        let mut webhook = json!({"webhookURL": url, "credential": "good"});
        let mut cluster =
            json!({"serviceAccountAllowList": ["a:b"], "apiServer": url, "credential": "good"});
        for (name, value) in more.as_object().unwrap() {
            webhook[name] = value.clone();
            cluster[name] = value.clone();
        }
        let clusters = json!({"clusters": {"c": cluster}});
        [
            (AttestorKind::EXTENSION, webhook, ""),
            (AttestorKind::K8S_PSAT, clusters.clone(), "clusters.c."),
            (AttestorKind::K8S_SAT, clusters, "clusters.c."),
        ]
    };
    for files in [Files::below(Some(dir.path())), Files::beside(dir.path())] {
        let files = files.provided_by(&provided);
        for (kind, config, at) in with(json!({"caCerts": chosen})) {
            let config = deserialize_config(kind, config).unwrap();
            let error = config.build_in(files).map(drop).unwrap_err();
            assert_eq!(error.field, format!("{at}caCerts"), "{error:?}");
            let hint = error.hint.unwrap();
            assert!(hint.contains("outbound.credentials.NAME.caCerts"), "{hint}");
        }
        for (kind, config, _) in with(json!({})) {
            let config = deserialize_config(kind, config).unwrap();
            let built = format!("{:?}", config.build_in(files).unwrap());
            assert!(built.contains(own.lines().nth(1).unwrap()), "{built}");
        }
    }
}

/// Who may set policies says whom the verifier asks, and so may not say which of its files is sent along.
#[test]
fn a_document_that_was_set_sends_no_file_of_the_services() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "secret").unwrap();
    std::fs::write(
        dir.path().join("kubeconfig"),
        "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], \
         clusters: [{name: c, cluster: {server: \"https://evil.example\"}}], users: [{name: u, user: {token: t}}]}",
    )
    .unwrap();
    let mut credentials = Credentials::default();
    credentials.add(
        "good",
        Credential {
            file: dir.path().join("token"),
            origins: vec![Origin::parse("https://good.example").unwrap()],
            roots: None,
        },
    );
    let provided = Provided {
        credentials: credentials.into(),
        ..Provided::default()
    };
    let built = |kind, config: &Value, files: Files<'_>| {
        let config = deserialize_config(kind, config.clone()).unwrap();
        let files = files.provided_by(&provided);
        config
            .build_in(files)
            .map(drop)
            .map_err(|error| error.field)
    };
    let webhook = |url: &str, name: &str, value: &str| {
        let config = json!({"webhookURL": url, name: value});
        (AttestorKind::EXTENSION, config, "")
    };
    let cluster = |kind, url: &str, name: &str, value: &str| {
        let config = json!({"clusters": {"c": {
            "serviceAccountAllowList": ["a:b"], "apiServer": url, name: value,
        }}});
        (kind, config, "clusters.c.")
    };
    let kubeconfig = |kind| {
        let config = json!({"clusters": {"c": {
            "serviceAccountAllowList": ["a:b"], "kubeConfigFile": "kubeconfig",
        }}});
        (kind, config, "clusters.c.")
    };
    let (psat, sat) = (AttestorKind::K8S_PSAT, AttestorKind::K8S_SAT);
    let (evil, good) = ("https://evil.example/x", "https://good.example/x");
    let below = Files::below(Some(dir.path()));
    let beside = Files::beside(dir.path());
    for ((kind, config, at), field) in [
        (webhook(evil, "bearerTokenFile", "token"), "bearerTokenFile"),
        (cluster(psat, evil, "tokenFile", "token"), "tokenFile"),
        (cluster(sat, evil, "tokenFile", "token"), "tokenFile"),
        (kubeconfig(psat), "kubeConfigFile"),
        (kubeconfig(sat), "kubeConfigFile"),
    ] {
        let refused = Err(format!("{at}{field}"));
        assert_eq!(built(kind, &config, below), refused, "{config}");
        assert_eq!(built(kind, &config, beside), Ok(()), "{config}");
    }
    for url in [evil, good] {
        for (kind, config, at) in [
            webhook(url, "credential", "good"),
            cluster(psat, url, "credential", "good"),
            cluster(sat, url, "credential", "good"),
        ] {
            let expected = match url == good {
                true => Ok(()),
                false => Err(format!("{at}credential")),
            };
            assert_eq!(built(kind, &config, below), expected, "{config}");
            assert_eq!(built(kind, &config, beside), expected, "{config}");
        }
    }
    let (kind, unknown, _) = webhook(good, "credential", "other");
    assert_eq!(built(kind, &unknown, below), Err("credential".to_owned()));
}
