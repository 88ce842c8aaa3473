//! The SPI protocol of the PC Client Platform TPM Profile: one frame per register access.
//!
//! ```text
//! CS low | R/W + length-1 | D4 | locality, reg[11:8] | reg[7:0] | wait bytes … | 1..64 data bytes | CS high
//! ```
//!
//! The TPM answers during the fourth header byte: bit 0 set means that data follow at once, clear
//! means that it needs time; then single bytes are clocked until one comes back with bit 0 set.
//! This holds for reads and for writes (`[PTP 1.05]` 6.4.6, "flow control").
//!
//! # Why not `SpiDevice`
//!
//! embedded-hal advises to leave chip select to `SpiDevice`, whose transaction is a list made
//! before the first byte moves. Whether and for how long this protocol waits is known only in
//! the middle of a frame, with chip select held low (embedded-hal #642 is open). Infineon's
//! parts insert no waits and would work; ST, Nuvoton and Microchip parts do and would not. So this
//! driver takes the bus and the pin, and the board must give the TPM a chip select on a GPIO:
//! hardware selects of several controllers rise between words or between DMA jobs.

use embedded_hal::digital::OutputPin;
use embedded_hal::spi::ErrorKind;

use super::access::TisBus;
use super::mode::{SpiBus, both};
use crate::bus::{BusError, Locality, MAX_WAIT_BYTES, Reg, SPI_MAX_TRANSFER, Traffic};

const HEADER_READ: u8 = 0x80;
/// `[PTP 1.05]`: TPM registers sit at 0xD4_0000 in the SPI address space.
const ADDRESS_PAGE: u8 = 0xD4;
const NO_WAIT: u8 = 0x01;

/// A TPM on an SPI bus with a chip-select pin that this driver owns.
///
/// SPI mode 0, 8-bit words, most significant bit first; any clock that the chip allows (10 MHz
/// suits all known parts except ST33GTPMISPI-era ones with long wires). The bus must not be used by
/// anybody else while an access runs.
#[derive(Debug)]
pub struct SpiTis<SPI, CS> {
    spi: SPI,
    cs: CS,
    locality: Locality,
    /// A frame was begun and not ended: its future was dropped in the middle, which only an asynchronous one can be.
    selected: bool,
    traffic: Traffic,
}

#[both(AFIT)]
impl<SPI: SpiBus, CS: OutputPin> SpiTis<SPI, CS> {
    /// Takes the bus and the pin, and deselects the TPM.
    ///
    /// # Errors
    /// [`BusError::ChipSelect`] when the pin can't be driven high.
    pub fn new(spi: SPI, mut cs: CS) -> Result<Self, BusError> {
        cs.set_high().map_err(|_| BusError::ChipSelect)?;
        Ok(Self {
            spi,
            cs,
            locality: Locality::ZERO,
            selected: false,
            traffic: Traffic::default(),
        })
    }

    /// Addresses another locality than 0.
    #[must_use]
    pub fn with_locality(mut self, locality: Locality) -> Self {
        self.locality = locality;
        self
    }

    /// Gives the bus and the pin back; the pin is high.
    pub fn release(self) -> (SPI, CS) {
        (self.spi, self.cs)
    }

    /// Clocks four bytes with nobody selected: what the data line reads at rest. Tells a line that is shorted from a TPM
    /// that holds it.
    ///
    /// # Errors
    /// What the peripheral reports, or [`BusError::ChipSelect`].
    #[cfg(feature = "console")]
    pub async fn unselected(&mut self) -> Result<[u8; 4], BusError> {
        self.cs.set_high().map_err(|_| BusError::ChipSelect)?;
        let mut bytes = [0; 4];
        let moved = self.spi.transfer_in_place(&mut bytes).await;
        moved.map_err(|e| spi_error(&e))?;
        self.spi.flush().await.map_err(|e| spi_error(&e))?;
        Ok(bytes)
    }

    async fn frame(
        &mut self,
        direction: u8,
        reg: Reg,
        len: usize,
        data: Data<'_>,
    ) -> Result<(), BusError> {
        if len == 0 || len > SPI_MAX_TRANSFER {
            return Err(BusError::Length);
        }
        let [reg_high, reg_low] = reg.offset().to_be_bytes();
        let mut header = [
            direction | (len - 1) as u8,
            ADDRESS_PAGE,
            self.locality.number() << 4 | reg_high,
            reg_low,
        ];
        if self.selected {
            self.cs.set_high().map_err(|_| BusError::ChipSelect)?;
        }
        self.cs.set_low().map_err(|_| BusError::ChipSelect)?;
        self.selected = true;
        let moved = self.clock(&mut header, data).await;
        // Several peripherals report "done" half a clock early, so the flush comes before the
        // pin moves. Both happen whatever went wrong before: a select left low would make the
        // next header look like data.
        let flushed = self.spi.flush().await.map_err(|e| spi_error(&e));
        let deselected = self.cs.set_high().map_err(|_| BusError::ChipSelect);
        self.selected = false;
        self.traffic.add(header.len() + len);
        moved.and(flushed).and(deselected)
    }

    async fn clock(&mut self, header: &mut [u8; 4], data: Data<'_>) -> Result<(), BusError> {
        self.spi
            .transfer_in_place(header)
            .await
            .map_err(|e| spi_error(&e))?;
        let [.., mut seen] = *header;
        let mut waited = 0;
        while seen & NO_WAIT == 0 {
            if waited == MAX_WAIT_BYTES {
                return Err(BusError::WaitState);
            }
            waited += 1;
            let mut wait = [0];
            self.spi
                .transfer_in_place(&mut wait)
                .await
                .map_err(|e| spi_error(&e))?;
            self.traffic.bytes = self.traffic.bytes.wrapping_add(1);
            [seen] = wait;
        }
        match data {
            Data::In(buf) => {
                buf.fill(0);
                self.spi.transfer_in_place(buf).await
            }
            Data::Out(data) => self.spi.write(data).await,
        }
        .map_err(|e| spi_error(&e))
    }
}

enum Data<'a> {
    In(&'a mut [u8]),
    Out(&'a [u8]),
}

fn spi_error<E: embedded_hal::spi::Error>(error: &E) -> BusError {
    match error.kind() {
        ErrorKind::Overrun => BusError::Overrun,
        ErrorKind::ModeFault => BusError::ModeFault,
        ErrorKind::FrameFormat => BusError::FrameFormat,
        ErrorKind::ChipSelectFault => BusError::ChipSelect,
        _ => BusError::Spi,
    }
}

#[both(AFIT)]
impl<SPI: SpiBus, CS: OutputPin> TisBus for SpiTis<SPI, CS> {
    type Error = BusError;
    const MAX_TRANSFER: usize = SPI_MAX_TRANSFER;

    async fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), BusError> {
        self.frame(HEADER_READ, reg, buf.len(), Data::In(buf)).await
    }

    async fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), BusError> {
        self.frame(0, reg, data.len(), Data::Out(data)).await
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}
