//! The board: blocks, wiring, and the TPM behind SPI1. Plain Rust; [`crate::plugin`] hangs it into
//! QEMU.
//!
//! As on the real chip a block without its clock is dead, a pin that was never made an output
//! drives nothing, and SPI1 reaches the TPM only through pins given to it (PA5 to PA7 or PB3 to PB5,
//! alternate function 5), or that it selects itself (P1.15 to P1.13, on the nRF52840); on the RP2350 they are GP18, GP16 and GP19. A board crate that forgets any of
//! these fails here too.

use std::path::PathBuf;

use assay_spi_tpm::SpiTpm;

use crate::args::Pin;
use crate::blocks::late::Late;
use crate::blocks::nrf::nvmc::Closed;
use crate::blocks::{
    Clocks, Flash, FlashControl, FlashInfo, Iwdg, Kicks, Link, MachineUart, Noise, Port, Rcc,
    ResetCause, Rx, Spi, SpiMaster, Ticked, Timer, Watchdog, Words, l4, merge, narrow, nrf, rp,
};
pub use crate::chip::Block;
use crate::chip::Chip;

mod wiring;

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
    /// Whether some alarms of the timer are set late: something holds up the processor between reading the time and that.
    pub late: bool,
}

/// The board.
pub struct Board {
    chip: Chip,
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
    timer: Box<dyn Timer>,
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
    /// Whether the last access was one to a block that is in reset, or to none.
    unanswered: bool,
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
                Chip::Rp2350 => (
                    Box::new(rp::System::new(dead_pll)),
                    Box::new(rp::Xip::new(kept, record)),
                    Box::new(rp::Spi::default()),
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
            Chip::Rp2350 => (Box::new(rp::Uart::default()), Box::new(rp::Trng::default())),
        };
        Self {
            chip,
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
            timer: match (chip, setup.late) {
                (Chip::Rp2350, false) => Box::new(rp::Timer::default()),
                (Chip::Rp2350, true) => Box::new(Late::new(rp::Timer::default(), rp::ALARM)),
                (_, false) => Box::new(nrf::Timer::default()),
                (_, true) => Box::new(Late::new(nrf::Timer::default(), nrf::COMPARE)),
            },
            flash_info: chip
                .factory()
                .map(|layout| FlashInfo::new(setup.uid, layout)),
            record_at: record_offset(chip),
            watchdog: match chip {
                Chip::Stm32f405 | Chip::Stm32l476 => Box::new(Iwdg::new(chip == Chip::Stm32l476)),
                Chip::Nrf52840 => Box::new(nrf::Wdt::default()),
                Chip::Rp2350 => Box::new(rp::Dog::default()),
            },
            now_ns: 0,
            inside_ns: 0,
            reset_cause: ResetCause::default(),
            closed_late: false,
            unanswered: false,
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

    /// How many alarms of the timer came late.
    #[must_use]
    pub fn late_alarms(&self) -> u32 {
        self.timer.late()
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
        std::mem::take(&mut self.unanswered) | self.flash.refused()
    }

    /// Whether the flash can be read, and code run from it.
    #[must_use]
    pub fn flash_is_memory(&self) -> bool {
        self.flash.is_memory()
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
        self.rcc.set_time(ns);
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
        let expired = self.watchdog.countdown(now).expired(now) && self.rcc.watchdog_restarts();
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
        self.unanswered = false;
        self.apply_ticks();
        self.drive_lines();
    }

    /// A read by the guest; `size` is 1, 2 or 4 bytes.
    pub fn read(&mut self, block: Block, offset: u32, size: u32) -> u32 {
        if !self.rcc.answers(block) {
            self.unanswered = true;
            return 0;
        }
        let offset = if self.chip.has_aliases(block) {
            offset & 0xFFF
        } else {
            offset
        };
        match block {
            Block::System(part) => self.rcc.read(part.at(offset), size),
            Block::Pads => self.bank_read(rp::pins::PADS, offset, size),
            Block::Sio => self.bank_read(rp::pins::SIO, offset, size),
            Block::RomCalls => self.flash.read_register(offset, size),
            Block::Nothing => {
                self.unanswered = true;
                0
            }
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
        if !self.rcc.answers(block) {
            self.unanswered = true;
            return;
        }
        let (mut offset, mut size, mut value) = (offset, size, value);
        if self.chip.has_aliases(block) {
            let old = |at| self.read(block, at, 4);
            (offset, value) = rp::aliased(offset, size, value, old);
            size = 4;
        }
        match block {
            Block::System(part) => {
                self.rcc.write(part.at(offset), size, value);
                self.apply_block_resets();
            }
            Block::Pads => self.bank_write(rp::pins::PADS, offset, size, value),
            Block::Sio => self.bank_write(rp::pins::SIO, offset, size, value),
            Block::RomCalls => self.flash.write_register(offset, size, value),
            Block::Nothing => self.unanswered = true,
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
                gpio.block_reset();
                moved = true;
            }
        }
        if self.rcc.spi_reset() {
            self.spi.reset();
        }
        if self.rcc.usart_reset() {
            self.uart.reset(self.machine.as_mut());
        }
        if !self.rcc.answers(Block::Noise) {
            self.noise.reset();
        }
        if !self.rcc.answers(Block::Timer) {
            self.timer.reset();
        }
        self.apply_ticks();
        if moved {
            self.drive_lines();
        }
    }

    fn apply_ticks(&mut self) {
        let now = self.watchdog_ns();
        self.timer.set_tick(self.rcc.tick_ns(Ticked::Timer));
        self.watchdog
            .set_tick(self.rcc.tick_ns(Ticked::Watchdog), now);
    }

    fn bank_read(&self, bank: u32, offset: u32, size: u32) -> u32 {
        let at = bank.saturating_add(offset);
        self.ports.first().map_or(0, |pins| pins.read(at, size))
    }

    fn bank_write(&mut self, bank: u32, offset: u32, size: u32, value: u32) {
        if let Some(pins) = self.ports.first_mut() {
            pins.write(bank.saturating_add(offset), size, value);
        }
        self.drive_lines();
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
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "board_rp2350_tests.rs"]
mod rp2350_tests;
