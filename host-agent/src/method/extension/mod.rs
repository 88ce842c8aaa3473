//! `extension`: an executable of the operator's makes the proof; a webhook of the operator's judges it.

mod owned;
mod program;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assay_common::policy::AttestorKind;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use self::owned::look;
use self::program::{Program, ProgramError};
use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings};
use crate::finding::Finding;

/// Longest proof that a verifier takes, bytes.
const MAX_PROOF: usize = 32 * 1024;
/// Longest word that says why there is no proof.
const MAX_WORD: usize = 128;
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(300));
const DEFAULT_TIMEOUT: &str = "10s";

const HINT: &str = "see docs/methods/extension.md for what the executable reads and writes";

/// `config:` of an `extension` entry.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    long_running: bool,
    timeout: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

/// Arguments and environment may hold secrets.
impl core::fmt::Debug for Config {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Config")
            .field("path", &self.command.first())
            .field("long_running", &self.long_running)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let text = self.timeout.as_deref().unwrap_or(DEFAULT_TIMEOUT);
        let span = text.parse::<jiff::SignedDuration>().ok();
        let span = span.and_then(|span| Duration::try_from(span).ok());
        let timeout = span.filter(|span| (TIMEOUT.0..=TIMEOUT.1).contains(span));
        let timeout = timeout.ok_or_else(|| {
            let what = format!(
                "timeout: `{}` is not from 100ms to 300s",
                text.escape_debug()
            );
            MethodError::new(what, "e.g. `10s` or `500ms`")
        })?;
        let command = match self.command.split_first() {
            None if self.long_running || !self.environment.is_empty() => {
                let what = "command: there is none, and settings for one";
                return Err(MethodError::new(
                    what,
                    "name the executable, or leave them out",
                ));
            }
            None => None,
            Some((path, arguments)) => {
                let path = PathBuf::from(path);
                if !path.is_absolute() {
                    let what = "command: not an absolute path";
                    let hint =
                        "e.g. [/usr/local/libexec/device-proof, --slot, \"1\"]; no shell reads it";
                    return Err(MethodError::new(what, hint));
                }
                Some((path, arguments.to_vec()))
            }
        };
        Ok(Box::new(Extension {
            command,
            environment: self.environment,
            long_running: self.long_running,
            timeout,
            cluster: around.cluster.to_owned(),
            trust_domain: around.trust_domain.to_owned(),
            program: None,
            asked: 0,
        }))
    }

    fn inline_secret(&self) -> Option<&'static str> {
        (!self.environment.is_empty()).then_some("environment")
    }
}

/// The settings, and the executable when it runs.
struct Extension {
    command: Option<(PathBuf, Vec<String>)>,
    environment: BTreeMap<String, String>,
    long_running: bool,
    timeout: Duration,
    cluster: String,
    trust_domain: String,
    program: Option<Program>,
    asked: u64,
}

/// Arguments and environment may hold secrets.
impl core::fmt::Debug for Extension {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let path = self.command.as_ref().map(|(path, _)| path);
        f.debug_struct("Extension")
            .field("path", &path)
            .field("long_running", &self.long_running)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What the executable is asked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    version: u32,
    id: u64,
    nonce: String,
    cluster: &'a str,
    trust_domain: &'a str,
}

/// What it answers: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    id: u64,
    proof: Option<String>,
    error: Option<String>,
}

impl Extension {
    fn answer(
        &mut self,
        path: &Path,
        arguments: &[String],
        nonce: &[u8; 32],
    ) -> Result<Vec<u8>, MethodError> {
        let real = look(path)?;
        self.asked += 1;
        let question = Question {
            version: 1,
            id: self.asked,
            nonce: URL_SAFE.encode(nonce),
            cluster: &self.cluster,
            trust_domain: &self.trust_domain,
        };
        let mut line = serde_json::to_vec(&question).map_err(|error| {
            MethodError::new(
                format!("{}: {error}", path.display()),
                "report this as a bug",
            )
        })?;
        line.push(b'\n');
        let failed = |error: ProgramError| {
            let what = format!("{}: {error}", path.display());
            MethodError::new(what, error.hint())
        };
        // Kept only when all went well: whoever failed once is started anew.
        let mut program = match self.program.take().filter(Program::is_alive) {
            Some(program) => program,
            None => {
                let start = Program::start(&real, path, arguments, &self.environment);
                start.map_err(failed)?
            }
        };
        let answer = program.ask(&line, self.timeout).map_err(failed)?;
        let wrong = |what: &str| MethodError::new(format!("{}: {what}", path.display()), HINT);
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|_| wrong("its answer cannot be read"))?;
        if answer.id != self.asked {
            return Err(wrong("its answer is to another question"));
        }
        let proof = match (answer.proof, answer.error) {
            (Some(proof), None) => STANDARD
                .decode(proof)
                .map_err(|_| wrong("its proof is no base64"))?,
            (None, Some(word)) if is_word(&word) => {
                let what = format!("{}: no proof: {word}", path.display());
                return Err(MethodError::new(
                    what,
                    "the executable says why; see what it logs",
                ));
            }
            _ => {
                return Err(wrong(
                    "its answer is neither a proof nor a word that says why not",
                ));
            }
        };
        if proof.len() > MAX_PROOF {
            return Err(wrong("its proof has more than 32768 bytes"));
        }
        if self.long_running {
            self.program = Some(program);
        }
        Ok(proof)
    }
}

/// What a log can show as it is.
fn is_word(word: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    (1..=MAX_WORD).contains(&word.len()) && word.bytes().all(legal)
}

impl Method for Extension {
    fn kind(&self) -> AttestorKind {
        AttestorKind::EXTENSION
    }

    fn begin(&mut self) -> Result<(), MethodError> {
        match &self.command {
            None => Ok(()),
            Some((path, _)) => look(path).map(drop),
        }
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let Some((path, arguments)) = self.command.clone() else {
            return Ok(Vec::new().into());
        };
        self.answer(&path, &arguments, request.nonce)
            .map(Proof::from)
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let Some((path, _)) = &self.command else {
            return Ok(
                Offer::default().with("proof", "empty: the webhook decides by what others prove")
            );
        };
        look(path)?;
        let runs = match self.long_running {
            true => "goes on between logins",
            false => "once for each login",
        };
        let path = path.display().to_string();
        Ok(Offer::default().with("executable", path).with("runs", runs))
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::EXTENSION.to_string();
        let Some((path, _)) = &self.command else {
            return vec![Finding::ok(subject, "no executable: the proof is empty")];
        };
        vec![match look(path) {
            Ok(_) => Finding::ok(subject, format!("{} can be started", path.display())),
            Err(error) => Finding::fail(subject, error.what, error.hint),
        }]
    }
}

#[cfg(test)]
mod tests;
