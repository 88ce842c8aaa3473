//! `assay evidence verify --login`: a whole stored login, judged again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use crate::cli::format::Format;
use crate::cli::service::{Failure, finish};
use crate::cli::stored::{Under, Which, find, judge_again, report};

/// Which login, and by what.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// The login, 32 hex digits
    #[arg(long, value_name = "ID", conflicts_with = "evidence")]
    login: Option<String>,
    /// A folder that `assay audit evidence` wrote
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// The verifier's configuration: its trail, its challenge key, and its policies unless --policy names others
    #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
    config: Option<PathBuf>,
    /// Judge as of this time instead of the login's own, e.g. 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Judge by this AgentAttestation document
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How to answer
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(login: &Login) -> ExitCode {
    let which = match (&login.login, &login.evidence) {
        (Some(login), _) => Which::Login(login.to_lowercase()),
        (None, Some(folder)) => Which::Folder(folder.clone()),
        (None, None) => {
            let failure = Failure::usage("nothing to judge is named")
                .hint("give --login ID, --evidence DIR, or a method, e.g. `assay evidence verify tpm_quote`");
            return finish(login.format, Err::<(), _>(failure), |()| String::new());
        }
    };
    let config = login.config.as_deref();
    let judged = find(&which, config).and_then(|record| {
        let under = Under {
            config,
            policy: login.policy.as_deref(),
            at: login.at,
        };
        let again = judge_again(&record, &under)?;
        let name = record.get("login_id").and_then(serde_json::Value::as_str);
        let name = format!("login {}", name.unwrap_or_default());
        Ok((report(&again, &record), name))
    });
    match judged {
        Ok((report, name)) => report.print(&name, login.format.json()),
        Err(failure) => finish(login.format, Err::<(), _>(failure), |()| String::new()),
    }
}
