//! Registers of a TPM that answer at random: the FIFO driver ends in bounded time, with a response of
//! the length it announced or an error, and never sends a command twice after the go.
#![no_main]

use assay_firmware::bus::{BusError, Reg, TisBus};
use assay_firmware::tis::Tis;
use embedded_hal::delay::DelayNs;
use libfuzzer_sys::fuzz_target;

/// Statuses that lead deeper into the state machine than random ones would.
const PLAUSIBLE: [[u8; 4]; 8] = [
    [0xC0, 64, 0, 4],
    [0x40, 8, 0, 4],
    [0x88, 64, 0, 4],
    [0x88, 1, 0, 4],
    [0x80, 0, 0, 4],
    [0x90, 64, 0, 4],
    [0x90, 3, 0, 4],
    [0x00, 0, 0, 4],
];

struct Random<'a> {
    rest: &'a [u8],
    accesses: u32,
    gos: u32,
    bytes_after_go: u32,
}

impl Random<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}

impl TisBus for Random<'_> {
    type Error = BusError;
    const MAX_TRANSFER: usize = 64;

    fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), BusError> {
        assert!((1..=64).contains(&buf.len()));
        self.accesses += 1;
        let Some(control) = self.byte() else {
            // What is left when the input ends: a dead bus, a TPM that is busy, or one that is idle.
            buf.fill(match self.accesses % 3 {
                0 => 0xFF,
                1 => 0x80,
                _ => 0x00,
            });
            return Ok(());
        };
        match control {
            0..=0xBF if reg == Reg::STS => {
                let status = PLAUSIBLE[usize::from(control % 8)];
                buf.copy_from_slice(&status[..buf.len()]);
            }
            0..=0xBF if reg == Reg::ACCESS => buf.fill(0xA1),
            0..=0xBF if reg == Reg::DID_VID => buf.copy_from_slice(&[0xD1, 0x15, 0x1B, 0]),
            0xF0..=0xFF => return Err(BusError::WaitState),
            _ => {
                for byte in buf {
                    *byte = self.byte().unwrap_or(0);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), BusError> {
        assert!((1..=64).contains(&data.len()));
        self.accesses += 1;
        match (reg, data) {
            (Reg::STS, [0x20]) => self.gos += 1,
            (Reg::DATA_FIFO, bytes) if self.gos > 0 => self.bytes_after_go += bytes.len() as u32,
            _ => {}
        }
        match self.byte() {
            Some(0xF8..=0xFF) => Err(BusError::Spi),
            _ => Ok(()),
        }
    }
}

#[derive(Default)]
struct Delay(u64);

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        self.0 += u64::from(ns);
    }
}

fuzz_target!(|data: &[u8]| {
    let [len, rest @ ..] = data else { return };
    let command = [0x5A; 10 + 255];
    let command = &command[..10 + usize::from(*len)];
    let bus = Random {
        rest,
        accesses: 0,
        gos: 0,
        bytes_after_go: 0,
    };
    let mut tis = Tis::new(bus, Delay::default());
    let mut response = [0; 1024];
    let result = tis.transmit(command, &mut response, 5_000_000);
    if let Ok(response) = result {
        let size = u32::from_be_bytes(response[2..6].try_into().expect("four bytes"));
        assert_eq!(size as usize, response.len());
    }
    assert_eq!(tis.bus().bytes_after_go, 0, "sent again after the go");
    assert!(tis.bus().gos <= 3, "the go is repeated only for the bus");
    // Every byte of the input can prolong a wait once; nothing else may.
    let bound_s = 60 + 5 * data.len() as u64;
    assert!(
        tis.delay().0 < bound_s * 1_000_000_000,
        "{} ns",
        tis.delay().0
    );
});
