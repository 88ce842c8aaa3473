//! How answers look on a terminal, and what they can never do there.
//!
//! Only a terminal gets colours (unless `NO_COLOR` is set) and shortened hashes (unless `--wide`): whatever reads a pipe
//! gets everything, and the same every time. Names in answers may have come from nodes, so control characters are shown
//! and not sent, wherever an answer goes.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// Between the cells of a table until it is laid out.
const CELL: char = '\u{1f}';
/// Hexadecimal digits in a row that are too many for a terminal: more than a login or a session has, which are copied from here.
const LONG: usize = 33;
/// What is left of them.
const SHORT: usize = 12;

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// A table, to be laid out by [`Screen::show`]; `none` instead of a header without rows.
pub fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut lines: Vec<_> = rows
        .map(|row| join(row.iter().map(String::as_str)))
        .collect();
    if lines.is_empty() {
        return "none".to_owned();
    }
    lines.insert(0, join(header.into_iter()));
    lines.join("\n")
}

fn join<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells = cells.map(|cell| cell.replace([CELL, '\n'], " "));
    // Also a table of one column is one.
    cells.collect::<Vec<_>>().join("\u{1f}") + "\u{1f}"
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    colours: bool,
    short: bool,
}

impl Screen {
    /// As standard output and the environment are.
    pub fn of(wide: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Self {
            colours: terminal && !dumb && set("NO_COLOR").is_none(),
            short: terminal && !wide,
        }
    }

    /// The answer as it is printed.
    pub fn show(self, text: &str) -> String {
        let mut shown = Vec::new();
        let mut cut = false;
        let mut lines = text.split('\n').peekable();
        while let Some(line) = lines.next() {
            if !line.contains(CELL) {
                shown.push(clean(line));
                continue;
            }
            let mut rows = vec![line];
            while let Some(row) = lines.next_if(|line| line.contains(CELL)) {
                rows.push(row);
            }
            cut |= self.lay_out(&rows, &mut shown);
        }
        if cut {
            shown.push("… is left out; --wide shows all".to_owned());
        }
        shown.join("\n")
    }

    /// Columns as wide as their widest cell. Whether a cell was shortened.
    fn lay_out(self, rows: &[&str], shown: &mut Vec<String>) -> bool {
        let mut cut = false;
        let mut widths: Vec<usize> = Vec::new();
        let mut cells: Vec<Vec<String>> = Vec::new();
        for row in rows {
            let row = row.trim_end_matches(CELL).split(CELL);
            let row: Vec<_> = row
                .map(|cell| {
                    let whole = clean(cell);
                    let short = if self.short {
                        shorten(&whole)
                    } else {
                        whole.clone()
                    };
                    cut |= short != whole;
                    short
                })
                .collect();
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(&row) {
                *width = (*width).max(cell.chars().count());
            }
            cells.push(row);
        }
        for (number, row) in cells.iter().enumerate() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let colour = match number {
                    0 => Some(BOLD),
                    _ => colour(cell),
                };
                let padding = width - cell.chars().count() + 2;
                let _ = match colour.filter(|_| self.colours) {
                    Some(colour) => write!(line, "{colour}{cell}{PLAIN}{:padding$}", ""),
                    None => write!(line, "{cell}{:padding$}", ""),
                };
            }
            shown.push(line.trim_end().to_owned());
        }
        cut
    }
}

/// What a state looks like. Only whole cells are states.
fn colour(cell: &str) -> Option<&'static str> {
    match cell {
        "granted" | "ok" | "active" | "live" => Some(GREEN),
        "denied" | "fail" | "failed" | "failing" | "revoked" | "banned" => Some(RED),
        "degraded" | "expired" | "removed" | "warn" => Some(YELLOW),
        _ => None,
    }
}

/// Without what a terminal would obey.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// With long runs of hexadecimal digits cut off.
fn shorten(cell: &str) -> String {
    let mut out = String::with_capacity(cell.len());
    let mut rest = cell;
    while !rest.is_empty() {
        let run = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digits, behind) = rest.split_at(run);
        match run >= LONG {
            true => {
                out.extend(digits.chars().take(SHORT));
                out.push('…');
            }
            false => out.push_str(digits),
        }
        let next = behind.find(|c: char| c.is_ascii_hexdigit());
        let (other, behind) = behind.split_at(next.unwrap_or(behind.len()));
        out.push_str(other);
        rest = behind;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Screen, table};

    const PIPE: Screen = Screen {
        colours: false,
        short: false,
    };
    const TERMINAL: Screen = Screen {
        colours: true,
        short: true,
    };

    fn rows(cells: &[[&str; 2]]) -> String {
        let rows = cells.iter().map(|row| row.map(str::to_owned));
        table(["STATE", "EK"], rows)
    }

    #[test]
    fn a_pipe_gets_everything_and_no_colours() {
        let hash = "ab".repeat(32);
        let text = rows(&[["granted", &hash], ["ok", "x"]]);
        let shown = PIPE.show(&text);
        assert_eq!(shown, format!("STATE    EK\ngranted  {hash}\nok       x"));
        assert_eq!(PIPE.show(&rows(&[])), "none");
    }

    #[test]
    fn a_terminal_gets_colours_and_short_hashes_in_straight_columns() {
        let id = format!("spiffe://example.org/node/{}", "0f".repeat(32));
        let login = "ab".repeat(16);
        let shown = TERMINAL.show(&rows(&[["granted", &id], ["denied", &login]]));
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "\x1b[1mSTATE\x1b[0m    \x1b[1mEK\x1b[0m",
                "\x1b[32mgranted\x1b[0m  spiffe://example.org/node/0f0f0f0f0f0f…",
                &format!("\x1b[31mdenied\x1b[0m   {login}"),
                "… is left out; --wide shows all",
            ]
        );
        let wide = Screen {
            short: false,
            ..TERMINAL
        };
        assert!(wide.show(&rows(&[["ok", &id]])).contains(&id));
    }

    #[test]
    fn nothing_in_an_answer_moves_the_cursor() {
        let evil = "\x1b[2J\r\u{9b}1mgranted\u{1f}x\ny";
        for screen in [PIPE, TERMINAL] {
            let shown = screen
                .show(&rows(&[["denied", evil]]))
                .replace("\x1b[0m", "");
            assert!(
                shown.contains("\\u{1b}[2J\\r\\u{9b}1mgranted x y"),
                "{shown:?}"
            );
            assert_eq!(shown.lines().count(), 2);
            assert_eq!(screen.show("a\x07b"), "a\\u{7}b");
        }
    }
}
