//! The board driven register by register, as a HAL does it.

use assay_spi_tpm::mock::ScriptedTpm;
use assay_spi_tpm::{Config, chip::Personality};

use super::*;

const CS: Pin = Pin { port: 0, number: 4 };
const MODER: u32 = 0x00;
const BSRR: u32 = 0x18;
const AFRL: u32 = 0x20;

/// A machine whose USART is never reached.
struct NoUsart;

impl MachineUart for NoUsart {
    fn read(&mut self, _: u32) -> u32 {
        0
    }

    fn write(&mut self, _: u32, _: u32) {}
}

fn setup(chip: Chip) -> Setup {
    Setup {
        chip,
        cs: CS,
        nrst: None,
        uid: [7; 12],
        settings: None,
        record: false,
        torn: None,
        dead_pll: 0,
        late: false,
        acl: true,
    }
}

fn board_of(chip: Chip) -> Board {
    let tpm = SpiTpm::new(ScriptedTpm::new(), Config::chip(Personality::SLB9672));
    Board::new(tpm, Box::new(NoUsart), &setup(chip))
}

fn board() -> Board {
    board_of(Chip::Stm32f405)
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
    let wired = Setup {
        nrst: Some(Pin { port: 0, number: 1 }),
        ..setup(Chip::Stm32f405)
    };
    let mut board = Board::new(tpm, Box::new(NoUsart), &wired);
    board.write(Block::Rcc, 0x30, 4, 1);
    board.write(Block::Gpio(0), MODER, 4, 1 << 2);
    assert_eq!(journal.lock().map(|j| j.resets).unwrap_or(0), 0);
    board.write(Block::Gpio(0), BSRR, 4, 1 << 1);
    assert_eq!(journal.lock().map(|j| j.resets).unwrap_or(0), 1);
}

/// As `configured`, on the other chip.
fn configured_l476() -> Board {
    let mut board = board_of(Chip::Stm32l476);
    board.write(Block::Rcc, 0x4C, 4, 1);
    board.write(Block::Rcc, 0x60, 4, 1 << 12);
    board.write(Block::Gpio(0), BSRR, 4, 1 << 4);
    board.write(Block::Gpio(0), AFRL, 4, 0x5550_0000);
    board.write(Block::Gpio(0), MODER, 4, 0xABFF_0000 | (0xA9 << 8));
    board.write(Block::Spi1, 0x04, 4, (7 << 8) | (1 << 12));
    board.write(
        Block::Spi1,
        0x00,
        4,
        (1 << 6) | (1 << 2) | (1 << 9) | (1 << 8),
    );
    board
}

#[test]
fn the_other_chip_reads_the_tpms_identity_by_its_own_registers() {
    assert_eq!(did_vid(&mut configured_l476()), [0xD1, 0x15, 0x1D, 0x00]);
    for (register, name) in [(0x4C, "port"), (0x60, "SPI")] {
        let mut board = configured_l476();
        board.write(Block::Rcc, register, 4, 0);
        assert_ne!(did_vid(&mut board), [0xD1, 0x15, 0x1D, 0x00], "{name}");
    }
    // Its ports are analog after a reset: no pin is the SPI's and chip select floats.
    let mut board = configured_l476();
    board.write(Block::Rcc, 0x2C, 4, 1);
    board.write(Block::Rcc, 0x2C, 4, 0);
    assert_eq!(did_vid(&mut board), [0xFF; 4]);
}

#[test]
fn the_other_chips_noise_needs_its_clock_and_one_to_sample_with() {
    let mut board = board_of(Chip::Stm32l476);
    let ready = |board: &mut Board| {
        board.write(Block::Noise, 0x00, 4, 1 << 2);
        board.read(Block::Noise, 0x04, 4) & 1 != 0
    };
    assert!(!ready(&mut board));
    // The registers' clock, and the oscillator of 4 MHz for the samples.
    board.write(Block::Rcc, 0x88, 4, 3 << 26);
    assert!(!ready(&mut board));
    board.write(Block::Rcc, 0x4C, 4, 1 << 18);
    assert!(ready(&mut board));
    board.write(Block::Rcc, 0x88, 4, 0);
    assert!(!ready(&mut board));
}

/// Starts the watchdog as an image does, at 256 periods a count: 8 s from `now_ns` on.
fn with_watchdog(board: &mut Board, now_ns: u64) {
    board.set_time(now_ns);
    for (register, value) in [(0, 0xCCCC), (0, 0x5555), (4, 6), (8, 1_000)] {
        board.write(Block::Watchdog, register, 4, value);
    }
    board.set_time(now_ns.saturating_add(SECOND));
    board.write(Block::Watchdog, 0, 4, 0xAAAA);
}

const SECOND: u64 = 1_000_000_000;
const CAUSE: u32 = 0x74;

#[test]
fn a_bite_is_told_once_and_is_the_next_resets_cause() {
    let mut board = board();
    board.write(Block::Rcc, CAUSE, 4, 1 << 24);
    with_watchdog(&mut board, 0);
    assert_eq!(board.bites_at_ns(), Some(9 * SECOND));
    board.set_time(9 * SECOND - 1);
    assert!(!board.bite());
    board.set_time(9 * SECOND);
    assert!(board.bite() && !board.bite());
    assert_eq!(board.bites_at_ns(), None, "once is enough");
    board.system_reset();
    assert_eq!(board.read(Block::Rcc, CAUSE, 4) >> 28, 2);
    board.set_time(99 * SECOND);
    assert!(!board.bite(), "a reset ends it");
    board.system_reset();
    assert_eq!(
        board.read(Block::Rcc, CAUSE, 4) >> 28,
        3,
        "the next is another's"
    );
}

#[test]
fn the_watchdog_does_not_count_what_the_models_take() {
    let mut board = board();
    with_watchdog(&mut board, 0);
    board.work_ended(8 * SECOND);
    board.set_time(15 * SECOND);
    assert!(!board.bite());
    assert_eq!(
        board.kicks().map(|kicks| kicks.longest_gap_us),
        Some(7_000_000)
    );
    assert_eq!(board.bites_at_ns(), Some(16 * SECOND));
    board.set_time(16 * SECOND);
    assert!(board.bite());
}

const TPM_PINS: [(u8, u32); 4] = [(12, 3), (13, 3), (14, 0xC), (15, 3)];

/// As `configured`, on the nRF52840, with the TPM where its kit has it; `left_out` of the pins stays as after a reset.
fn configured_nrf(left_out: Option<u8>) -> Board {
    let tpm = SpiTpm::new(ScriptedTpm::new(), Config::chip(Personality::SLB9672));
    let setup = Setup {
        cs: Pin {
            port: 1,
            number: 12,
        },
        ..setup(Chip::Nrf52840)
    };
    let mut board = Board::new(tpm, Box::new(NoUsart), &setup);
    board.write(Block::Gpio(1), 0x08, 4, 1 << 12);
    for (pin, configuration) in TPM_PINS {
        if Some(pin) != left_out {
            let at = 0x200 + u32::from(pin) * 4;
            board.write(Block::Gpio(1), at, 4, configuration);
        }
    }
    for (register, value) in [
        (0x508, 0x2F),
        (0x50C, 0x2D),
        (0x510, 0x2E),
        (0x524, 0x4000_0000),
        (0x500, 1),
    ] {
        board.write(Block::Spi1, register, 4, value);
    }
    board
}

fn did_vid_nrf(board: &mut Board) -> [u8; 4] {
    board.write(Block::Gpio(1), 0x0C, 4, 1 << 12);
    let mut last = [0; 4];
    for byte in [0x83, 0xD4, 0x0F, 0x00, 0, 0, 0, 0] {
        board.write(Block::Spi1, 0x51C, 4, byte);
        last.rotate_left(1);
        last[3] = u8::try_from(board.read(Block::Spi1, 0x518, 4)).unwrap_or(0);
    }
    board.write(Block::Gpio(1), 0x08, 4, 1 << 12);
    last
}

#[test]
fn nordics_chip_reads_the_tpms_identity_by_pins_that_it_selects_and_not_with_one_left_out() {
    assert_eq!(
        did_vid_nrf(&mut configured_nrf(None)),
        [0xD1, 0x15, 0x1D, 0x00]
    );
    for (pin, _) in TPM_PINS {
        let mut board = configured_nrf(Some(pin));
        assert_eq!(did_vid_nrf(&mut board), [0xFF; 4], "P1.{pin}");
    }
    let mut board = configured_nrf(None);
    board.write(Block::Spi1, 0x500, 4, 0);
    board.write(Block::Spi1, 0x50C, 4, 0x2C);
    board.write(Block::Spi1, 0x500, 4, 1);
    assert_eq!(did_vid_nrf(&mut board), [0xFF; 4], "another pin's MOSI");
}

/// Notes what reaches QEMU's UART.
struct Wire(std::sync::Arc<std::sync::Mutex<Vec<(u32, u32)>>>);

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

#[test]
fn nordics_uart_is_on_with_the_links_pins_and_their_directions_alone() {
    let on = |sends: u32, receives: u32, selected: u32| {
        let seen = std::sync::Arc::default();
        let tpm = SpiTpm::new(ScriptedTpm::new(), Config::default());
        let wire = Box::new(Wire(std::sync::Arc::clone(&seen)));
        let mut board = Board::new(tpm, wire, &setup(Chip::Nrf52840));
        board.write(Block::Gpio(0), 0x200 + 6 * 4, 4, sends);
        board.write(Block::Gpio(0), 0x200 + 8 * 4, 4, receives);
        board.write(Block::Uart, 0x50C, 4, selected);
        board.write(Block::Uart, 0x514, 4, 8);
        board.write(Block::Uart, 0x500, 4, 4);
        seen.lock()
            .is_ok_and(|seen| seen.last() == Some(&(0x500, 4)))
    };
    assert!(on(3, 0xC, 6));
    assert!(!on(2, 0xC, 6), "no output");
    assert!(!on(3, 2, 6), "an input that is cut off");
    assert!(!on(3, 0xC, 7), "another pin");
}

#[test]
fn a_reset_opens_what_was_closed() {
    let mut board = configured_nrf(None);
    for (register, value) in [(0x800, 0x000F_7000), (0x804, 0x1000), (0x808, 6)] {
        board.write(Block::Flash, register, 4, value);
    }
    assert_eq!(board.closed().len(), 1);
    assert!(!board.closed_late());
    board.read(Block::Settings, 0, 4);
    assert!(board.refused());
    board.system_reset();
    assert!(board.closed().is_empty());
    board.write(Block::Uart, 0x500, 4, 4);
    for (register, value) in [(0x810, 0x000F_7000), (0x814, 0x1000), (0x818, 6)] {
        board.write(Block::Flash, register, 4, value);
    }
    assert!(board.closed_late());
}
