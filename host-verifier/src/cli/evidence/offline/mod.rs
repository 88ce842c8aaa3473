//! `assay evidence verify METHOD --payload FILE --config FILE --at RFC3339`: recorded evidence of one method, judged offline.
//!
//! One frame for every method: it reads the files, and shows what came of it. A method adds a line to [`run`](super::run) and
//! says how it judges: [`Offline`]. What a login would ask somebody for stands in files too: [`without_login`].

mod answers;
mod aws;
mod azure;
mod devid;
mod possession;
mod token;

use std::{path::PathBuf, process::ExitCode};

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::AttestorKind;
use clap::Args;
use jiff::Timestamp;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Map, Value};

use crate::{
    attestor::{AttestError, Attestor, Claims, ConfigError, Facts, Fault, Judged, LoginContext},
    blobs::Blobs,
    cli::{
        format::Format,
        mends,
        report::{Report, Unreadable, read_file},
    },
    document::{self, DocumentError, Files},
};

/// Longest payload file, bytes: a message of 64 KiB and what is written around it.
const MAX_PAYLOAD: usize = 256 * 1024;
/// Longest file beside it, bytes. AWS's page of certificates has 160 KB.
const MAX_FILE: usize = 1024 * 1024;
/// Longest file of a cloud's answers, bytes: a login keeps no more than 64 KiB, and indenting takes room.
const MAX_ANSWERS: usize = 512 * 1024;

/// The checks that bytes which are no JSON object fail at. An object with other members is judged, and refused by them.
const NO_PAYLOAD: [&str; 3] = ["payload-malformed", "sshpop-payload", "x509pop-payload"];
/// What to do about a payload file that is none.
const HOW_TO_GET: &str =
    "give the payload as the agent sent it: `assay audit evidence` writes it as METHOD.payload";

/// Arguments of `assay evidence verify METHOD`.
#[derive(Debug, Args)]
pub struct Evidence {
    /// The payload as the agent sent it; for methods with a challenge also SPIRE's form: an object with `payload`,
    /// `challenge` and `response`
    #[arg(long, value_name = "FILE")]
    payload: PathBuf,

    /// The method's settings in YAML: a policy's `config:`, or the whole entry with `type:` and `config:`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// The time of judgement
    #[arg(long, value_name = "RFC3339")]
    at: Timestamp,

    /// The login's nonce in hexadecimal, as `assay audit evidence` writes it to METHOD.nonce.hex: 64 digits for tpm_devid, and for
    /// x509pop and ssh_pop unless the payload file has the challenge; 32 for azure_imds, and for aws_token and gcp_iit with
    /// nonceInAudience. Other methods have none
    #[arg(long, value_name = "HEX")]
    nonce: Option<String>,

    /// Whose signatures count, where the settings do not have it: an issuer's JWK set, or a cloud's certificates. Nobody is
    /// asked here
    #[arg(long, value_name = "FILE", visible_alias = "jwks")]
    keys: Option<PathBuf>,

    /// What a login by aws_iid, aws_token, azure_imds, azure_msi or gcp_iit asked of its cloud: METHOD.answers.json of `assay audit
    /// evidence`, in the form that docs/clouds.md describes. Nobody is asked here
    #[arg(long, value_name = "FILE")]
    cloud_answers: Option<PathBuf>,

    #[command(flatten)]
    format: Format,
}

/// What a method judges.
#[derive(Debug)]
pub(super) struct Case {
    /// The payload file.
    pub payload: Vec<u8>,
    /// The nonce that was given beside it, of the method's length.
    pub nonce: Option<Vec<u8>>,
    /// The keys or certificates that were given beside it.
    pub keys: Option<Vec<u8>>,
    /// The cloud's answer that was given beside it.
    pub cloud_answers: Option<Vec<u8>>,
    /// The time of judgement.
    pub at: Timestamp,
}

/// What `--nonce` is to a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nonce {
    /// It has none: its proofs are good in any login.
    None,
    /// The first 16 bytes of the login's nonce for the method, where its proof has no room for more.
    Half,
    /// All 32 bytes.
    Whole,
}

impl Nonce {
    /// Of a login with this nonce.
    pub(super) fn of(self, proof_nonce: &[u8; 32]) -> Option<&[u8]> {
        match self {
            Self::None => None,
            Self::Half => proof_nonce.get(..16),
            Self::Whole => Some(proof_nonce),
        }
    }

    fn read(self, text: &str, kind: AttestorKind) -> Result<Vec<u8>, Unreadable> {
        let Some(len) = self.of(&[0; 32]).map(<[u8]>::len) else {
            let why = format_args!("{kind} has no nonce: its proofs are good in any login");
            return Err(Unreadable::new("--nonce", why).with_hint("leave --nonce out"));
        };
        let nonce = hex::decode(text).ok().filter(|nonce| nonce.len() == len);
        nonce.ok_or_else(|| {
            let digits = 2 * len;
            Unreadable::new("--nonce", format_args!("not {digits} hexadecimal digits")).with_hint(
                format!("give the digits themselves: --nonce \"$(cat {kind}.nonce.hex)\""),
            )
        })
    }
}

impl Case {
    /// The nonce of a method whose nonce has 32 bytes.
    fn nonce32(&self) -> Option<[u8; 32]> {
        self.nonce.as_deref()?.try_into().ok()
    }
}

/// Why there is no proof.
#[derive(Debug)]
pub(super) enum Failure {
    /// The settings cannot be used.
    Config(ConfigError),
    /// A file is not what it should be.
    Unreadable(Unreadable),
    /// A check failed.
    Refused(AttestError),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// A method that can be judged without a login.
pub(super) trait Offline {
    /// The method.
    const KIND: AttestorKind;
    /// Whether keys or certificates may be given.
    const TAKES_KEYS: bool = false;
    /// Whether a cloud's answer may be given.
    const TAKES_CLOUD_ANSWERS: bool = false;
    /// Its nonce.
    const NONCE: Nonce = Nonce::Whole;
    /// Checks that only a login can make, and why.
    const SKIPPED: &'static [(&'static str, &'static str)] = &[];
    /// Checks that are mended otherwise here than in a login, and how.
    const MENDS: &'static [(&'static str, &'static str)] = &[];
    /// Its settings, as they stand in a policy.
    type Config: DeserializeOwned;

    /// Judges a case as a login would. Asks nobody.
    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure>;
}

/// What tells settings, a policy's entry and a document of policies apart, however they are written.
#[derive(Default, Deserialize)]
struct Names {
    r#type: Option<String>,
    section: Option<IgnoredAny>,
    spec: Option<IgnoredAny>,
}

/// A policy's entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<C> {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    config: C,
}

/// Judges by one method.
pub(super) fn run<M: Offline>(evidence: &Evidence) -> ExitCode {
    let json = evidence.format.json();
    match judge::<M>(evidence) {
        Ok(report) => report.print(&evidence.payload.display().to_string(), json),
        Err(unreadable) => unreadable.print(json),
    }
}

fn judge<M: Offline>(evidence: &Evidence) -> Result<Report, Unreadable> {
    let nonce = evidence.nonce.as_deref();
    let file = |path: Option<&PathBuf>, taken: bool, most, option: &str, what: &str| match path {
        Some(_) if !taken => {
            let kind = M::KIND;
            Err(Unreadable::new(
                option,
                format_args!("{kind} has no {what}"),
            ))
        }
        Some(path) => read_file(path, most).map(Some),
        None => Ok(None),
    };
    let answers = evidence.cloud_answers.as_ref();
    let case = Case {
        payload: read_file(&evidence.payload, MAX_PAYLOAD)?,
        nonce: nonce.map(|text| M::NONCE.read(text, M::KIND)).transpose()?,
        keys: file(
            evidence.keys.as_ref(),
            M::TAKES_KEYS,
            MAX_FILE,
            "--keys",
            "keys of somebody else's",
        )?,
        cloud_answers: file(
            answers,
            M::TAKES_CLOUD_ANSWERS,
            MAX_ANSWERS,
            "--cloud-answers",
            "question to a cloud",
        )?,
        at: evidence.at,
    };
    let is_object = serde_json::from_slice::<Map<String, Value>>(&case.payload).is_ok();
    let config = config::<M>(evidence)?;
    let beside = evidence.config.parent().unwrap_or(&evidence.config);
    let mut report = Report::default();
    report.detail("method", M::KIND.to_string());
    report.detail("at", evidence.at.to_string());
    match M::judge(&config, Files::beside(beside), case) {
        Ok(claims) => {
            accept(&mut report, &claims);
            for (check, why) in M::SKIPPED {
                report.skip(check, *why);
            }
        }
        // Bytes that are no payload are no evidence, and nothing is decided about them.
        Err(Failure::Refused(error)) if !is_object && NO_PAYLOAD.contains(&error.check) => {
            let unreadable = Unreadable::new("--payload", error.detail);
            return Err(unreadable.with_hint(HOW_TO_GET));
        }
        Err(Failure::Refused(error)) => {
            let own = M::MENDS.iter().find(|(check, _)| *check == error.check);
            report.hint(match own {
                Some((_, mend)) => (*mend).to_owned(),
                None => mends::of(M::KIND, error.check),
            });
            report.fail(error.check, error.detail);
        }
        Err(Failure::Unreadable(unreadable)) => return Err(unreadable),
        Err(Failure::Config(error)) => {
            let place = evidence.config.display().to_string();
            let unreadable = Unreadable::new(&place, &error);
            return Err(match error.hint {
                Some(hint) => unreadable.with_hint(hint),
                None => unreadable,
            });
        }
    }
    Ok(report)
}

fn config<M: Offline>(evidence: &Evidence) -> Result<M::Config, Unreadable> {
    let unreadable = |error: DocumentError| {
        let hint = error.hint.clone();
        let shown = error.to_string();
        // The document's name stands in the error already.
        let (place, message) = shown.split_once(": ").unwrap_or(("--config", &shown));
        let unreadable = Unreadable::new(place, message);
        match hint {
            Some(hint) => unreadable.with_hint(hint),
            None => unreadable,
        }
    };
    let name = evidence.config.display().to_string();
    let text = document::read(&evidence.config).map_err(unreadable)?;
    // No method's settings have fields of these names. What cannot be read at all is told below.
    let names: Names = document::parse(&name, &text).unwrap_or_default();
    if names.section.is_some() || names.spec.is_some() {
        let why = "this is a whole document of policies, not one method's settings";
        let kind = M::KIND;
        return Err(Unreadable::new(&name, why).with_hint(format!(
            "give the `config:` of its {kind} entry, or that entry with `type:` and `config:`"
        )));
    }
    let Some(kind) = names.r#type else {
        return document::parse(&name, &text).map_err(unreadable);
    };
    // The method first: of another's settings, whatever else is wrong says nothing.
    if Some(kind.as_str()) != M::KIND.name() {
        let why = format_args!("the entry is of type {kind:?}, not {}", M::KIND);
        return Err(
            Unreadable::new(&name, why).with_hint("name the entry's method on the command line")
        );
    }
    let entry: Entry<M::Config> = document::parse(&name, &text).map_err(unreadable)?;
    Ok(entry.config)
}

/// Judges a proof that holds nothing of a login. Where a login would ask somebody, `answer` says what he would have said.
fn without_login(
    attestor: &dyn Attestor,
    payload: &[u8],
    at: Timestamp,
    answer: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<Claims, Failure> {
    let cx = LoginContext {
        now: at,
        transcript: &Transcript::new(),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &LoginKeys::new([0; 32]),
    };
    match attestor.judge(&cx, payload).map_err(Failure::Refused)? {
        Judged::Proven(claims) => Ok(*claims),
        Judged::Errand(errand) => errand.judge(&cx, &answer()?).map_err(|error| {
            let lacking = answers::lacking(&error);
            lacking.map_or(Failure::Refused(error), Failure::Unreadable)
        }),
        Judged::Challenge(_) => Err(Failure::Refused(AttestError::new(
            Fault::Internal,
            "offline",
            "a proof that holds nothing of a login has no challenge",
        ))),
    }
}

fn accept(report: &mut Report, claims: &Claims) {
    report.pass("proof", format!("every check of {} passed", claims.kind));
    for attribute in &claims.attributes {
        report.pass(
            "attribute",
            format!("{}={:?}", attribute.name, attribute.value),
        );
    }
    let mut attributes: std::collections::BTreeMap<&str, Vec<&str>> = Default::default();
    for attribute in &claims.attributes {
        attributes
            .entry(&attribute.name)
            .or_default()
            .push(&attribute.value);
    }
    report.detail("attributes", serde_json::json!(attributes));
    report.detail("identity", claims.facts.identity.clone());
}

pub(super) use answers::file as answers_file;
pub(super) use aws::AwsIid;
pub(super) use azure::{AzureImds, AzureMsi};
pub(super) use devid::{TpmDevid, file as devid_file};
pub(super) use possession::{SshPop, X509Pop};
pub(super) use token::{AwsToken, CustomJwt, GcpIit, K8sToken};
