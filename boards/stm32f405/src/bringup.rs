//! The bring-up image of an STM32F405 with a TPM on SPI: a technician's console on the link, and no agent.
//!
//! It is an image of its own, built with the feature `console`. The agent's image, in `main.rs`, has nothing of it.

#![no_std]
#![no_main]

mod clock;
mod flash;
#[cfg(feature = "defmt")]
mod log;
mod noise;
mod panic;
mod pins;
mod protection;
mod record;
mod serial;
mod spi;
mod unique_id;
mod watchdog;

use assay_board_support::cortex_m::systick;
use assay_firmware::bus::SpiTis;
use assay_firmware::console::{Board, Console, ProtectFault, RecordFault, SettingsStore};
use assay_firmware::platform::{BoardInfo, Platform, Protection};
use assay_firmware::settings::Settings;
use cortex_m_rt::entry;
use stm32f4xx_hal::pac;

use crate::clock::CORE_HZ;
use crate::flash::Sectors;
use crate::pins::TpmChipSelect;
use crate::record::Record;
use crate::serial::Link;
use crate::spi::TpmBus;
use crate::watchdog::Independent;

/// Time on this board.
pub(crate) type Timer = systick::Timer<CORE_HZ, Independent>;

/// What the console is told of the board.
struct Bench {
    timer: Timer,
    /// `None` when the region is not what the flash has; what is wrong inside it each access says.
    settings: Option<Settings<Sectors>>,
    record: Record,
    unique_id: [u8; 12],
}

impl Platform for Bench {
    fn now_us(&mut self) -> u64 {
        Timer::now_us(self.timer)
    }

    fn idle(&mut self) {
        self.timer.idle();
    }

    fn kick_watchdog(&mut self) {
        self.timer.kick_watchdog();
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        self.timer.noise(out)
    }

    fn restart(&mut self) {
        self.timer.restart();
    }
}

impl Board for Bench {
    type Serial = Link;
    type Bus = SpiTis<TpmBus, TpmChipSelect>;
    type Delay = Timer;

    fn about(&self) -> BoardInfo {
        BoardInfo {
            name: "stm32f405",
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn unique_id(&self) -> Option<&[u8]> {
        Some(&self.unique_id)
    }

    fn read_record(&mut self, to: &mut [u8]) {
        self.record.read(to);
    }

    fn write_record(&mut self, record: &[u8]) -> Result<(), RecordFault> {
        self.record.write(record)
    }

    fn how_to_flash_record(&self) -> &'static str {
        "probe-rs download --chip STM32F405RGTx --binary-format bin --base-address 0x080E0000 FILE"
    }

    fn protection(&mut self) -> Protection {
        protection::read()
    }

    fn can_protect_record(&self) -> bool {
        true
    }

    fn protect_record(&mut self) -> Result<(), ProtectFault> {
        self.record.protect()
    }

    fn how_to_unprotect(&self) -> &'static str {
        "STM32_Programmer_CLI -c port=SWD -ob nWRP11=1"
    }

    fn settings(&mut self) -> Option<&mut dyn SettingsStore> {
        let settings = self.settings.as_mut()?;
        Some(settings)
    }
}

#[entry]
fn main() -> ! {
    // First, so that a crystal that does not start ends in a restart, too.
    watchdog::start();
    console().run()
}

/// Brings the board up. This start is not counted: the counter is the agent's.
#[inline(never)]
fn console() -> Console<Bench> {
    let (Some(core), Some(chip)) = (cortex_m::Peripherals::take(), pac::Peripherals::take()) else {
        unreachable!("this is the first call")
    };
    let mut board = pins::take(chip);
    let timer = Timer::start(core.SYST);
    let settings = flash::settings(board.flash).ok();
    let link = Link::new(board.usart, timer, &mut board.rcc);
    let Ok(bus) = SpiTis::new(TpmBus::new(board.spi, &mut board.rcc), board.chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    let bench = Bench {
        timer,
        settings,
        record: Record::new(),
        unique_id: unique_id::read(),
    };
    Console::new(bench, link, bus, timer)
}
