//! `assay config set|remove|rollback cluster`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue, IF_MATCH};
use jiff::Timestamp;
use serde_json::json;

use super::{Target, section};
use crate::cli::remote::encoded;
use crate::cli::service::{Failure, author, finish};
use crate::document::{self, visible};
use crate::policy::Section;
use crate::server::clusters::{By, Changed, Submitted};

/// `assay config set`.
#[derive(Debug, Subcommand)]
pub enum Set {
    /// Sections of a cluster: one document each, all of them or none
    Cluster {
        /// Which
        #[command(flatten)]
        target: Target,
        /// The documents
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// On what terms
        #[command(flatten)]
        terms: Terms,
    },
}

/// `assay config remove`.
#[derive(Debug, Subcommand)]
pub enum Remove {
    /// Sections of a cluster; what assayd.yaml says of it then holds again
    Cluster {
        /// Which
        #[command(flatten)]
        target: Target,
        /// The section; without one, all of them
        #[arg(long = "section", value_name = "SECTION", value_parser = section)]
        sections: Vec<Section>,
        /// On what terms
        #[command(flatten)]
        terms: Terms,
    },
}

/// `assay config rollback`.
#[derive(Debug, Subcommand)]
pub enum Rollback {
    /// A cluster, as a new version
    Cluster {
        /// Which
        #[command(flatten)]
        target: Target,
        /// The version whose state is taken up again; 0 is before anything was set
        #[arg(long, value_name = "VERSION")]
        to: u64,
        /// This section only
        #[arg(long, value_name = "SECTION", value_parser = section)]
        section: Option<Section>,
        /// On what terms
        #[command(flatten)]
        terms: Terms,
    },
}

/// On what terms something is changed.
#[derive(Debug, Args)]
pub struct Terms {
    /// Change nothing unless the cluster is at this version
    #[arg(long, value_name = "VERSION")]
    expect: Option<u64>,
    /// A remark for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// Check everything and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Terms {
    fn by(self) -> By {
        By {
            author: author(),
            comment: self.comment,
            expected: self.expect,
            at: Timestamp::now(),
            dry_run: self.dry_run,
        }
    }
}

/// The configuration of a cluster in the API.
pub(super) fn path(cluster: &str, rest: &str) -> String {
    format!("/v1/clusters/{}/config{rest}", encoded(cluster))
}

/// On what terms, as a request has it.
fn at(by: &By) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let tag = by.expected.map(|version| {
        let tag = HeaderValue::try_from(format!("\"{version}\""));
        tag.map(|tag| (IF_MATCH, tag))
            .map_err(|error| Failure::usage(error.to_string()))
    });
    tag.into_iter().collect()
}

pub(super) fn set(command: Set) -> ExitCode {
    let Set::Cluster {
        target,
        files,
        terms,
    } = command;
    let result = documents(&files).and_then(|documents| {
        let by = terms.by();
        target.site.change(
            "cluster.set",
            async |clusters| clusters.set(&target.id, &documents, &by).await,
            async |remote| {
                let texts = documents
                    .iter()
                    .map(|document| json!({"file": document.file, "text": document.text}));
                let body = json!({
                    "documents": texts.collect::<Vec<_>>(),
                    "comment": by.comment,
                    "dryRun": by.dry_run,
                });
                let path = path(&target.id, "");
                remote
                    .send(Method::PUT, &path, Some(&body), &at(&by)?)
                    .await
            },
        )
    });
    finish(target.site.format, result, told)
}

fn documents(files: &[PathBuf]) -> Result<Vec<Submitted>, Failure> {
    let read = files.iter().map(|path| {
        Ok(Submitted {
            text: document::read(path)?,
            file: path.display().to_string(),
        })
    });
    read.collect()
}

pub(super) fn remove(command: Remove) -> ExitCode {
    let Remove::Cluster {
        target,
        sections,
        terms,
    } = command;
    let by = terms.by();
    let result = target.site.change(
        "cluster.remove",
        async |clusters| clusters.remove(&target.id, &sections, &by).await,
        async |remote| {
            let mut query = format!("?comment={}&dryRun={}", encoded(&by.comment), by.dry_run);
            if !sections.is_empty() {
                let names: Vec<_> = sections.iter().map(|section| section.name()).collect();
                query += &format!("&section={}", names.join(","));
            }
            let path = path(&target.id, &query);
            remote.send(Method::DELETE, &path, None, &at(&by)?).await
        },
    );
    finish(target.site.format, result, told)
}

pub(super) fn rollback(command: Rollback) -> ExitCode {
    let Rollback::Cluster {
        target,
        to,
        section,
        terms,
    } = command;
    let by = terms.by();
    let result = target.site.change(
        "cluster.rollback",
        async |clusters| clusters.rollback(&target.id, section, to, &by).await,
        async |remote| {
            let body = json!({
                "to": to,
                "section": section.map(Section::name),
                "comment": by.comment,
                "dryRun": by.dry_run,
            });
            let path = path(&target.id, "/rollback");
            remote
                .send(Method::POST, &path, Some(&body), &at(&by)?)
                .await
        },
    );
    finish(target.site.format, result, told)
}

fn told(changed: &Changed) -> String {
    let Changed {
        cluster, version, ..
    } = changed;
    let mut text = match (changed.changed, changed.dry_run) {
        (false, _) => format!("{cluster}: version {version}, nothing to change"),
        (true, false) => format!("{cluster}: version {version}"),
        (true, true) => format!("{cluster}: would be version {version}"),
    };
    for section in &changed.sections {
        let what = match &section.sha256 {
            Some(sha256) => format!("sha256 {sha256}"),
            None => "removed".to_owned(),
        };
        text += &format!("\n  {}: {what}", visible(&section.section));
    }
    for note in &changed.notes {
        text += &format!("\nnote: {}", visible(note));
    }
    text
}
