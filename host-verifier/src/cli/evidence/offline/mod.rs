//! `assay evidence verify METHOD --payload FILE --config FILE --at RFC3339`: recorded evidence of one method, judged offline.
//!
//! One frame for every method: it reads the files, and shows what came of it. A method adds a line to [`judge`] and says
//! how it judges: [`Offline`].

mod devid;
mod possession;
mod token;

use std::{path::PathBuf, process::ExitCode};

use assay_common::policy::AttestorKind;
use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    attestor::{AttestError, Claims, ConfigError},
    cli::{
        format::Format,
        report::{Report, Unreadable, read_file},
    },
    document::{self, DocumentError, Files},
};

/// Longest payload file, bytes: a message of 64 KiB and what is written around it.
const MAX_PAYLOAD: usize = 256 * 1024;

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

    /// The verifier's nonce, 32 bytes, where the payload file does not have it
    #[arg(long, value_name = "HEX")]
    nonce: Option<String>,

    /// The issuer's JWK set, where the settings say only where it is published: nobody is asked here
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,

    #[command(flatten)]
    format: Format,
}

/// What a method judges.
#[derive(Debug)]
pub(super) struct Case {
    /// The payload file.
    pub payload: Vec<u8>,
    /// The nonce that was given beside it.
    pub nonce: Option<[u8; 32]>,
    /// The issuer's key set that was given beside it.
    pub keys: Option<Vec<u8>>,
    /// The time of judgement.
    pub at: Timestamp,
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
    /// Whether an issuer's key set may be given.
    const TAKES_KEYS: bool = false;
    /// Checks that only a login can make, and why.
    const SKIPPED: &'static [(&'static str, &'static str)] = &[];
    /// Its settings, as they stand in a policy.
    type Config: DeserializeOwned;

    /// Judges a case as a login would. Asks nobody.
    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure>;
}

/// A policy's entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<C> {
    r#type: String,
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
    let case = Case {
        payload: read_file(&evidence.payload, MAX_PAYLOAD)?,
        nonce: evidence.nonce.as_deref().map(nonce).transpose()?,
        keys: match &evidence.jwks {
            Some(_) if !M::TAKES_KEYS => {
                let kind = M::KIND;
                return Err(Unreadable::new(
                    "--jwks",
                    format_args!("{kind} has no issuer's keys"),
                ));
            }
            Some(path) => Some(read_file(path, MAX_PAYLOAD)?),
            None => None,
        },
        at: evidence.at,
    };
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
        Err(Failure::Refused(error)) => {
            report.fail(error.check, error.detail);
            report.hint(format!(
                "docs/methods/{}.md says what this check means and how to mend it",
                M::KIND
            ));
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
    // No method's settings have a field of this name.
    let is_entry = text.lines().any(|line| line.starts_with("type:"));
    if !is_entry {
        return document::parse(&name, &text).map_err(unreadable);
    }
    let entry: Entry<M::Config> = document::parse(&name, &text).map_err(unreadable)?;
    if Some(entry.r#type.as_str()) != M::KIND.name() {
        let kind = M::KIND;
        return Err(Unreadable::new(
            &name,
            format_args!("the entry is of type {:?}, not {kind}", entry.r#type),
        )
        .with_hint("name the entry's method on the command line"));
    }
    Ok(entry.config)
}

fn nonce(text: &str) -> Result<[u8; 32], Unreadable> {
    let mut nonce = [0; 32];
    hex::decode_to_slice(text, &mut nonce).map_err(|_| {
        Unreadable::new("--nonce", "not 64 hexadecimal digits")
            .with_hint("give the digits themselves: --nonce \"$(cat nonce.hex)\"")
    })?;
    Ok(nonce)
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

pub(super) use devid::TpmDevid;
pub(super) use possession::{SshPop, X509Pop};
pub(super) use token::{CustomJwt, K8sToken};
