//! Spans of time that are carried over within our limits.

use core::time::Duration;

use super::Import;
use super::out::Node;
use super::settings::Settings;

/// A shortest and a longest.
pub(super) type Limits = (Duration, Duration);

/// As [`Settings::carry`], for a span: one beyond our limits becomes the limit, and that is said. `why` says what the limits are
/// for. Gives what was written.
pub(super) fn carry(
    settings: &mut Settings,
    key: &str,
    to: &[&str],
    (limits, why): (Limits, &str),
    node: &mut Node,
    import: &mut Import,
) -> Option<Duration> {
    let text = settings.peek(key)?.to_owned();
    let name = to.join(".");
    let Some(there) = parse(&text) else {
        let reason = format!("`{text}` is no span of time");
        let instead = format!("{name}: 1h");
        settings.leave(key, &reason, &instead, import);
        return None;
    };
    let (shortest, longest) = limits;
    let here = there.clamp(shortest, longest);
    settings.take(key, &name, import);
    let written = match here == there {
        true => text,
        false => {
            let (written, bound) = (shown(here), if here < there { "most" } else { "least" });
            import.note(format!(
                "{name}: {text} there, {written} here, the {bound} that it may be: {why}"
            ));
            written
        }
    };
    node.put(to, Node::Text(written));
    Some(here)
}

/// Go's spans and ours have one form.
fn parse(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(span).ok()
}

/// In the largest unit of which it is a whole number. Parts of a second do not come about.
fn shown(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(3600, "h"), (60, "m")];
    let whole = units
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.checked_rem(*unit) == Some(0));
    match whole {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None if seconds == 0 => format!("{}ms", span.as_millis()),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{parse, shown};

    #[test]
    fn what_is_shown_is_read_back() {
        for (text, seconds) in [
            ("4h", 14_400),
            ("90m", 5_400),
            ("61s", 61),
            ("87840h", 316_224_000),
        ] {
            let span = Duration::from_secs(seconds);
            assert_eq!((shown(span).as_str(), parse(text)), (text, Some(span)));
        }
        assert_eq!(shown(Duration::from_millis(100)), "100ms");
        assert_eq!(parse("1h30m0s"), Some(Duration::from_secs(5_400)));
        for none in ["", "1", "-1h", "soon"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
