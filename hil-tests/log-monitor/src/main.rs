//! Shows the log of a board as it comes: defmt frames in, lines out. `hil monitor` builds this program and starts it.
//!
//! ```text
//! stdin | TCP | serial port ──► Source ──► Decoder (with the image's ELF) ──► Style ──► stdout
//! ```
//!
//! A board that is reset, flashed anew or unplugged is not the end: the source is opened again, and the ELF read again, until
//! somebody ends the program. What the board sends is not trusted: bytes that are no frames are counted and passed over.

mod decoder;
mod source;
mod style;

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use self::decoder::{Decoder, Image, Level};
use self::source::Source;
use self::style::Style;

/// Shows the log of a board as it comes
#[derive(Parser)]
#[command(name = "assay-log-monitor", version)]
struct Cli {
    /// The image that runs on the board, with its symbols
    #[arg(long, value_name = "FILE")]
    elf: PathBuf,
    /// Read from a serial port
    #[arg(long, value_name = "TTY")]
    port: Option<String>,
    /// Bits per second of the serial port
    #[arg(long, default_value_t = 921_600, requires = "port")]
    baud: u32,
    /// Read from a TCP server, such as QEMU's `-serial tcp:127.0.0.1:2700,server=on`
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "port")]
    tcp: Option<String>,
    /// Show this level and those above it
    #[arg(long, default_value = "trace")]
    level: Level,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: When,
    /// Begin each line with the time of this computer
    #[arg(long)]
    wall: bool,
    /// One JSON object a line
    #[arg(long, conflicts_with_all = ["color", "wall"])]
    json: bool,
    /// End when the source does, instead of opening it again
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl Cli {
    fn source(&self) -> Source {
        match (&self.port, &self.tcp) {
            (Some(port), _) => Source::Port {
                path: port.clone(),
                baud: self.baud,
            },
            (None, Some(address)) => Source::Tcp(address.clone()),
            (None, None) => Source::Stdin,
        }
    }

    fn style(&self) -> Style {
        // https://no-color.org
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Style {
            json: self.json,
            wall: self.wall,
            colour: match self.color {
                When::Always => true,
                When::Never => false,
                When::Auto => wanted && io::stdout().is_terminal(),
            },
        }
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    decoder::keep_its_panics_quiet();
    let (source, style) = (cli.source(), cli.style());
    // What is wrong with the ELF is said at once; later it may be in the middle of being written.
    let mut image = load(&cli.elf)?;
    let mut said = false;
    loop {
        match source.open() {
            Ok(mut bytes) => {
                if !matches!(source, Source::Stdin) {
                    eprintln!("-- connected: {source}");
                }
                said = false;
                if let Err(error) = follow(&mut bytes, &image, &style, cli.level) {
                    if error.kind() == io::ErrorKind::BrokenPipe {
                        // Nobody reads any more.
                        return Ok(());
                    }
                    eprintln!("-- {source}: {error}");
                } else if !cli.once && source.comes_back() {
                    eprintln!("-- {source}: closed");
                }
            }
            Err(error) if cli.once => return Err(error).with_context(|| source.to_string()),
            Err(error) if !said => {
                eprintln!("-- {source}: {error}; trying again until it is there");
                said = true;
            }
            Err(_) => {}
        }
        if cli.once || !source.comes_back() {
            return Ok(());
        }
        source::pause();
        // The board may have been flashed with another image meanwhile.
        if let Ok(newer) = load(&cli.elf) {
            image = newer;
        }
    }
}

fn load(elf: &Path) -> Result<Image> {
    let bytes = std::fs::read(elf).with_context(|| elf.display().to_string())?;
    Image::new(&bytes).with_context(|| elf.display().to_string())
}

/// Shows what comes until there is no more.
fn follow(bytes: &mut dyn Read, image: &Image, style: &Style, level: Level) -> io::Result<()> {
    let mut decoder = Decoder::new(image);
    let mut out = io::stdout().lock();
    let mut buffer = [0; 1024];
    loop {
        let read = match bytes.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            Err(error) => return Err(error),
        };
        for line in decoder.feed(buffer.get(..read).unwrap_or_default()) {
            if line.level.is_none_or(|of| of >= level) {
                writeln!(out, "{}", style.line(&line))?;
            }
        }
        out.flush()?;
        if let Some(complaint) = decoder.complaint() {
            eprintln!("-- {complaint}");
        }
    }
}
