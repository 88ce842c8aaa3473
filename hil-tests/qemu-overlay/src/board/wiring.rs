//! Which pins lead to the TPM and to the link, and whether they are set up for it.

use super::Board;
use crate::args::Pin;
use crate::blocks::{nrf, rp};
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
impl Board {
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
    pub(super) fn uart_is_wired(&self) -> bool {
        if self.chip == Chip::Rp2350 {
            let [sends, receives] = rp::LINK_PINS;
            return self.is_given(sends, rp::UART)
                && self.is_given(receives, rp::UART)
                && self.is_input(rp::pin(receives));
        }
        self.uart.pins().is_none_or(|selected| {
            let [sends, receives] = nrf::uart::PINS;
            selected == nrf::uart::PINS.map(Some)
                && self.is_output(sends)
                && self.is_input(receives)
        })
    }

    /// Whether a pin of the first port has this function.
    fn is_given(&self, pin: u8, function: u32) -> bool {
        let port = self.ports.first();
        port.is_some_and(|port| port.is_alternate(pin, function))
    }

    /// SCK, MISO and MOSI on PA5, PA6, PA7 or on PB3, PB4, PB5, or the pins that SPI1 selects itself.
    pub(super) fn spi_is_wired(&self) -> bool {
        if self.chip == Chip::Rp2350 {
            let [_, miso, _] = rp::TPM_PINS;
            let given = |pin| self.is_given(pin, rp::SPI);
            return rp::TPM_PINS.into_iter().all(given) && self.is_input(rp::pin(miso));
        }
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
