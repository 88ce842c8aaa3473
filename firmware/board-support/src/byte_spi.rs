//! embedded-hal's `SpiBus` for a TPM that is clocked byte by byte.
//!
//! A TPM is short frames: a header of four bytes, then at most 64. Each byte is received before the next is sent, so
//! nothing can overrun and no interrupt or DMA is needed; at 5 MHz a byte takes less than two microseconds.

use core::convert::Infallible;

use embedded_hal::spi::{ErrorType, SpiBus};

/// An SPI in mode 0 with eight bits, most significant first, that cannot fail. A peripheral that never reports
/// "done" is a broken chip: the watchdog ends that wait.
pub trait ByteSpi {
    /// Sends a byte and returns the one that came back.
    fn exchange(&mut self, byte: u8) -> u8;

    /// Waits until the last clock has ended, so that chip select may rise. Must not return half a clock early.
    fn settle(&mut self);
}

/// The bus as the driver takes it.
#[derive(Debug)]
pub struct ByteBus<S>(pub S);

impl<S> ErrorType for ByteBus<S> {
    type Error = Infallible;
}

impl<S: ByteSpi> SpiBus for ByteBus<S> {
    /// Zeros are sent.
    fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        words.fill(0);
        self.transfer_in_place(words)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
        for word in words {
            self.0.exchange(*word);
        }
        Ok(())
    }

    /// The longer of the two decides; zeros are sent where `write` has ended.
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
        let (mut read, mut write) = (read.iter_mut(), write.iter());
        loop {
            let (slot, word) = (read.next(), write.next());
            if slot.is_none() && word.is_none() {
                return Ok(());
            }
            let received = self.0.exchange(word.copied().unwrap_or(0));
            if let Some(slot) = slot {
                *slot = received;
            }
        }
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        for word in words {
            *word = self.0.exchange(*word);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        self.0.settle();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each byte with its complement; remembers what was sent.
    #[derive(Default)]
    struct Echo {
        sent: Vec<u8>,
        settled: usize,
    }

    impl ByteSpi for Echo {
        fn exchange(&mut self, byte: u8) -> u8 {
            self.sent.push(byte);
            !byte
        }

        fn settle(&mut self) {
            self.settled = self.sent.len();
        }
    }

    #[test]
    fn the_longer_side_of_a_transfer_decides() {
        let mut bus = ByteBus(Echo::default());
        let mut read = [0; 3];
        let Ok(()) = bus.transfer(&mut read, &[1]);
        assert_eq!((read, &*bus.0.sent), ([0xFE, 0xFF, 0xFF], &[1, 0, 0][..]));
        let Ok(()) = bus.transfer(&mut read[..1], &[2, 3]);
        assert_eq!(
            (read, &*bus.0.sent),
            ([0xFD, 0xFF, 0xFF], &[1, 0, 0, 2, 3][..])
        );
    }

    #[test]
    fn a_read_sends_zeros_whatever_the_buffer_held() {
        let mut bus = ByteBus(Echo::default());
        let mut read = [7, 8];
        let Ok(()) = bus.read(&mut read);
        assert_eq!((read, &*bus.0.sent), ([0xFF, 0xFF], &[0, 0][..]));
    }

    #[test]
    fn a_flush_settles_after_the_last_byte() {
        let mut bus = ByteBus(Echo::default());
        let Ok(()) = bus.write(&[1, 2, 3]);
        let mut last = [4];
        let Ok(()) = bus.transfer_in_place(&mut last);
        assert_eq!((last, bus.0.settled), ([!4], 0));
        let Ok(()) = bus.flush();
        assert_eq!((bus.0.settled, bus.0.sent.len()), (4, 4));
    }
}
