//! The technician's console: a command line on the link for bringing a board up.
//!
//! It is there with the feature `console` only, and a board gives it an image of its own instead of the agent: what goes to
//! the field has none of this. In a bring-up image it takes the agent's place on the link.
//!
//! ```text
//! bytes ──► Terminal ──► Editor ──► line ──► command ──► Terminal
//!                                              |
//!                       Tpm<Tis<Tracer<bus>>>, Board (record, settings, reset)
//! ```
//!
//! Lines are bounded, and so is every command: what waits for the TPM has the driver's limits, which keep the watchdog
//! quiet; between two TPM commands it looks for Ctrl-C. Each command is a file; an error is one line and a hint.
//!
//! Whoever holds the line holds the board. Nothing here asks for a password: a node in the field must run the agent's image.

mod board;
mod diagnosis;
mod ek_certificates;
mod info;
mod line;
mod log;
mod paste;
mod problem;
mod protect;
mod provision;
mod reset;
mod selftest;
mod settings;
mod spi_trace;
mod terminal;
mod tpm_probe;
mod tpm_selftest;

use core::fmt::Write as _;

pub use self::board::{Board, ProtectFault, RecordFault, SettingsStore, Wire};
pub use self::line::MAX_LINE;
use self::line::{Editor, Event};
use self::log::AccessLog;
use self::paste::Paste;
use self::problem::Problem;
use self::terminal::Terminal;
use crate::bus::Tracer;
use crate::tis::Tis;
use crate::tpm::Tpm;

/// What stands in front of each line.
const PROMPT: &str = "assay> ";
/// What stands in front of each line of a record.
const RECORD_PROMPT: &str = "record> ";

/// A command as `help` shows it.
struct Entry {
    usage: &'static str,
    about: &'static str,
}

/// In the order in which a technician needs them.
const COMMANDS: [Entry; 11] = [
    Entry {
        usage: "help",
        about: "this list",
    },
    Entry {
        usage: "info",
        about: "board, version, starts, provisioning record, protection",
    },
    Entry {
        usage: "tpm probe",
        about: "find the TPM and show all it says about itself",
    },
    Entry {
        usage: "tpm selftest",
        about: "the TPM tests all its algorithms",
    },
    Entry {
        usage: "spi trace [N]",
        about: "the last N accesses to the TPM's registers (16)",
    },
    Entry {
        usage: "spi trace next [N]",
        about: "keep the next N accesses (64) instead",
    },
    Entry {
        usage: "selftest",
        about: "TPM, settings and record: is this board fit to log in?",
    },
    Entry {
        usage: "settings [label TEXT]",
        about: "what the board remembers; give it a name",
    },
    Entry {
        usage: "provision [force] [TEXT]",
        about: "write the provisioning record, as hex or base64",
    },
    Entry {
        usage: "protect [force]",
        about: "write-protect the record",
    },
    Entry {
        usage: "reset",
        about: "restart the board",
    },
];

/// The commands over one TPM.
type BoardTpm<H> = Tpm<Tis<Tracer<<H as Board>::Bus, AccessLog>, <H as Board>::Delay>>;

/// A board with its TPM and a person at the other end of the link.
pub struct Console<H: Board> {
    board: H,
    terminal: Terminal<H::Serial>,
    tpm: BoardTpm<H>,
    editor: Editor,
    /// A record that is being typed in.
    paste: Option<Paste>,
}

impl<H: Board> Console<H> {
    /// A console that has not said anything yet.
    pub fn new(board: H, serial: H::Serial, bus: H::Bus, delay: H::Delay) -> Self {
        let traced = Tracer::new(bus, AccessLog::new());
        Self {
            board,
            terminal: Terminal::new(serial),
            tpm: Tpm::new(Tis::new(traced, delay)),
            editor: Editor::new(),
            paste: None,
        }
    }

    /// Greets, and serves for ever.
    pub fn run(&mut self) -> ! {
        self.greet();
        loop {
            self.board.kick_watchdog();
            if !self.turn() {
                self.board.idle();
            }
        }
    }

    /// Says who is here, and prompts.
    pub fn greet(&mut self) {
        let about = self.board.about();
        let _ = writeln!(
            self.terminal,
            "\nAssay bring-up console, {} {}\nThis image does not log in. Type `help` for the commands.",
            about.name, about.version
        );
        self.prompt();
    }

    /// Takes one byte, and does what the line says that it may end; false when there was none.
    pub fn turn(&mut self) -> bool {
        let Some(byte) = self.terminal.byte() else {
            return false;
        };
        let event = self
            .editor
            .push(byte, &mut |echo| self.terminal.write_raw(echo));
        let Some(event) = event else {
            return true;
        };
        let result = match event {
            Event::Line => {
                let line = self.editor.take();
                self.line(&line)
            }
            Event::TooLong => Err(Problem::TooLong),
            Event::Stopped => {
                self.paste = None;
                Ok(())
            }
        };
        if let Err(problem) = result {
            // A record with a mistake in it is begun anew.
            self.paste = None;
            self.tell(&problem);
        }
        self.prompt();
        true
    }

    fn line(&mut self, line: &str) -> Result<(), Problem> {
        match self.paste.take() {
            Some(paste) => self.more_of_record(paste, line),
            None => self.command(line),
        }
    }

    fn command(&mut self, line: &str) -> Result<(), Problem> {
        // Commands are known in any case; the text after them keeps its own.
        let mut folded = heapless::String::<MAX_LINE>::new();
        let _ = folded.push_str(line);
        folded.make_ascii_lowercase();
        let mut words = folded.split_ascii_whitespace();
        let Some(first) = words.next() else {
            return Ok(());
        };
        let rest = line.trim_start().get(first.len()..).unwrap_or("").trim();
        match (first, words.next()) {
            ("help" | "?", _) => self.help(),
            ("info", None) => self.info(),
            ("tpm", Some("probe")) if words.next().is_none() => self.tpm_probe(),
            ("tpm", Some("selftest")) if words.next().is_none() => self.tpm_selftest(),
            ("tpm", _) => Err(Problem::Usage("tpm probe | tpm selftest")),
            ("spi", Some("trace")) => self.spi_trace(words.next(), words.next(), words.next()),
            ("spi", _) => Err(Problem::Usage("spi trace [N] | spi trace next [N]")),
            ("selftest", None) => self.selftest(),
            ("settings", _) => self.settings(rest),
            ("provision", _) => self.provision(rest),
            ("protect", _) => self.protect(rest),
            ("reset", None) => self.reset(),
            ("info" | "selftest" | "reset", Some(_)) => Err(Problem::NoArguments),
            _ => Err(Problem::Unknown),
        }
    }

    fn help(&mut self) -> Result<(), Problem> {
        for Entry { usage, about } in COMMANDS {
            self.say(format_args!("  {usage:<26}{about}\n"));
        }
        self.say(format_args!(
            "Ctrl-C stops a command, Ctrl-U empties the line, the up arrow brings the last one back.\n"
        ));
        Ok(())
    }

    fn prompt(&mut self) {
        let prompt = match self.paste {
            Some(_) => RECORD_PROMPT,
            None => PROMPT,
        };
        self.terminal.write_raw(prompt.as_bytes());
    }

    fn tell(&mut self, problem: &Problem) {
        let _ = writeln!(self.terminal, "error: {problem}\nhint: {}", problem.hint());
    }

    /// Prints. A line that fails has nobody who could be told.
    fn say(&mut self, text: core::fmt::Arguments<'_>) {
        let _ = self.terminal.write_fmt(text);
    }

    /// One row of a list of what is known.
    fn row(&mut self, name: &str, value: core::fmt::Arguments<'_>) {
        self.say(format_args!("{name:<16}{value}\n"));
    }

    /// Whether the person at the line has had enough; asked between any two steps of a command.
    fn go_on(&mut self) -> Result<(), Problem> {
        self.board.kick_watchdog();
        if self.terminal.stopped() {
            self.editor.clear();
            return Err(Problem::Stopped);
        }
        Ok(())
    }
}
