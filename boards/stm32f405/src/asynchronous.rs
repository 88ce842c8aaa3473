//! The asynchronous driver of the TPM on an STM32F405, under embassy: what a firmware looks like that has other things to do.
//!
//! An image of its own, built with the feature `embassy`, from the parts of the agent's. Three tasks share the processor, see
//! [`tasks`]; README.md, "Asynchronous", says what can be typed on the link.

#![no_std]
#![no_main]

mod clock;
#[cfg(feature = "defmt")]
mod log;
mod noise;
mod panic;
mod pins;
mod serial;
mod spi;
mod tasks;
mod watchdog;

use assay_board_support::cortex_m::alarms::Alarms;
use assay_board_support::cortex_m::systick;
use assay_board_support::polled_spi::Polled;
use assay_firmware::bus::asynchronous::SpiTis;
use assay_firmware::tis::asynchronous::Tis;
use embassy_executor::Spawner;
use embassy_time::Delay;
use stm32f4xx_hal::pac;

use crate::clock::CORE_HZ;
use crate::pins::TpmChipSelect;
use crate::serial::Link;
use crate::spi::TpmBus;
use crate::tasks::{heart, link, tpm};
use crate::watchdog::Independent;

/// Time on this board, as the parts of the agent's image take it.
pub(crate) type Timer = systick::Timer<CORE_HZ, Independent>;
/// The driver over this board's parts.
pub(crate) type Driver = Tis<SpiTis<Polled<TpmBus>, TpmChipSelect>, Delay>;

embassy_time_driver::time_driver_impl!(static TIME: Alarms<CORE_HZ> = Alarms);

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    // First, so that a crystal that does not start ends in a restart, too.
    watchdog::start();
    let (Some(core), Some(chip)) = (cortex_m::Peripherals::take(), pac::Peripherals::take()) else {
        unreachable!("this is the first call")
    };
    let mut board = pins::take(chip);
    // The settings are the agent's: nothing here writes to the flash.
    let _ = board.flash;
    let timer = Timer::start(core.SYST);
    let serial = Link::new(board.usart, timer, &mut board.rcc);
    let bus = Polled(TpmBus::new(board.spi, &mut board.rcc));
    let Ok(bus) = SpiTis::new(bus, board.chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    let (Ok(heart), Ok(link), Ok(tpm)) = (
        heart::beat(),
        link::serve(serial),
        tpm::work(Tis::new(bus, Delay)),
    ) else {
        unreachable!("each task is started once")
    };
    spawner.spawn(heart);
    spawner.spawn(link);
    spawner.spawn(tpm);
}
