//! The command line.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: assay-board-linux-spidev probe [SPI OPTIONS]
       assay-board-linux-spidev run --record FILE --link tty:PATH[:BAUD]|stdio [SPI OPTIONS]

  probe                 say which TPM answers, start it and let it test itself
  run                   log in at the verifier on the link, and renew, for ever

SPI options:
  --spi PATH            the spidev node (/dev/spidev0.1: SPI0, CE1)
  --speed HZ            SPI clock (5000000)
  --chip-select kernel  the node's own, held over a whole frame (default)
  --chip-select gpio:CHIP:LINE
                        a GPIO, such as gpio:/dev/gpiochip0:7; the node must be one without a select";

/// Below the 10 MHz that every TPM and a hand-made cable stand.
const SPEED_HZ: u32 = 5_000_000;
/// The fastest that any TPM of the profile is sold for.
const FASTEST_HZ: u32 = 66_000_000;
const BAUD: u32 = 921_600;

/// What to do, and with which TPM.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) command: Command,
    pub(crate) spi: String,
    pub(crate) speed_hz: u32,
    pub(crate) chip_select: ChipSelect,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Probe,
    Run { record: PathBuf, line: Line },
}

/// Where the verifier is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Standard input and output: behind `ssh`, `socat` or a service manager.
    Stdio,
    Tty {
        path: String,
        baud: u32,
    },
}

/// Who drives the TPM's chip select.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChipSelect {
    Kernel,
    Gpio { chip: String, line: u32 },
}

impl Args {
    /// `None` when help was asked for.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let (mut command, mut record, mut line) = (None, None, None);
        let mut spi = "/dev/spidev0.1".to_owned();
        let (mut speed_hz, mut chip_select) = (SPEED_HZ, ChipSelect::Kernel);
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "-h" | "--help" | "help" => return Ok(None),
                "probe" | "run" if command.is_none() => command = Some(word),
                "--spi" => spi = value()?,
                "--speed" => speed_hz = speed(&value()?)?,
                "--chip-select" => chip_select = select(&value()?)?,
                "--record" => record = Some(PathBuf::from(value()?)),
                "--link" => line = Some(link(&value()?)?),
                _ => return Err(format!("unexpected `{word}`")),
            }
        }
        let command = match (command.as_deref(), record, line) {
            (Some("probe"), None, None) => Command::Probe,
            (Some("probe"), ..) => return Err("probe takes neither --record nor --link".to_owned()),
            (Some(_), Some(record), Some(line)) => Command::Run { record, line },
            (Some(_), None, _) => return Err("run needs --record".to_owned()),
            (Some(_), _, None) => return Err("run needs --link".to_owned()),
            (None, ..) => return Err("probe or run?".to_owned()),
        };
        Ok(Some(Self {
            command,
            spi,
            speed_hz,
            chip_select,
        }))
    }
}

fn speed(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(hz @ 1..=FASTEST_HZ) => Ok(hz),
        _ => Err(format!("--speed {text}: a number of Hz up to {FASTEST_HZ}")),
    }
}

fn select(text: &str) -> Result<ChipSelect, String> {
    if text == "kernel" {
        return Ok(ChipSelect::Kernel);
    }
    text.strip_prefix("gpio:")
        .and_then(|rest| rest.rsplit_once(':'))
        .filter(|(chip, _)| !chip.is_empty())
        .and_then(|(chip, line)| {
            let chip = chip.to_owned();
            line.parse()
                .ok()
                .map(|line| ChipSelect::Gpio { chip, line })
        })
        .ok_or_else(|| format!("--chip-select {text}: kernel, or gpio:CHIP:LINE"))
}

fn link(text: &str) -> Result<Line, String> {
    if text == "stdio" {
        return Ok(Line::Stdio);
    }
    let wrong = || format!("--link {text}: stdio, or tty:PATH[:BAUD]");
    let rest = text.strip_prefix("tty:").ok_or_else(wrong)?;
    // Paths by id have colons of their own; a rate is all digits.
    let (path, baud) = match rest.rsplit_once(':') {
        Some((path, baud)) if baud.bytes().all(|digit| digit.is_ascii_digit()) => {
            (path, baud.parse().map_err(|_| wrong())?)
        }
        _ => (rest, BAUD),
    };
    if path.is_empty() || baud == 0 {
        return Err(wrong());
    }
    let path = path.to_owned();
    Ok(Line::Tty { path, baud })
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Args>, String> {
        Args::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_probe_needs_nothing_and_a_run_a_record_and_a_link() {
        let Ok(Some(args)) = parse("probe") else {
            unreachable!("a probe is complete")
        };
        assert_eq!(args.command, Command::Probe);
        assert_eq!((&*args.spi, args.speed_hz), ("/dev/spidev0.1", 5_000_000));
        assert_eq!(args.chip_select, ChipSelect::Kernel);
        for (text, part) in [
            ("", "probe or run"),
            ("run", "--record"),
            ("run --record node.bin", "--link"),
            ("probe --link stdio", "neither"),
            ("probe run", "unexpected `run`"),
            ("run --record", "needs a value"),
        ] {
            let wrong = parse(text).expect_err(text);
            assert!(wrong.contains(part), "{text}: {wrong}");
        }
        assert_eq!(parse("run --help"), Ok(None));
    }

    #[test]
    fn a_tty_has_a_path_with_or_without_colons_and_a_rate() {
        let line = |text: &str| link(text);
        let tty = |path: &str, baud| {
            let path = path.to_owned();
            Ok(Line::Tty { path, baud })
        };
        assert_eq!(line("tty:/dev/ttyAMA0"), tty("/dev/ttyAMA0", 921_600));
        assert_eq!(line("tty:/dev/ttyS0:115200"), tty("/dev/ttyS0", 115_200));
        assert_eq!(line("tty:/dev/by:id:x"), tty("/dev/by:id:x", 921_600));
        assert_eq!(line("stdio"), Ok(Line::Stdio));
        for wrong in ["tty:", "tty::115200", "tty:/dev/ttyS0:0", "tcp:host:1", ""] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_select_is_the_kernels_or_a_line_of_a_chip() {
        let chip = "/dev/gpiochip0".to_owned();
        assert_eq!(
            select("gpio:/dev/gpiochip0:7"),
            Ok(ChipSelect::Gpio { chip, line: 7 })
        );
        assert_eq!(select("kernel"), Ok(ChipSelect::Kernel));
        for wrong in ["gpio", "gpio:7", "gpio::7", "gpio:/dev/gpiochip0:x", "ce1"] {
            assert!(select(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_speed_is_taken_that_no_tpm_is_sold_for() {
        assert_eq!((speed("1"), speed("66000000")), (Ok(1), Ok(66_000_000)));
        for wrong in ["0", "66000001", "5M", "-1", "5000000000"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
