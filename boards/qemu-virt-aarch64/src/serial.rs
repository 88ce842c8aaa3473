//! The link: QEMU's PL011, polled.
//!
//! QEMU hands over a byte only when the receiver has room, so nothing is lost while the agent is
//! busy with the TPM, and no ring is needed. Its interrupt is unmasked in the device but handled
//! nowhere: it ends the sleep of [`Timer::sleep`].

#![expect(
    unsafe_code,
    reason = "memory-mapped registers are reached by volatile access only"
)]

use core::convert::Infallible;
use core::ptr::with_exposed_provenance_mut;

use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::timer::Timer;

/// The PL011 of `virt`.
const BASE: usize = 0x0900_0000;
/// Registers ([DDI 0183G] 3.2).
const DR: usize = 0x00;
const FR: usize = 0x18;
const LCR_H: usize = 0x2C;
const CR: usize = 0x30;
const IMSC: usize = 0x38;

const FR_BUSY: u32 = 1 << 3;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
/// Eight bits, FIFOs on.
const LCR_8N1_FIFO: u32 = 3 << 5 | 1 << 4;
/// Enabled, transmitting and receiving.
const CR_ON: u32 = 1 | 1 << 8 | 1 << 9;
/// Receive and receive-timeout interrupts.
const IMSC_RX: u32 = 1 << 4 | 1 << 6;

fn read_register(offset: usize) -> u32 {
    // SAFETY: an aligned word of the UART's register page; reads have no effect on memory.
    unsafe { with_exposed_provenance_mut::<u32>(BASE + offset).read_volatile() }
}

fn write_register(offset: usize, value: u32) {
    // SAFETY: an aligned word of the UART's register page; the UART does no DMA here.
    unsafe { with_exposed_provenance_mut::<u32>(BASE + offset).write_volatile(value) }
}

/// The owner of the link.
pub(crate) struct Link {
    timer: Timer,
}

impl Link {
    /// Switches the UART on.
    pub(crate) fn new(timer: Timer) -> Self {
        write_register(CR, 0);
        write_register(LCR_H, LCR_8N1_FIFO);
        write_register(IMSC, IMSC_RX);
        write_register(CR, CR_ON);
        // Switching the FIFO on empties it without telling QEMU's event loop. If a byte had come
        // before, the loop believes the receiver is full and looks again after a second or more.
        // A read of DR, here of nothing, tells it.
        read_register(DR);
        Self { timer }
    }
}

fn send(bytes: &[u8]) {
    for &byte in bytes {
        while read_register(FR) & FR_TXFF != 0 {}
        write_register(DR, byte.into());
    }
}

/// Sends from a panic or exception handler.
pub(crate) fn send_last_words(bytes: &[u8]) {
    send(bytes);
    while read_register(FR) & FR_BUSY != 0 {}
}

impl ErrorType for Link {
    type Error = Infallible;
}

impl Read for Link {
    /// Waits, asleep, until at least one byte is there.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut taken = 0;
        while taken == 0 && !buffer.is_empty() {
            for slot in buffer.iter_mut() {
                if read_register(FR) & FR_RXFE != 0 {
                    break;
                }
                *slot = read_register(DR) as u8;
                taken += 1;
            }
            if taken == 0 {
                self.timer.sleep();
            }
        }
        Ok(taken)
    }
}

impl ReadReady for Link {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(read_register(FR) & FR_RXFE == 0)
    }
}

impl Write for Link {
    /// Sends everything.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        send(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while read_register(FR) & FR_BUSY != 0 {}
        Ok(())
    }
}
