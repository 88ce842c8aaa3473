//! `assay agent login`: one login, to see whether it succeeds.

use std::process::ExitCode;

use assay_firmware::evidence::EvidenceSource as _;
use assay_host::cli::{Failure, Format, finish};
use clap::Args;
use serde::Serialize;

use super::{Source, block_on};
use crate::client::{Granted, LoginError, Verifiers, log_in};
use crate::config::Outputs;
use crate::doctor;
use crate::evidence::Trouble;
use crate::finding::Finding;
use crate::setup::Setup;
use crate::svid::store;

/// The options.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    source: Source,
    /// Write the files of `output` too
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoggedIn {
    spiffe_id: String,
    proven: Vec<String>,
    session_id: String,
    lifetime_seconds: u64,
    renew_in_seconds: Option<u64>,
    /// Where the SVID's private key is; `null` when there is no SVID.
    svid_key: Option<&'static str>,
    server: String,
    /// What was offered and could not be proven.
    left_out: Vec<LeftOut>,
    written: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    method: String,
    reason: String,
    hint: String,
}

/// Runs the command.
pub(super) fn run(options: &Options) -> ExitCode {
    finish(options.format, attempt(options), text)
}

fn attempt(options: &Options) -> Result<LoggedIn, Failure> {
    let mut config = options.source.load()?;
    let outputs = match (&config.outputs, options.write) {
        (Some(outputs), true) => Some(outputs.clone()),
        (None, true) => {
            return Err(Failure::usage("--write: the configuration names no files")
                .hint("add `output` with a `directory` below `agent`"));
        }
        (_, false) => None,
    };
    let mut evidence = Setup::of(&mut config)?.evidence();
    // Set where the login itself fails: whether a verifier was reached.
    let mut reached = None;
    let verifiers = Verifiers::new(&config.servers, &config.roots);
    let verifiers =
        verifiers.map_err(|error| Failure::usage(error.to_string()).hint(error.hint()))?;
    let logged_in = block_on(async {
        let granted = log_in(&config.record(), &verifiers, &mut evidence).await;
        let granted = granted.map_err(|error| {
            reached = Some(!matches!(error, LoginError::Unreachable(_)));
            failed(&error, left_out(evidence.take_troubles()))
        })?;
        let written = match outputs {
            None => Vec::new(),
            Some(outputs) => write(&outputs, &verifiers, &granted).await?,
        };
        let proven = granted.proven.iter();
        Ok(LoggedIn {
            proven: proven.map(|kind| kind.to_string()).collect(),
            lifetime_seconds: granted.term.lifetime_s,
            renew_in_seconds: granted.term.renew_in_s,
            svid_key: match (granted.svid.is_empty(), &granted.key) {
                (true, _) => None,
                (false, Some(_)) => Some("memory"),
                (false, None) => Some("tpm"),
            },
            spiffe_id: granted.spiffe_id,
            session_id: granted.session_id,
            server: granted.by,
            left_out: left_out(evidence.take_troubles()),
            written,
        })
    });
    // Nobody renews this session, and only a resource manager would take its keys out of the TPM.
    evidence.end();
    // A TPM may have one user at a time, and doctor asks it.
    drop(evidence);
    logged_in.map_err(|failure| match reached {
        Some(reached) => examined(failure, &options.source, reached),
        None => failure,
    })
}

/// With what `assay agent doctor` finds, but for what the failure itself says.
fn examined(failure: Failure, source: &Source, is_reached: bool) -> Failure {
    let overrides = source.overrides();
    let found =
        block_on(async { Ok(doctor::of_a_login(&source.config, &overrides, is_reached).await) });
    let mut found = found.unwrap_or_default();
    found.retain(|finding| !failure.says(&finding.seen));
    let lines = found.iter().map(|finding| {
        let Finding {
            level,
            subject,
            seen,
            mend,
        } = finding;
        let mend = mend.iter().map(|mend| format!(" ({mend})"));
        let mend: String = mend.collect();
        format!("doctor: {}: {subject}: {seen}{mend}", level.word())
    });
    let lines = lines.collect();
    match serde_json::to_value(&found) {
        Ok(json) => failure.beside("findings", json, lines),
        Err(_) => failure,
    }
}

async fn write(
    outputs: &Outputs,
    verifiers: &Verifiers,
    granted: &Granted,
) -> Result<Vec<String>, Failure> {
    let bundle = verifiers.bundle().await;
    let bundle = bundle.map_err(|error| Failure::failed(error.to_string()))?;
    let svid = store::Identity {
        svid: &granted.svid,
        key: granted.key.as_ref().map(|key| key.as_slice()),
    };
    let written = store::write(outputs, Some(&svid), &bundle);
    written.map_err(|error| Failure::failed(error.to_string()).hint(error.hint()))
}

/// A failed login as a command's failure. One that was refused for want of a proof says why there was none.
fn failed(error: &LoginError, left_out: Vec<LeftOut>) -> Failure {
    let login = match error {
        LoginError::Denied {
            login_id: Some(id), ..
        } => format!(" (login {id})"),
        _ => String::new(),
    };
    let failure = Failure::failed(format!("{error}{login}")).hint(error.hint());
    match serde_json::to_value(&left_out) {
        Ok(json) if !left_out.is_empty() => {
            let lines = left_out.iter().map(LeftOut::line);
            failure.beside("leftOut", json, lines.collect())
        }
        _ => failure,
    }
}

fn left_out(troubles: Vec<Trouble>) -> Vec<LeftOut> {
    let troubles = troubles.into_iter();
    let left_out = troubles.map(|Trouble { source, error }| LeftOut {
        method: source,
        reason: error.what,
        hint: error.hint,
    });
    left_out.collect()
}

impl LeftOut {
    fn line(&self) -> String {
        let Self {
            method,
            reason,
            hint,
        } = self;
        format!("left out:  {method}: {reason}\n           hint: {hint}")
    }
}

fn text(logged_in: &LoggedIn) -> String {
    let mut lines = vec![
        format!("logged in: {}", logged_in.spiffe_id),
        format!("proven:    {}", logged_in.proven.join(", ")),
        format!(
            "session:   {}, {} s, {}",
            logged_in.session_id,
            logged_in.lifetime_seconds,
            match logged_in.renew_in_seconds {
                Some(seconds) => format!("renewed in {seconds} s"),
                None => "then a new login".to_owned(),
            }
        ),
        match logged_in.svid_key {
            Some("tpm") => "svid:      yes, its key in the TPM".to_owned(),
            Some(place) => format!("svid:      yes, its key in {place}"),
            None => "svid:      none".to_owned(),
        },
        format!("server:    {}", logged_in.server),
        // A node is not told what it was found to be.
        format!(
            "on the verifier, with its attributes: assay session show {} --config assayd.yaml",
            logged_in.session_id
        ),
    ];
    lines.extend(logged_in.left_out.iter().map(LeftOut::line));
    for file in &logged_in.written {
        lines.push(format!("written:   {file}"));
    }
    lines.join("\n")
}
