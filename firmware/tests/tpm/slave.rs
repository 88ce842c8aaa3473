//! The wires of an SPI slave around the FIFO model: header, wait bytes, data, chip select.

use std::cell::RefCell;
use std::rc::Rc;

use embedded_hal::digital::{self, OutputPin};
use embedded_hal::spi::{self, SpiBus};

use crate::model::Shared;

/// The wires of an SPI slave around the model. Writes are buffered until a flush or a read, and what
/// is still buffered when chip select rises is lost, as with a DMA controller.
pub struct Slave {
    pub fifo: Shared,
    /// Wait bytes of each frame, used in turn.
    pub waits: Vec<u16>,
    pub frames: Vec<(Vec<u8>, usize)>,
    pub selected: bool,
    pub fail_transfer_at: Option<usize>,
    pub cs_low_fails: bool,
    /// Frames may end early, and are lost then.
    pub loses_torn_frames: bool,
    turn: usize,
    buffered: Vec<u8>,
    mosi: Vec<u8>,
    reply: Vec<u8>,
    replied: usize,
    waiting: Option<u16>,
    header: usize,
    transfers: usize,
}

pub type SharedSlave = Rc<RefCell<Slave>>;

pub fn slave(fifo: &Shared) -> SharedSlave {
    Rc::new(RefCell::new(Slave {
        fifo: Rc::clone(fifo),
        waits: vec![0],
        frames: Vec::new(),
        selected: false,
        fail_transfer_at: None,
        cs_low_fails: false,
        loses_torn_frames: false,
        turn: 0,
        buffered: Vec::new(),
        mosi: Vec::new(),
        reply: Vec::new(),
        replied: 0,
        waiting: None,
        header: 0,
        transfers: 0,
    }))
}

impl Slave {
    fn clock(&mut self, out: u8) -> u8 {
        assert!(self.selected, "clocked without chip select");
        if self.header < 4 {
            self.mosi.push(out);
            self.header += 1;
            if self.header < 4 {
                return 0;
            }
            let waits = self.waits[self.turn % self.waits.len()];
            self.turn += 1;
            self.waiting = Some(waits);
            if self.mosi[0] & 0x80 != 0 {
                let len = usize::from(self.mosi[0] & 0x3F) + 1;
                let mut reply = vec![0; len];
                let offset = u16::from_be_bytes([self.mosi[2] & 0x0F, self.mosi[3]]);
                self.fifo.borrow_mut().read_register(offset, &mut reply);
                self.reply = reply;
            }
            return u8::from(waits == 0);
        }
        match self.waiting {
            Some(left @ 1..) => {
                // A stuck bus is one whose waits never end.
                let left = if left == u16::MAX { left } else { left - 1 };
                self.waiting = Some(left);
                u8::from(left == 0)
            }
            _ if self.mosi[0] & 0x80 != 0 => {
                self.replied += 1;
                self.reply.get(self.replied - 1).copied().unwrap_or(0xFF)
            }
            _ => {
                self.mosi.push(out);
                0
            }
        }
    }

    fn drain(&mut self) {
        for byte in std::mem::take(&mut self.buffered) {
            self.clock(byte);
        }
    }

    fn deselect(&mut self) {
        self.buffered.clear();
        if !std::mem::take(&mut self.selected) {
            return;
        }
        let mosi = std::mem::take(&mut self.mosi);
        let announced = mosi.first().map_or(0, |head| usize::from(head & 0x3F) + 5);
        let is_torn = self.loses_torn_frames && mosi.len() < announced;
        if mosi.len() > 4 && mosi[0] & 0x80 == 0 && !is_torn {
            assert_eq!(announced, mosi.len(), "announced and sent");
            let offset = u16::from_be_bytes([mosi[2] & 0x0F, mosi[3]]);
            self.fifo.borrow_mut().write_register(offset, &mosi[4..]);
        }
        self.frames.push((mosi, self.replied));
        (self.header, self.replied) = (0, 0);
        self.reply.clear();
        self.waiting = None;
    }

    fn transfer(&mut self) -> Result<(), spi::ErrorKind> {
        self.transfers += 1;
        if self.fail_transfer_at == Some(self.transfers - 1) {
            return Err(spi::ErrorKind::Overrun);
        }
        Ok(())
    }
}

#[derive(Clone)]
pub struct Bus(pub SharedSlave);

impl spi::ErrorType for Bus {
    type Error = spi::ErrorKind;
}

impl SpiBus for Bus {
    fn read(&mut self, words: &mut [u8]) -> Result<(), spi::ErrorKind> {
        words.fill(0);
        self.transfer_in_place(words)
    }
    fn write(&mut self, words: &[u8]) -> Result<(), spi::ErrorKind> {
        let mut slave = self.0.borrow_mut();
        slave.transfer()?;
        slave.buffered.extend_from_slice(words);
        Ok(())
    }
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), spi::ErrorKind> {
        read.fill(0);
        read[..write.len()].copy_from_slice(write);
        self.transfer_in_place(read)
    }
    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), spi::ErrorKind> {
        let mut slave = self.0.borrow_mut();
        slave.transfer()?;
        slave.drain();
        for word in words {
            *word = slave.clock(*word);
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<(), spi::ErrorKind> {
        self.0.borrow_mut().drain();
        Ok(())
    }
}

#[derive(Clone)]
pub struct ChipSelect(pub SharedSlave);

impl digital::ErrorType for ChipSelect {
    type Error = PinError;
}

#[derive(Debug)]
pub struct PinError;

impl digital::Error for PinError {
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

impl OutputPin for ChipSelect {
    fn set_low(&mut self) -> Result<(), PinError> {
        let mut slave = self.0.borrow_mut();
        if slave.cs_low_fails {
            return Err(PinError);
        }
        assert!(!slave.selected, "selected twice");
        slave.selected = true;
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), PinError> {
        self.0.borrow_mut().deselect();
        Ok(())
    }
}
