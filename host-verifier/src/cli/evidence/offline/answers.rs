//! The file of a cloud's answers (`--cloud-answers`): one form for every method, which `docs/clouds.md` describes.
//!
//! A login keeps its answers in a form of each method's own. Here they are turned into the file's members and back, so that what
//! `assay audit evidence` wrote is what `assay evidence verify` reads. Nothing is judged here.

use assay_common::policy::AttestorKind;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Case, Failure};
use crate::attestor::{AttestError, Fault};
use crate::cli::report::Unreadable;
use crate::jwt::JwkSet;

/// Where the file's form is described.
pub(super) const FORM: &str = "docs/clouds.md, \"Answers in a file\", has the form and an example of each method; `assay audit evidence` writes METHOD.answers.json";

const OPTION: &str = "--cloud-answers";

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<A> {
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<Vec<Fetched>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<A>,
}

/// The key that a token means.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    /// Who was asked.
    source: String,
    /// The JWK.
    jwk: Map<String, Value>,
}

/// A certificate that was fetched.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fetched {
    url: String,
    /// DER in base64.
    certificate: String,
}

/// What the file says, and the key set that was given beside it.
#[derive(Debug)]
pub(super) struct Answers<A> {
    kind: AttestorKind,
    /// The file of `--keys`.
    set: Option<Vec<u8>>,
    key: Option<Key>,
    certificates: Option<Vec<Fetched>>,
    /// What the cloud's API said.
    pub api: Option<A>,
}

/// The members that a method's answers have, beside `method`.
fn members(kind: AttestorKind) -> &'static [&'static str] {
    match kind {
        AttestorKind::AWS_IID => &["api"],
        AttestorKind::AWS_TOKEN => &["key"],
        AttestorKind::AZURE_IMDS => &["certificates", "api"],
        AttestorKind::AZURE_MSI | AttestorKind::GCP_IIT => &["key", "api"],
        _ => &[],
    }
}

fn unreadable(why: impl core::fmt::Display) -> Unreadable {
    Unreadable::new(OPTION, why).with_hint(FORM)
}

impl<A: DeserializeOwned> Answers<A> {
    /// Reads the file; without one, nobody has answered.
    ///
    /// # Errors
    ///
    /// It is no such file, or not of this method.
    pub(super) fn read(kind: AttestorKind, case: &Case) -> Result<Self, Failure> {
        let mut answers = Self {
            kind,
            set: case.keys.clone(),
            key: None,
            certificates: None,
            api: None,
        };
        let Some(bytes) = &case.cloud_answers else {
            return Ok(answers);
        };
        let file: File<A> = serde_json::from_slice(bytes).map_err(unreadable)?;
        if Some(file.method.as_str()) != kind.name() {
            let found = file.method.escape_debug();
            return Err(unreadable(format_args!("its method is \"{found}\", not {kind}")).into());
        }
        let given = [
            ("key", file.key.is_some()),
            ("certificates", file.certificates.is_some()),
            ("api", file.api.is_some()),
        ];
        for (member, _) in given.into_iter().filter(|(_, given)| *given) {
            if !members(kind).contains(&member) {
                let why = format_args!("`{member}`: {kind} asks nobody for that");
                return Err(unreadable(why).into());
            }
        }
        if file.key.is_some() && answers.set.is_some() {
            let why = "it has a `key`, and --keys is given too";
            let both = Unreadable::new(OPTION, why).with_hint("give one of the two");
            return Err(both.into());
        }
        answers.key = file.key;
        answers.certificates = file.certificates;
        answers.api = file.api;
        Ok(answers)
    }
}

impl<A: Serialize> Answers<A> {
    /// The key that a token means by `kid`, as a login keeps it: of the set in `--keys`, or the file's, which is of `source`.
    ///
    /// # Errors
    ///
    /// There is none, it is of somebody else, or the token means another.
    pub(super) fn jwk(&self, source: &str, kid: Option<&str>) -> Result<String, Failure> {
        let kind = self.kind;
        let (set, place) = match (&self.set, &self.key) {
            (Some(set), _) => (set.clone(), "--keys"),
            (None, Some(key)) if key.source == source => {
                let set = json!({"keys": [key.jwk]}).to_string();
                (set.into_bytes(), OPTION)
            }
            (None, Some(key)) => {
                let found = key.source.escape_debug();
                let why = format_args!(
                    "`key.source` is \"{found}\", and these settings ask {source} for the token's key"
                );
                return Err(unreadable(why).into());
            }
            (None, None) => {
                let why = format_args!(
                    "{source} has the key that signed the token, and nobody is asked here"
                );
                let hint = match members(kind).contains(&"key") {
                    true => {
                        "give its JWK set with --keys, or the key as `key` in the file of --cloud-answers"
                    }
                    false => "give its JWK set with --keys",
                };
                return Err(Unreadable::new("--keys", why).with_hint(hint).into());
            }
        };
        // A key that cannot be used is left out of a set that somebody publishes, and is the whole of what stands in the file.
        let set = match place {
            OPTION => JwkSet::parse(&set)
                .map_err(|error| unreadable(format_args!("`key.jwk`: {error}")))?,
            _ => JwkSet::parse_fetched(&set).map_err(|error| Unreadable::new(place, error))?,
        };
        let key = set.select(kid).map_err(|error| {
            if place == OPTION {
                // A login keeps the key that its token names.
                let named = kid.unwrap_or_default().escape_debug();
                return unreadable(format_args!(
                    "`key.jwk` is not the key \"{named}\" that the token names"
                ))
                .into();
            }
            let detail = format!("{kind}: {error}");
            Failure::Refused(AttestError::new(
                Fault::Refused,
                "token-key-unknown",
                detail,
            ))
        })?;
        Ok(String::from_utf8_lossy(&key.to_json()).into_owned())
    }

    /// The certificates as a login keeps them.
    pub(super) fn certificates(&self) -> Value {
        json!(self.certificates.as_deref().unwrap_or_default())
    }

    /// What the API said, as a login keeps it; `null` where it was not asked.
    pub(super) fn api(&self) -> Value {
        json!(self.api)
    }
}

/// Whether an error says that answers are not those that the settings ask for. A login's are never so.
pub(super) fn lacking(error: &AttestError) -> Option<Unreadable> {
    let of_answers = matches!(error.check, "answer" | "answer-kept" | "token-answer");
    let lacks = of_answers && error.fault == Fault::Internal;
    lacks.then(|| unreadable(&error.detail))
}

/// The file of the answers that a login kept; `None`: they are of no cloud, or not as this version keeps them.
pub(in super::super) fn file(kind: AttestorKind, kept: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Map<String, Value> = serde_json::from_slice(kept).ok()?;
    let mut take = |name: &str| kept.remove(name).filter(|value| !value.is_null());
    let key = |key: Value| {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        Some(Key {
            source: text("source")?.to_owned(),
            jwk: serde_json::from_str(text("jwk")?).ok()?,
        })
    };
    let (mut signed_by, mut certificates, mut api) = (None, None, None);
    match kind {
        AttestorKind::AWS_IID => api = Some(Value::Object(kept)),
        AttestorKind::AWS_TOKEN => signed_by = Some(key(Value::Object(kept))?),
        AttestorKind::AZURE_IMDS => {
            certificates = Some(serde_json::from_value(take("certificates")?).ok()?);
            api = take("machine");
        }
        AttestorKind::AZURE_MSI => {
            signed_by = Some(key(take("key")?)?);
            api = take("machine");
        }
        AttestorKind::GCP_IIT => {
            api = take("instance");
            signed_by = Some(key(Value::Object(kept))?);
        }
        _ => return None,
    }
    let file = File {
        method: kind.name()?.to_owned(),
        key: signed_by,
        certificates,
        api,
    };
    let mut text = serde_json::to_vec_pretty(&file).ok()?;
    text.push(b'\n');
    Some(text)
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]
mod tests {
    use assay_common::policy::AttestorKind;
    use serde_json::{Value, json};

    use super::file;

    fn written(kind: AttestorKind, kept: &Value) -> Option<Value> {
        let file = file(kind, kept.to_string().as_bytes())?;
        Some(serde_json::from_slice(&file).unwrap())
    }

    #[test]
    fn what_a_login_kept_is_written_in_one_form() {
        let (jwk, machine) = (json!({"kty": "RSA", "kid": "k1"}), json!({"asked": "m"}));
        let kept_key = json!({"source": "https://a.example", "jwk": jwk.to_string()});
        let key = json!({"source": "https://a.example", "jwk": jwk});
        let mut of_google = kept_key.clone();
        of_google["instance"] = machine.clone();
        let fetched = json!([{"url": "https://b.example", "certificate": "MAA="}]);
        for (kind, kept, told) in [
            (
                AttestorKind::AWS_IID,
                json!({"account": "1", "asked": true}),
                json!({"api": {"account": "1", "asked": true}}),
            ),
            (
                AttestorKind::AWS_TOKEN,
                kept_key.clone(),
                json!({"key": key}),
            ),
            (
                AttestorKind::AZURE_IMDS,
                json!({"certificates": fetched, "machine": machine}),
                json!({"certificates": fetched, "api": machine}),
            ),
            (
                AttestorKind::AZURE_IMDS,
                json!({"certificates": [], "machine": null}),
                json!({"certificates": []}),
            ),
            (
                AttestorKind::AZURE_MSI,
                json!({"key": kept_key, "machine": machine}),
                json!({"key": key, "api": machine}),
            ),
            (
                AttestorKind::GCP_IIT,
                of_google,
                json!({"key": key, "api": machine}),
            ),
        ] {
            let mut expected = told;
            expected["method"] = kind.to_string().into();
            assert_eq!(written(kind, &kept), Some(expected), "{kind}");
            assert_eq!(written(kind, &json!(7)), None, "{kind}");
        }
        // Others are asked by methods of no cloud.
        assert_eq!(written(AttestorKind::K8S_TOKEN, &kept_key), None);
    }
}
