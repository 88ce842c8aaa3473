//! SPI to a TPM that is on the host: bytes and chip select as messages over two FIFOs.
//!
//! | message | answer | meaning |
//! |---|---|---|
//! | 0x01 | none | chip select low |
//! | 0x02 | none | chip select high |
//! | 0x03, length, that many bytes | as many bytes | bytes clocked out, bytes clocked in |
//! | 0x04 | [`MARK`] | a machine has started: chip select high |
//!
//! The FIFOs are `spi.tx` and `spi.rx` in the folder that QEMU passes as the machine's command line. A reset may fall
//! between a message and its answer, which then still lies in the FIFO; all up to the mark is
//! thrown away. A bridge that is not there, or gone, is a bus with nothing on it: it reads 0xFF.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType as PinErrorType, OutputPin};
use embedded_hal::spi::{ErrorType, SpiBus};

use crate::semihosting::{File, Mode, command_line};

const LOW: u8 = 0x01;
const HIGH: u8 = 0x02;
const EXCHANGE: u8 = 0x03;
const START: u8 = 0x04;

/// The answer to a start: bytes that no answer of a TPM has in this order, except by an accident of 1 in 2^64.
const MARK: [u8; 8] = *b"\xA5ASSAY\x5A\x01";
/// Longest exchange in one message; a frame of the bus has 4 bytes of header, waits, and 64 of data.
const LONGEST: usize = 64;
/// Longest name of a FIFO, with its NUL.
const NAME: usize = 256;
/// What nothing on a bus reads as.
const FLOATING: u8 = 0xFF;

/// Both ends; `None` without a bridge.
#[derive(Clone, Copy)]
struct Wire(Option<(File, File)>);

/// The TPM's bus.
pub(crate) struct TpmBus(Wire);

/// The TPM's chip select.
pub(crate) struct TpmChipSelect(Wire);

/// Opens the bridge and waits until it has noticed. Called once after each reset.
pub(crate) fn open() -> (TpmBus, TpmChipSelect) {
    let wire = Wire(find().filter(|(tx, rx)| tx.write(&[START]) && marked(*rx)));
    (TpmBus(wire), TpmChipSelect(wire))
}

/// The FIFOs, in the order in which the bridge expects nobody to wait for anybody.
#[inline(never)]
fn find() -> Option<(File, File)> {
    let mut name = [0; NAME];
    let folder = command_line(&mut name)?;
    let mut open = |file: &[u8], mode| {
        let end = folder.checked_add(file.len())?;
        name.get_mut(folder..end)?.copy_from_slice(file);
        File::open(name.get(..end)?, mode)
    };
    Some((
        open(b"/spi.tx\0", Mode::Write)?,
        open(b"/spi.rx\0", Mode::Read)?,
    ))
}

/// Reads up to the mark.
fn marked(rx: File) -> bool {
    let mut last = [0; MARK.len()];
    while last != MARK {
        last.rotate_left(1);
        let [.., newest] = &mut last;
        if !rx.read(core::slice::from_mut(newest)) {
            return false;
        }
    }
    true
}

impl Wire {
    fn send(self, message: u8) {
        if let Some((tx, _)) = self.0 {
            tx.write(&[message]);
        }
    }

    /// Clocks at most [`LONGEST`] bytes, in place. One write: the bridge never sees half a message.
    fn exchange(self, bytes: &mut [u8]) {
        let mut message = [0; LONGEST + 2];
        let [kind, length, data @ ..] = &mut message;
        (*kind, *length) = (EXCHANGE, bytes.len() as u8);
        for (slot, byte) in data.iter_mut().zip(bytes.iter()) {
            *slot = *byte;
        }
        let sent = message.get(..bytes.len() + 2).unwrap_or_default();
        let done = self
            .0
            .is_some_and(|(tx, rx)| tx.write(sent) && rx.read(bytes));
        if !done {
            bytes.fill(FLOATING);
        }
    }
}

impl PinErrorType for TpmChipSelect {
    type Error = Infallible;
}

impl OutputPin for TpmChipSelect {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.send(LOW);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.send(HIGH);
        Ok(())
    }
}

impl ErrorType for TpmBus {
    type Error = Infallible;
}

impl SpiBus for TpmBus {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        words.fill(0);
        self.transfer_in_place(words)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
        self.transfer(&mut [], words)
    }

    /// The longer of the two decides; zeros are sent where `write` has ended.
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
        let (mut left, mut read, mut write) =
            (read.len().max(write.len()), read.iter_mut(), write.iter());
        while left > 0 {
            let mut part = [0; LONGEST];
            let count = left.min(LONGEST);
            let part = part.get_mut(..count).unwrap_or_default();
            for (slot, word) in part.iter_mut().zip(write.by_ref()) {
                *slot = *word;
            }
            self.0.exchange(part);
            for (received, slot) in part.iter().zip(read.by_ref()) {
                *slot = *received;
            }
            left -= count;
        }
        Ok(())
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        for part in words.chunks_mut(LONGEST) {
            self.0.exchange(part);
        }
        Ok(())
    }

    /// An exchange has ended when its answer is there.
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
