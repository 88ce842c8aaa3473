//! Finds the record of a login: in a trail, or in a folder that `assay audit evidence` wrote.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::report::Report;
use super::service::{Failure, block_on, load, open_store};
use crate::audit::again::{self, Check, Question};
use crate::audit::found::{LATER, OMITTED, kind_of};
use crate::audit::kept::{Kept, Lack, has_sealed};
use crate::audit::renewal;
use crate::audit::{self, Kind, MAX_LINE};
use crate::config::Config;
use crate::document::{self, Files, visible};
use crate::login::ChallengeKey;
use crate::policy::{Explanation, PolicyDocument, PolicySet};
use crate::server::Clusters;
use crate::server::clusters::Base;
use crate::session::SessionId;

/// Name of the record in a folder of evidence.
pub(super) const RECORD: &str = "record.json";

pub(super) type Record = Map<String, Value>;

/// Which login.
#[derive(Debug, Clone)]
pub(super) enum Which {
    /// By its name.
    Login(String),
    /// By the session that it ended in.
    Session(SessionId),
    /// By what was written of it.
    Folder(PathBuf),
}

/// Reads the record that decided it; those that came later are its member [`LATER`].
pub(super) fn find(which: &Which, config: Option<&Path>) -> Result<Record, Failure> {
    let loaded = |config: Option<&Path>| match config {
        Some(config) => load(config),
        None => Err(Failure::usage("--config is needed").hint("its dataDir has the trail")),
    };
    match which {
        Which::Folder(folder) => from_folder(folder),
        Which::Login(login) => {
            let config = loaded(config)?;
            let found = in_trail(&config, login)?;
            found.ok_or_else(|| {
                Failure::failed(format!("there is no login {login}"))
                    .hint("`assay audit list` shows the last ones")
            })
        }
        Which::Session(session) => {
            let config = loaded(config)?;
            match in_trail(&config, &session.to_string())? {
                Some(record) => Ok(record),
                None => Err(elsewhere(&config, *session)?),
            }
        }
    }
}

/// Why a session has no record here.
fn elsewhere(config: &Config, id: SessionId) -> Result<Failure, Failure> {
    let session = block_on(async { Ok(open_store(config).await?.session(id).await?) })?;
    Ok(match session {
        None => Failure::failed(format!("there is no session {id}"))
            .hint("`assay session list` shows those that have not ended"),
        Some(session) => Failure::failed(format!(
            "the trail in {} does not have session {id}",
            config.data_dir.display()
        ))
        .hint(format!(
            "another assayd on this datastore granted it: look for login {} in its trail",
            session.login_id
        )),
    })
}

/// The record that decided it, with those that came later.
fn in_trail(config: &Config, name: &str) -> Result<Option<Record>, Failure> {
    let found = super::audit_place::found(&config.data_dir.join(audit::FILE), name)?;
    found
        .into_record()
        .map_err(|error| Failure::failed(error.to_string()))
}

/// The records behind the deciding one.
pub(super) fn later(record: &Record) -> Vec<Record> {
    let later = record.get(LATER).and_then(Value::as_array);
    let later = later.into_iter().flatten().filter_map(Value::as_object);
    later.cloned().collect()
}

fn from_folder(folder: &Path) -> Result<Record, Failure> {
    let path = folder.join(RECORD);
    let bytes = super::report::read_file(&path, MAX_LINE).map_err(|error| {
        Failure::usage(error.message().to_owned())
            .hint("`assay audit evidence LOGIN --out DIR` writes it")
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// By what a stored login is judged again.
#[derive(Debug, Default)]
pub(super) struct Under<'a> {
    pub(super) config: Option<&'a Path>,
    pub(super) policy: Option<&'a Path>,
    pub(super) at: Option<Timestamp>,
}

/// A stored login, judged again.
#[derive(Debug, Serialize)]
pub(super) struct Again {
    pub(super) at: Timestamp,
    /// The document; `None`: the configuration's.
    pub(super) document: Option<String>,
    pub(super) granted: bool,
    /// The policy that wins.
    pub(super) policy: Option<String>,
    pub(super) attributes: Vec<String>,
    /// Why, in a line.
    pub(super) reason: String,
    pub(super) explanation: Option<Explanation>,
    #[serde(skip)]
    pub(super) checks: Vec<(&'static str, Check)>,
    /// Its renewals, by their time.
    #[serde(skip)]
    pub(super) renewals: Vec<(String, Check)>,
}

pub(super) fn judge_again(record: &Record, under: &Under<'_>) -> Result<Again, Failure> {
    let config = under.config.map(load).transpose()?;
    let key = config.as_ref().map(challenge_key).transpose()?;
    let kept = Kept::opened(record, key.as_ref().map(ChallengeKey::evidence_key))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let own;
    let served;
    let policies: &PolicySet = match (under.policy, &config) {
        (Some(path), _) => {
            let text = document::read(path)?;
            let file = path.display().to_string();
            let base = path.parent().unwrap_or(Path::new(""));
            let files = Files::beside(base);
            let provided = config.as_ref().map(Config::provided).unwrap_or_default();
            let files = match &config {
                Some(config) => files
                    .in_trust_domain(&config.trust_domain)
                    .provided_by(&provided),
                None => files,
            };
            own = PolicyDocument::parse(&file, &text)?.build_in(&file, files)?;
            &own
        }
        (None, Some(config)) => {
            // Where the hello was not kept, the record still says which it was.
            let recorded = record.get("cluster").and_then(Value::as_str);
            let cluster = again::cluster(&kept).or_else(|| recorded.map(str::to_owned));
            let cluster = cluster.unwrap_or_default();
            served = block_on(async {
                let store = open_store(config).await?;
                let clusters = Clusters::new(Base::from(config), store);
                Ok(clusters.policies(&cluster).await?)
            })?;
            served.as_deref().ok_or_else(|| {
                Failure::failed(format!("cluster `{cluster}` is not configured"))
                    .hint("name a document with --policy")
            })?
        }
        (None, None) => {
            return Err(Failure::usage("neither --policy nor --config is given")
                .hint("the login is judged by the document, or by the configuration's for its cluster"));
        }
    };
    let question = Question {
        policies,
        at: under.at.unwrap_or(kept.time),
        challenge_key: key.as_ref().map(ChallengeKey::public),
    };
    let judgement = again::judge(&kept, &question);
    let broken = judgement
        .checks
        .iter()
        .find_map(|(name, check)| match check {
            Check::Failed(why) => Some(format!("{name}: {why}")),
            _ => None,
        });
    let mut answer = Again {
        at: question.at,
        document: under.policy.map(|path| path.display().to_string()),
        granted: false,
        policy: None,
        attributes: Vec::new(),
        reason: broken.unwrap_or_default(),
        explanation: None,
        checks: judgement.checks,
        renewals: renewal::judge(&later(record), judgement.attestation_key.as_deref()),
    };
    match judgement.decision {
        None => {}
        Some(Ok(authorized)) => {
            answer.granted = true;
            answer.policy = Some(authorized.policy().to_owned());
            answer.attributes = authorized
                .attributes()
                .iter()
                .map(ToString::to_string)
                .collect();
            answer.reason = authorized.explanation().to_string();
            answer.explanation = Some(authorized.explanation().clone());
        }
        Some(Err(refusal)) => {
            answer.reason = refusal.explanation.to_string();
            answer.explanation = Some(refusal.explanation);
        }
    }
    Ok(answer)
}

/// The key of a data directory, which is not made here.
fn challenge_key(config: &Config) -> Result<ChallengeKey, Failure> {
    let path = config.data_dir.join(crate::login::key::FILE);
    if !path.exists() {
        return Err(
            Failure::failed(format!("{}: no challenge key", path.display()))
                .hint("assayd makes it when it starts with this configuration"),
        );
    }
    ChallengeKey::existing(&config.data_dir).map_err(|error| Failure::failed(error.to_string()))
}

/// What was said in a login. What is sealed of it is opened with the key of this configuration, which is not looked at
/// otherwise.
pub(super) fn whole(record: &Record, config: Option<&Path>) -> Result<Kept, Failure> {
    let key = match config.filter(|_| has_sealed(record)) {
        Some(config) => Some(challenge_key(&load(config)?)?),
        None => None,
    };
    let kept = Kept::opened(record, key.as_ref().map(ChallengeKey::evidence_key));
    let kept = kept.map_err(|error| Failure::failed(error.to_string()))?;
    match kept.lack {
        None => Ok(kept),
        Some(lack) => {
            let failure = Failure::failed(lack.to_string());
            Err(match lack {
                Lack::Reduced => failure.hint("`assay audit show` has its steps"),
                Lack::Sealed => failure.hint("run it where assayd runs, with its --config"),
                Lack::Unopened => {
                    failure.hint("name the configuration of the verifier that decided this login")
                }
            })
        }
    }
}

/// As a judgement of evidence is shown.
pub(super) fn report(again: &Again, record: &Record) -> Report {
    let mut report = Report::default();
    for (name, check) in &again.checks {
        match check {
            Check::Passed(seen) => report.pass(name, seen),
            Check::Failed(why) => report.fail(name, why),
            Check::Skipped(why) => report.skip(name, why),
        }
    }
    if again.explanation.is_some() {
        match again.granted {
            true => report.pass("policy", &again.reason),
            false => report.fail("policy", &again.reason),
        }
    }
    for (time, check) in &again.renewals {
        match check {
            Check::Passed(seen) => report.pass("renewal", format!("{time}: {seen}")),
            Check::Failed(why) => report.fail("renewal", format!("{time}: {why}")),
            Check::Skipped(why) => report.skip("renewal", format!("{time}: {why}")),
        }
    }
    let told = later_told(record);
    if !told.is_empty() {
        report.detail("later", told);
    }
    for (name, value) in serde_json::to_value(again)
        .iter()
        .filter_map(Value::as_object)
        .flatten()
    {
        report.detail(name, value.clone());
    }
    for name in ["login_id", "outcome"] {
        if let Some(value) = record.get(name) {
            report.detail(
                if name == "outcome" { "recorded" } else { name },
                value.clone(),
            );
        }
    }
    report
}

/// What came after the decision, a line each, in words.
pub(super) fn later_told(record: &Record) -> Vec<String> {
    let mut lines: Vec<_> = later(record).iter().map(told).collect();
    if let Some(omitted) = record.get(OMITTED).and_then(Value::as_u64) {
        lines.push(format!("and {omitted} more records"));
    }
    lines
}

fn told(record: &Record) -> String {
    let of = |name: &str| record.get(name).and_then(Value::as_str);
    let proven = of("login_id").is_some_and(|id| !id.is_empty());
    let what = match (kind_of(record), of("outcome")) {
        (Some(Kind::Renewal), Some("renewed")) => "renewed",
        (Some(Kind::Renewal), _) if proven => "renewal refused",
        (Some(Kind::Renewal), _) => "renewal refused to somebody who named the session",
        (Some(Kind::Replay), _) => "replayed answer refused",
        (Some(Kind::Svid), _) => "SVID issued",
        (Some(Kind::Repeat), _) => "renewal told again",
        (Some(Kind::Login) | None, outcome) => outcome.unwrap_or("unknown"),
    };
    let mut line = format!("{}  {what}", of("time").unwrap_or_default());
    line.extend(of("detail").map(|why| format!(": {}", visible(why))));
    line
}
