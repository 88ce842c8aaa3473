//! `assay policy explain`: which rule decided, and why.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::audit::found::LATER;
use crate::cli::access::Access;
use crate::cli::audit::node_label;
use crate::cli::format::Format;
use crate::cli::service::{Failure, block_on, finish};
use crate::cli::stored::{Again, Record, Under, Which, find, judge_again, later_told};
use crate::cli::trail;
use crate::document::visible;
use crate::session::SessionId;

/// Which login, and by what.
#[derive(Debug, Args)]
pub struct Login {
    /// The login that this session came from, 32 hex digits
    #[arg(long, value_name = "ID", required_unless_present_any = ["login", "evidence"], conflicts_with_all = ["login", "evidence"])]
    session: Option<SessionId>,
    /// The login, 32 hex digits
    #[arg(long, value_name = "ID", conflicts_with = "evidence")]
    login: Option<String>,
    /// A folder that `assay audit evidence` wrote
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Judge the kept evidence again by this AgentAttestation document
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where the verifier is
    #[command(flatten)]
    access: Access,
}

/// What was decided.
#[derive(Debug, Serialize)]
struct Explained {
    /// The record's members, without evidence and steps.
    #[serde(flatten)]
    record: Map<String, Value>,
    /// What comes of the evidence under another document.
    #[serde(skip_serializing_if = "Option::is_none")]
    again: Option<Again>,
}

pub(super) fn run(login: &Login, format: Format) -> ExitCode {
    finish(format, explained(login), text)
}

fn explained(login: &Login) -> Result<Explained, Failure> {
    let which = match (login.session, &login.login, &login.evidence) {
        (Some(session), ..) => Which::Session(session),
        (None, Some(login), _) => Which::Login(login.to_lowercase()),
        (None, None, Some(folder)) => Which::Folder(folder.clone()),
        (None, None, None) => return Err(Failure::usage("no login is named")),
    };
    let remote = match which {
        Which::Folder(_) => None,
        Which::Login(_) | Which::Session(_) => login.access.remote()?,
    };
    let config = login.access.config().filter(|_| remote.is_none());
    let record: Record = match (&remote, &which) {
        (Some(remote), Which::Login(id)) => block_on(trail::of_login(remote, id))?,
        (Some(remote), Which::Session(id)) => block_on(trail::of_session(remote, *id))?,
        _ => find(&which, config.as_deref())?,
    };
    let again = match &login.policy {
        None => None,
        Some(policy) => {
            let under = Under {
                config: config.as_deref(),
                policy: Some(policy),
                at: None,
            };
            Some(judge_again(&record, &under)?)
        }
    };
    let mut shown = short(record);
    if let Some(Value::Array(later)) = shown.get_mut(LATER) {
        for record in later.iter_mut().filter_map(Value::as_object_mut) {
            *record = short(core::mem::take(record));
        }
    }
    Ok(Explained {
        record: shown,
        again,
    })
}

/// Without what makes a record long.
fn short(record: Record) -> Record {
    let long = ["evidence", "steps", "judged_by", "prev", "v"];
    let members = record.into_iter();
    members
        .filter(|(name, _)| !long.contains(&name.as_str()))
        .collect()
}

fn text(explained: &Explained) -> String {
    let of = |name: &str| explained.record.get(name).and_then(Value::as_str);
    let mut lines = vec![format!(
        "login {}: {}",
        of("login_id").unwrap_or_default(),
        of("outcome").unwrap_or_default()
    )];
    let node = match node_label(&explained.record) {
        "ek_hash" => "ek hash",
        node => node,
    };
    for (label, name) in [
        ("time", "time"),
        ("link", "link"),
        ("cluster", "cluster"),
        ("policy", "policy"),
        ("spiffe id", "spiffe_id"),
        ("session", "session_id"),
        (node, "ek_hash"),
        ("code", "code"),
        ("why", "detail"),
    ] {
        lines
            .extend(of(name).map(|value| format!("{:<11}{}", format!("{label}:"), visible(value))));
    }
    match explained.record.get("explanation") {
        Some(policies) => lines.extend(policies_told(policies, of("policy"))),
        None => lines.push("it ended before a policy was decided".to_owned()),
    }
    let attributes = explained
        .record
        .get("attributes")
        .and_then(Value::as_object);
    if let Some(attributes) = attributes.filter(|attributes| !attributes.is_empty()) {
        lines.push("attributes:".to_owned());
        for (name, value) in attributes {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            lines.push(format!("  {} = {}", visible(name), visible(&value)));
        }
    }
    let later = later_told(&explained.record);
    if !later.is_empty() {
        lines.push("later:".to_owned());
        lines.extend(later.iter().map(|line| format!("  {line}")));
    }
    if let Some(again) = &explained.again {
        lines.push(String::new());
        let document = again.document.as_deref().unwrap_or_default();
        let verdict = if again.granted { "granted" } else { "denied" };
        lines.push(format!(
            "under {document}: {verdict}: {}",
            visible(&again.reason)
        ));
        let told = again.explanation.as_ref();
        let told = told.and_then(|told| serde_json::to_value(&told.policies).ok());
        lines.extend(
            told.iter()
                .flat_map(|told| policies_told(told, again.policy.as_deref())),
        );
    }
    lines.join("\n")
}

/// Every policy with its rules and entries.
pub(super) fn policies_told(policies: &Value, winner: Option<&str>) -> Vec<String> {
    let mut lines = vec!["policies, in the order in which they are tried:".to_owned()];
    fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
        of.get(name)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }
    fn word<'a>(of: &'a Value, name: &str) -> &'a str {
        of.get(name).and_then(Value::as_str).unwrap_or_default()
    }
    let holds = |of: &Value, name: &str| of.get(name).and_then(Value::as_bool) == Some(true);
    for policy in policies.as_array().into_iter().flatten() {
        let name = word(policy, "policy");
        let state = match holds(policy, "satisfied") {
            true if winner == Some(name) => "satisfied, and the first: it won",
            true => "satisfied",
            false => "not satisfied",
        };
        lines.push(format!("  {}: {state}", visible(name)));
        for rule in list(policy, "rules") {
            let mark = if holds(rule, "holds") { "ok  " } else { "FAIL" };
            let rule_and_why = format!(
                "{:<28} {}",
                word(rule, "rule"),
                visible(word(rule, "reason"))
            );
            lines.push(format!("    {mark}  {}", rule_and_why.trim_end()));
        }
        for entry in list(policy, "attestors") {
            let told = format!(
                "{:<10} {:<18} {:<13} {}",
                word(entry, "attestor"),
                word(entry, "list"),
                word(entry, "outcome"),
                visible(word(entry, "detail"))
            );
            lines.push(format!("          {}", told.trim_end()));
        }
    }
    lines
}
