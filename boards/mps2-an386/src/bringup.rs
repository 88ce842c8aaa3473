//! The bring-up image of QEMU's `mps2-an386`: a technician's console on the link, and no agent.
//!
//! Emulator only, as the agent's image in `main.rs`: it lets the console be tried where the overlay cannot be loaded.

#![no_std]
#![no_main]

mod bridge;
mod panic;
mod semihosting;
mod serial;

use assay_board_support::cortex_m::systick;
use assay_board_support::provisioning;
use assay_firmware::bus::SpiTis;
use assay_firmware::console::{Board, Console};
use assay_firmware::platform::{BoardInfo, Platform};
use cortex_m::peripheral::SCB;
use cortex_m_rt::entry;

use crate::bridge::{TpmBus, TpmChipSelect};
use crate::serial::Link;

/// Core, SysTick and UARTs, Hz: QEMU's model of the board has one clock.
const CORE_HZ: u32 = 25_000_000;

/// Time on this machine. It has a watchdog, which is not started: whoever runs it has a deadline.
pub(crate) type Timer = systick::Timer<CORE_HZ, ()>;

/// What the console is told of the board. It has no flash: neither settings nor a record that it could write.
struct Bench(Timer);

impl Platform for Bench {
    fn now_us(&mut self) -> u64 {
        Timer::now_us(self.0)
    }

    fn idle(&mut self) {
        self.0.idle();
    }

    fn kick_watchdog(&mut self) {}

    fn restart(&mut self) {
        SCB::sys_reset()
    }
}

impl Board for Bench {
    type Serial = Link;
    type Bus = SpiTis<TpmBus, TpmChipSelect>;
    type Delay = Timer;

    fn about(&self) -> BoardInfo {
        BoardInfo {
            name: "mps2-an386",
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn read_record(&mut self, to: &mut [u8]) {
        to.fill(0xFF);
        for (to, from) in to.iter_mut().zip(provisioning::region()) {
            *to = *from;
        }
    }

    fn how_to_flash_record(&self) -> &'static str {
        "`./x console mps2-an386 --record FILE`, or start QEMU with -device loader,file=FILE,addr=0x003E0000,force-raw=on"
    }
}

#[entry]
fn main() -> ! {
    console().run()
}

/// Brings the board up.
#[inline(never)]
fn console() -> Console<Bench> {
    let Some(core) = cortex_m::Peripherals::take() else {
        unreachable!("this is the first call")
    };
    let timer = Timer::start(core.SYST);
    let link = Link::new(timer);
    let (bus, chip_select) = bridge::open();
    let Ok(bus) = SpiTis::new(bus, chip_select) else {
        unreachable!("a chip select that is bridged cannot fail")
    };
    Console::new(Bench(timer), link, bus, timer)
}
