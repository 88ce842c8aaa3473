//! The board: blocks, wiring, and the TPM behind SPI1. Plain Rust; [`crate::plugin`] hangs it into
//! QEMU.
//!
//! As on the real chip a block without its clock is dead, a pin that was never made an output
//! drives nothing, and SPI1 reaches the TPM only through pins given to it (PA5 to PA7 or PB3 to PB5,
//! alternate function 5), or that it selects itself (P1.15 to P1.13, on the nRF52840). A board crate that forgets any of
//! these fails here too.

use std::path::PathBuf;

use assay_spi_tpm::SpiTpm;

use crate::args::Pin;
use crate::blocks::nrf::nvmc::Closed;
use crate::blocks::{
    Clocks, Flash, FlashControl, FlashInfo, Iwdg, Kicks, Link, MachineUart, Noise, Port, Rcc,
    ResetCause, Rx, Spi, SpiMaster, Watchdog, Words, l4, merge, narrow, nrf,
};
pub use crate::chip::Block;
use crate::chip::Chip;

/// Alternate function of SPI1, on the chips that have such.
const AF_SPI1: u32 = 5;
/// The TPM's SCK, MISO and MOSI where SPI1 selects its pins itself.
const SPI1_PINS: [Pin; 3] = [
    Pin {
        port: 1,
        number: 15,
    },
    Pin {
        port: 1,
        number: 14,
    },
    Pin {
        port: 1,
        number: 13,
    },
];
/// PWR_CSR.VOSRDY of the STM32F405: the regulator is ready.
const VOSRDY: u32 = 1 << 14;

/// What the board is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The chip.
    pub chip: Chip,
    /// The TPM's chip select.
    pub cs: Pin,
    /// The TPM's reset line, where a pin drives it.
    pub nrst: Option<Pin>,
    /// The chip's unique id.
    pub uid: [u8; 12],
    /// The file in which the flash that the board writes outlives the run.
    pub settings: Option<PathBuf>,
    /// Whether the part of the flash with the provisioning record is the board's to write.
    pub record: bool,
    /// Address of a double word of the settings that a loss of power cut short; for a flash with an error-correcting code.
    pub torn: Option<u64>,
    /// At how many starts the PLL does not lock; at all of them if all bits are set.
    pub dead_pll: u32,
    /// Whether access control lists take what is written to them, on a chip that has such.
    pub acl: bool,
}

/// The board.
pub struct Board {
    tpm: SpiTpm,
    cs: Pin,
    nrst: Option<Pin>,
    rcc: Box<dyn Clocks>,
    pwr: Words<2>,
    flash: Box<dyn FlashControl>,
    ports: Vec<Box<dyn Port>>,
    spi: Box<dyn SpiMaster>,
    /// QEMU's own, which `uart` works with.
    machine: Box<dyn MachineUart>,
    uart: Box<dyn Link>,
    noise: Box<dyn Noise>,
    timer: nrf::Timer,
    flash_info: Option<FlashInfo>,
    /// Where the record is in the flash that the board writes.
    record_at: u32,
    watchdog: Box<dyn Watchdog>,
    /// The guest's time, ns.
    now_ns: u64,
    /// How much of it passed inside of the model, ns.
    inside_ns: u64,
    /// Why the reset comes that was asked for.
    reset_cause: ResetCause,
    /// Something of the flash was closed when the link was up already.
    closed_late: bool,
}

/// The record follows upon the settings.
fn record_offset(chip: Chip) -> u32 {
    let settings = chip.place(Block::Settings);
    let len = settings.and_then(|(_, len)| u32::try_from(len).ok());
    len.unwrap_or(u32::MAX)
}

impl Board {
    /// A board that has just been powered.
    #[must_use]
    pub fn new(tpm: SpiTpm, machine: Box<dyn MachineUart>, setup: &Setup) -> Self {
        let Setup {
            chip,
            record,
            dead_pll,
            ..
        } = *setup;
        let kept = setup.settings.clone();
        let (rcc, flash, spi): (Box<dyn Clocks>, Box<dyn FlashControl>, Box<dyn SpiMaster>) =
            match chip {
                Chip::Stm32f405 => (
                    Box::new(Rcc::new(dead_pll)),
                    Box::new(Flash::new(kept, record)),
                    Box::new(Spi::default()),
                ),
                Chip::Stm32l476 => (
                    Box::new(l4::Rcc::new(dead_pll)),
                    Box::new({
                        let mut flash = l4::Flash::new(kept, record);
                        setup.torn.into_iter().for_each(|at| flash.tear(at));
                        flash
                    }),
                    Box::new(l4::Spi::default()),
                ),
                Chip::Nrf52840 => (
                    Box::new(nrf::Clock::default()),
                    Box::new({
                        let mut nvmc = nrf::Nvmc::new(kept, record);
                        if !setup.acl {
                            nvmc.without_lists();
                        }
                        nvmc
                    }),
                    Box::new(nrf::Spi::default()),
                ),
            };
        let (uart, noise): (Box<dyn Link>, Box<dyn Noise>) = match chip {
            Chip::Stm32f405 | Chip::Stm32l476 => {
                (Box::new(l4::Usart::default()), Box::new(l4::Rng::default()))
            }
            Chip::Nrf52840 => (
                Box::new(nrf::Uart::default()),
                Box::new(nrf::Rng::default()),
            ),
        };
        Self {
            tpm,
            cs: setup.cs,
            nrst: setup.nrst,
            rcc,
            pwr: Words::default(),
            flash,
            ports: (0..chip.ports()).map(|port| chip.port(port)).collect(),
            spi,
            machine,
            uart,
            noise,
            timer: nrf::Timer::default(),
            flash_info: chip
                .factory()
                .map(|layout| FlashInfo::new(setup.uid, layout)),
            record_at: record_offset(chip),
            watchdog: match chip {
                Chip::Stm32f405 | Chip::Stm32l476 => Box::new(Iwdg::new(chip == Chip::Stm32l476)),
                Chip::Nrf52840 => Box::new(nrf::Wdt::default()),
            },
            now_ns: 0,
            inside_ns: 0,
            reset_cause: ResetCause::default(),
            closed_late: false,
        }
    }

    /// The processor's clock, where it is for the board to say.
    #[must_use]
    pub fn core_hz(&self) -> Option<u64> {
        self.rcc.core_hz()
    }

    /// The TPM.
    pub fn tpm(&mut self) -> &mut SpiTpm {
        &mut self.tpm
    }

    /// Words that the board has had from its random number generator.
    #[must_use]
    pub fn noise_words(&self) -> u64 {
        self.noise.given()
    }

    /// Whether a read since the last call has to raise the interrupt that cannot be masked.
    pub fn non_maskable(&mut self) -> bool {
        self.flash.non_maskable()
    }

    /// Whether an access since the last call ends in a bus fault.
    pub fn refused(&mut self) -> bool {
        self.flash.refused()
    }

    /// What of the flash is closed until the next reset.
    #[must_use]
    pub fn closed(&self) -> Vec<Closed> {
        self.flash.closed()
    }

    /// Whether something of it was closed, at this start or an earlier one, when the link was up already.
    #[must_use]
    pub const fn closed_late(&self) -> bool {
        self.closed_late
    }

    /// Tells the model the guest's time, ns.
    pub fn set_time(&mut self, ns: u64) {
        self.now_ns = ns;
        self.tpm.clock().set_ns(ns);
        self.noise.set_time(ns);
        self.timer.set_time(ns);
    }

    /// Whether the timer's interrupt is raised, and when the guest's time has to be told again for it, ns.
    #[must_use]
    pub fn timer(&self) -> (bool, Option<u64>) {
        (self.timer.interrupt(), self.timer.next())
    }

    /// The guest's time is this by now: it stood still inside of the model meanwhile, most of it while the software TPM
    /// computed. A board would have gone on, and its watchdog with it, so that the watchdog leaves this time out.
    pub fn work_ended(&mut self, ns: u64) {
        let inside = ns.saturating_sub(self.now_ns);
        self.inside_ns = self.inside_ns.saturating_add(inside);
        self.now_ns = self.now_ns.max(ns);
    }

    fn watchdog_ns(&self) -> u64 {
        self.now_ns.saturating_sub(self.inside_ns)
    }

    /// When the watchdog runs out unless it is kicked, in the guest's time, ns; `None` while it stands still, or has run out.
    pub fn bites_at_ns(&mut self) -> Option<u64> {
        let now = self.watchdog_ns();
        let until = self.watchdog.countdown(now).runs_out_ns()?;
        (until > now).then(|| until.saturating_add(self.inside_ns))
    }

    /// Whether the watchdog has run out, for which the machine has to be reset; told once.
    pub fn bite(&mut self) -> bool {
        let now = self.watchdog_ns();
        let expired = self.watchdog.countdown(now).expired(now);
        let news = expired && self.reset_cause == ResetCause::Requested;
        if news {
            self.reset_cause = ResetCause::Watchdog;
        }
        news
    }

    /// Whether the chip asks for a reset of its own; told once.
    pub fn restarts(&mut self) -> bool {
        let news = self.flash.restarts() && self.reset_cause == ResetCause::Requested;
        if news {
            self.reset_cause = ResetCause::OptionBytes;
        }
        news
    }

    /// How the watchdog was kicked; `None` when it was never started.
    pub fn kicks(&mut self) -> Option<Kicks> {
        let now = self.watchdog_ns();
        self.watchdog.countdown(now).kicks(now)
    }

    /// A reset of the microcontroller. The TPM keeps running unless its nRST is wired to a pin.
    pub fn system_reset(&mut self) {
        self.rcc.system_reset(std::mem::take(&mut self.reset_cause));
        self.watchdog
            .reset(self.now_ns.saturating_sub(self.inside_ns));
        self.pwr = Words::default();
        self.flash.reset();
        for port in &mut self.ports {
            port.reset();
        }
        self.spi.reset();
        self.uart.system_reset();
        self.noise.reset();
        self.timer.reset();
        self.drive_lines();
    }

    /// A read by the guest; `size` is 1, 2 or 4 bytes.
    pub fn read(&mut self, block: Block, offset: u32, size: u32) -> u32 {
        match block {
            Block::Rcc => self.rcc.read(offset, size),
            Block::Pwr => {
                let ready = if offset & !3 == 4 { VOSRDY } else { 0 };
                narrow(self.pwr.get(offset) | ready, offset, size)
            }
            Block::Flash => self.flash.read_register(offset, size),
            Block::Settings => self.flash.read(offset, size),
            Block::Record => self.flash.read(self.record_at.saturating_add(offset), size),
            Block::Gpio(port) if self.rcc.gpio_clock(port) => self
                .ports
                .get(usize::from(port))
                .map_or(0, |gpio| gpio.read(offset, size)),
            Block::Spi1 if self.rcc.spi_clock() => self.spi.read(offset, size),
            Block::Uart if self.rcc.usart_clock() => {
                self.uart.read(offset, size, self.machine.as_mut())
            }
            Block::Noise if self.rcc.noise_clock() => {
                self.noise.read(offset, size, self.rcc.noise_sampled())
            }
            Block::Timer => self.timer.read(offset, size),
            Block::FlashInfo => self
                .flash_info
                .as_ref()
                .map_or(0, |info| info.read(offset, size)),
            Block::Watchdog => {
                let now = self.watchdog_ns();
                self.watchdog.read(offset, size, now)
            }
            Block::Gpio(_) | Block::Spi1 | Block::Uart | Block::Noise => 0,
        }
    }

    /// A write by the guest; `size` is 1, 2 or 4 bytes.
    pub fn write(&mut self, block: Block, offset: u32, size: u32, value: u32) {
        match block {
            Block::Rcc => {
                self.rcc.write(offset, size, value);
                self.apply_block_resets();
            }
            Block::Pwr => {
                let word = merge(self.pwr.get(offset), offset, size, value);
                self.pwr.set(offset, word);
            }
            Block::Flash => {
                let before = self.flash.closed().len();
                self.flash.write_register(offset, size, value);
                let is_more = self.flash.closed().len() > before;
                self.closed_late |= is_more && self.uart.is_on();
            }
            Block::Settings => self.flash.write(offset, size, value),
            Block::Record => {
                let offset = self.record_at.saturating_add(offset);
                self.flash.write(offset, size, value);
            }
            Block::Gpio(port) if self.rcc.gpio_clock(port) => {
                if let Some(gpio) = self.ports.get_mut(usize::from(port)) {
                    gpio.write(offset, size, value);
                }
                if port == self.cs.port || self.nrst.is_some_and(|pin| pin.port == port) {
                    self.drive_lines();
                }
            }
            Block::Spi1 if self.rcc.spi_clock() => self.spi_write(offset, size, value),
            Block::Uart if self.rcc.usart_clock() => {
                let is_wired = self.uart_is_wired();
                let machine = self.machine.as_mut();
                self.uart.write(offset, size, value, is_wired, machine);
            }
            Block::Noise if self.rcc.noise_clock() => self.noise.write(offset, size, value),
            Block::Timer => self.timer.write(offset, size, value),
            Block::Watchdog => {
                let now = self.watchdog_ns();
                self.watchdog.write(offset, size, value, now);
            }
            Block::FlashInfo | Block::Gpio(_) | Block::Spi1 | Block::Uart | Block::Noise => {}
        }
    }

    fn apply_block_resets(&mut self) {
        let mut moved = false;
        for (number, gpio) in (0u8..).zip(self.ports.iter_mut()) {
            if self.rcc.gpio_reset(number) {
                gpio.reset();
                moved = true;
            }
        }
        if self.rcc.spi_reset() {
            self.spi.reset();
        }
        if self.rcc.usart_reset() {
            self.uart.reset(self.machine.as_mut());
        }
        if moved {
            self.drive_lines();
        }
    }

    /// Chip select and nRST have pull-ups: a floating pin is high.
    fn drive_lines(&mut self) {
        let high = |pin: Pin, ports: &[Box<dyn Port>]| {
            ports
                .get(usize::from(pin.port))
                .and_then(|gpio| gpio.driven(pin.number))
                .unwrap_or(true)
        };
        if let Some(pin) = self.nrst {
            let low = !high(pin, &self.ports);
            self.tpm.reset_line(low);
        }
        let selected = !high(self.cs, &self.ports);
        self.tpm.cs(selected);
    }

    fn spi_write(&mut self, offset: u32, size: u32, value: u32) {
        match self.spi.write(offset, size, value) {
            Rx::Silent => {}
            Rx::WrongMode => self.spi.receive(&[0xFF]),
            Rx::Byte(byte) => {
                let answer = self.clock(byte);
                self.spi.receive(&[answer]);
            }
            Rx::TwoBytes(first, second) => {
                let answer = [self.clock(first), self.clock(second)];
                self.spi.receive(&answer);
            }
        }
    }

    fn clock(&mut self, byte: u8) -> u8 {
        if self.spi_is_wired() {
            self.tpm.xfer(byte)
        } else {
            0xFF
        }
    }

    fn is_output(&self, pin: Pin) -> bool {
        self.ports
            .get(usize::from(pin.port))
            .is_some_and(|port| port.driven(pin.number).is_some())
    }

    fn is_input(&self, pin: Pin) -> bool {
        self.ports
            .get(usize::from(pin.port))
            .is_some_and(|port| port.is_input(pin.number))
    }

    /// Whether a UART that selects its pins itself has the link's, and those their directions.
    fn uart_is_wired(&self) -> bool {
        self.uart.pins().is_none_or(|selected| {
            let [sends, receives] = nrf::uart::PINS;
            selected == nrf::uart::PINS.map(Some)
                && self.is_output(sends)
                && self.is_input(receives)
        })
    }

    /// SCK, MISO and MOSI on PA5, PA6, PA7 or on PB3, PB4, PB5, or the pins that SPI1 selects itself.
    fn spi_is_wired(&self) -> bool {
        if let Some(selected) = self.spi.pins() {
            let [clock, miso, mosi] = SPI1_PINS;
            return selected == SPI1_PINS.map(Some)
                && self.is_output(clock)
                && self.is_output(mosi)
                && self.is_input(miso);
        }
        let given = |port: usize, pin: u8| {
            self.ports
                .get(port)
                .is_some_and(|gpio| gpio.is_alternate(pin, AF_SPI1))
        };
        [(5, 3), (6, 4), (7, 5)]
            .into_iter()
            .all(|(a, b)| given(0, a) || given(1, b))
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
