//! `assay audit export`: records as other systems read them.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::audit_place::{Records, Trail, records_of};
use super::format::Format;
use super::service::{Failure, block_on, finish};
use crate::audit::ocsf;

/// What a record becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// Open Cybersecurity Schema Framework: Authentication, and Entity Management for operators' acts
    Ocsf,
}

/// The options.
#[derive(Debug, Args)]
pub struct Options {
    /// What records become
    #[arg(long = "format", value_enum, default_value = "ocsf")]
    shape: Shape,
    /// From this record on
    #[arg(long, value_name = "NUMBER", conflicts_with = "since")]
    from: Option<u64>,
    /// Records that are not older, e.g. 2026-05-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Which trail
    #[command(flatten)]
    trail: Trail,
    /// How to answer: one JSON object a line, or as JSON one list of them
    #[command(flatten)]
    format: Format,
}

impl Options {
    fn wants(&self, record: &Map<String, Value>) -> bool {
        let seq = record.get("seq").and_then(Value::as_u64);
        let time = record.get("time").and_then(Value::as_str);
        let time = time.and_then(|time| time.parse::<Timestamp>().ok());
        // A record without a number or a time is not left out: somebody should see it.
        let late = |since: Timestamp| time.is_none_or(|time| time >= since);
        self.from
            .is_none_or(|from| seq.is_none_or(|seq| seq >= from))
            && self.since.is_none_or(late)
    }

    /// The same of an event, of which the newest come first: what is older than this one is not wanted either.
    fn wants_event(&self, event: &Value) -> bool {
        let of = |name: &str| event.pointer(name);
        let mut record = Map::new();
        for (name, place) in [
            ("seq", "/metadata/sequence"),
            ("time", "/metadata/original_time"),
        ] {
            record.extend(of(place).map(|value| (name.to_owned(), value.clone())));
        }
        self.wants(&record)
    }

    fn event(&self, record: &Map<String, Value>) -> Option<Value> {
        match self.shape {
            Shape::Ocsf => ocsf::event(record),
        }
    }
}

/// Runs the command.
pub(super) fn run(options: &Options) -> ExitCode {
    let path = match options.trail.reach() {
        Ok(Records::File(path)) => path,
        Ok(Records::Api(remote)) => {
            let wanted = |event: &Value| options.wants_event(event);
            let events = block_on(super::trail::events(&remote, wanted));
            return finish(options.format, events, |events| {
                let lines: Vec<_> = events.iter().map(Value::to_string).collect();
                lines.join("\n")
            });
        }
        Err(failure) => return finish::<()>(options.format, Err(failure), |()| String::new()),
    };
    if options.format.json() {
        let mut events = Vec::new();
        let read = records_of(&path, &mut |record| {
            if options.wants(&record) {
                events.extend(options.event(&record));
            }
        });
        return finish(options.format, read.map(|()| events), |_| String::new());
    }
    // A line at a time: a trail may be longer than the memory.
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let read = records_of(&path, &mut |record| {
        if written.is_ok()
            && options.wants(&record)
            && let Some(event) = options.event(&record)
        {
            written = writeln!(out, "{event}");
        }
    });
    let written = written.and_then(|()| out.flush());
    drop(out);
    let result = read.and(written.map_err(|error| Failure::failed(format!("stdout: {error}"))));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => finish::<()>(options.format, Err(failure), |()| String::new()),
    }
}
