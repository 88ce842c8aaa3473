//! What a module may call: a closed list, so that what a newer interpreter brings is not let in by itself.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use regorus::unstable::BUILTINS;
use regorus::unstable::{Expr, Span};
use regorus::{Engine, Value};

use super::MAX_BUILT;

/// What a module may call.
const ALLOWED: &[&str] = &[
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.or",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "glob.match",
    "hex.decode",
    "hex.encode",
    "indexof",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.is_valid",
    "json.marshal",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "net.cidr_contains",
    "net.cidr_is_valid",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "regex.is_valid",
    "regex.match",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.reverse",
    "substring",
    "sum",
    "time.clock",
    "time.date",
    "time.now_ns",
    "time.parse_duration_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "units.parse",
    "units.parse_bytes",
    "upper",
];

/// What is not, and is known: name, why, what to do.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "http.send",
        "reaches the network",
        "policies decide over verified claims: have a method collect it",
    ),
    (
        "net.lookup_ip_addr",
        "reaches the network",
        "policies decide over verified claims: have a method collect it",
    ),
    (
        "opa.runtime",
        "reads the environment of the process",
        "state what the policy needs in the module",
    ),
    (
        "print",
        "writes to the log",
        "give texts in `deny` or `reasons`: they are in the explanation",
    ),
    (
        "rand.intn",
        "is random",
        "the same evidence must always get the same verdict",
    ),
    (
        "time.format",
        "may use the machine's time zone",
        "compare nanoseconds, or use time.date and time.clock, in UTC",
    ),
    (
        "time.add_date",
        "may use the machine's time zone",
        "add nanoseconds",
    ),
    (
        "time.diff",
        "may use the machine's time zone",
        "subtract nanoseconds",
    ),
    (
        "time.parse_ns",
        "may use the machine's time zone",
        "use time.parse_rfc3339_ns",
    ),
    (
        "trace",
        "writes to the log",
        "give texts in `deny` or `reasons`: they are in the explanation",
    ),
    (
        "uuid.rfc4122",
        "is random",
        "the same evidence must always get the same verdict",
    ),
];

/// Why a module may not call this; `None` when it may.
pub(super) fn refusal(name: &str) -> Option<(String, String)> {
    if ALLOWED.contains(&name) {
        return None;
    }
    let known = REFUSED.iter().find(|(refused, ..)| *refused == name);
    Some(match known {
        Some((_, why, hint)) => (format!("`{name}` {why}"), (*hint).to_owned()),
        None if BUILTINS.contains_key(name) => (
            format!("`{name}` is not for policies"),
            "its cost is not bounded; write it with what the README of the verifier lists"
                .to_owned(),
        ),
        None => {
            let near = crate::document::nearest(name, ALLOWED.iter().copied());
            let hint = near.map_or_else(
                || "neither this module nor the language here has it".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            (format!("there is no function `{name}`"), hint)
        }
    })
}

/// Whether this names a function of the language, allowed or not.
pub(super) fn is_known(name: &str) -> bool {
    BUILTINS.contains_key(name) || REFUSED.iter().any(|(refused, ..)| *refused == name)
}

/// Puts bounds around what can make a value much longer than what it was made from, and dates into UTC. An engine looks for
/// an extension before it looks for a builtin.
pub(super) fn bound(engine: &mut Engine) -> Result<(), String> {
    let growing: &[(&'static str, u8)] = &[
        ("array.concat", 2),
        ("concat", 2),
        ("json.marshal", 1),
        ("object.union", 2),
        ("replace", 3),
        ("sprintf", 2),
    ];
    for (name, arity) in growing {
        let name = *name;
        let call = move |args: Vec<Value>| Ok(grown(name, &args)?);
        add(engine, name, *arity, Box::new(call))?;
    }
    add(engine, "time.date", 1, Box::new(|args| Ok(date(&args)?)))?;
    add(engine, "time.clock", 1, Box::new(|args| Ok(clock(&args)?)))?;
    add(
        engine,
        "time.weekday",
        1,
        Box::new(|args| Ok(weekday(&args)?)),
    )
}

/// `time.now_ns` of one evaluation.
pub(super) fn set_clock(engine: &mut Engine, now: Timestamp) -> Result<(), String> {
    let ns = now.as_nanosecond();
    add(
        engine,
        "time.now_ns",
        0,
        Box::new(move |_| Ok(Value::from(ns))),
    )
}

fn add(
    engine: &mut Engine,
    name: &str,
    arity: u8,
    call: Box<dyn regorus::Extension>,
) -> Result<(), String> {
    let added = engine.add_extension(name.to_owned(), arity, call);
    added.map_err(|error| error.to_string())
}

#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("{0} would make more than {MAX_BUILT} bytes")]
    TooLong(&'static str),
    #[error("{0}: the arguments do not fit")]
    Arguments(&'static str),
    #[error("{0}")]
    Builtin(String),
    #[error("times are nanoseconds since 1970, in UTC")]
    Time,
}

/// The builtin, if what it can make at most is short enough.
fn grown(name: &'static str, args: &[Value]) -> Result<Value, CallError> {
    let mut left = MAX_BUILT;
    let measured = args.iter().try_for_each(|arg| measure(arg, &mut left));
    measured.ok_or(CallError::TooLong(name))?;
    let used = MAX_BUILT - left;
    let len = |arg: Option<&Value>| match arg {
        Some(Value::String(text)) => text.len(),
        _ => 0,
    };
    // The arguments are short; what could repeat one of them is counted.
    let repeats = match name {
        "concat" => len(args.first()).saturating_mul(used),
        "replace" => len(args.get(2)).saturating_mul(len(args.first()) + 1),
        "sprintf" => widths(args.first()),
        _ => 0,
    };
    if repeats > MAX_BUILT {
        return Err(CallError::TooLong(name));
    }
    let (builtin, _) = BUILTINS.get(name).ok_or(CallError::Arguments(name))?;
    // The builtin wants the places of its arguments, for its errors; the engine adds that of the call itself.
    let failed = |error: String| CallError::Builtin(super::dialect::one_line(&error));
    let text = regorus::Source::from_contents("call".to_owned(), String::new());
    let source = Span {
        // It fails above the memory's limit, and says so.
        source: text.map_err(|error| failed(error.to_string()))?,
        line: 0,
        col: 0,
        start: 0,
        end: 0,
    };
    let params: Vec<_> = args
        .iter()
        .map(|_| {
            regorus::unstable::NodeRef::new(Expr::Null {
                span: source.clone(),
                value: Value::Null,
                eidx: 0,
            })
        })
        .collect();
    builtin(&source, &params, args, true).map_err(|error| failed(error.to_string()))
}

/// Takes what a value has as JSON, roughly, from what is left; `None` when it is more. Values share their parts, so one
/// that took no time to make can be longer than the machine's memory.
fn measure(value: &Value, left: &mut usize) -> Option<()> {
    let own = match value {
        Value::String(text) => text.len(),
        Value::Number(_) => 24,
        _ => 1,
    };
    *left = left.checked_sub(own + 1)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| measure(item, left)),
        Value::Set(items) => items.iter().try_for_each(|item| measure(item, left)),
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            measure(key, left)?;
            measure(value, left)
        }),
        _ => Some(()),
    }
}

/// What the widths of a format can add.
fn widths(format: Option<&Value>) -> usize {
    let Some(Value::String(format)) = format else {
        return 0;
    };
    let numbers = format.split(|c: char| !c.is_numeric());
    numbers
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(usize::MAX))
        .fold(0, usize::saturating_add)
}

fn in_utc(args: &[Value]) -> Result<jiff::Zoned, CallError> {
    let ns = match args {
        [Value::Number(_)] => args.first().and_then(|ns| ns.as_i64().ok()),
        _ => None,
    };
    let at = ns.and_then(|ns| Timestamp::from_nanosecond(i128::from(ns)).ok());
    Ok(at.ok_or(CallError::Time)?.to_zoned(TimeZone::UTC))
}

fn date(args: &[Value]) -> Result<Value, CallError> {
    let at = in_utc(args)?;
    let parts = [
        i64::from(at.year()),
        i64::from(at.month()),
        i64::from(at.day()),
    ];
    Ok(Value::from(parts.map(Value::from).to_vec()))
}

fn clock(args: &[Value]) -> Result<Value, CallError> {
    let at = in_utc(args)?;
    let parts = [
        i64::from(at.hour()),
        i64::from(at.minute()),
        i64::from(at.second()),
    ];
    Ok(Value::from(parts.map(Value::from).to_vec()))
}

fn weekday(args: &[Value]) -> Result<Value, CallError> {
    use jiff::civil::Weekday;
    Ok(Value::from(match in_utc(args)?.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }))
}
