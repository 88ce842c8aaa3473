//! `assay config get|diff|history cluster`, `assay config list clusters`.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::change::path;
use super::{Site, Target, section};
use crate::cli::remote::{Page, Remote};
use crate::cli::service::{Failure, finish, table};
use crate::document::visible;
use crate::policy::Section;
use crate::server::clusters::{
    ClusterState, DiffLine, HistoryEntry, Origin, SectionState, VersionState,
};

/// Lines around a difference.
const CONTEXT: usize = 3;

/// `assay config get`.
#[derive(Debug, Subcommand)]
pub enum Get {
    /// The sections of a cluster, or the text of one
    // `--version` is a version of the cluster here.
    #[command(disable_version_flag = true)]
    Cluster {
        /// Which
        #[command(flatten)]
        target: Target,
        /// This section only: its text as it was set, to the byte
        #[arg(long, value_name = "SECTION", value_parser = section)]
        section: Option<Section>,
        /// As it was at this version
        #[arg(long, value_name = "VERSION")]
        version: Option<u64>,
    },
}

/// `assay config diff`.
#[derive(Debug, Subcommand)]
pub enum Diff {
    /// A section of a cluster
    Cluster {
        /// Which
        #[command(flatten)]
        target: Target,
        /// The section
        #[arg(long, value_name = "SECTION", value_parser = section, default_value = "AgentAttestation")]
        section: Section,
        /// The earlier version
        #[arg(long, value_name = "VERSION")]
        from: u64,
        /// The later version; without it, what is in force
        #[arg(long, value_name = "VERSION")]
        to: Option<u64>,
    },
}

/// `assay config history`.
#[derive(Debug, Subcommand)]
pub enum History {
    /// Of a cluster, the newest first
    Cluster {
        /// Which
        #[command(flatten)]
        target: Target,
        /// This section only
        #[arg(long, value_name = "SECTION", value_parser = section)]
        section: Option<Section>,
        /// Versions before this one
        #[arg(long, value_name = "VERSION")]
        before: Option<u64>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

/// `assay config list`.
#[derive(Debug, Subcommand)]
pub enum List {
    /// Clusters, in the store and in assayd.yaml
    #[command(alias = "cluster")]
    Clusters {
        /// Where
        #[command(flatten)]
        site: Site,
        /// Those behind this one
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

pub(super) fn get(command: Get) -> ExitCode {
    let Get::Cluster {
        target,
        section,
        version,
    } = command;
    let result = target
        .site
        .ask(
            async |clusters| clusters.state(&target.id, section, version).await,
            async |remote| state(remote, &target.id, section, version).await,
        )
        .and_then(|state| match (section, state.sections.as_slice()) {
            (
                Some(_),
                [
                    SectionState {
                        origin: Origin::Service { place },
                        document: None,
                        ..
                    },
                ],
            ) if !target.site.format.json() => {
                Err(Failure::failed(format!("the section stands in {place}"))
                    .hint("look there; it is no document of its own"))
            }
            _ => Ok(state),
        });
    finish(target.site.format, result, |state| {
        match (section, state.sections.as_slice()) {
            (
                Some(_),
                [
                    SectionState {
                        document: Some(text),
                        ..
                    },
                ],
            ) => text.strip_suffix('\n').unwrap_or(text).to_owned(),
            _ => overview(state),
        }
    })
}

/// A cluster's state over the API.
async fn state(
    remote: &Remote,
    cluster: &str,
    section: Option<Section>,
    version: Option<u64>,
) -> Result<ClusterState, Failure> {
    let section = section.map(|section| format!("section={}", section.name()));
    let version = version.map(|version| format!("version={version}"));
    let query: Vec<_> = section.into_iter().chain(version).collect();
    let query = match query.is_empty() {
        true => String::new(),
        false => format!("?{}", query.join("&")),
    };
    remote.get(&path(cluster, &query)).await
}

fn overview(state: &ClusterState) -> String {
    let mut text = format!("{}: version {}", state.cluster, state.version);
    if state.sections.is_empty() {
        text += "\nno section is in force";
    }
    for section in &state.sections {
        let origin = match &section.origin {
            Origin::Service { place } => format!("from {place}"),
            Origin::Store(entry) => {
                let remark = match entry.comment.as_str() {
                    "" => String::new(),
                    comment => format!(": {comment}"),
                };
                let VersionState {
                    version,
                    author,
                    changed_at,
                    ..
                } = entry;
                format!("version {version}, {changed_at}, {author}{remark}")
            }
        };
        text += &format!("\n\n{}: {}", visible(&section.section), visible(&origin));
        for line in section.document.iter().flat_map(|text| text.lines()) {
            text += &format!("\n  {}", visible(line));
        }
    }
    text
}

/// What `diff` answers.
#[derive(Debug, Serialize)]
struct Difference {
    cluster: String,
    section: &'static str,
    from: u64,
    /// `None`: what is in force.
    to: Option<u64>,
    lines: Vec<DiffLine>,
}

pub(super) fn diff(command: Diff) -> ExitCode {
    let Diff::Cluster {
        target,
        section,
        from,
        to,
    } = command;
    let result = target
        .site
        .ask(
            async |clusters| clusters.diff(&target.id, section, from, to).await,
            async |remote| {
                let old = state(remote, &target.id, None, Some(from)).await?;
                let new = state(remote, &target.id, None, to).await?;
                Ok(new.since(&old, section))
            },
        )
        .map(|lines| Difference {
            cluster: target.id.clone(),
            section: section.name(),
            from,
            to,
            lines,
        });
    finish(target.site.format, result, unified)
}

/// As `diff -u` writes it.
fn unified(difference: &Difference) -> String {
    let Difference {
        cluster,
        section,
        from,
        to,
        lines,
    } = difference;
    let changed = |at: usize| lines.get(at).is_some_and(|line| line.sign != ' ');
    let near = |at: usize| (at.saturating_sub(CONTEXT)..=at.saturating_add(CONTEXT)).any(changed);
    let to = to.map_or_else(|| "in force".to_owned(), |to| to.to_string());
    let mut text = format!("--- {cluster}/{section} {from}\n+++ {cluster}/{section} {to}");
    if !lines.iter().any(|line| line.sign != ' ') {
        return "no difference".to_owned();
    }
    // Lines of either text so far.
    let (mut old, mut new) = (0, 0);
    let mut at = 0;
    while at < lines.len() {
        let hunk = lines.iter().enumerate().skip(at);
        let hunk: Vec<_> = hunk.take_while(|(at, _)| near(*at)).collect();
        let count = |sign: char| {
            let counted = hunk.iter();
            counted.filter(|(_, line)| line.sign != sign).count()
        };
        let (olds, news) = (count('+'), count('-'));
        if hunk.is_empty() {
            (old, new, at) = (old + 1, new + 1, at + 1);
            continue;
        }
        let begin = |before: usize, count: usize| before + usize::from(count > 0);
        text += &format!(
            "\n@@ -{},{olds} +{},{news} @@",
            begin(old, olds),
            begin(new, news)
        );
        for (_, line) in &hunk {
            text += &format!("\n{}{}", line.sign, visible(&line.text));
        }
        (old, new, at) = (old + olds, new + news, at + hunk.len());
    }
    text
}

pub(super) fn history(command: History) -> ExitCode {
    let History::Cluster {
        target,
        section,
        before,
        limit,
    } = command;
    let result = target.site.ask(
        async |clusters| clusters.history(&target.id, section, before, limit).await,
        async |remote| {
            let mut query = format!("/history?limit={limit}");
            if let Some(section) = section {
                query += &format!("&section={}", section.name());
            }
            if let Some(before) = before {
                query += &format!("&before={before}");
            }
            let page: Page<HistoryEntry> = remote.get(&path(&target.id, &query)).await?;
            // A page ends with a whole version.
            Ok(page.items.into_iter().take(limit as usize).collect())
        },
    );
    finish(target.site.format, result, |entries| {
        let rows = entries.iter().map(
            |HistoryEntry {
                 section,
                 state: entry,
             }| {
                let what = match (&entry.sha256, entry.rollback_of) {
                    (_, Some(of)) => format!("back to {of}"),
                    (Some(_), None) => "set".to_owned(),
                    (None, None) => "removed".to_owned(),
                };
                let sha256 = entry.sha256.as_deref().unwrap_or("-");
                [
                    entry.version.to_string(),
                    visible(section),
                    what,
                    sha256.chars().take(12).collect(),
                    entry.changed_at.to_string(),
                    visible(&entry.author),
                    visible(&entry.comment),
                ]
            },
        );
        let header = [
            "VERSION", "SECTION", "WHAT", "SHA-256", "WHEN", "BY", "COMMENT",
        ];
        table(header, rows)
    })
}

pub(super) fn list(command: List) -> ExitCode {
    let List::Clusters { site, after, limit } = command;
    let result = site.ask(
        async |clusters| clusters.list(after.as_deref(), limit).await,
        async |remote| {
            let mut states = Vec::new();
            let behind = |state: &ClusterState| after.as_ref().is_none_or(|a| state.cluster > *a);
            let mut keep = |state| {
                if behind(&state) {
                    states.push(state);
                }
                states.len() < limit as usize
            };
            remote.each("/v1/clusters", &mut keep).await?;
            states.truncate(limit as usize);
            Ok(states)
        },
    );
    finish(site.format, result, |states| {
        let rows = states.iter().map(|state| {
            let sections = state.sections.iter().map(|s| match &s.origin {
                Origin::Service { place } => format!("{} ({place})", s.section),
                Origin::Store(entry) => format!("{} ({})", s.section, entry.version),
            });
            let sections: Vec<_> = sections.collect();
            let sections = match sections.as_slice() {
                [] => "none".to_owned(),
                some => some.join(", "),
            };
            [
                state.cluster.clone(),
                state.version.to_string(),
                visible(&sections),
            ]
        });
        table(["CLUSTER", "VERSION", "SECTIONS"], rows)
    })
}
