//! The board driven register by register, as a HAL does it.

use assay_spi_tpm::mock::ScriptedTpm;
use assay_spi_tpm::{Config, chip::Personality};

use super::*;

const CS: Pin = Pin { port: 0, number: 4 };
const MODER: u32 = 0x00;
const BSRR: u32 = 0x18;
const AFRL: u32 = 0x20;

fn board() -> Board {
    let tpm = SpiTpm::new(ScriptedTpm::new(), Config::chip(Personality::SLB9672));
    Board::new(tpm, CS, None, [7; 12], None, false)
}

fn with_clocks() -> Board {
    let mut board = board();
    board.write(Block::Rcc, 0x30, 4, 1);
    board.write(Block::Rcc, 0x44, 4, 1 << 12);
    board
}

fn configured() -> Board {
    let mut board = with_clocks();
    board.write(Block::Gpio(0), BSRR, 4, 1 << 4);
    board.write(Block::Gpio(0), AFRL, 4, 0x5550_0000);
    board.write(
        Block::Gpio(0),
        MODER,
        4,
        0xA800_0000 | (2 << 10) | (2 << 12) | (2 << 14) | (1 << 8),
    );
    board.write(
        Block::Spi1,
        0x00,
        4,
        (1 << 6) | (1 << 2) | (1 << 9) | (1 << 8),
    );
    board
}

fn did_vid(board: &mut Board) -> [u8; 4] {
    board.write(Block::Gpio(0), BSRR, 4, 1 << 20);
    let mut last = [0; 4];
    for byte in [0x83, 0xD4, 0x0F, 0x00, 0, 0, 0, 0] {
        board.write(Block::Spi1, 0x0C, 1, byte);
        last.rotate_left(1);
        last[3] = u8::try_from(board.read(Block::Spi1, 0x0C, 1)).unwrap_or(0);
    }
    board.write(Block::Gpio(0), BSRR, 4, 1 << 4);
    last
}

#[test]
fn a_configured_board_reads_the_tpms_identity() {
    let mut board = configured();
    assert_eq!(did_vid(&mut board), [0xD1, 0x15, 0x1D, 0x00]);
    assert_eq!(board.tpm().stats().totals().chip_selects, 1);
    assert_eq!(board.tpm().stats().totals().bytes, 8);
}

#[test]
fn a_block_without_its_clock_is_dead() {
    let mut board = configured();
    board.write(Block::Rcc, 0x44, 4, 0);
    assert_eq!(did_vid(&mut board), [0; 4]);
    let mut board = configured();
    board.write(Block::Rcc, 0x30, 4, 0);
    assert_eq!(did_vid(&mut board), [0xFF; 4], "chip select cannot move");
}

#[test]
fn pins_that_were_not_given_to_spi1_carry_nothing() {
    let mut board = configured();
    board.write(Block::Gpio(0), AFRL, 4, 0x0550_0000);
    assert_eq!(did_vid(&mut board), [0xFF; 4]);
}

#[test]
fn a_chip_select_pin_that_is_no_output_never_selects() {
    let mut board = configured();
    board.write(Block::Gpio(0), MODER, 4, (2 << 10) | (2 << 12) | (2 << 14));
    assert_eq!(did_vid(&mut board), [0xFF; 4]);
    assert_eq!(board.tpm().stats().totals().chip_selects, 0);
}

#[test]
fn a_reset_of_the_board_releases_chip_select_in_mid_frame() {
    let mut board = configured();
    board.write(Block::Gpio(0), BSRR, 4, 1 << 20);
    board.write(Block::Spi1, 0x0C, 1, 0x83);
    board.system_reset();
    let mut board2 = configured();
    std::mem::swap(board2.tpm(), board.tpm());
    assert_eq!(did_vid(&mut board2), [0xD1, 0x15, 0x1D, 0x00]);
}

#[test]
fn the_reset_pin_pulses_the_tpms_reset_line() {
    let mock = ScriptedTpm::new();
    let journal = mock.journal();
    let tpm = SpiTpm::new(mock, Config::default());
    let mut board = Board::new(
        tpm,
        CS,
        Some(Pin { port: 0, number: 1 }),
        [0; 12],
        None,
        false,
    );
    board.write(Block::Rcc, 0x30, 4, 1);
    board.write(Block::Gpio(0), MODER, 4, 1 << 2);
    assert_eq!(journal.lock().map(|j| j.resets).unwrap_or(0), 0);
    board.write(Block::Gpio(0), BSRR, 4, 1 << 1);
    assert_eq!(journal.lock().map(|j| j.resets).unwrap_or(0), 1);
}
