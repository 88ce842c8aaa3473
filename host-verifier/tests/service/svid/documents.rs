//! Bundle documents, and the configuration's part on identities.

use std::path::Path;
use std::time::Duration;

use assay_host_verifier::config::{Config, KeyManagerConfig};
use assay_host_verifier::svid::Settings;
use assay_host_verifier::svid::authority::Subject;
use assay_host_verifier::svid::keys::KeyType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{DAY, Folder, HOUR, Office};

#[tokio::test]
async fn the_spiffe_bundle_says_what_the_standard_asks_for_and_nothing_else() {
    let folder = Folder::new();
    for kind in [KeyType::EcP256, KeyType::Rsa2048] {
        let settings = Settings {
            x509_key: kind,
            jwt_key: kind,
            ..Settings::new("example.org")
        };
        let office = Office::with(settings, None).await;
        let bundle = office.issuer.bundle();
        let document: Value = serde_json::from_str(bundle.spiffe()).unwrap();
        assert_eq!(document["spiffe_sequence"], bundle.sequence());
        assert_eq!(document["spiffe_refresh_hint"], 300);
        assert_eq!(document.as_object().unwrap().len(), 3);
        let keys = document["keys"].as_array().unwrap();
        let [x509, jwt] = keys.as_slice() else {
            panic!("{document}")
        };
        let members = |key: &Value| {
            let mut names: Vec<_> = key.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names.join(" ")
        };
        let own = match kind {
            KeyType::EcP256 => "crv kty use x y",
            _ => "e kty n use",
        };
        let with = |more: &str| {
            let mut names: Vec<_> = own.split(' ').chain([more]).collect();
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(members(x509), with("x5c"), "no kid");
        assert_eq!(members(jwt), with("kid"));
        assert_eq!(
            (&x509["use"], &jwt["use"]),
            (&"x509-svid".into(), &"jwt-svid".into())
        );

        // The certificate in it is that of the PEM, and its key that of the entry.
        let x5c = x509["x5c"].as_array().unwrap();
        assert_eq!(x5c.len(), 1);
        folder.write(
            "root.der",
            STANDARD.decode(x5c[0].as_str().unwrap()).unwrap(),
        );
        let pem = folder.openssl("x509 -inform DER -in root.der");
        assert_eq!(pem, bundle.pem());
        let text = folder
            .openssl("x509 -inform DER -in root.der -noout -text")
            .replace([':', ' ', '\n'], "");
        let number = |name: &str| {
            let text = x509[name].as_str().unwrap();
            let number = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text);
            hex::encode(number.unwrap())
        };
        match kind {
            KeyType::EcP256 => assert!(text.contains(&format!("04{}{}", number("x"), number("y")))),
            _ => assert!(text.contains(&number("n"))),
        }
        let key = assay_host_verifier::x509::Certificate::from_der(&folder.read("root.der"));
        assert_eq!(KeyType::of(key.unwrap().key().unwrap()), Some(kind));
    }
}

#[tokio::test]
async fn discovery_names_the_issuer_the_keys_and_what_signs() {
    let settings = Settings {
        jwt_issuer: Some("https://oidc.example.org/a/".to_owned()),
        jwt_key: KeyType::EcP384,
        ..Settings::new("example.org")
    };
    let office = Office::with(settings, None).await;
    let document = office.issuer.discovery("/keys").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&document).unwrap(),
        serde_json::json!({
            "issuer": "https://oidc.example.org/a/",
            "jwks_uri": "https://oidc.example.org/a/keys",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES384"],
        })
    );
    let keys: Value = serde_json::from_str(office.issuer.bundle().jwks()).unwrap();
    let [key] = keys["keys"].as_array().unwrap().as_slice() else {
        panic!("{keys}")
    };
    assert_eq!((&key["use"], &key["alg"]), (&"sig".into(), &"ES384".into()));
    assert!(Office::new().await.issuer.discovery("/keys").is_none());
}

#[tokio::test]
async fn the_bundle_is_made_anew_only_when_it_changes() {
    let office = Office::new().await;
    let before = office.issuer.bundle();
    office.clock.advance(HOUR);
    office.rotate().await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&before, &office.issuer.bundle()));
    office.clock.advance(12 * HOUR);
    office.rotate().await.unwrap();
    let after = office.issuer.bundle();
    assert_eq!(after.sequence(), before.sequence() + 2);
    assert!(after.pem().contains(before.pem()) || after.pem().len() == 2 * before.pem().len());
}

const BEGIN: &str = "trustDomain: example.org\ndataDir: data\nclusters:\n  lab:\n    section: AgentAttestation\n    \
    schema: v1\n    spec:\n      policies:\n        - name: a\n          requiredAttestors:\n            - type: tpm_ek\n              \
    config: {allowedHashes: [\"3f1b2c0f0d6e4c5a9b8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b\"]}\n";

fn parse(base: &Path, keys: &str) -> Result<Config, String> {
    Config::parse("assayd.yaml", &format!("{BEGIN}{keys}"), base).map_err(|error| {
        let hint = error.hint.clone();
        format!("{error}\nhint: {}", hint.expect("every error has a hint"))
    })
}

#[test]
fn without_a_word_keys_are_in_the_data_directory_and_lives_are_the_usual() {
    let config = parse(Path::new("/base"), "").unwrap().svid;
    assert_eq!(
        config.key_manager,
        KeyManagerConfig::Disk {
            path: "/base/data/svid-keys".into()
        }
    );
    assert_eq!(config.upstream, None);
    assert_eq!(config.settings, Settings::new("example.org"));
    assert_eq!(config.settings.ca_ttl, DAY);
}

#[test]
fn everything_that_can_be_set_is_taken_over() {
    let folder = Folder::new();
    folder.write("ca.crt", "");
    folder.write("ca.key", "");
    let config = parse(
        folder.0.path(),
        "keyManager: {disk: {keysPath: keys}}\n\
         upstreamAuthority: {disk: {certFilePath: ca.crt, keyFilePath: ca.key, bundleFilePath: ca.crt}}\n\
         ca: {ttl: 168h, keyType: rsa-3072, jwtKeyType: ec-p384, subject: {country: DE, organization: Ö, commonName: x}}\n\
         svid: {x509Ttl: 90m, jwtTtl: 1m, jwtIssuer: \"https://oidc.example.org:8443/a\"}\n",
    )
    .unwrap()
    .svid;
    let path = folder.path("keys");
    assert_eq!(config.key_manager, KeyManagerConfig::Disk { path });
    let upstream = config.upstream.unwrap();
    assert_eq!(upstream.certificate, folder.path("ca.crt"));
    assert_eq!(upstream.key, folder.path("ca.key"));
    assert_eq!(upstream.bundle, Some(folder.path("ca.crt")));
    assert_eq!(
        config.settings,
        Settings {
            trust_domain: "example.org".to_owned(),
            ca_ttl: 7 * DAY,
            x509_key: KeyType::Rsa3072,
            jwt_key: KeyType::EcP384,
            subject: Subject {
                country: Some("DE".to_owned()),
                organization: "Ö".to_owned(),
                common_name: "x".to_owned(),
            },
            x509_ttl: Duration::from_secs(5400),
            jwt_ttl: Duration::from_secs(60),
            jwt_issuer: Some("https://oidc.example.org:8443/a".to_owned()),
        }
    );
    // As the published configurations spell them.
    let spelt = parse(
        folder.0.path(),
        "keyManager: {disk: {keys_path: keys}}\nupstreamAuthority: {disk: {cert_file_path: ca.crt, key_file_path: ca.key}}\n",
    );
    assert!(spelt.unwrap().svid.upstream.is_some());
    let memory = parse(Path::new(""), "keyManager: memory\n").unwrap().svid;
    assert_eq!(memory.key_manager, KeyManagerConfig::Memory);
    let short = parse(Path::new(""), "ca: {ttl: 2h}\n").unwrap().svid;
    assert_eq!(short.settings.x509_ttl, HOUR / 3, "what fits the authority");
}

#[test]
fn mistakes_are_told_with_their_place_and_what_to_do() {
    // BEGIN has twelve lines.
    for (keys, expected) in [
        ("keyManager: vault\n", "assayd.yaml:13:13: "),
        ("keyManager: {disk: {}}\n", "missing field `keysPath`"),
        (
            "keyManager: {disk: {keysPath: \"\"}}\n",
            "assayd.yaml:13:31: keyManager.disk.keysPath is empty",
        ),
        (
            "keyManager: {disk: {keyPath: x}}\n",
            "hint: did you mean `keysPath`",
        ),
        (
            "upstreamAuthority: {aws_pca: {}}\n",
            "unknown field `aws_pca`",
        ),
        (
            "upstreamAuthority: {disk: {certFilePath: none.crt, keyFilePath: none.key}}\n",
            "assayd.yaml:13:42: upstreamAuthority.disk.certFilePath: none.crt: No such file",
        ),
        (
            "upstreamAuthority: {disk: {certFilePath: /, keyFilePath: x}}\n",
            "/: not a file",
        ),
        (
            "ca: {ttl: 30m}\n",
            "assayd.yaml:13:11: 1800s is out of range",
        ),
        ("ca: {ttl: 10y}\n", "assayd.yaml:13:11: "),
        (
            "ca: {keyType: rsa-1024}\n",
            "assayd.yaml:13:15: ca.keyType: no key type `rsa-1024`",
        ),
        ("ca: {keyType: ecp256}\n", "hint: did you mean `ec-p256`?"),
        (
            "ca: {jwtKeyType: ed25519}\n",
            "hint: one of ec-p256, ec-p384, rsa-2048, rsa-3072, rsa-4096",
        ),
        (
            "ca: {subject: {country: Germany}}\n",
            "assayd.yaml:13:25: ca.subject.country is \"Germany\"",
        ),
        (
            "ca: {subject: {country: de}}\n",
            "hint: two capital letters",
        ),
        (
            "ca: {subject: {organization: \"\"}}\n",
            "ca.subject.organization is \"\"",
        ),
        (
            "ca: {subject: {commonName: \"a\\u0000b\"}}\n",
            "ca.subject.commonName is",
        ),
        (
            "svid: {x509Ttl: 5h}\n",
            "assayd.yaml:13:17: svid.x509Ttl is 18000s, more than a sixth of ca.ttl (86400s)",
        ),
        ("svid: {x509Ttl: 10s}\n", "10s is out of range"),
        (
            "svid: {jwtTtl: 2h}\n",
            "assayd.yaml:13:16: 7200s is out of range",
        ),
        (
            "svid: {jwtIssuer: \"http://oidc.example.org\"}\n",
            "hint: an https URL",
        ),
        (
            "svid: {jwtIssuer: \"https://\"}\n",
            "assayd.yaml:13:19: svid.jwtIssuer is \"https://\"",
        ),
        (
            "svid: {jwtIssuer: \"https://a/?b\"}\n",
            "hint: an https URL",
        ),
        (
            "svid: {jwtIssuer: \"https://user@a\"}\n",
            "hint: an https URL",
        ),
        (
            "svid: {jwtIssuer: \"https://:8443/\"}\n",
            "hint: an https URL",
        ),
        ("svid: {ttl: 1h}\n", "unknown field `ttl`"),
    ] {
        let error = parse(Path::new(""), keys).unwrap_err();
        assert!(
            error.contains(expected),
            "{keys}{error}\n  expected: {expected}"
        );
    }
}
