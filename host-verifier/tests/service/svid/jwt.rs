//! JWT-SVIDs, verified by openssl, jsonwebtoken and the `spiffe` crate.

use std::time::Duration;

use assay_host_verifier::svid::keys::KeyType;
use assay_host_verifier::svid::{IssueError, JwtSvid, Settings, jwt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use spiffe::{JwtBundle, JwtBundleSet, TrustDomain};

use super::{Folder, ID, Office, id};

async fn office(jwt_key: KeyType) -> Office {
    let settings = Settings {
        jwt_key,
        ..Settings::new("example.org")
    };
    Office::with(settings, None).await
}

async fn issue(office: &Office, audience: &[&str]) -> JwtSvid {
    let now = office.now();
    let issued = office.issuer.issue_jwt(&id(), audience, now, None).await;
    issued.unwrap()
}

fn part(token: &str, which: usize) -> Value {
    let part = token.split('.').nth(which).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The bundle as the `spiffe` crate holds it.
fn spiffe_bundle(office: &Office) -> JwtBundleSet {
    let document: Value = serde_json::from_str(office.issuer.bundle().spiffe()).unwrap();
    let mut bundle = JwtBundle::new(TrustDomain::new("example.org").unwrap());
    for key in document["keys"].as_array().unwrap() {
        if key["use"] == "jwt-svid" {
            bundle
                .add_jwk_authority_json(key.to_string().as_bytes())
                .unwrap();
        }
    }
    let mut bundles = JwtBundleSet::new();
    bundles.add_bundle(bundle);
    bundles
}

#[tokio::test]
async fn tokens_verify_with_the_spiffe_crate_and_jsonwebtoken_for_every_kind_of_key() {
    for (kind, algorithm) in [
        (KeyType::EcP256, Algorithm::ES256),
        (KeyType::EcP384, Algorithm::ES384),
        (KeyType::Rsa2048, Algorithm::RS256),
        (KeyType::Rsa3072, Algorithm::RS256),
    ] {
        let office = office(kind).await;
        let svid = issue(&office, &["reports"]).await;
        let bundle = spiffe_bundle(&office);
        let read = spiffe::JwtSvid::parse_and_validate(&svid.token, &bundle, &["reports"]);
        let read = read.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        assert_eq!(read.spiffe_id().to_string(), ID);
        assert_eq!(read.key_id(), svid.authority);
        assert!(spiffe::JwtSvid::parse_and_validate(&svid.token, &bundle, &["other"]).is_err());

        // The same key as OIDC's consumers find it.
        let keys: JwkSet = serde_json::from_str(office.issuer.bundle().jwks()).unwrap();
        let key = keys.find(&svid.authority).unwrap();
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&["reports"]);
        let key = DecodingKey::from_jwk(key).unwrap();
        let decoded = jsonwebtoken::decode::<Value>(&svid.token, &key, &validation).unwrap();
        assert_eq!(decoded.claims["sub"], ID);
        let mut forged = svid.token.clone().into_bytes();
        let last = forged.len() - 8;
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert!(jsonwebtoken::decode::<Value>(&forged, &key, &validation).is_err());
    }
}

/// RSA's signature stands in the token as openssl wants it.
#[tokio::test]
async fn openssl_verifies_a_token() {
    let folder = Folder::new();
    let office = office(KeyType::Rsa2048).await;
    let svid = issue(&office, &["reports"]).await;
    let (message, signature) = svid.token.rsplit_once('.').unwrap();
    folder.write("message", message);
    folder.write("signature", URL_SAFE_NO_PAD.decode(signature).unwrap());
    let keys: Value = serde_json::from_str(office.issuer.bundle().jwks()).unwrap();
    let number = |name: &str| {
        let text = keys["keys"][0][name].as_str().unwrap();
        hex::encode(URL_SAFE_NO_PAD.decode(text).unwrap())
    };
    folder.write(
        "key.cnf",
        format!(
            "asn1=SEQUENCE:spki\n[spki]\na=SEQUENCE:alg\nk=BITWRAP,SEQUENCE:rsa\n[alg]\no=OID:rsaEncryption\n\
             n=NULL\n[rsa]\nn=INTEGER:0x{}\ne=INTEGER:0x{}\n",
            number("n"),
            number("e")
        ),
    );
    folder.openssl("asn1parse -genconf key.cnf -noout -out key.der");
    let answer =
        folder.openssl("dgst -sha256 -verify key.der -keyform DER -signature signature message");
    assert_eq!(answer.trim(), "Verified OK");
}

#[tokio::test]
async fn header_and_claims_are_those_of_the_standard_and_no_others() {
    let settings = Settings {
        jwt_issuer: Some("https://oidc.example.org".to_owned()),
        ..Settings::new("example.org")
    };
    let office = Office::with(settings, None).await;
    let svid = issue(&office, &["reports", "spiffe://example.org/reports"]).await;
    let now = office.now().as_second();
    assert_eq!(
        part(&svid.token, 0),
        serde_json::json!({"alg": "ES256", "kid": svid.authority, "typ": "JWT"})
    );
    assert_eq!(
        part(&svid.token, 1),
        serde_json::json!({
            "aud": ["reports", "spiffe://example.org/reports"],
            "exp": now + 300,
            "iat": now,
            "iss": "https://oidc.example.org",
            "sub": ID,
        })
    );
    assert!(
        !format!("{svid:?}").contains(&svid.token),
        "no token in logs"
    );
    let without = Office::new().await;
    let claims = part(&issue(&without, &["reports"]).await.token, 1);
    assert!(claims.get("iss").is_none(), "{claims}");
}

#[tokio::test]
async fn a_token_needs_an_audience_that_means_something() {
    let office = Office::new().await;
    let many = ["x"; jwt::MAX_AUDIENCES + 1];
    let long = "x".repeat(jwt::MAX_AUDIENCE + 1);
    for audience in [
        &[][..],
        &[""],
        &["a", ""],
        &["a\nb"],
        &[long.as_str()],
        &many,
    ] {
        let now = office.now();
        let refused = office.issuer.issue_jwt(&id(), audience, now, None).await;
        assert!(matches!(refused, Err(IssueError::Audience)), "{audience:?}");
    }
}

#[tokio::test]
async fn a_tokens_life_is_short_and_bounded() {
    let settings = Settings {
        jwt_ttl: Duration::from_secs(7200),
        ..Settings::new("example.org")
    };
    let office = Office::with(settings, None).await;
    let now = office.now();
    let life = |asked| {
        let issuer = &office.issuer;
        async move {
            let svid = issuer.issue_jwt(&id(), &["x"], now, asked).await.unwrap();
            svid.expires_at.as_second() - now.as_second()
        }
    };
    assert_eq!(life(None).await, 3600, "an hour, whatever is configured");
    assert_eq!(life(Some(Duration::from_secs(10))).await, 10);
    let refused = office
        .issuer
        .issue_jwt(&id(), &["x"], now, Some(Duration::ZERO))
        .await;
    assert!(matches!(refused, Err(IssueError::Lifetime(_))));
}
