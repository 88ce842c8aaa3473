//! JSON texts that are nearly right. Text is made here, not values: a value cannot hold two members of one name.

use serde_json::Value;

/// What a text is changed to, and in words how.
pub(crate) struct Changed {
    pub(crate) what: String,
    /// Where, as a JSON pointer.
    pub(crate) place: String,
    pub(crate) text: Vec<u8>,
}

/// `None` when the bytes are no JSON object.
pub(crate) fn object(bytes: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    value.is_object().then_some(value)
}

/// Writes `value`, with `write` asked first at every place.
fn text(value: &Value, path: &str, write: &dyn Fn(&str, &Value) -> Option<String>) -> String {
    if let Some(instead) = write(path, value) {
        return instead;
    }
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, member)| {
                    let below = text(member, &format!("{path}/{key}"), write);
                    format!("{}:{below}", Value::from(key.as_str()))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            let elements = elements.iter().enumerate();
            let elements: Vec<String> = elements
                .map(|(at, element)| text(element, &format!("{path}/{at}"), write))
                .collect();
            format!("[{}]", elements.join(","))
        }
        plain => plain.to_string(),
    }
}

/// Every place in a value, itself first.
fn places<'a>(value: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    found.push((path.to_owned(), value));
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                places(member, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                places(element, &format!("{path}/{at}"), found);
            }
        }
        _ => {}
    }
}

fn all(value: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    places(value, "", &mut found);
    found
}

fn with(whole: &Value, place: &str, instead: &str, what: String) -> Changed {
    let write = |path: &str, _: &Value| (path == place).then(|| instead.to_owned());
    Changed {
        what,
        place: place.to_owned(),
        text: text(whole, "", &write).into_bytes(),
    }
}

/// An object's text with something put before its members, and behind them.
fn around(object: &Value, before: &str, behind: &str) -> String {
    let plain = object.to_string();
    let members = &plain[1..plain.len() - 1];
    let parts = [before, members, behind];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{{{}}}", parts.join(","))
}

/// Each member of each object twice, with the same value and with another.
pub(crate) fn doubled(whole: &Value) -> Vec<Changed> {
    let mut changed = Vec::new();
    for (place, value) in all(whole) {
        let Value::Object(members) = value else {
            continue;
        };
        for (key, member) in members {
            let key = Value::from(key.as_str());
            let same = format!("{key}:{member}");
            let null = format!("{key}:null");
            for (before, behind) in [("", &same), ("", &null), (null.as_str(), &String::new())] {
                let what = format!("{place}/{key} twice: {before}…{behind}");
                changed.push(with(whole, &place, &around(value, before, behind), what));
            }
        }
    }
    changed
}

/// A member that nobody knows in each object.
pub(crate) fn unknown(whole: &Value) -> Vec<Changed> {
    let objects = all(whole)
        .into_iter()
        .filter(|(_, value)| value.is_object());
    let added = objects.flat_map(|(place, value)| {
        [r#""noSuchMember":1"#, r#""":"""#].map(|extra| {
            let what = format!("{extra} in {place:?}");
            with(whole, &place, &around(value, "", extra), what)
        })
    });
    added.collect()
}

/// A value of each other type in every place.
pub(crate) fn retyped(whole: &Value) -> Vec<Changed> {
    const VALUES: [&str; 12] = [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e400",
        "18446744073709551616",
        "\"\"",
        "\"\\u0000\"",
        "[]",
        "[[]]",
        "{}",
    ];
    let mut changed = Vec::new();
    for (place, value) in all(whole) {
        let own = value.to_string();
        for instead in VALUES.iter().filter(|text| **text != own) {
            let what = format!("{instead} in place of {place:?}");
            changed.push(with(whole, &place, instead, what));
        }
    }
    changed
}

/// Deep nesting in every place, and in a member that nobody knows.
pub(crate) fn nested(whole: &Value, depth: usize) -> Vec<Changed> {
    let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let open = "[".repeat(depth);
    let mut changed = Vec::new();
    for instead in [&lists, &objects, &open] {
        for (place, _) in all(whole) {
            let what = format!("{depth} levels of {}… in {place:?}", &instead[..1]);
            changed.push(with(whole, &place, instead, what));
        }
        let extra = format!("\"noSuchMember\":{instead}");
        changed.push(Changed {
            what: format!("{depth} levels in an unknown member"),
            place: String::new(),
            text: around(whole, "", &extra).into_bytes(),
        });
    }
    changed
}
