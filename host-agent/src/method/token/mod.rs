//! Tokens of an issuer: where the agent has them from, and what can be told of them without their key.
//!
//! * [`custom_jwt`]: of any issuer.
//! * [`kubernetes`]: of a Kubernetes cluster, for the three methods that take them.

pub mod custom_jwt;
pub mod kubernetes;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{MethodError, Offer};
use crate::finding::Finding;

/// Longest token that a verifier takes, bytes.
const MAX: usize = 16 * 1024;
/// Longest text of a token that is shown, characters.
const SHOWN: usize = 120;

/// Where a token is. It is read anew for every login.
#[derive(Debug)]
enum Source {
    /// A file that nobody else may read.
    Secret(PathBuf),
    /// A file that the kubelet writes, with whatever mode the volume has: within a pod there is nobody else.
    Projected(PathBuf),
    /// An environment variable.
    Environment(String),
}

impl core::fmt::Display for Source {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Secret(path) | Self::Projected(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

impl Source {
    /// The token, without the blanks and line ends around it.
    fn token(&self) -> Result<Zeroizing<String>, MethodError> {
        let text = match self {
            Self::Secret(path) => crate::secret::read_text(path)?,
            Self::Projected(path) => read_projected(path)?,
            Self::Environment(name) => std::env::var(name).map(Zeroizing::new).map_err(|_| {
                MethodError::new(
                    format!("{self} is not set"),
                    "set it, or name a `tokenPath`",
                )
            })?,
        };
        let token = text.trim_ascii();
        let wrong = |why: &str| {
            let what = format!("{self}: {why}");
            MethodError::new(
                what,
                "a token is three parts of base64url with dots between them",
            )
        };
        match token {
            "" => Err(wrong("it is empty")),
            long if long.len() > MAX => Err(wrong("it is too long for a token")),
            token if !is_token(token) => Err(wrong("what is in it is no token")),
            token => Ok(Zeroizing::new(token.to_owned())),
        }
    }
}

/// The token that a cloud's platform projects into a pod.
pub(super) fn of_pod(path: &Path) -> Result<Zeroizing<String>, MethodError> {
    let token = Source::Projected(path.to_owned()).token();
    token.map_err(|error| {
        let hint = "the platform projects it into the pod and names it: is the pod's service account set up?";
        MethodError::new(error.what, hint)
    })
}

/// Whether a text has the form of a token, and a length that a verifier takes.
pub(super) fn is_token(text: &str) -> bool {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.len() <= MAX && text.bytes().all(alphabet) && text.split('.').count() == 3
}

fn read_projected(path: &Path) -> Result<Zeroizing<String>, MethodError> {
    const HINT: &str = "project a service account token into the agent's pod (see docs/methods), or name its `tokenPath`";
    let wrong = |why: String| MethodError::new(format!("{}: {why}", path.display()), HINT);
    let file = crate::secret::open(path).map_err(|error| wrong(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() {
        return Err(wrong("not a regular file".to_owned()));
    }
    let limit = MAX as u64 + 64;
    let mut text = Zeroizing::new(String::with_capacity(MAX + 64));
    file.take(limit)
        .read_to_string(&mut text)
        .map_err(|error| wrong(error.to_string()))?;
    Ok(text)
}

/// What a token says of itself. Nobody has verified it: for people, who want to know which token they have.
pub(super) struct Said {
    claims: Value,
}

impl Said {
    pub(super) fn read(token: &str) -> Option<Self> {
        let claims = token.split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        claims.is_object().then_some(Self { claims })
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let told = match self.claims.get(name)? {
            Value::String(text) => text.clone(),
            Value::Array(list) => {
                let texts = list.iter().filter_map(Value::as_str);
                texts.collect::<Vec<_>>().join(", ")
            }
            _ => return None,
        };
        Some(
            told.chars()
                .filter(|c| !c.is_control())
                .take(SHOWN)
                .collect(),
        )
    }

    fn expires(&self) -> Option<Timestamp> {
        let seconds = self.claims.get("exp")?.as_i64()?;
        Timestamp::from_second(seconds).ok()
    }
}

/// What would be offered: which token it is, never the token.
fn offer(source: &Source) -> Result<Offer, MethodError> {
    let token = source.token()?;
    let mut offer = Offer::default().with("token", format!("from {source}"));
    let Some(said) = Said::read(&token) else {
        return Ok(offer);
    };
    for (name, claim) in [("issuer", "iss"), ("subject", "sub"), ("audience", "aud")] {
        if let Some(value) = said.text(claim) {
            offer = offer.with(name, value);
        }
    }
    if let Some(expires) = said.expires() {
        offer = offer.with("expires", expires.to_string());
    }
    Ok(offer)
}

/// What keeps a login with the token from succeeding, as far as the token says itself. A legacy token need not say when it
/// ends, nor whom it is for.
fn doctor(subject: &str, source: &Source, legacy: bool, now: Timestamp) -> Vec<Finding> {
    let token = match source.token() {
        Ok(token) => token,
        Err(error) => return vec![Finding::fail(subject, error.what, error.hint)],
    };
    let Some(said) = Said::read(&token) else {
        return vec![Finding::fail(
            subject,
            format!("{source}: its claims cannot be read"),
            "have the issuer make it anew",
        )];
    };
    let mut findings = Vec::new();
    match said.expires() {
        Some(expires) if expires <= now => findings.push(Finding::fail(
            subject,
            format!("{source}: it expired at {expires}"),
            "renew it, and look at this machine's clock",
        )),
        None if !legacy => findings.push(Finding::fail(
            subject,
            format!("{source}: it has no end (exp)"),
            "have the issuer give it one; verifiers refuse it otherwise",
        )),
        _ => {}
    }
    if said.text("aud").is_none() && !legacy {
        findings.push(Finding::fail(
            subject,
            format!("{source}: it is for nobody in particular (aud)"),
            "have it made for the verifier's audience",
        ));
    }
    if findings.is_empty() {
        let issuer = said.text("iss").unwrap_or_else(|| "nobody".to_owned());
        findings.push(Finding::ok(
            subject,
            format!("{source}: a token of {issuer}"),
        ));
    }
    findings
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use assay_common::login::Transcript;
    use assay_common::policy::AttestorKind;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::{MAX, Source, doctor};
    use crate::finding::Level;
    use crate::method::registry::deserialize_config;
    use crate::method::{Method, MethodError, ProofRequest, Surroundings};

    fn token(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
    }

    fn good() -> String {
        let exp = jiff::Timestamp::now().as_second() + 600;
        token(
            &json!({"iss": "https://issuer.example.org", "sub": "node", "aud": ["a", "b"], "exp": exp}),
        )
    }

    fn build(
        kind: AttestorKind,
        base: &Path,
        config: Value,
    ) -> Result<Box<dyn Method>, MethodError> {
        let config = deserialize_config(kind, config).unwrap();
        config.build(&Surroundings {
            kind,
            base,
            cluster: "c",
            trust_domain: "example.org",
        })
    }

    fn payload(method: &mut dyn Method) -> Vec<u8> {
        let request = ProofRequest {
            round: 0,
            payload: &[],
            transcript: &Transcript::new(),
            nonce: &[0; 32],
        };
        method.prove(&request).unwrap().payload
    }

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn each_method_sends_its_own_shape_and_reads_the_file_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let (first, second) = (good(), token(&json!({"exp": 1})));
        for (kind, config) in [
            (AttestorKind::K8S_TOKEN, json!({"tokenPath": "token"})),
            (
                AttestorKind::K8S_PSAT,
                json!({"tokenPath": "token", "cluster": "c"}),
            ),
            (
                AttestorKind::K8S_SAT,
                json!({"tokenPath": "token", "cluster": "c"}),
            ),
            (AttestorKind::CUSTOM_JWT, json!({"tokenPath": "token"})),
        ] {
            let mode = match kind {
                AttestorKind::CUSTOM_JWT => 0o600,
                // As the kubelet writes it.
                _ => 0o644,
            };
            write(&file, &format!("{first}\n"), mode);
            let mut method = build(kind, dir.path(), config).unwrap();
            method.begin().unwrap();
            for token in [&first, &second] {
                write(&file, token, mode);
                let expected = match kind {
                    AttestorKind::CUSTOM_JWT => token.clone(),
                    AttestorKind::K8S_TOKEN => json!({"token": token}).to_string(),
                    _ => json!({"cluster": "c", "token": token}).to_string(),
                };
                assert_eq!(payload(&mut *method), expected.as_bytes());
            }
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_at_once() {
        let base = Path::new("/nonexistent");
        for (kind, config) in [
            (AttestorKind::K8S_TOKEN, json!({"cluster": "c"})),
            (AttestorKind::K8S_PSAT, json!({})),
            (AttestorKind::K8S_SAT, json!({"cluster": ""})),
            (AttestorKind::CUSTOM_JWT, json!({})),
            (
                AttestorKind::CUSTOM_JWT,
                json!({"tokenPath": "a", "tokenEnv": "B"}),
            ),
            (AttestorKind::CUSTOM_JWT, json!({"tokenEnv": "A=B"})),
        ] {
            assert!(
                build(kind, base, config.clone()).is_err(),
                "{kind} {config}"
            );
        }
        assert!(deserialize_config(AttestorKind::K8S_TOKEN, json!({"path": "a"})).is_err());
        assert!(build(AttestorKind::K8S_TOKEN, base, json!({})).is_ok());
    }

    #[test]
    fn a_file_without_a_token_is_told_without_its_contents() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let source = Source::Projected(file.clone());
        assert!(source.token().is_err(), "absent");
        for text in [
            "",
            "\n",
            "hunter2",
            "hunter2.hunter2",
            "hun ter2.a.b",
            &"a.".repeat(MAX),
        ] {
            write(&file, text, 0o600);
            let error = source.token().unwrap_err();
            assert!(!error.what.contains("hunter2"), "{error}");
        }
        write(&file, &good(), 0o600);
        assert_eq!(*source.token().unwrap(), good().as_str());
        assert!(Source::Projected(dir.path().to_owned()).token().is_err());
        let secret = Source::Secret(file.clone());
        assert!(secret.token().is_ok());
        write(&file, &good(), 0o644);
        assert!(secret.token().is_err(), "others may read it");
        let absent = Source::Environment("ASSAY_TEST_NO_SUCH_TOKEN".to_owned());
        assert!(absent.token().is_err());
        let other = Source::Environment("PATH".to_owned());
        assert!(other.token().is_err(), "no token");
    }

    #[test]
    fn what_is_shown_is_not_the_token() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("token"), &good(), 0o600);
        let config = json!({"tokenPath": "token"});
        let method = build(AttestorKind::CUSTOM_JWT, dir.path(), config).unwrap();
        let shown = format!("{:?} {method:?}", method.show().unwrap());
        for told in ["https://issuer.example.org", "a, b", "expires"] {
            assert!(shown.contains(told), "{shown}");
        }
        for part in good().split('.') {
            assert!(!shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn a_doctor_sees_what_the_verifier_would_refuse() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let source = Source::Projected(file.clone());
        let now = jiff::Timestamp::from_second(1000).unwrap();
        let worst = |claims: Value, legacy: bool| {
            write(&file, &token(&claims), 0o600);
            let findings = doctor("k8s_token", &source, legacy, now);
            findings.into_iter().map(|finding| finding.level).max()
        };
        let (ok, fail) = (Some(Level::Ok), Some(Level::Fail));
        assert_eq!(worst(json!({"aud": "a", "exp": 1001}), false), ok);
        assert_eq!(worst(json!({"aud": "a", "exp": 1000}), false), fail);
        assert_eq!(worst(json!({"aud": "a"}), false), fail);
        assert_eq!(worst(json!({"exp": 1001}), false), fail);
        assert_eq!(worst(json!({}), true), ok);
        assert_eq!(worst(json!({"exp": 1000}), true), fail);
        assert_eq!(worst(json!([]), true), fail);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(doctor("k8s_token", &source, false, now).len(), 1);
    }
}
