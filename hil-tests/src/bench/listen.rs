//! Says in words what a board says on its link: for a new board, before there is a verifier for it.

use std::fmt::{self, Display};
use std::io::{ErrorKind, Read};
use std::time::Duration;

use anyhow::{Context, Result};
use assay_common::protocol::{AgentMessage, FrameDecoder, FrameKind, MAX_AGENT_PACKET, decode};

/// How long one read of the port waits.
const TICK: Duration = Duration::from_millis(500);

/// What was heard, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A login begins: the record was read and the TPM has given random bytes.
    Hello {
        /// What the board calls itself, and its version.
        board: String,
        /// The cluster of its record.
        cluster: String,
    },
    /// The node cannot log in, and says why.
    Trouble {
        /// The code.
        code: String,
        /// The TPM command that was running, and its detail, where there are any.
        about: Option<(u32, u32)>,
        /// Milliseconds until it tries again.
        retry_in_ms: u32,
    },
    /// Last words.
    Panic(String),
    /// A part of a login that needs a verifier.
    Other,
    /// Bytes that are no frame: another rate, wires exchanged, or noise.
    Damaged,
}

impl Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello { board, cluster } => write!(
                f,
                "hello from {board}, cluster {cluster}: link, record and TPM work"
            ),
            Self::Trouble {
                code,
                about,
                retry_in_ms,
            } => {
                write!(f, "trouble: {code}")?;
                if let Some((command, detail)) = about {
                    write!(f, ", command 0x{command:x}, detail 0x{detail:x}")?;
                }
                write!(f, "; next attempt in {retry_in_ms} ms")
            }
            Self::Panic(place) => write!(f, "panic or fault: {place}"),
            Self::Other => f.write_str("a message for a verifier"),
            Self::Damaged => f.write_str("bytes that are no frame: is the baud rate the board's?"),
        }
    }
}

/// Cuts bytes into frames and says what they are.
pub struct Listener(FrameDecoder<MAX_AGENT_PACKET>);

impl Default for Listener {
    fn default() -> Self {
        Self(FrameDecoder::new())
    }
}

impl Listener {
    /// What ends with this byte, if anything does.
    pub fn hear(&mut self, byte: u8) -> Option<Heard> {
        let kind = match self.0.push(byte)? {
            Ok(kind) => kind,
            Err(_) => return Some(Heard::Damaged),
        };
        let body = self.0.body();
        Some(match kind {
            FrameKind::PANIC => Heard::Panic(shown(&String::from_utf8_lossy(body))),
            FrameKind::MESSAGE => match decode(body) {
                Ok(AgentMessage::Hello(hello)) => Heard::Hello {
                    board: shown(&format!(
                        "{} {}",
                        hello.untrusted_board, hello.untrusted_version
                    )),
                    cluster: shown(hello.cluster),
                },
                Ok(AgentMessage::Trouble(trouble)) => Heard::Trouble {
                    code: trouble.code.to_string(),
                    about: (trouble.command != 0 || trouble.detail != 0)
                        .then_some((trouble.command, trouble.detail)),
                    retry_in_ms: trouble.retry_in_ms,
                },
                _ => Heard::Other,
            },
            _ => Heard::Other,
        })
    }
}

/// A board's text must not move a terminal's cursor.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

/// Says what is heard on a port until it ends or `each` wants no more.
///
/// # Errors
///
/// When the port cannot be opened or goes away.
pub fn listen(path: &str, baud: u32, each: &mut dyn FnMut(&Heard) -> bool) -> Result<()> {
    let port = serialport::new(path, baud).timeout(TICK);
    let mut port = port.open_native().with_context(|| path.to_owned())?;
    let mut listener = Listener::default();
    let mut buffer = [0; 1024];
    loop {
        let read = match port.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::TimedOut => continue,
            Err(error) => return Err(error).with_context(|| path.to_owned()),
        };
        for byte in buffer.iter().take(read) {
            if listener.hear(*byte).is_some_and(|heard| !each(&heard)) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use assay_common::protocol::{MessageWriter, Trouble, TroubleCode, WriteFields, write_frame};

    use super::*;

    fn heard(kind: FrameKind, body: &[u8]) -> Vec<Heard> {
        let mut listener = Listener::default();
        let mut all = Vec::new();
        write_frame(kind, body, &mut |bytes: &[u8]| {
            all.extend(bytes.iter().filter_map(|byte| listener.hear(*byte)));
            Ok::<(), std::convert::Infallible>(())
        })
        .unwrap();
        all
    }

    fn trouble(code: TroubleCode, command: u32, detail: u32) -> String {
        let mut buffer = [0; 64];
        let mut writer = MessageWriter::new(&mut buffer);
        writer.byte(AgentMessage::TROUBLE);
        let trouble = Trouble {
            code,
            detail,
            command,
            attempt: 3,
            retry_in_ms: 4_000,
        };
        trouble.write_fields(&mut writer);
        let body = writer.finish().unwrap();
        let heard = heard(FrameKind::MESSAGE, body);
        assert_eq!(heard.len(), 1);
        heard.first().unwrap().to_string()
    }

    #[test]
    fn trouble_is_said_by_its_name_with_the_command_where_there_is_one() {
        assert_eq!(
            trouble(TroubleCode::TPM_ABSENT, 0, 0),
            "trouble: tpm-absent; next attempt in 4000 ms"
        );
        assert_eq!(
            trouble(TroubleCode::TPM_COMMAND, 0x131, 0x18B),
            "trouble: tpm-command, command 0x131, detail 0x18b; next attempt in 4000 ms"
        );
    }

    #[test]
    fn last_words_are_shown_without_what_moves_a_cursor() {
        let all = heard(FrameKind::PANIC, b"src/main.rs:1:2\x1b[2J");
        assert_eq!(all, [Heard::Panic("src/main.rs:1:2\u{FFFD}[2J".to_owned())]);
    }

    #[test]
    fn noise_is_said_to_be_noise_and_the_frame_after_it_is_heard() {
        let mut listener = Listener::default();
        let mut all: Vec<_> = b"\x00UU\xAA\x00"
            .iter()
            .filter_map(|b| listener.hear(*b))
            .collect();
        assert_eq!(all, [Heard::Damaged]);
        write_frame(FrameKind::PANIC, b"x", &mut |bytes: &[u8]| {
            all.extend(bytes.iter().filter_map(|byte| listener.hear(*byte)));
            Ok::<(), std::convert::Infallible>(())
        })
        .unwrap();
        assert_eq!(all.last(), Some(&Heard::Panic("x".to_owned())));
    }
}
