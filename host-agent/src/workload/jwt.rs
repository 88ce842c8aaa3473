//! Judges a JWT-SVID for a workload (SPIFFE JWT-SVID, sections 2 to 4): the algorithm is the key's, and what was verified is
//! what is read.

use assay_common::identity::SpiffeId;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest token, bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Why a token is refused. The workload is told which check failed: it has the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwtError {
    #[error("not a JWT-SVID in JWS compact serialization")]
    Malformed,
    #[error("signed by no authority of the trust domain")]
    NoAuthority,
    #[error("the signature does not fit")]
    Signature,
    #[error("not for this audience")]
    Audience,
    #[error("expired, or not valid yet")]
    Time,
    #[error("its subject is no identity of the trust domain")]
    Subject,
}

/// What a valid token says.
#[derive(Debug)]
pub(super) struct Valid {
    pub(super) spiffe_id: String,
    pub(super) claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

/// Judges a token by the authorities in a JWKS; `now` in Unix seconds.
pub(super) fn validate(
    token: &str,
    audience: &str,
    trust_domain: &str,
    jwks: &[u8],
    now: u64,
) -> Result<Valid, JwtError> {
    if token.len() > MAX_TOKEN {
        return Err(JwtError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(JwtError::Malformed)?;
    let decode = |part: &str| {
        URL_SAFE_NO_PAD
            .decode(part)
            .map_err(|_| JwtError::Malformed)
    };
    let header = serde_json::from_slice::<Header>(&decode(header)?);
    let header = header.map_err(|_| JwtError::Malformed)?;
    let typ = header.typ.as_deref();
    if header.crit.is_some() || typ.is_some_and(|typ| typ != "JWT" && typ != "JOSE") {
        return Err(JwtError::Malformed);
    }
    let keys = serde_json::from_slice::<Keys>(jwks).map_err(|_| JwtError::NoAuthority)?;
    let named = |key: &&Value| text(key, "kid") == Some(&header.kid);
    let key = keys.keys.iter().find(named).ok_or(JwtError::NoAuthority)?;
    verify(key, &header.alg, signed.as_bytes(), &decode(signature)?)?;
    let claims = serde_json::from_slice::<Map<String, Value>>(&decode(payload)?);
    let claims = claims.map_err(|_| JwtError::Malformed)?;
    judge(&claims, audience, trust_domain, now)?;
    let spiffe_id = claims.get("sub").and_then(Value::as_str);
    Ok(Valid {
        spiffe_id: spiffe_id.unwrap_or_default().to_owned(),
        claims,
    })
}

fn judge(
    claims: &Map<String, Value>,
    audience: &str,
    trust_domain: &str,
    now: u64,
) -> Result<(), JwtError> {
    let here = match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    };
    if !here {
        return Err(JwtError::Audience);
    }
    let seconds = |name: &str| claims.get(name).map(Value::as_f64);
    let now = now as f64;
    match (seconds("exp"), seconds("nbf")) {
        (Some(Some(exp)), None) if now < exp => {}
        (Some(Some(exp)), Some(Some(nbf))) if now < exp && now >= nbf => {}
        _ => return Err(JwtError::Time),
    }
    let subject = claims.get("sub").and_then(Value::as_str);
    let subject = subject.and_then(|subject| SpiffeId::parse(subject).ok());
    match subject {
        Some(subject) if subject.trust_domain().as_str() == trust_domain => Ok(()),
        _ => Err(JwtError::Subject),
    }
}

fn text<'k>(key: &'k Value, name: &str) -> Option<&'k str> {
    key.get(name).and_then(Value::as_str)
}

/// How a token of one of JWT-SVID's algorithms (section 3.1, RFC 7518 section 3) is verified.
enum Scheme {
    /// ECDSA on the curve that the algorithm goes with.
    Ec(&'static str, &'static EcdsaVerificationAlgorithm),
    /// RSA, with keys of 2048 to 8192 bits.
    Rsa(&'static RsaParameters),
}

fn scheme(alg: &str) -> Option<Scheme> {
    Some(match alg {
        "ES256" => Scheme::Ec("P-256", &ECDSA_P256_SHA256_FIXED),
        "ES384" => Scheme::Ec("P-384", &ECDSA_P384_SHA384_FIXED),
        "ES512" => Scheme::Ec("P-521", &ECDSA_P521_SHA512_FIXED),
        "RS256" => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        "PS256" => Scheme::Rsa(&RSA_PSS_2048_8192_SHA256),
        "PS384" => Scheme::Rsa(&RSA_PSS_2048_8192_SHA384),
        "PS512" => Scheme::Rsa(&RSA_PSS_2048_8192_SHA512),
        _ => return None,
    })
}

/// The key says which algorithm it is for, by its type and curve, and by name where it has one; a token that names another is
/// refused.
fn verify(key: &Value, alg: &str, message: &[u8], signature: &[u8]) -> Result<(), JwtError> {
    let number = |name: &str| {
        let number = text(key, name).ok_or(JwtError::NoAuthority)?;
        let number = URL_SAFE_NO_PAD.decode(number);
        number.map_err(|_| JwtError::NoAuthority)
    };
    if text(key, "alg").is_some_and(|own| own != alg) {
        return Err(JwtError::NoAuthority);
    }
    let (kty, crv) = (text(key, "kty"), text(key, "crv"));
    let verified = match scheme(alg) {
        Some(Scheme::Ec(curve, algorithm)) if (kty, crv) == (Some("EC"), Some(curve)) => {
            let point = [vec![4], number("x")?, number("y")?].concat();
            UnparsedPublicKey::new(algorithm, point).verify(message, signature)
        }
        Some(Scheme::Rsa(parameters)) if (kty, crv) == (Some("RSA"), None) => {
            let key = RsaPublicKeyComponents {
                n: number("n")?,
                e: number("e")?,
            };
            key.verify(parameters, message, signature)
        }
        _ => return Err(JwtError::NoAuthority),
    };
    verified.map_err(|_| JwtError::Signature)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::{JwtError, validate};

    struct Authority(EcdsaKeyPair);

    impl Authority {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
        }

        fn jwks(&self) -> Vec<u8> {
            let (x, y) = self.0.public_key().as_ref().get(1..).unwrap().split_at(32);
            let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
            let key = json!({"kty": "EC", "crv": "P-256", "kid": "one", "use": "jwt-svid", "x": x, "y": y});
            json!({"keys": [key]}).to_string().into_bytes()
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self
                .0
                .sign(&SystemRandom::new(), signed.as_bytes())
                .unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn header() -> Value {
        json!({"alg": "ES256", "kid": "one", "typ": "JWT"})
    }

    fn claims() -> Value {
        json!({"sub": "spiffe://example.org/a", "aud": ["db", "web"], "exp": 200, "x": 1})
    }

    #[test]
    fn a_token_of_the_trust_domain_is_valid_and_says_who() {
        let authority = Authority::new();
        let token = authority.sign(&header(), &claims());
        let valid = validate(&token, "web", "example.org", &authority.jwks(), 199).unwrap();
        assert_eq!(valid.spiffe_id, "spiffe://example.org/a");
        assert_eq!(valid.claims.get("x"), Some(&json!(1)));
    }

    /// A number of a key or a signature, out of what `openssl` prints in hex.
    fn openssl(folder: &Path, command: &str) -> String {
        let mut words = command.split(' ');
        let mut process = Command::new(words.next().unwrap());
        let output = process.args(words).current_dir(folder).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The two numbers of an ECDSA signature in DER, each as wide as the curve's.
    fn fixed(der: &[u8], len: usize) -> Vec<u8> {
        // A header of two or three bytes; then twice a tag, a length and the number.
        let mut rest = if der[1] == 0x81 { &der[3..] } else { &der[2..] };
        let mut out = Vec::new();
        for _ in 0..2 {
            let (number, after) = rest[2..].split_at(usize::from(rest[1]));
            let number = number.strip_prefix(&[0]).unwrap_or(number);
            out.extend(vec![0; len - number.len()]);
            out.extend(number);
            rest = after;
        }
        out
    }

    #[test]
    fn every_algorithm_of_jwt_svid_is_verified_as_openssl_signs_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut keys = Vec::new();
        for (curve, len) in [("P-256", 32), ("P-384", 48), ("P-521", 66)] {
            openssl(
                folder,
                &format!(
                    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out {curve}.key"
                ),
            );
            openssl(
                folder,
                &format!("openssl pkey -in {curve}.key -pubout -outform DER -out {curve}.der"),
            );
            // The point is what an SPKI ends with.
            let der = std::fs::read(folder.join(format!("{curve}.der"))).unwrap();
            let (x, y) = der[der.len() - 2 * len..].split_at(len);
            keys.push(json!({"kty": "EC", "crv": curve, "kid": curve, "x": b64(x), "y": b64(y)}));
        }
        openssl(
            folder,
            "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out RSA.key",
        );
        let modulus = openssl(folder, "openssl rsa -in RSA.key -noout -modulus");
        let modulus = hex::decode(modulus.trim().strip_prefix("Modulus=").unwrap()).unwrap();
        keys.push(json!({"kty": "RSA", "kid": "RSA", "n": b64(&modulus), "e": "AQAB"}));
        let mut named = keys[3].clone();
        named["kid"] = json!("named");
        named["alg"] = json!("RS256");
        keys.push(named);
        let jwks = json!({"keys": keys}).to_string().into_bytes();

        const PSS: &str = " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
        let rows = [
            ("ES256", "P-256", "-sha256", "", 32),
            ("ES384", "P-384", "-sha384", "", 48),
            ("ES512", "P-521", "-sha512", "", 66),
            ("RS256", "RSA", "-sha256", "", 0),
            ("RS384", "RSA", "-sha384", "", 0),
            ("RS512", "RSA", "-sha512", "", 0),
            ("PS256", "RSA", "-sha256", PSS, 0),
            ("PS384", "RSA", "-sha384", PSS, 0),
            ("PS512", "RSA", "-sha512", PSS, 0),
        ];
        let signed = |alg: &str, kid: &str, (key, hash, more, len): (&str, &str, &str, usize)| {
            let part = |value: &Value| b64(value.to_string().as_bytes());
            let header = json!({"alg": alg, "kid": kid, "typ": "JWT"});
            let signed = format!("{}.{}", part(&header), part(&claims()));
            std::fs::write(folder.join("message"), &signed).unwrap();
            openssl(
                folder,
                &format!("openssl dgst {hash} -sign {key}.key{more} -out signature message"),
            );
            let signature = std::fs::read(folder.join("signature")).unwrap();
            let signature = match len {
                0 => signature,
                len => fixed(&signature, len),
            };
            format!("{signed}.{}", b64(&signature))
        };
        let judged = |token: &str| validate(token, "web", "example.org", &jwks, 199).map(|_| ());
        for (alg, key, hash, more, len) in rows {
            let how = (key, hash, more, len);
            assert_eq!(judged(&signed(alg, key, how)), Ok(()), "{alg}");
            // By the same key under another algorithm's name.
            for (other, other_key, ..) in rows {
                let told = judged(&signed(other, key, how));
                let expected = match (other == alg, other_key == key) {
                    (true, _) => Ok(()),
                    (false, true) => Err(JwtError::Signature),
                    (false, false) => Err(JwtError::NoAuthority),
                };
                assert_eq!(told, expected, "{alg} as {other}");
            }
        }
        // A key that says itself which it is for.
        let rs256 = ("RSA", "-sha256", "", 0);
        assert_eq!(judged(&signed("RS256", "named", rs256)), Ok(()));
        let ps256 = ("RSA", "-sha256", PSS, 0);
        let other = judged(&signed("PS256", "named", ps256));
        assert_eq!(other, Err(JwtError::NoAuthority));
    }

    #[test]
    fn each_check_refuses_by_itself() {
        let authority = Authority::new();
        let jwks = authority.jwks();
        let judged = |token: &str| validate(token, "web", "example.org", &jwks, 199).map(|_| ());
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            judged(&authority.sign(&header(), &claims))
        };
        assert_eq!(with("exp", json!(199)), Err(JwtError::Time));
        assert_eq!(with("exp", json!("200")), Err(JwtError::Time));
        assert_eq!(with("exp", Value::Null), Err(JwtError::Time));
        assert_eq!(with("nbf", json!(200)), Err(JwtError::Time));
        assert_eq!(with("nbf", json!("0")), Err(JwtError::Time));
        assert_eq!(with("aud", json!("db")), Err(JwtError::Audience));
        assert_eq!(with("aud", json!([])), Err(JwtError::Audience));
        assert_eq!(
            with("sub", json!("spiffe://other.org/a")),
            Err(JwtError::Subject)
        );
        assert_eq!(with("sub", json!("a")), Err(JwtError::Subject));
        for (name, value, error) in [
            ("alg", json!("none"), JwtError::NoAuthority),
            ("alg", json!("HS256"), JwtError::NoAuthority),
            ("alg", json!("RS256"), JwtError::NoAuthority),
            ("kid", json!("two"), JwtError::NoAuthority),
            ("kid", Value::Null, JwtError::Malformed),
            ("typ", json!("at+jwt"), JwtError::Malformed),
            ("crit", json!(["x"]), JwtError::Malformed),
        ] {
            let mut header = header();
            header[name] = value;
            assert_eq!(
                judged(&authority.sign(&header, &claims())),
                Err(error),
                "{name}"
            );
        }
        let other = Authority::new().sign(&header(), &claims());
        assert_eq!(judged(&other), Err(JwtError::Signature));
        let good = authority.sign(&header(), &claims());
        let (signed, _) = good.rsplit_once('.').unwrap();
        assert_eq!(judged(&format!("{signed}.")), Err(JwtError::Signature));
        for bad in ["", "a", "a.b", "a.b.c", &"a".repeat(20_000)] {
            assert_eq!(judged(bad), Err(JwtError::Malformed), "{bad:.10}");
        }
    }
}
