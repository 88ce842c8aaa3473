//! RCC: clocks that are ready as soon as they are on, clock gates, block resets, reset flags.
//! `[RM0090] 7.3`

use super::{Clocks, ResetCause, Words, merge, narrow};

const CR: u32 = 0x00;
const CFGR: u32 = 0x08;
const AHB1RSTR: u32 = 0x10;
const APB2RSTR: u32 = 0x24;
const AHB1ENR: u32 = 0x30;
const APB2ENR: u32 = 0x44;
const BDCR: u32 = 0x70;
const CSR: u32 = 0x74;

const SPI1: u32 = 1 << 12;
/// HSION, HSEON, PLLON, PLLI2SON; each xxxRDY is the bit above.
const OSCILLATORS: u32 = (1 << 0) | (1 << 16) | (1 << 24) | (1 << 26);
const PLLON: u32 = 1 << 24;
/// RMVF: clear the reset flags.
const REMOVE_FLAGS: u32 = 1 << 24;
const RESET_FLAGS: u32 = 0xFE00_0000;
/// PINRSTF, BORRSTF, PORRSTF: how a power-on shows.
const POWER_ON: u32 = 0x0E00_0000;
/// PINRSTF, SFTRSTF: how a reset of the running machine shows.
const SOFTWARE_RESET: u32 = 0x1400_0000;
/// PINRSTF, IWDGRSTF: how a bite of the watchdog shows.
const WATCHDOG_RESET: u32 = 0x2400_0000;

/// The RCC.
#[derive(Debug)]
pub struct Rcc {
    words: Words<36>,
    flags: u32,
    /// At how many starts more the PLL does not lock.
    dead_pll: u32,
}

impl Default for Rcc {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Rcc {
    /// After power-on. The PLL does not lock at the first `dead_pll` starts, this one included; never, where that is `u32::MAX`.
    #[must_use]
    pub fn new(dead_pll: u32) -> Self {
        let mut rcc = Self {
            words: Words::default(),
            flags: POWER_ON,
            dead_pll,
        };
        rcc.set_reset_values();
        rcc
    }

    fn set_reset_values(&mut self) {
        self.words.set(CR, 0x83);
        self.words.set(0x04, 0x2400_3010);
        self.words.set(AHB1ENR, 0x0010_0000);
        self.words.set(0x50, 0x7E67_91FF);
        self.words.set(0x84, 0x2000_3000);
    }
}

impl Clocks for Rcc {
    fn system_reset(&mut self, cause: ResetCause) {
        self.words = Words::default();
        self.set_reset_values();
        self.flags |= match cause {
            // This chip needs no restart for its option bytes.
            ResetCause::Requested | ResetCause::OptionBytes => SOFTWARE_RESET,
            ResetCause::Watchdog => WATCHDOG_RESET,
        };
        if self.dead_pll != u32::MAX {
            self.dead_pll = self.dead_pll.saturating_sub(1);
        }
    }

    fn gpio_clock(&self, port: u8) -> bool {
        self.words
            .get(AHB1ENR)
            .checked_shr(u32::from(port))
            .unwrap_or(0)
            & 1
            != 0
    }

    fn gpio_reset(&self, port: u8) -> bool {
        self.words
            .get(AHB1RSTR)
            .checked_shr(u32::from(port))
            .unwrap_or(0)
            & 1
            != 0
    }

    fn spi_clock(&self) -> bool {
        self.words.get(APB2ENR) & SPI1 != 0
    }

    fn spi_reset(&self) -> bool {
        self.words.get(APB2RSTR) & SPI1 != 0
    }

    fn read(&self, offset: u32, size: u32) -> u32 {
        let word = self.words.get(offset);
        let word = match offset & !3 {
            CR => {
                let dead = if self.dead_pll == 0 { 0 } else { PLLON };
                let on = word & OSCILLATORS & !dead;
                (word & !(OSCILLATORS << 1)) | (on << 1)
            }
            // SWS follows SW.
            CFGR => (word & !0xC) | ((word & 3) << 2),
            BDCR => (word & !2) | ((word & 1) << 1),
            CSR => (word & 1) | ((word & 1) << 1) | self.flags,
            _ => word,
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let word = merge(self.words.get(offset), offset, size, value);
        if offset & !3 == CSR && word & REMOVE_FLAGS != 0 {
            self.flags &= !RESET_FLAGS;
        }
        self.words.set(offset, word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oscillator_is_ready_once_it_is_on_and_not_before() {
        let mut rcc = Rcc::default();
        assert_eq!(rcc.read(CR, 4) & (1 << 17), 0);
        rcc.write(CR, 4, 0x83 | (1 << 16) | (1 << 24));
        assert_eq!(
            rcc.read(CR, 4) & ((1 << 17) | (1 << 25)),
            (1 << 17) | (1 << 25)
        );
        rcc.write(CFGR, 4, 2);
        assert_eq!(rcc.read(CFGR, 4), 0xA);
    }

    #[test]
    fn a_pll_that_does_not_lock_is_mended_by_as_many_resets() {
        for (dead, resets, locks) in [
            (1, 0, false),
            (1, 1, true),
            (2, 1, false),
            (u32::MAX, 3, false),
        ] {
            let mut rcc = Rcc::new(dead);
            (0..resets).for_each(|_| rcc.system_reset(ResetCause::Watchdog));
            rcc.write(CR, 4, 0x83 | PLLON);
            assert_eq!(
                rcc.read(CR, 4) & (PLLON << 1) != 0,
                locks,
                "{dead} {resets}"
            );
        }
    }

    #[test]
    fn the_reset_cause_stays_until_it_is_removed() {
        let mut rcc = Rcc::default();
        assert_eq!(rcc.read(CSR, 4) & RESET_FLAGS, POWER_ON);
        rcc.write(CSR, 4, REMOVE_FLAGS);
        assert_eq!(rcc.read(CSR, 4) & RESET_FLAGS, 0);
        rcc.system_reset(ResetCause::Requested);
        assert_eq!(rcc.read(CSR, 4) & RESET_FLAGS, SOFTWARE_RESET);
        rcc.write(CSR, 4, REMOVE_FLAGS);
        rcc.system_reset(ResetCause::Watchdog);
        assert_eq!(rcc.read(CSR, 4) & RESET_FLAGS, WATCHDOG_RESET);
    }
}
