//! The log: one JSON object per line on stderr, with `time`, `level`, `logger`, `msg` and the fields beside them.

use core::fmt;

use serde::Serializer as _;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The environment variable with the filter, e.g. `debug` or `assay_host_verifier::transport=debug,info`.
pub const FILTER_VARIABLE: &str = "ASSAY_LOG";

/// Starts logging for the whole process. A second call does nothing.
///
/// The text of the fields called `json_fields` is JSON already: the logging library has no lists.
pub fn init(json_fields: &'static [&'static str]) {
    let filter = std::env::var(FILTER_VARIABLE).ok();
    let filter = filter.and_then(|filter| filter.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(JsonLines { json_fields });
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
}

/// Flat JSON objects. Values are JSON strings, so nothing that a node sends can break out of its field.
#[derive(Debug, Clone, Copy)]
struct JsonLines {
    json_fields: &'static [&'static str],
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields {
            json_fields: self.json_fields,
            message: Value::Null,
            others: Vec::new(),
        };
        event.record(&mut fields);
        let head = [
            ("time", jiff::Timestamp::now().to_string().into()),
            (
                "level",
                event.metadata().level().as_str().to_lowercase().into(),
            ),
            ("logger", event.metadata().target().into()),
            ("msg", fields.message),
        ];
        let mut line = Vec::with_capacity(512);
        let mut json = serde_json::Serializer::new(&mut line);
        json.collect_map(head.into_iter().chain(fields.others))
            .map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8_lossy(&line))
    }
}

/// The message, and the other fields in the order in which they were given.
struct Fields {
    json_fields: &'static [&'static str],
    message: Value,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.others.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let json = self
            .json_fields
            .contains(&field.name())
            .then(|| serde_json::from_str(value).ok());
        self.put(field, json.flatten().unwrap_or_else(|| value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
