//! The line editor: bytes in, lines out, and an echo.
//!
//! Lines are ASCII. What a terminal sends besides (arrow keys, other control bytes) is passed over; of these only the up
//! arrow means something, the last line.

use heapless::String;

/// Longest line, characters. A longer one is refused whole: half a command is another command.
pub const MAX_LINE: usize = 80;

const CTRL_C: u8 = 0x03;
const BACKSPACE: u8 = 0x08;
const BELL: u8 = 0x07;
const CTRL_U: u8 = 0x15;
const ESCAPE: u8 = 0x1B;
const DELETE: u8 = 0x7F;

/// What a byte completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A line, for [`Editor::take`].
    Line,
    /// A line of more than [`MAX_LINE`] characters, which is gone.
    TooLong,
    /// Ctrl-C; the line is gone.
    Stopped,
}

/// Where in an escape sequence the input is. `[ECMA-48] 5.4`: ESC, `[`, parameters, and one final byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    Outside,
    Begun,
    Inside,
}

/// A line in the making.
pub(super) struct Editor {
    line: String<MAX_LINE>,
    last: String<MAX_LINE>,
    too_long: bool,
    /// The byte before was a CR, so that an LF belongs to it.
    after_cr: bool,
    escape: Escape,
}

impl Editor {
    pub(super) const fn new() -> Self {
        Self {
            line: String::new(),
            last: String::new(),
            too_long: false,
            after_cr: false,
            escape: Escape::Outside,
        }
    }

    /// Takes a byte; `echo` is given what the terminal shall show for it.
    pub(super) fn push(&mut self, byte: u8, echo: &mut dyn FnMut(&[u8])) -> Option<Event> {
        let after_cr = core::mem::replace(&mut self.after_cr, byte == b'\r');
        match (self.escape, byte) {
            (_, CTRL_C) => {
                self.clear();
                echo(b"^C\r\n");
                return Some(Event::Stopped);
            }
            (Escape::Outside, ESCAPE) => self.escape = Escape::Begun,
            (Escape::Begun, b'[') => self.escape = Escape::Inside,
            (Escape::Inside, b'A') => {
                self.escape = Escape::Outside;
                self.recall(echo);
            }
            (Escape::Inside, 0x40..=0x7E) | (Escape::Begun, _) => self.escape = Escape::Outside,
            (Escape::Inside, _) => {}
            (Escape::Outside, b'\n') if after_cr => {}
            (Escape::Outside, b'\r' | b'\n') => {
                echo(b"\r\n");
                return Some(self.end());
            }
            (Escape::Outside, BACKSPACE | DELETE) => {
                if self.line.pop().is_some() {
                    echo(b"\x08 \x08");
                }
            }
            (Escape::Outside, CTRL_U) => self.wipe(echo),
            (Escape::Outside, b' '..=b'~') => match self.line.push(char::from(byte)) {
                Ok(()) => echo(&[byte]),
                Err(_) => {
                    self.too_long = true;
                    echo(&[BELL]);
                }
            },
            (Escape::Outside, _) => {}
        }
        None
    }

    /// The line that was completed.
    pub(super) fn take(&mut self) -> String<MAX_LINE> {
        let line = core::mem::take(&mut self.line);
        if !line.trim().is_empty() {
            self.last = line.clone();
        }
        line
    }

    /// Forgets the line in the making.
    pub(super) fn clear(&mut self) {
        self.line.clear();
        self.too_long = false;
        self.escape = Escape::Outside;
    }

    fn end(&mut self) -> Event {
        if self.too_long {
            self.clear();
            return Event::TooLong;
        }
        Event::Line
    }

    fn wipe(&mut self, echo: &mut dyn FnMut(&[u8])) {
        while self.line.pop().is_some() {
            echo(b"\x08 \x08");
        }
        self.too_long = false;
    }

    fn recall(&mut self, echo: &mut dyn FnMut(&[u8])) {
        self.wipe(echo);
        self.line = self.last.clone();
        echo(self.line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines and events of `input`, and the echo.
    fn typed(input: &[u8]) -> (Vec<Result<std::string::String, Event>>, Vec<u8>) {
        let mut editor = Editor::new();
        let (mut events, mut echo) = (Vec::new(), Vec::new());
        for byte in input {
            match editor.push(*byte, &mut |bytes| echo.extend_from_slice(bytes)) {
                Some(Event::Line) => events.push(Ok(editor.take().as_str().to_owned())),
                Some(other) => events.push(Err(other)),
                None => {}
            }
        }
        (events, echo)
    }

    fn lines(input: &[u8]) -> Vec<Result<std::string::String, Event>> {
        typed(input).0
    }

    #[test]
    fn cr_lf_and_both_end_one_line() {
        let three = [Ok("a".to_owned()), Ok("b".to_owned()), Ok("c".to_owned())];
        assert_eq!(lines(b"a\rb\rc\r"), three);
        assert_eq!(lines(b"a\nb\nc\n"), three);
        assert_eq!(lines(b"a\r\nb\r\nc\r\n"), three);
        assert_eq!(lines(b"\n\n").len(), 2);
    }

    #[test]
    fn backspace_takes_one_character_and_none_where_there_is_none() {
        let (events, echo) = typed(b"\x08ab\x7Fc\r");
        assert_eq!(events, [Ok("ac".to_owned())]);
        assert_eq!(echo, b"ab\x08 \x08c\r\n");
    }

    #[test]
    fn a_line_of_one_character_too_many_is_refused_whole_and_the_next_is_whole() {
        let mut input = vec![b'x'; MAX_LINE];
        input.extend(b"\r");
        input.extend([b'y'; MAX_LINE + 1]);
        input.extend(b"\rinfo\r");
        let (events, echo) = typed(&input);
        assert_eq!(
            events,
            [
                Ok("x".repeat(MAX_LINE)),
                Err(Event::TooLong),
                Ok("info".to_owned())
            ]
        );
        assert_eq!(echo.iter().filter(|byte| **byte == BELL).count(), 1);
    }

    #[test]
    fn a_line_that_was_too_long_can_be_wiped_and_typed_again() {
        let mut input = vec![b'y'; MAX_LINE + 9];
        input.push(CTRL_U);
        input.extend(b"info\r");
        assert_eq!(lines(&input), [Ok("info".to_owned())]);
    }

    #[test]
    fn ctrl_c_forgets_the_line_wherever_it_comes() {
        assert_eq!(
            lines(b"reset\x03info\r"),
            [Err(Event::Stopped), Ok("info".to_owned())]
        );
        assert_eq!(
            lines(b"re\x1B[\x03info\r"),
            [Err(Event::Stopped), Ok("info".to_owned())]
        );
    }

    #[test]
    fn escape_sequences_leave_nothing_behind_and_the_up_arrow_recalls() {
        assert_eq!(
            lines(b"in\x1B[Cf\x1B[1;5Do\x1BO\r"),
            [Ok("info".to_owned())]
        );
        assert_eq!(
            lines(b"info\r\r\x1B[A\r"),
            [
                Ok("info".to_owned()),
                Ok(std::string::String::new()),
                Ok("info".to_owned())
            ]
        );
    }

    #[test]
    fn no_byte_but_a_printable_one_gets_into_a_line() {
        let input: Vec<u8> = (0..=u8::MAX)
            .filter(|byte| !matches!(*byte, b'\r' | b'\n' | ESCAPE | CTRL_C | CTRL_U))
            .filter(|byte| !(b'0'..=b'~').contains(byte))
            .chain([b'\r'])
            .collect();
        let [Ok(line)] = &lines(&input)[..] else {
            unreachable!("one line")
        };
        // Backspace comes before the first of them, delete after the last.
        assert_eq!(line, " !\"#$%&'()*+,-.");
    }
}
