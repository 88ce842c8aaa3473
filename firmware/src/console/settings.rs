//! `settings`: what the board remembers over a loss of power, and its name.

use core::fmt::{self, Write as _};

use heapless::Vec;

use super::problem::Problem;
use super::{Board, Console};
use crate::settings::{MAX_VALUE, Setting, SettingsError};

/// Text that somebody else may have written: what would move a terminal's cursor is a dot.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| f.write_char(if c.is_control() { '.' } else { c }))
    }
}

const USAGE: &str = "settings | settings label | settings label TEXT";

impl<H: Board> Console<H> {
    pub(super) fn settings(&mut self, rest: &str) -> Result<(), Problem> {
        let space = rest.bytes().position(|byte| byte == b' ');
        let (word, value) = match space.and_then(|space| rest.split_at_checked(space)) {
            Some((word, value)) => (word, value.trim()),
            None => (rest, ""),
        };
        match (word, value) {
            ("", _) => {
                self.number("starts", Setting::Boots)?;
                self.label();
                Ok(())
            }
            (word, "") if word.eq_ignore_ascii_case("label") => {
                self.value(Setting::Label)?;
                self.label();
                Ok(())
            }
            (word, label) if word.eq_ignore_ascii_case("label") => {
                let settings = self.board.settings().ok_or(Problem::NoSettings)?;
                settings.set(Setting::Label, label.as_bytes())?;
                self.label();
                Ok(())
            }
            _ => Err(Problem::Usage(USAGE)),
        }
    }

    /// The row with the board's name, whatever became of it.
    pub(super) fn label(&mut self) {
        match self.value(Setting::Label) {
            Err(Problem::NoSettings) => {}
            Err(problem) => self.row("label", format_args!("not known: {problem}")),
            Ok(None) => self.row("label", format_args!("none")),
            Ok(Some(label)) => match core::str::from_utf8(&label) {
                Ok(label) => self.row("label", format_args!("{}", Plain(label))),
                Err(_) => self.row("label", format_args!("not text")),
            },
        }
    }

    fn number(&mut self, name: &str, setting: Setting) -> Result<(), Problem> {
        match self.value(setting)?.as_deref() {
            None => self.row(name, format_args!("none")),
            Some(&[a, b, c, d]) => {
                self.row(name, format_args!("{}", u32::from_be_bytes([a, b, c, d])));
            }
            Some(_) => return Err(SettingsError::Value.into()),
        }
        Ok(())
    }

    /// A copy of a setting's value.
    fn value(&mut self, setting: Setting) -> Result<Option<Vec<u8, MAX_VALUE>>, Problem> {
        let settings = self.board.settings().ok_or(Problem::NoSettings)?;
        let value = settings.get(setting)?;
        let value = value.map(|value| Vec::from_slice(value).map_err(|_| SettingsError::Value));
        Ok(value.transpose()?)
    }
}
