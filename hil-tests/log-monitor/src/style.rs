//! How a line looks.

use crate::decoder::{Level, Line, Place};

const RESET: &str = "\x1B[0m";
const DIM: &str = "\x1B[2m";

/// What was asked for on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) json: bool,
    pub(crate) wall: bool,
    pub(crate) colour: bool,
}

impl Style {
    /// One line, without its end.
    pub(crate) fn line(self, line: &Line) -> String {
        if self.json {
            return json(line);
        }
        let mut out = String::new();
        if self.wall {
            let now = jiff::Zoned::now();
            out.push_str(&self.dim(&format!("{} ", now.strftime("%H:%M:%S%.3f"))));
        }
        if let Some(timestamp) = &line.timestamp {
            out.push_str(&self.dim(&format!("{timestamp:>10} ")));
        }
        let (name, colour) = match line.level {
            None => ("", ""),
            Some(Level::Trace) => ("TRACE", "\x1B[2m"),
            Some(Level::Debug) => ("DEBUG", "\x1B[36m"),
            Some(Level::Info) => ("INFO", "\x1B[32m"),
            Some(Level::Warn) => ("WARN", "\x1B[33m"),
            Some(Level::Error) => ("ERROR", "\x1B[31m"),
        };
        if self.colour {
            out.push_str(&format!("{colour}{name:<5}{RESET} "));
        } else {
            out.push_str(&format!("{name:<5} "));
        }
        out.push_str(&plain(&line.message));
        if let Some(place) = &line.place {
            out.push_str(&self.dim(&format!("  {}", shown(place))));
        }
        out
    }

    fn dim(self, text: &str) -> String {
        if self.colour {
            format!("{DIM}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

fn json(line: &Line) -> String {
    let level = line.level.map(|level| format!("{level:?}").to_lowercase());
    let place = line.place.as_ref();
    serde_json::json!({
        "timestamp": line.timestamp,
        "level": level,
        "message": line.message,
        "module": place.map(|place| &place.module),
        "file": place.map(|place| &place.file),
        "line": place.map(|place| place.line),
    })
    .to_string()
}

/// What a board sends cannot move the cursor of whoever reads it.
fn plain(text: &str) -> String {
    let shown = text.chars().map(|c| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() => '.',
        c => c,
    });
    shown.collect()
}

/// The file that every message of the firmware's own log macros seems to be in.
const MACROS: &str = "firmware/src/fmt.rs";

/// The file from the workspace's folder on, and the line; of what a macro wrote the module.
fn shown(place: &Place) -> String {
    if place.file.ends_with(MACROS) {
        // Without the compiler's own names, such as `{impl#0}`.
        let named = place
            .module
            .split("::")
            .filter(|part| !part.starts_with('{'));
        return named.collect::<Vec<_>>().join("::");
    }
    let from = ["/firmware/src/", "/boards/", "/common/src/"];
    let inside = from.into_iter().find_map(|part| {
        place
            .file
            .find(part)
            .and_then(|at| place.file.get(at + 1..))
    });
    format!("{}:{}", inside.unwrap_or(&place.file), place.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            timestamp: Some("1.234".to_owned()),
            level: Some(Level::Warn),
            message: "TPM\x1B[2J\nlost".to_owned(),
            place: Some(Place {
                file: "/home/x/assay/firmware/src/run/mod.rs".to_owned(),
                line: 7,
                module: "assay_firmware::run::{impl#0}::turn".to_owned(),
            }),
        }
    }

    const PLAIN: Style = Style {
        json: false,
        wall: false,
        colour: false,
    };

    #[test]
    fn a_line_is_readable_without_colours_and_moves_no_cursor() {
        assert_eq!(
            PLAIN.line(&line()),
            "     1.234 WARN  TPM.[2J lost  firmware/src/run/mod.rs:7"
        );
    }

    #[test]
    fn what_a_macro_wrote_is_shown_by_its_module() {
        let mut line = line();
        if let Some(place) = &mut line.place {
            place.file = "/home/x/assay/firmware/src/fmt.rs".to_owned();
        }
        assert!(PLAIN.line(&line).ends_with("  assay_firmware::run::turn"));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let colour = Style {
            colour: true,
            ..PLAIN
        };
        let mut coloured = colour.line(&line());
        assert!(coloured.contains("\x1B[33mWARN"), "{coloured:?}");
        for code in ["\x1B[33m", RESET, DIM] {
            coloured = coloured.replace(code, "");
        }
        assert_eq!(coloured, PLAIN.line(&line()));
    }

    #[test]
    fn a_json_line_has_what_the_board_sent() {
        let json = Style {
            json: true,
            ..PLAIN
        };
        let value: serde_json::Value =
            serde_json::from_str(&json.line(&line())).unwrap_or_default();
        let shown = ["message", "level", "line"].map(|key| value.get(key).cloned());
        let expected = ["TPM\x1B[2J\nlost".into(), "warn".into(), 7.into()];
        assert_eq!(shown, expected.map(Some));
    }
}
