//! The RP2350's board driven register by register, as its image does it.

use std::sync::{Arc, Mutex};

use assay_spi_tpm::mock::ScriptedTpm;
use assay_spi_tpm::{Config, chip::Personality};

use super::*;
use crate::blocks::rp::Part;

const CS: u8 = 17;
const ISOLATED: u32 = 1 << 8;
const INPUT: u32 = 1 << 6;
/// RESETS.RESET: IO_BANK0, PADS_BANK0, SPI0, TIMER0, TRNG and UART0 are out of it.
const RELEASED: u32 = 0x1FFF_FFFF & !(1 << 6 | 1 << 9 | 1 << 18 | 1 << 23 | 1 << 25 | 1 << 26);
const SPI0: u32 = 1 << 18;

/// Notes what reaches QEMU's UART.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<(u32, u32)>>>);

impl MachineUart for Wire {
    fn read(&mut self, _: u32) -> u32 {
        0
    }

    fn write(&mut self, offset: u32, value: u32) {
        if let Ok(mut seen) = self.0.lock() {
            seen.push((offset, value));
        }
    }
}

fn powered(wire: &Wire) -> Board {
    let tpm = SpiTpm::new(ScriptedTpm::new(), Config::chip(Personality::SLB9672));
    let setup = Setup {
        chip: Chip::Rp2350,
        cs: rp::pin(CS),
        nrst: None,
        uid: [7; 12],
        settings: None,
        record: false,
        torn: None,
        dead_pll: 0,
        late: false,
        acl: true,
    };
    Board::new(tpm, Box::new(wire.clone()), &setup)
}

fn function(board: &mut Board, pin: u8, function: u32, pad: u32) {
    let pin = u32::from(pin);
    board.write(Block::Gpio(0), pin * 8 + 4, 4, function);
    board.write(Block::Pads, 4 + pin * 4, 4, pad);
}

/// With the TPM's and the link's pins; the pad of `odd` has the bits `pad` instead.
fn configured(wire: &Wire, odd: Option<u8>, pad: u32) -> Board {
    let mut board = powered(wire);
    board.write(Block::System(Part::Clocks), 0x48, 4, 1 << 11);
    board.write(Block::Rcc, 0, 4, RELEASED);
    board.write(Block::Sio, 0x18, 4, 1 << CS);
    board.write(Block::Sio, 0x38, 4, 1 << CS);
    for (pin, selected) in [(CS, 5), (16, 1), (18, 1), (19, 1), (0, 2), (1, 2)] {
        let pad = if odd == Some(pin) { pad } else { INPUT };
        function(&mut board, pin, selected, pad);
    }
    for (register, value) in [(0x10, 2), (0x00, 0x0E07), (0x04, 2)] {
        board.write(Block::Spi1, register, 4, value);
    }
    board
}

fn did_vid(board: &mut Board) -> [u8; 4] {
    board.write(Block::Sio, 0x20, 4, 1 << CS);
    let mut last = [0; 4];
    for byte in [0x83, 0xD4, 0x0F, 0x00, 0, 0, 0, 0] {
        board.write(Block::Spi1, 0x08, 4, byte);
        last.rotate_left(1);
        last[3] = u8::try_from(board.read(Block::Spi1, 0x08, 4)).unwrap_or(0);
    }
    board.write(Block::Sio, 0x18, 4, 1 << CS);
    last
}

#[test]
fn the_tpm_answers_by_pins_that_are_given_to_it_and_not_with_one_isolated() {
    let wire = Wire::default();
    let identity = [0xD1, 0x15, 0x1D, 0x00];
    assert_eq!(did_vid(&mut configured(&wire, None, 0)), identity);
    for pin in [16, 17, 18, 19] {
        let mut board = configured(&wire, Some(pin), INPUT | ISOLATED);
        assert_ne!(did_vid(&mut board), identity, "GP{pin}");
    }
    let mut board = configured(&wire, Some(16), 0);
    assert_ne!(did_vid(&mut board), identity, "an input that is off");
    let mut board = configured(&wire, None, 0);
    function(&mut board, 18, 2, INPUT);
    assert_ne!(did_vid(&mut board), identity, "another function");
}

#[test]
fn the_link_sends_by_its_pins_alone() {
    let sends = |odd, pad| {
        let wire = Wire::default();
        let mut board = configured(&wire, odd, pad);
        for (register, value) in [(0x24, 10), (0x2C, 0x70), (0x30, 0x301), (0x00, 0x41)] {
            board.write(Block::Uart, register, 4, value);
        }
        wire.0.lock().is_ok_and(|seen| seen.contains(&(0x00, 0x41)))
    };
    assert!(sends(None, 0));
    assert!(!sends(Some(0), INPUT | ISOLATED));
    assert!(!sends(Some(1), INPUT | ISOLATED));
    assert!(!sends(Some(1), 0), "an input that is off");
}

#[test]
fn a_block_in_reset_and_what_is_not_there_end_in_a_bus_fault() {
    let mut board = powered(&Wire::default());
    for block in [
        Block::Uart,
        Block::Spi1,
        Block::Timer,
        Block::Noise,
        Block::Gpio(0),
        Block::Pads,
        Block::Nothing,
    ] {
        board.read(block, 0, 4);
        assert!(board.refused(), "{block:?}");
        board.write(block, 0, 4, 0);
        assert!(board.refused(), "{block:?}");
    }
    board.read(Block::Watchdog, 0, 4);
    assert!(!board.refused());
    let mut board = configured(&Wire::default(), None, 0);
    for block in [Block::Uart, Block::Spi1, Block::Timer, Block::Noise] {
        board.read(block, 0, 4);
        assert!(!board.refused(), "{block:?}");
    }
}

#[test]
fn an_alias_changes_the_bits_of_its_register() {
    let mut board = configured(&Wire::default(), None, 0);
    // Set, and then cleared.
    board.write(Block::Rcc, 0x2000, 4, SPI0);
    board.read(Block::Spi1, 0x0C, 4);
    assert!(board.refused());
    assert_eq!(board.read(Block::Rcc, 0x1000, 4), RELEASED | SPI0);
    board.write(Block::Rcc, 0x3000, 4, SPI0);
    board.read(Block::Spi1, 0x0C, 4);
    assert!(!board.refused());
    assert_eq!(board.read(Block::Spi1, 0x04, 4), 0, "it was reset");
}

#[test]
fn the_watchdog_ends_a_board_that_selected_what_it_resets_and_gave_it_ticks() {
    const WDSEL: u32 = 0x01FF_FFF3;
    const MINUTE: u64 = 60_000_000_000;
    for (ticks, selected, bites) in [(1, WDSEL, true), (0, WDSEL, false), (1, 0, false)] {
        let mut board = powered(&Wire::default());
        board.write(Block::System(Part::Psm), 0x8, 4, selected);
        board.write(Block::System(Part::Ticks), 0x34, 4, 12);
        board.write(Block::System(Part::Ticks), 0x30, 4, ticks);
        board.write(Block::Watchdog, 0x4, 4, 8_000_000);
        board.write(Block::Watchdog, 0x0, 4, 1 << 30);
        board.set_time(MINUTE);
        assert_eq!(board.bite(), bites, "{ticks} {selected:#x}");
    }
}
