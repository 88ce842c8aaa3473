//! The clock tree brought up as the board does it, and with steps left out.

use super::*;

const MS: u64 = 1_000_000;

/// As the board does it, without the step `but`.
fn brought_up(but: Option<usize>) -> System {
    let mut system = System::new(0);
    let steps = [
        (XOSC_STARTUP, 47),
        (XOSC_CTRL, ENABLE << 12 | RANGE_1_15MHZ),
        (CLK_REF_CTRL, 2),
        (RESET, ALL & !(PLL_SYS | UART0)),
        (PLL_FBDIV, 125),
        (PLL_PWR, 0xC),
        (PLL_PRIM, 5 << 16 | 2 << 12),
        (PLL_PWR, 4),
        (CLK_SYS_CTRL, 1),
        (CLK_PERI_CTRL, PERI_ENABLE),
        (Part::Ticks.at(0x1C), 12),
        (Part::Ticks.at(0x18), 1),
    ];
    for (nth, (at, value)) in steps.into_iter().enumerate() {
        if Some(nth) != but {
            system.write(at, 4, value);
        }
        system.set_time(system.now + 2 * MS);
    }
    system
}

fn state(system: &System) -> (u32, bool, Option<u64>) {
    (
        system.read(CLK_SYS_SELECTED, 4),
        system.answers(Block::Uart),
        system.tick_ns(Ticked::Timer),
    )
}

#[test]
fn the_chip_runs_from_its_pll_once_everything_is_set_up() {
    let system = brought_up(None);
    assert_eq!(state(&system), (2, true, Some(1_000)));
    assert_eq!(system.sys_source_hz(1), Some(150_000_000));
    assert_eq!(system.tick_ns(Ticked::Watchdog), None, "its own is off");
}

#[test]
fn a_step_that_is_left_out_leaves_the_core_its_ring_or_the_link_dead() {
    for nth in [1, 3, 4, 7, 8] {
        let system = brought_up(Some(nth));
        assert_eq!(system.read(CLK_SYS_SELECTED, 4), 1, "{nth}");
    }
    assert!(!brought_up(Some(3)).answers(Block::Uart), "in reset");
    assert!(!brought_up(Some(9)).answers(Block::Uart), "no clock");
    for nth in [10, 11] {
        assert_eq!(brought_up(Some(nth)).tick_ns(Ticked::Timer), None);
    }
}

#[test]
fn the_crystal_takes_its_delay_and_outlives_a_restart() {
    let mut system = System::new(0);
    system.write(XOSC_STARTUP, 4, 47);
    system.write(XOSC_CTRL, 4, ENABLE << 12 | RANGE_1_15MHZ);
    system.write(CLK_REF_CTRL, 4, 2);
    system.set_time(MS);
    assert_eq!(system.read(XOSC_STATUS, 4), ENABLED);
    assert_eq!(system.read(CLK_REF_SELECTED, 4), 1);
    system.set_time(2 * MS);
    assert_eq!(system.read(XOSC_STATUS, 4), ENABLED | STABLE);
    assert_eq!(system.read(CLK_REF_SELECTED, 4), 1 << 2);
    system.system_reset(ResetCause::Watchdog);
    assert_eq!(system.read(XOSC_STATUS, 4), ENABLED | STABLE);
    assert_eq!(system.read(CLK_REF_SELECTED, 4), 1);
}

#[test]
fn a_pll_that_is_dead_at_one_start_locks_at_the_next() {
    let mut system = brought_up(None);
    assert_eq!(system.read(PLL_CS, 4) & LOCK, LOCK);
    system.dead = 1;
    assert_eq!(system.read(PLL_CS, 4) & LOCK, 0);
    system.system_reset(ResetCause::Watchdog);
    assert_eq!(system.dead, 0);
}

#[test]
fn the_watchdog_restarts_what_was_selected_for_it() {
    let mut system = System::new(0);
    assert!(!system.watchdog_restarts());
    system.write(WDSEL, 4, RESTART & !(1 << 4));
    assert!(!system.watchdog_restarts(), "the peripherals would stay");
    system.write(WDSEL, 4, RESTART);
    assert!(system.watchdog_restarts());
}
