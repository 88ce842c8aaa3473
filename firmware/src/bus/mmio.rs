//! A TPM whose FIFO registers are mapped into memory (QEMU's `tpm-tis-device`, LPC-style bridges).
//!
//! The only module of this crate with `unsafe`: volatile loads and stores at an address that the
//! board vouches for. The FIFO is moved byte by byte, since its address doesn't advance; other
//! registers of four bytes are moved as one `u32`, since a status register that is read in four
//! pieces can change between them.

#![expect(
    unsafe_code,
    reason = "memory-mapped registers are reached by volatile access only"
)]

use core::ptr::{read_volatile, with_exposed_provenance_mut, write_volatile};

use super::{BusError, Locality, Reg, SPI_MAX_TRANSFER, TisBus, Traffic};

/// Bytes of one locality's window.
const WINDOW: usize = 0x1000;

/// A TPM at a fixed address.
#[derive(Debug)]
pub struct MmioTis {
    base: usize,
    traffic: Traffic,
}

impl MmioTis {
    /// Locality 0 of the TPM whose registers begin at `base`.
    ///
    /// # Safety
    /// `base` must be the 4-byte aligned address of the FIFO register space of a TPM, mapped as
    /// device memory for its whole length, and nobody else may access it while this value lives.
    pub const unsafe fn new(base: usize) -> Self {
        Self {
            base,
            traffic: Traffic {
                bytes: 0,
                frames: 0,
            },
        }
    }

    /// Addresses another locality than 0.
    #[must_use]
    pub const fn with_locality(mut self, locality: Locality) -> Self {
        self.base += locality.number() as usize * WINDOW;
        self
    }

    fn address(&self, reg: Reg, len: usize) -> Result<usize, BusError> {
        // A FIFO transfer stays on its first address; any other must end inside the window.
        let end = usize::from(reg.offset()) + if reg.is_fifo() { 1 } else { len };
        if len == 0 || len > Self::MAX_TRANSFER || end > WINDOW {
            return Err(BusError::Length);
        }
        Ok(self.base + usize::from(reg.offset()))
    }
}

const fn is_word(address: usize, len: usize) -> bool {
    len == 4 && address.is_multiple_of(4)
}

impl TisBus for MmioTis {
    type Error = BusError;
    // A memory bus has no limit of its own; the burst count is the bound. 64 keeps both buses alike.
    const MAX_TRANSFER: usize = SPI_MAX_TRANSFER;

    fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), BusError> {
        let address = self.address(reg, buf.len())?;
        self.traffic.add(buf.len());
        if !reg.is_fifo() && is_word(address, buf.len()) {
            // SAFETY: `address` lies in the window that the caller of `new` vouched for
            // (checked above) and is aligned for u32 (checked by `is_word`).
            let word = unsafe { read_volatile(with_exposed_provenance_mut::<u32>(address)) };
            buf.copy_from_slice(&u32::from_le(word).to_le_bytes());
            return Ok(());
        }
        let step = usize::from(!reg.is_fifo());
        for (i, byte) in buf.iter_mut().enumerate() {
            // SAFETY: as above; bytes need no alignment, and `address` checked the last one.
            *byte = unsafe { read_volatile(with_exposed_provenance_mut::<u8>(address + i * step)) };
        }
        Ok(())
    }

    fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), BusError> {
        let address = self.address(reg, data.len())?;
        self.traffic.add(data.len());
        if !reg.is_fifo()
            && is_word(address, data.len())
            && let Ok(bytes) = <[u8; 4]>::try_from(data)
        {
            let word = u32::from_le_bytes(bytes).to_le();
            // SAFETY: as for the word in `read`.
            unsafe { write_volatile(with_exposed_provenance_mut::<u32>(address), word) };
            return Ok(());
        }
        let step = usize::from(!reg.is_fifo());
        for (i, byte) in data.iter().enumerate() {
            // SAFETY: as for the bytes in `read`.
            unsafe { write_volatile(with_exposed_provenance_mut::<u8>(address + i * step), *byte) };
        }
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[repr(align(4))]
    struct Window([u8; 2 * WINDOW]);

    fn mapped() -> (Box<Window>, MmioTis) {
        let mut window = Box::new(Window([0; 2 * WINDOW]));
        let base = core::ptr::from_mut(window.as_mut()).expose_provenance();
        // SAFETY: ordinary memory of the right size stands in for the registers and outlives the bus.
        let bus = unsafe { MmioTis::new(base) };
        (window, bus)
    }

    #[test]
    fn four_byte_registers_are_little_endian_words() {
        let (mut window, mut bus) = mapped();
        window.0[0xF00..0xF04].copy_from_slice(&[0xD1, 0x15, 0x1D, 0x00]);
        let mut id = [0; 4];
        bus.read(Reg::DID_VID, &mut id).unwrap();
        assert_eq!(u32::from_le_bytes(id), 0x001D_15D1);
        bus.write(Reg::STS, &[0x40, 0, 0, 0]).unwrap();
        assert_eq!(window.0[0x18], 0x40);
    }

    #[test]
    fn fifo_bytes_all_go_to_one_address() {
        let (window, mut bus) = mapped();
        bus.write(Reg::DATA_FIFO, &[1, 2, 3, 4]).unwrap();
        assert_eq!(window.0[0x24..0x28], [4, 0, 0, 0]);
        let mut same = [0; 3];
        bus.read(Reg::DATA_FIFO, &mut same).unwrap();
        assert_eq!(same, [4, 4, 4]);
    }

    #[test]
    fn another_locality_has_its_own_window() {
        let (window, bus) = mapped();
        let mut bus = bus.with_locality(Locality::new(1).unwrap());
        bus.write(Reg::ACCESS, &[2]).unwrap();
        assert_eq!((window.0[0], window.0[WINDOW]), (0, 2));
    }

    #[test]
    fn refuses_a_transfer_that_leaves_the_window() {
        let (_window, mut bus) = mapped();
        let last = Reg::new(0xFFF).unwrap();
        assert_eq!(bus.write(last, &[0, 0]), Err(BusError::Length));
        assert_eq!(bus.read(last, &mut []), Err(BusError::Length));
        assert_eq!(
            bus.read(Reg::DATA_FIFO, &mut [0; 65]),
            Err(BusError::Length)
        );
    }
}
