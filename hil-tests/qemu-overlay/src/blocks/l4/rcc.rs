//! RCC: clocks that are ready as soon as they can be, clock gates, block resets, reset flags, and how fast the
//! processor runs. `[RM0351] 6.4`

use crate::blocks::{Clocks, ResetCause, Words, merge, narrow};

const CR: u32 = 0x00;
const CFGR: u32 = 0x08;
const PLLCFGR: u32 = 0x0C;
const AHB2RSTR: u32 = 0x2C;
const APB1RSTR1: u32 = 0x38;
const APB2RSTR: u32 = 0x40;
const AHB1ENR: u32 = 0x48;
const AHB2ENR: u32 = 0x4C;
const APB1ENR1: u32 = 0x58;
const APB2ENR: u32 = 0x60;
const CCIPR: u32 = 0x88;
const BDCR: u32 = 0x90;
const CSR: u32 = 0x94;

const MSION: u32 = 1 << 0;
const HSION: u32 = 1 << 8;
const HSEON: u32 = 1 << 16;
const PLLON: u32 = 1 << 24;
const PLLQEN: u32 = 1 << 20;
const PLLREN: u32 = 1 << 24;

const USART2: u32 = 1 << 17;
const SPI1: u32 = 1 << 12;
const RNG: u32 = 1 << 18;
/// RMVF: clear the reset flags.
const REMOVE_FLAGS: u32 = 1 << 23;
const RESET_FLAGS: u32 = 0xFF00_0000;
/// PINRSTF, BORRSTF: how a power-on shows.
const POWER_ON: u32 = 0x0C00_0000;
/// PINRSTF, SFTRSTF: how a reset of the running machine shows.
const SOFTWARE_RESET: u32 = 0x1400_0000;
/// PINRSTF, OBLRSTF: how a restart for the option bytes shows.
const OPTIONS_RESET: u32 = 0x0600_0000;
/// PINRSTF, IWDGRSTF: how a bite of the watchdog shows.
const WATCHDOG_RESET: u32 = 0x2400_0000;

const HSI_HZ: u64 = 16_000_000;
/// By MSIRANGE; the other codes are reserved.
const MSI_HZ: [u64; 12] = [
    100_000, 200_000, 400_000, 800_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000,
    24_000_000, 32_000_000, 48_000_000,
];
/// The generator stands a clock of at most this, and of at least a sixteenth of the bus's. `[RM0351] 27.3.6, 27.4.1`
const NOISE_HZ_MAX: u64 = 48_000_000;

/// The RCC.
#[derive(Debug)]
pub struct Rcc {
    words: Words<38>,
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
        self.words.set(CR, 0x61);
        self.words.set(PLLCFGR, 0x1000);
        self.words.set(AHB1ENR, 0x100);
        self.words.set(CSR, 0x600);
    }

    fn has(&self, offset: u32, bits: u32) -> bool {
        self.words.get(offset) & bits == bits
    }

    fn bit(&self, offset: u32, number: u8) -> bool {
        let word = self.words.get(offset);
        word.checked_shr(u32::from(number)).unwrap_or(0) & 1 != 0
    }

    fn field(&self, offset: u32, shift: u32, mask: u32) -> u32 {
        self.words.get(offset).checked_shr(shift).unwrap_or(0) & mask
    }

    fn msi(&self) -> Option<u64> {
        let range = usize::try_from(self.field(CR, 4, 0xF)).ok()?;
        MSI_HZ.get(range).copied().filter(|_| self.has(CR, MSION))
    }

    fn hsi(&self) -> Option<u64> {
        self.has(CR, HSION).then_some(HSI_HZ)
    }

    /// The PLL's oscillator: it runs only from a source that runs, and within the range of the reference manual.
    fn pll(&self) -> Option<u64> {
        let source = match self.field(PLLCFGR, 0, 3) {
            1 => self.msi(),
            2 => self.hsi(),
            // Nothing, or a crystal, which this board has not.
            _ => None,
        }?;
        let divider = u64::from(self.field(PLLCFGR, 4, 7)).saturating_add(1);
        let multiplier = u64::from(self.field(PLLCFGR, 8, 0x7F));
        let hz = source.checked_div(divider)?.checked_mul(multiplier)?;
        (self.has(CR, PLLON) && self.dead_pll == 0 && (64_000_000..=344_000_000).contains(&hz))
            .then_some(hz)
    }

    /// One of the PLL's outputs, divided by 2, 4, 6 or 8.
    fn output(&self, enable: u32, shift: u32) -> Option<u64> {
        let divider = u64::from(self.field(PLLCFGR, shift, 3).saturating_add(1)).saturating_mul(2);
        let pll = self.pll().filter(|_| self.has(PLLCFGR, enable))?;
        pll.checked_div(divider)
    }

    /// What the system clock would be from source `code`; `None` when that does not run.
    fn source(&self, code: u32) -> Option<u64> {
        match code {
            0 => self.msi(),
            1 => self.hsi(),
            2 => None,
            _ => self.output(PLLREN, 25),
        }
    }

    /// The clock that SW asks for if it runs, and else the one after a reset.
    fn switched(&self) -> u32 {
        let code = self.field(CFGR, 0, 3);
        if self.source(code).is_some() { code } else { 0 }
    }

    fn system_hz(&self) -> u64 {
        let hz = self.source(self.switched()).unwrap_or(4_000_000);
        let divided = match self.field(CFGR, 4, 0xF) {
            code @ 8..=11 => code.saturating_sub(7),
            code @ 12..=15 => code.saturating_sub(6),
            _ => 0,
        };
        hz.checked_shr(divided).unwrap_or(0)
    }
}

impl Clocks for Rcc {
    fn system_reset(&mut self, cause: ResetCause) {
        self.words = Words::default();
        self.set_reset_values();
        self.flags |= match cause {
            ResetCause::Requested => SOFTWARE_RESET,
            ResetCause::OptionBytes => OPTIONS_RESET,
            ResetCause::Watchdog => WATCHDOG_RESET,
        };
        if self.dead_pll != u32::MAX {
            self.dead_pll = self.dead_pll.saturating_sub(1);
        }
    }

    fn gpio_clock(&self, port: u8) -> bool {
        self.bit(AHB2ENR, port)
    }

    fn gpio_reset(&self, port: u8) -> bool {
        self.bit(AHB2RSTR, port)
    }

    fn spi_clock(&self) -> bool {
        self.has(APB2ENR, SPI1)
    }

    fn spi_reset(&self) -> bool {
        self.has(APB2RSTR, SPI1)
    }

    fn core_hz(&self) -> Option<u64> {
        Some(self.system_hz())
    }

    fn usart_clock(&self) -> bool {
        self.has(APB1ENR1, USART2)
    }

    fn usart_reset(&self) -> bool {
        self.has(APB1RSTR1, USART2)
    }

    fn noise_clock(&self) -> bool {
        self.has(AHB2ENR, RNG)
    }

    fn noise_sampled(&self) -> bool {
        let hz = match self.field(CCIPR, 26, 3) {
            2 => self.output(PLLQEN, 21),
            3 => self.msi(),
            // Nothing, or the second PLL, which is not modelled.
            _ => None,
        };
        hz.is_some_and(|hz| hz <= NOISE_HZ_MAX && hz.saturating_mul(16) >= self.system_hz())
    }

    fn read(&self, offset: u32, size: u32) -> u32 {
        let word = self.words.get(offset);
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        let word = match offset & !3 {
            CR => {
                // What each oscillator's ready flag is, whatever was written there.
                let ready = flag(self.msi().is_some(), MSION << 1)
                    | flag(self.hsi().is_some(), HSION << 2)
                    | flag(self.pll().is_some(), PLLON << 1);
                let flags = (MSION << 1) | (HSION << 2) | (HSEON << 1) | (PLLON << 1);
                (word & !flags) | ready
            }
            CFGR => (word & !0xC) | (self.switched() << 2),
            BDCR => (word & !2) | ((word & 1) << 1),
            CSR => (word & !(RESET_FLAGS | 2)) | ((word & 1) << 1) | self.flags,
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

    const HSI_TIMES_10: u32 = 2 | (10 << 8);
    const PLL_READY: u32 = PLLON << 1;

    fn at_80_mhz() -> Rcc {
        let mut rcc = Rcc::default();
        rcc.write(CR, 4, MSION | 6 << 4 | HSION);
        rcc.write(PLLCFGR, 4, HSI_TIMES_10 | PLLREN | PLLQEN | 1 << 21);
        rcc.write(CR, 4, MSION | 6 << 4 | HSION | PLLON);
        rcc.write(CFGR, 4, 3);
        rcc
    }

    #[test]
    fn the_processor_runs_as_fast_as_the_registers_say() {
        assert_eq!(Rcc::default().core_hz(), Some(4_000_000));
        let mut rcc = at_80_mhz();
        assert_eq!(rcc.core_hz(), Some(80_000_000));
        assert_eq!(rcc.read(CFGR, 4) & 0xC, 0xC);
        rcc.write(CFGR, 4, 3 | 8 << 4);
        assert_eq!(rcc.core_hz(), Some(40_000_000));
    }

    #[test]
    fn a_pll_is_ready_only_from_a_source_that_runs_and_within_its_range() {
        assert_ne!(at_80_mhz().read(CR, 4) & PLL_READY, 0);
        let mut rcc = at_80_mhz();
        rcc.write(CR, 4, MSION | PLLON);
        assert_eq!(rcc.read(CR, 4) & PLL_READY, 0, "HSI16 is off");
        assert_eq!(rcc.read(CFGR, 4) & 0xC, 0, "and nothing was switched");
        for multiplier in [3, 22] {
            let mut rcc = at_80_mhz();
            rcc.write(PLLCFGR, 4, 2 | multiplier << 8 | PLLREN);
            assert_eq!(rcc.read(CR, 4) & PLL_READY, 0, "times {multiplier}");
        }
        let mut rcc = at_80_mhz();
        rcc.write(PLLCFGR, 4, HSI_TIMES_10);
        assert_eq!(rcc.read(CFGR, 4) & 0xC, 0, "its output is off");
    }

    #[test]
    fn noise_is_sampled_by_a_clock_that_is_on_and_neither_too_slow_nor_too_fast() {
        let mut rcc = at_80_mhz();
        assert!(!rcc.noise_sampled(), "no source is the one after a reset");
        rcc.write(CCIPR, 4, 2 << 26);
        assert!(rcc.noise_sampled(), "40 MHz");
        rcc.write(PLLCFGR, 4, HSI_TIMES_10 | PLLREN | PLLQEN);
        assert!(!rcc.noise_sampled(), "80 MHz");
        rcc.write(PLLCFGR, 4, HSI_TIMES_10 | PLLREN | 1 << 21);
        assert!(!rcc.noise_sampled(), "that output is off");
        rcc.write(CCIPR, 4, 3 << 26);
        assert!(!rcc.noise_sampled(), "4 MHz are too slow for 80 MHz");
    }

    #[test]
    fn a_pll_that_does_not_lock_is_mended_by_as_many_resets() {
        let mut rcc = Rcc::new(1);
        let ready = |rcc: &mut Rcc| {
            rcc.write(CR, 4, MSION | 6 << 4 | HSION);
            rcc.write(PLLCFGR, 4, HSI_TIMES_10 | PLLREN);
            rcc.write(CR, 4, MSION | 6 << 4 | HSION | PLLON);
            rcc.read(CR, 4) & PLL_READY != 0
        };
        assert!(!ready(&mut rcc));
        rcc.system_reset(ResetCause::Watchdog);
        assert!(ready(&mut rcc));
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
