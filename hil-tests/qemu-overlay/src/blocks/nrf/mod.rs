//! The blocks of an nRF52840 that QEMU lacks. Names and offsets as in Nordic's product specification, nRF52840_PS.
//!
//! Below [`Uart`] is QEMU's own for an nRF51, which has the same registers.

pub mod clock;
pub mod gpio;
pub mod nvmc;
pub mod rng;
pub mod spi;
pub mod timer;
pub mod uart;
pub mod watchdog;

pub use clock::Clock;
pub use gpio::Gpio;
pub use nvmc::Nvmc;
pub use rng::Rng;
pub use spi::Spi;
pub use timer::{CC as COMPARE, Timer};
pub use uart::Uart;
pub use watchdog::Wdt;

use crate::args::Pin;

/// PSEL: the pin is not connected.
const DISCONNECTED: u32 = 1 << 31;
/// PSEL after a reset.
const NO_PIN: u32 = u32::MAX;

/// The pin that a register PSEL selects.
fn selected(psel: u32) -> Option<Pin> {
    if psel & DISCONNECTED != 0 {
        return None;
    }
    let bits = psel & 0x3F;
    Some(Pin {
        port: u8::from(bits & 0x20 != 0),
        number: u8::try_from(bits & 0x1F).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_selected_by_port_and_number_unless_it_is_disconnected() {
        let pin = |port, number| Some(Pin { port, number });
        assert_eq!(selected(6), pin(0, 6));
        assert_eq!(selected(0x2F), pin(1, 15));
        assert_eq!(selected(DISCONNECTED | 6), None);
        assert_eq!(selected(NO_PIN), None);
    }
}
