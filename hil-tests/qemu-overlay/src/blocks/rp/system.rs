//! What makes the other blocks work: RESETS, CLOCKS, XOSC, PLL_SYS, TICKS and PSM. `[RP2350] 7, 8`
//!
//! As strict as the chip where a board could forget something: a multiplexer stays at its source until the other one runs,
//! the crystal is stable after its delay, the PLL locks within its limits, and a block whose clock stands does not come out of
//! its reset. What a core's own restart leaves as it was is reset here, too: QEMU has one reset for both.

use super::Part;
use crate::blocks::{Clocks, ResetCause, Ticked, Words, merge, narrow};
use crate::board::Block;

const RESET: u32 = 0x0;
const RESET_DONE: u32 = 0x8;
/// Every block there is.
const ALL: u32 = 0x1FFF_FFFF;
const IO_BANK0: u32 = 1 << 6;
const PADS_BANK0: u32 = 1 << 9;
const PLL_SYS: u32 = 1 << 14;
const SPI0: u32 = 1 << 18;
const TIMER0: u32 = 1 << 23;
const TRNG: u32 = 1 << 25;
const UART0: u32 = 1 << 26;

const CLK_REF_CTRL: u32 = Part::Clocks.at(0x30);
const CLK_REF_DIV: u32 = Part::Clocks.at(0x34);
const CLK_REF_SELECTED: u32 = Part::Clocks.at(0x38);
const CLK_SYS_CTRL: u32 = Part::Clocks.at(0x3C);
const CLK_SYS_DIV: u32 = Part::Clocks.at(0x40);
const CLK_SYS_SELECTED: u32 = Part::Clocks.at(0x44);
const CLK_PERI_CTRL: u32 = Part::Clocks.at(0x48);
const CLK_PERI_DIV: u32 = Part::Clocks.at(0x4C);
const PERI_ENABLE: u32 = 1 << 11;

const WDSEL: u32 = Part::Psm.at(0x8);
/// Of what a restart is made, bits of WDSEL: the core, its clocks, its peripherals, and what they need.
const RESTART: u32 = 0x01FF_FFFF & !(1 << 2 | 1 << 3);

const XOSC_CTRL: u32 = Part::Xosc.at(0x0);
const XOSC_STATUS: u32 = Part::Xosc.at(0x4);
const XOSC_STARTUP: u32 = Part::Xosc.at(0xC);
const ENABLE: u32 = 0xFAB;
const RANGE_1_15MHZ: u32 = 0xAA0;
const STABLE: u32 = 1 << 31;
const ENABLED: u32 = 1 << 12;

const PLL_CS: u32 = Part::PllSys.at(0x0);
const PLL_PWR: u32 = Part::PllSys.at(0x4);
const PLL_FBDIV: u32 = Part::PllSys.at(0x8);
const PLL_PRIM: u32 = Part::PllSys.at(0xC);
const LOCK: u32 = 1 << 31;
/// PWR: the PLL or its oscillator is off; the dividers behind them.
const VCO_OFF: u32 = 1 << 0 | 1 << 5;
const POSTDIV_OFF: u32 = 1 << 3;

/// Registers of a tick generator.
const TICK_CTRL: u32 = 0x0;
const TICK_CYCLES: u32 = 0x4;
const TICK_STRIDE: u32 = 0xC;
const TICK_ON: u32 = 1;

/// The crystal of a Pico 2, and the ring oscillator as it is after a reset: nominal.
const CRYSTAL_HZ: u64 = 12_000_000;
const RING_HZ: u64 = 11_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// The blocks.
#[derive(Debug, Clone)]
pub struct System {
    reset: u32,
    /// Registers of each part, by [`Part::at`].
    parts: [Words<0x40>; 5],
    now: u64,
    /// Since when the crystal's oscillator is on.
    crystal_since: Option<u64>,
    /// The sources that the multiplexers are at.
    ref_source: u32,
    sys_source: u32,
    /// At how many further starts the PLL does not lock.
    dead: u32,
}

impl System {
    /// After power-on; the PLL does not lock at the first `dead` starts, or at none if all bits are set.
    #[must_use]
    pub fn new(dead: u32) -> Self {
        let mut system = Self {
            reset: ALL,
            parts: std::array::from_fn(|_| Words::default()),
            now: 0,
            crystal_since: None,
            ref_source: 0,
            sys_source: 0,
            dead,
        };
        for (at, value) in [
            (CLK_REF_DIV, 1 << 16),
            (CLK_SYS_DIV, 1 << 16),
            (CLK_PERI_DIV, 1 << 16),
            (PLL_CS, 1),
            (PLL_PWR, 0x2D),
            (PLL_PRIM, 0x0007_7000),
        ] {
            system.set(at, value);
        }
        system
    }

    fn part(at: u32) -> usize {
        usize::try_from((at >> 16).saturating_sub(1)).unwrap_or(usize::MAX)
    }

    fn get(&self, at: u32) -> u32 {
        let part = self.parts.get(Self::part(at));
        part.map_or(0, |words| words.get(at & 0xFFFF))
    }

    fn set(&mut self, at: u32, value: u32) {
        if let Some(words) = self.parts.get_mut(Self::part(at)) {
            words.set(at & 0xFFFF, value);
        }
    }

    fn crystal_is_stable(&self) -> bool {
        let cycles = u64::from(self.get(XOSC_STARTUP) & 0x3FFF).saturating_mul(256);
        let delay = cycles.saturating_mul(SECOND_NS) / CRYSTAL_HZ;
        self.crystal_since
            .is_some_and(|since| self.now.saturating_sub(since) >= delay)
    }

    /// What the PLL's oscillator runs at; `None` while it has not locked.
    fn pll_vco_hz(&self) -> Option<u64> {
        let divider = u64::from(self.get(PLL_CS) & 0x3F);
        let factor = u64::from(self.get(PLL_FBDIV) & 0xFFF);
        let is_on = self.reset & PLL_SYS == 0 && self.get(PLL_PWR) & VCO_OFF == 0;
        let reference = CRYSTAL_HZ.checked_div(divider)?;
        let vco = reference.saturating_mul(factor);
        (is_on
            && self.dead == 0
            && self.crystal_is_stable()
            && (16..=320).contains(&factor)
            && (750_000_000..=1_600_000_000).contains(&vco))
        .then_some(vco)
    }

    fn pll_hz(&self) -> Option<u64> {
        let prim = self.get(PLL_PRIM);
        let by = u64::from(prim >> 16 & 7).saturating_mul(u64::from(prim >> 12 & 7));
        let vco = self
            .pll_vco_hz()
            .filter(|_| self.get(PLL_PWR) & POSTDIV_OFF == 0)?;
        vco.checked_div(by)
    }

    fn divided(&self, hz: u64, divider: u32) -> u64 {
        // 0 stands for 65,536.
        let by = match self.get(divider) >> 16 {
            0 => 1 << 16,
            by => u64::from(by),
        };
        hz.checked_div(by).unwrap_or(0)
    }

    /// CLK_REF's source `source`; of the auxiliary ones there is none here.
    fn ref_source_hz(&self, source: u32) -> Option<u64> {
        match source {
            0 => Some(RING_HZ),
            2 => self.crystal_is_stable().then_some(CRYSTAL_HZ),
            _ => None,
        }
    }

    fn ref_hz(&self) -> Option<u64> {
        let hz = self.ref_source_hz(self.ref_source)?;
        Some(self.divided(hz, CLK_REF_DIV))
    }

    fn sys_source_hz(&self, source: u32) -> Option<u64> {
        match (source, self.get(CLK_SYS_CTRL) >> 5 & 7) {
            (0, _) => self.ref_hz(),
            (_, 0) => self.pll_hz(),
            (_, 2) => Some(RING_HZ),
            (_, 3) => self.ref_source_hz(2),
            _ => None,
        }
    }

    /// Moves the multiplexers to the sources that are selected, if those run.
    fn select(&mut self) {
        let source = self.get(CLK_REF_CTRL) & 3;
        if self.ref_source_hz(source).is_some() {
            self.ref_source = source;
        }
        let source = self.get(CLK_SYS_CTRL) & 1;
        if self.sys_source_hz(source).is_some() {
            self.sys_source = source;
        }
    }

    fn peripheral_clock(&self) -> bool {
        let control = self.get(CLK_PERI_CTRL);
        let runs = match control >> 5 & 7 {
            0 => self.sys_source_hz(self.sys_source).is_some(),
            1 => self.pll_hz().is_some(),
            3 => true,
            4 => self.crystal_is_stable(),
            _ => false,
        };
        control & PERI_ENABLE != 0 && runs
    }

    fn done(&self) -> u32 {
        let stuck = if self.peripheral_clock() {
            0
        } else {
            UART0 | SPI0
        };
        ALL & !self.reset & !stuck
    }

    fn holds(&self, block: Block) -> u32 {
        match block {
            Block::Gpio(_) => IO_BANK0,
            Block::Pads => PADS_BANK0,
            Block::System(Part::PllSys) => PLL_SYS,
            Block::Spi1 => SPI0,
            Block::Timer => TIMER0,
            Block::Noise => TRNG,
            Block::Uart => UART0,
            _ => 0,
        }
    }
}

impl Clocks for System {
    fn set_time(&mut self, ns: u64) {
        self.now = ns;
        self.select();
    }

    fn system_reset(&mut self, _: ResetCause) {
        let dead = match self.dead {
            u32::MAX => u32::MAX,
            starts => starts.saturating_sub(1),
        };
        // Neither oscillator is in the image's restart.
        let crystal = (self.crystal_since, self.now);
        let (control, startup) = (self.get(XOSC_CTRL), self.get(XOSC_STARTUP));
        *self = Self::new(dead);
        (self.crystal_since, self.now) = crystal;
        self.set(XOSC_CTRL, control);
        self.set(XOSC_STARTUP, startup);
    }

    fn answers(&self, block: Block) -> bool {
        let held = self.holds(block);
        self.done() & held == held
    }

    fn gpio_clock(&self, _: u8) -> bool {
        true
    }

    fn gpio_reset(&self, _: u8) -> bool {
        self.reset & (IO_BANK0 | PADS_BANK0) != 0
    }

    fn spi_clock(&self) -> bool {
        self.peripheral_clock()
    }

    fn spi_reset(&self) -> bool {
        self.reset & SPI0 != 0
    }

    fn usart_clock(&self) -> bool {
        self.peripheral_clock()
    }

    fn usart_reset(&self) -> bool {
        self.reset & UART0 != 0
    }

    fn noise_clock(&self) -> bool {
        true
    }

    fn noise_sampled(&self) -> bool {
        true
    }

    fn tick_ns(&self, of: Ticked) -> Option<u64> {
        let nth = match of {
            Ticked::Timer => 2,
            Ticked::Watchdog => 4,
        };
        let base = Part::Ticks.at(TICK_STRIDE.saturating_mul(nth));
        let cycles = u64::from(self.get(base.saturating_add(TICK_CYCLES)) & 0x1FF);
        let on = self.get(base.saturating_add(TICK_CTRL)) & TICK_ON != 0;
        let ns = cycles
            .saturating_mul(SECOND_NS)
            .checked_div(self.ref_hz()?)?;
        (on && ns > 0).then_some(ns)
    }

    fn watchdog_restarts(&self) -> bool {
        self.get(WDSEL) & RESTART == RESTART
    }

    fn read(&self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            RESET => self.reset,
            RESET_DONE => self.done(),
            CLK_REF_SELECTED => 1u32.checked_shl(self.ref_source).unwrap_or(0),
            CLK_SYS_SELECTED => 1u32.checked_shl(self.sys_source).unwrap_or(0),
            XOSC_STATUS => {
                let enabled = if self.crystal_since.is_some() {
                    ENABLED
                } else {
                    0
                };
                let stable = if self.crystal_is_stable() { STABLE } else { 0 };
                enabled | stable
            }
            PLL_CS => {
                let lock = if self.pll_vco_hz().is_some() { LOCK } else { 0 };
                self.get(PLL_CS) | lock
            }
            at => self.get(at),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        match offset & !3 {
            RESET => self.reset = merge(self.reset, offset, size, value) & ALL,
            RESET_DONE | CLK_REF_SELECTED | CLK_SYS_SELECTED | XOSC_STATUS => {}
            XOSC_CTRL => {
                self.set(XOSC_CTRL, value);
                let on = value >> 12 & 0xFFF == ENABLE && value & 0xFFF == RANGE_1_15MHZ;
                self.crystal_since = self.crystal_since.or(Some(self.now)).filter(|_| on);
            }
            PLL_CS => self.set(PLL_CS, value & !LOCK),
            at => self.set(at, value),
        }
        self.select();
    }
}

#[cfg(test)]
mod tests;
