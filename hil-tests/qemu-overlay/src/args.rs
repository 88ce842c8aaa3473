//! The plugin's arguments, `key=value` as QEMU passes them.
//!
//! | key | value | default |
//! |---|---|---|
//! | `swtpm` | data socket of the software TPM | required |
//! | `control` | its control socket, for resets | none: a reset kills the TPM |
//! | `spare`, `spare-control` | sockets of the TPM that the fault `swap-tpm` puts in | none |
//! | `personality` | `slb9670`, `slb9672`, `st33`, `nuvoton` | `slb9672` |
//! | `burst` | number, or `changing:MAX[:SEED]` | the chip's |
//! | `wait` | number, `random:MAX[:SEED]`, or `endless` | the chip's |
//! | `busy` | busy polls of each command | the chip's |
//! | `limits` | `on`, `off`: limits of silicon | `on` |
//! | `faults` | a plan, see `assay_spi_tpm::fault` | none |
//! | `stats` | file or listening unix socket that receives JSON lines | none |
//! | `chip` | `stm32f405`, `stm32l476`, `nrf52840`, `rp2350`: the microcontroller | `stm32f405` |
//! | `cs` | pin of the TPM's chip select: `PA4`, `P1.12`, or `GP17` | `PA4` |
//! | `nrst` | pin of the TPM's reset line | not wired |
//! | `uid` | 24 hex digits, the chip's unique id | `415353415900000000000001` |
//! | `settings` | file in which the part of the flash that the board writes outlives the run, and beside it, with `.options` behind the name, the option bytes | none |
//! | `record` | `on`, `off`: the part of the flash with the provisioning record is blank and can be written | `off` |
//! | `late` | `on`, `off`: each 16th alarm of the timer is set 2 ms late, on an nRF52840 or RP2350 | `off` |
//! | `acl` | `on`, `off`: the access control lists of an nRF52840 take what is written to them | `on` |
//! | `torn` | address of a double word of the STM32L476's settings that a loss of power cut short | none |
//! | `pll` | `dead`, `dead:STARTS`: the PLL never locks, or not at so many starts | locks at once |
//! | `count` | `on`, `off`: count instructions | `off` |
//! | `start`, `stop` | addresses; instructions between them are reported (implies `count`) | none |
//! | `stack` | `LOW:HIGH`; the lowest write in it is reported | none |

use std::path::PathBuf;

use assay_spi_tpm::chip::{ChipLimits, Personality};
use assay_spi_tpm::slave::burst::Burst;
use assay_spi_tpm::slave::wait::Wait;
use assay_spi_tpm::{Config, FaultPlan};

use crate::board::Setup;
use crate::chip::Chip;

/// A GPIO pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Port, 0 = A or P0.
    pub port: u8,
    /// Pin of the port: 0..=15 where ports have letters, else 0..=31.
    pub number: u8,
}

/// The arguments, checked.
#[derive(Debug, Clone)]
pub struct Args {
    /// Data socket.
    pub swtpm: PathBuf,
    /// Control socket.
    pub control: Option<PathBuf>,
    /// Data socket of the second TPM.
    pub spare: Option<PathBuf>,
    /// Control socket of the second TPM.
    pub spare_control: Option<PathBuf>,
    /// The model.
    pub config: Config,
    /// Where JSON lines go.
    pub stats: Option<PathBuf>,
    /// The board.
    pub setup: Setup,
    /// Whether to count instructions.
    pub count: bool,
    /// Counting from the instruction at `.0` to the one at `.1`.
    pub span: Option<(u64, u64)>,
    /// Range in which the lowest write is wanted.
    pub stack: Option<(u64, u64)>,
}

/// Why the arguments were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    /// No such key.
    #[error("unknown argument \"{0}\"")]
    Unknown(String),
    /// The value does not fit the key.
    #[error("{key}={value}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// The software TPM's socket is missing.
    #[error("swtpm=SOCKET is missing")]
    NoTpm,
    /// One address alone spans nothing.
    #[error("start and stop go together")]
    HalfSpan,
}

impl Args {
    /// Reads `key=value` arguments.
    ///
    /// # Errors
    /// [`ArgError`] names the first argument that is wrong.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, ArgError> {
        let mut swtpm = None;
        let (mut start, mut stop) = (None, None);
        let mut args = Self {
            swtpm: PathBuf::new(),
            control: None,
            spare: None,
            spare_control: None,
            config: Config::chip(Personality::SLB9672),
            stats: None,
            setup: Setup {
                chip: Chip::default(),
                cs: Pin { port: 0, number: 4 },
                nrst: None,
                uid: *b"ASSAY\0\0\0\0\0\0\x01",
                settings: None,
                record: false,
                torn: None,
                dead_pll: 0,
                acl: true,
                late: false,
            },
            count: false,
            span: None,
            stack: None,
        };
        for argument in arguments {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            let bad = |reason: String| ArgError::Value {
                key: key.to_owned(),
                value: value.to_owned(),
                reason,
            };
            match key {
                "swtpm" => swtpm = Some(PathBuf::from(value)),
                "control" => args.control = Some(PathBuf::from(value)),
                "spare" => args.spare = Some(PathBuf::from(value)),
                "spare-control" => args.spare_control = Some(PathBuf::from(value)),
                "personality" => {
                    args.config.personality = Personality::from_name(value)
                        .ok_or_else(|| bad("no such chip".to_owned()))?;
                }
                "burst" => {
                    args.config.burst =
                        Some(value.parse::<Burst>().map_err(|e| bad(e.to_string()))?);
                }
                "wait" => {
                    args.config.wait = Some(value.parse::<Wait>().map_err(|e| bad(e.to_string()))?);
                }
                "busy" => {
                    args.config.busy_polls =
                        Some(value.parse().map_err(|_| bad("no number".to_owned()))?);
                }
                "limits" => {
                    args.config.limits = switch(value).map_err(bad)?.then_some(ChipLimits::SILICON);
                }
                "faults" => {
                    args.config.faults =
                        value.parse::<FaultPlan>().map_err(|e| bad(e.to_string()))?;
                }
                "stats" => args.stats = Some(PathBuf::from(value)),
                "chip" => {
                    args.setup.chip = Chip::from_name(value)
                        .ok_or_else(|| bad("no such microcontroller".to_owned()))?;
                }
                "cs" => args.setup.cs = pin(value).map_err(bad)?,
                "nrst" => args.setup.nrst = Some(pin(value).map_err(bad)?),
                "uid" => args.setup.uid = uid(value).map_err(bad)?,
                "settings" => args.setup.settings = Some(PathBuf::from(value)),
                "record" => args.setup.record = switch(value).map_err(bad)?,
                "torn" => args.setup.torn = Some(number(value).map_err(bad)?),
                "pll" => args.setup.dead_pll = dead(value).map_err(bad)?,
                "acl" => args.setup.acl = switch(value).map_err(bad)?,
                "late" => args.setup.late = switch(value).map_err(bad)?,
                "count" => args.count = switch(value).map_err(bad)?,
                "start" => start = Some(number(value).map_err(bad)?),
                "stop" => stop = Some(number(value).map_err(bad)?),
                "stack" => {
                    let (low, high) = value
                        .split_once(':')
                        .ok_or_else(|| bad("not LOW:HIGH".to_owned()))?;
                    args.stack = Some((number(low).map_err(bad)?, number(high).map_err(bad)?));
                }
                _ => return Err(ArgError::Unknown(key.to_owned())),
            }
        }
        if args.setup.late && matches!(args.setup.chip, Chip::Stm32f405 | Chip::Stm32l476) {
            return Err(ArgError::Value {
                key: "late".to_owned(),
                value: "on".to_owned(),
                reason: "the timer of this chip is the processor's".to_owned(),
            });
        }
        if args.setup.dead_pll != 0 && args.setup.chip == Chip::Nrf52840 {
            return Err(ArgError::Value {
                key: "pll".to_owned(),
                value: "dead".to_owned(),
                reason: "this chip has none".to_owned(),
            });
        }
        args.swtpm = swtpm.ok_or(ArgError::NoTpm)?;
        args.span = match (start, stop) {
            (Some(start), Some(stop)) => Some((start, stop)),
            (None, None) => None,
            _ => return Err(ArgError::HalfSpan),
        };
        args.count |= args.span.is_some();
        Ok(args)
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("neither on nor off".to_owned()),
    }
}

/// At how many starts something is dead; at all of them is `u32::MAX`.
fn dead(text: &str) -> Result<u32, String> {
    match text.split_once(':') {
        None if text == "dead" => Ok(u32::MAX),
        Some(("dead", starts)) => starts.parse().map_err(|_| "no number".to_owned()),
        _ => Err("neither dead nor dead:STARTS".to_owned()),
    }
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "no number".to_owned())
}

/// `PA4` as ST names pins, `P1.12` as Nordic does, `GP17` as Raspberry Pi.
fn pin(text: &str) -> Result<Pin, String> {
    let refused = || "not a pin such as PA4, P1.12 or GP17".to_owned();
    if let Some(number) = text.strip_prefix("GP") {
        let number = number.parse().ok().filter(|number| *number < 30);
        let number = number.ok_or_else(refused)?;
        return Ok(Pin { port: 0, number });
    }
    let name = text.strip_prefix('P').ok_or_else(refused)?;
    let (port, number, last) = match name.split_once('.') {
        Some((port, number)) => (port.parse().ok().filter(|port| *port < 2), number, 31),
        None => {
            let mut letters = name.chars();
            let letter = letters
                .next()
                .filter(|letter| ('A'..='I').contains(letter))
                .and_then(|letter| {
                    u8::try_from(u32::from(letter).saturating_sub(u32::from('A'))).ok()
                });
            (letter, letters.as_str(), 15)
        }
    };
    let port = port.ok_or_else(refused)?;
    let number = number.parse().map_err(|_| refused())?;
    if number > last {
        return Err(refused());
    }
    Ok(Pin { port, number })
}

fn uid(text: &str) -> Result<[u8; 12], String> {
    let refused = || "not 24 hex digits".to_owned();
    let mut out = [0; 12];
    if text.len() != 24 || !text.is_ascii() {
        return Err(refused());
    }
    for (i, slot) in out.iter_mut().enumerate() {
        let at = i.saturating_mul(2);
        let digits = text.get(at..at.saturating_add(2)).ok_or_else(refused)?;
        *slot = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::*;

    #[test]
    fn reads_every_argument() {
        let args = Args::parse([
            "swtpm=/t/d",
            "control=/t/c",
            "personality=st33",
            "burst=32",
            "wait=2",
            "busy=0",
            "limits=off",
            "faults=slow=9@execution/#2/once;rc-retry",
            "stats=/t/s",
            "chip=stm32l476",
            "torn=0x080f8008",
            "pll=dead:2",
            "cs=PB12",
            "nrst=PC0",
            "uid=0102030405060708090a0b0c",
            "start=0x08000100",
            "stop=0x08000200",
            "stack=0x20000000:0x20020000",
        ])
        .unwrap();
        assert_eq!(
            args.setup.cs,
            Pin {
                port: 1,
                number: 12
            }
        );
        assert_eq!(args.setup.nrst, Some(Pin { port: 2, number: 0 }));
        assert_eq!(args.setup.chip, Chip::Stm32l476);
        assert_eq!(args.setup.torn, Some(0x080F_8008));
        assert_eq!(args.setup.dead_pll, 2);
        assert_eq!(args.config.faults.faults.len(), 2);
        assert!(args.config.limits.is_none());
        assert!(args.count);
        assert_eq!(args.setup.uid, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(args.stack, Some((0x2000_0000, 0x2002_0000)));
    }

    #[test]
    fn a_pin_is_named_as_the_chips_maker_names_it() {
        let cs = |argument| Args::parse(["swtpm=x", argument]).unwrap().setup.cs;
        assert_eq!(cs("cs=PC0"), Pin { port: 2, number: 0 });
        let nordic = Pin {
            port: 1,
            number: 12,
        };
        assert_eq!(cs("cs=P1.12"), nordic);
        let pico = Pin {
            port: 0,
            number: 17,
        };
        assert_eq!(cs("cs=GP17"), pico);
    }

    #[test]
    fn refuses_what_it_does_not_know_and_says_which() {
        let refused = |argument| Args::parse(["swtpm=x", argument]).unwrap_err().to_string();
        assert_eq!(refused("speed=9"), "unknown argument \"speed\"");
        assert!(refused("cs=PZ4").starts_with("cs=PZ4: "));
        assert!(refused("cs=PA16").starts_with("cs=PA16: "));
        assert!(refused("pll=lazy").starts_with("pll=lazy: "));
        let none = Args::parse(["swtpm=/t/sock", "chip=nrf52840", "pll=dead"]);
        assert!(none.is_err_and(|error| error.to_string() == "pll=dead: this chip has none"));
        let late =
            |chip| Args::parse(["swtpm=/t/sock", chip, "late=on"]).map(|args| args.setup.late);
        assert!(late("chip=stm32l476").is_err());
        assert!(late("chip=rp2350").unwrap() && late("chip=nrf52840").unwrap());
        assert!(refused("cs=P2.1").starts_with("cs=P2.1: "));
        assert!(refused("cs=P1.32").starts_with("cs=P1.32: "));
        assert!(refused("cs=GP30").starts_with("cs=GP30: "));
        assert!(refused("chip=z80").starts_with("chip=z80: "));
        assert!(refused("faults=warp").contains("unknown fault \"warp\""));
        assert!(refused("uid=01").contains("24 hex digits"));
        assert_eq!(refused("start=1"), ArgError::HalfSpan.to_string());
        assert_eq!(Args::parse([]).unwrap_err(), ArgError::NoTpm);
    }
}
