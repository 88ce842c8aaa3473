//! Values come back, and what cannot be kept is told.

use super::super::{MAX_VALUE, Setting, Settings, SettingsError};
use super::flash::{Chip, Flash, PAGE, REGION, SIZE};

fn settings(flash: &mut Flash) -> Settings<Chip<'_>> {
    Settings::new(Chip(flash), REGION).unwrap()
}

#[test]
fn a_value_is_there_after_a_restart_and_the_last_one_counts() {
    let mut flash = Flash::new();
    assert_eq!(settings(&mut flash).get(Setting::Label), Ok(None));
    settings(&mut flash).set(Setting::Label, b"first").unwrap();
    settings(&mut flash).set(Setting::Label, b"second").unwrap();
    let mut after = settings(&mut flash);
    assert_eq!(after.get(Setting::Label), Ok(Some(b"second".as_slice())));
    assert_eq!(after.get(Setting::Boots), Ok(None));
}

#[test]
fn the_log_goes_round_without_losing_a_setting_that_is_never_written_again() {
    let mut flash = Flash::new();
    settings(&mut flash).set(Setting::Label, b"rack 7").unwrap();
    for boot in 1..=200 {
        assert_eq!(settings(&mut flash).count_boot(), Ok(boot));
    }
    assert!(flash.erasures > 20, "{}", flash.erasures);
    let mut after = settings(&mut flash);
    assert_eq!(after.get(Setting::Label), Ok(Some(b"rack 7".as_slice())));
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let mut flash = Flash::new();
    settings(&mut flash).set(Setting::Label, b"rack 7").unwrap();
    let writes = flash.writes;
    settings(&mut flash).set(Setting::Label, b"rack 7").unwrap();
    assert_eq!(flash.writes, writes);
    settings(&mut flash).set(Setting::Label, b"rack 8").unwrap();
    assert!(flash.writes > writes);
}

#[test]
fn the_longest_value_fits_and_a_longer_one_is_refused() {
    let mut flash = Flash::new();
    let longest = [7; MAX_VALUE];
    settings(&mut flash).set(Setting::Label, &longest).unwrap();
    let mut after = settings(&mut flash);
    assert_eq!(
        after.set(Setting::Label, &[7; MAX_VALUE + 1]),
        Err(SettingsError::TooLong)
    );
    assert_eq!(after.get(Setting::Label), Ok(Some(longest.as_slice())));
}

#[test]
fn a_region_of_less_than_two_pages_or_of_parts_is_refused() {
    let page = PAGE as u32;
    for region in [0..page, 0..2 * page + 4, 4..2 * page + 4] {
        let mut flash = Flash::new();
        let made = Settings::new(Chip::<4>(&mut flash), region);
        assert_eq!(made.err(), Some(SettingsError::Region));
    }
}

#[test]
fn a_counter_of_another_length_is_no_number() {
    let mut flash = Flash::new();
    settings(&mut flash).set(Setting::Boots, &[1]).unwrap();
    assert_eq!(settings(&mut flash).count_boot(), Err(SettingsError::Value));
    let last = u32::MAX.to_be_bytes();
    settings(&mut flash).set(Setting::Boots, &last).unwrap();
    assert_eq!(settings(&mut flash).count_boot(), Err(SettingsError::Value));
}

#[test]
fn a_flash_that_refuses_is_told_and_the_old_value_stays() {
    let mut flash = Flash::new();
    assert_eq!(settings(&mut flash).count_boot(), Ok(1));
    flash.refuses = true;
    assert_eq!(settings(&mut flash).count_boot(), Err(SettingsError::Flash));
    flash.refuses = false;
    assert_eq!(settings(&mut flash).count_boot(), Ok(2));
}

/// Whatever a chip is delivered with: never a panic, and either it works or an operator erases it.
#[test]
fn a_region_of_anything_works_or_is_erased() {
    let mut state = 0x9E37_79B9_u32;
    let mut damaged = 0;
    for round in 0..400 {
        let bytes = core::array::from_fn::<u8, SIZE, _>(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // Rounds differ in how much of the flash is blank.
            if state % 4 < round % 4 {
                0xFF
            } else {
                (state >> 8) as u8
            }
        });
        let mut flash = Flash::holding::<4>(bytes);
        let counted = settings(&mut flash).count_boot();
        let again = settings(&mut flash).count_boot();
        if let (Ok(first), Ok(second)) = (counted, again) {
            assert_eq!(second, first + 1, "round {round}");
        } else {
            damaged += 1;
            settings(&mut flash).erase().unwrap();
            assert_eq!(settings(&mut flash).count_boot(), Ok(1));
            assert_eq!(settings(&mut flash).count_boot(), Ok(2));
        }
    }
    assert!(
        (1..400).contains(&damaged),
        "{damaged} of 400 were beyond repair"
    );
}
