//! The TPM's bus and chip select, over spidev.
//!
//! A frame's wait states have a length that nobody knows before, so a frame is several messages to the kernel and chip select stays
//! low over all of them. There are two ways:
//!
//! * **by the kernel**: `cs_change` on the last transfer of a message keeps the select as it is after the message
//!   (Linux, `include/linux/spi/spi.h`), which the kernel's own driver for these TPMs relies on; an empty message without it
//!   lets go. Controllers that move the select in hardware do not keep it. The Raspberry Pi's is a GPIO of the kernel's, and does.
//! * **by a GPIO** of ours, beside a node that has no select.
//!
//! wolfTPM's first attempt at this (its pull request 268) had the sense of `cs_change` on a last transfer the wrong way
//! round; it worked with chips that insert no wait states.

use std::cell::Cell;
use std::rc::Rc;

use embedded_hal::digital::{self, OutputPin};
use embedded_hal::spi::{self, SpiBus};
use linux_embedded_hal::gpio_cdev::{Chip, LineRequestFlags};
use linux_embedded_hal::spidev::{SpiModeFlags, Spidev, SpidevOptions, SpidevTransfer};
use linux_embedded_hal::{CdevPin, SpidevBus};

use crate::Problem;

pub(crate) const HINT: &str = "is spidev on (dtparam=spi=on), the kernel's tpm_tis_spi off it, and the user in group spi? see README.md, \"Setting up\"";

/// Opens a node whose own chip select is the TPM's.
pub(crate) fn by_kernel(path: &str, speed_hz: u32) -> Result<(HeldBus, HeldSelect), Problem> {
    let node = Rc::new(Node {
        path: path.to_owned(),
        spi: open(path, speed_hz, SpiModeFlags::SPI_MODE_0)?,
        failed: Cell::new(false),
    });
    Ok((HeldBus(node.clone()), HeldSelect(node)))
}

/// Opens a node that has no chip select, and a GPIO for it, which is high from the first moment.
pub(crate) fn by_gpio(
    path: &str,
    speed_hz: u32,
    chip: &str,
    line: u32,
) -> Result<(SpidevBus, CdevPin), Problem> {
    let mode = SpiModeFlags::SPI_MODE_0 | SpiModeFlags::SPI_NO_CS;
    let spi = SpidevBus(open(path, speed_hz, mode)?);
    let pin = Chip::new(chip)
        .and_then(|mut chip| chip.get_line(line))
        .and_then(|line| line.request(LineRequestFlags::OUTPUT, 1, "assay: TPM chip select"))
        .and_then(CdevPin::new)
        .map_err(|error| {
            Problem::new(
                format!("{chip}, line {line}: {error}"),
                "does the SPI driver have this line? dtoverlay=spi0-0cs leaves the selects alone",
            )
        })?;
    Ok((spi, pin))
}

fn open(path: &str, speed_hz: u32, mode: SpiModeFlags) -> Result<Spidev, Problem> {
    let options = SpidevOptions::new()
        .bits_per_word(8)
        .max_speed_hz(speed_hz)
        .lsb_first(false)
        .mode(mode)
        .build();
    Spidev::open(path)
        .and_then(|mut spi| spi.configure(&options).map(|()| spi))
        .map_err(|error| Problem::new(format!("{path}: {error}"), HINT))
}

struct Node {
    path: String,
    spi: Spidev,
    /// Whether the last message failed: a failure that lasts is said once.
    failed: Cell<bool>,
}

impl Node {
    /// One message of one transfer; `held` keeps chip select low after it.
    fn message(&self, mut transfer: SpidevTransfer<'_, '_>, held: bool) -> Result<(), Failed> {
        transfer.cs_change = u8::from(held);
        let result = self.spi.transfer(&mut transfer);
        let failed = result.is_err();
        if let Err(error) = result
            && !self.failed.get()
        {
            eprintln!("{}: {error}", self.path);
        }
        self.failed.set(failed);
        if failed { Err(Failed) } else { Ok(()) }
    }
}

/// The kernel refused a message; it has been said on standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed;

impl spi::Error for Failed {
    fn kind(&self) -> spi::ErrorKind {
        spi::ErrorKind::Other
    }
}

impl digital::Error for Failed {
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

/// The bus of a node whose chip select stays low from the first transfer on, until [`HeldSelect`] lets go.
pub(crate) struct HeldBus(Rc<Node>);

impl spi::ErrorType for HeldBus {
    type Error = Failed;
}

impl SpiBus for HeldBus {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Failed> {
        self.0.message(SpidevTransfer::read(words), true)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Failed> {
        self.0.message(SpidevTransfer::write(words), true)
    }

    /// The longer of the two decides; zeros are sent where `write` has ended.
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Failed> {
        let mut words = vec![0; read.len().max(write.len())];
        words
            .iter_mut()
            .zip(write)
            .for_each(|(word, byte)| *word = *byte);
        self.transfer_in_place(&mut words)?;
        read.iter_mut()
            .zip(words)
            .for_each(|(slot, word)| *slot = word);
        Ok(())
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Failed> {
        self.0
            .message(SpidevTransfer::read_write_in_place(words), true)
    }

    /// A message returns when its last clock has ended.
    fn flush(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}

/// The chip select of a [`HeldBus`].
pub(crate) struct HeldSelect(Rc<Node>);

impl digital::ErrorType for HeldSelect {
    type Error = Failed;
}

impl OutputPin for HeldSelect {
    /// The first transfer does it.
    fn set_low(&mut self) -> Result<(), Failed> {
        Ok(())
    }

    /// A message of no bytes: no clock moves, and the select is let go at its end.
    fn set_high(&mut self) -> Result<(), Failed> {
        self.0.message(SpidevTransfer::delay(0), false)
    }
}
