//! The power goes at every byte of every write and erasure.

use super::super::{Setting, Settings, SettingsError};
use super::flash::{Chip, Flash, REGION};

/// What torn bytes are left as; every bit is once set and once clear.
const TORN: [u8; 4] = [0x00, 0x5A, 0xA5, 0xFF];

fn settings(flash: &mut Flash) -> Settings<Chip<'_>> {
    Settings::new(Chip(flash), REGION).unwrap()
}

/// A flash at each point of the log's way round: `boots` starts after it was blank.
fn at(boots: u32) -> Flash {
    let mut flash = Flash::new();
    settings(&mut flash).set(Setting::Label, b"rack 7").unwrap();
    for _ in 0..boots {
        settings(&mut flash).count_boot().unwrap();
    }
    flash
}

/// Runs `change` with power for 0, 1, 2 … bytes until it succeeds, and hands each flash that was left to `check`.
fn cut_everywhere(
    before: &Flash,
    change: &dyn Fn(&mut Flash) -> Result<(), SettingsError>,
    check: &mut dyn FnMut(Flash, &str),
) -> usize {
    let mut cuts = 0;
    for torn in TORN {
        for power in 0.. {
            let mut flash = before.clone();
            flash.torn = torn;
            flash.power = Some(power);
            let result = change(&mut flash);
            let is_done = flash.power != Some(0);
            flash.power = None;
            if is_done {
                assert_eq!(result, Ok(()));
                break;
            }
            cuts += 1;
            check(
                flash,
                &format!("power for {power} bytes, torn to {torn:#x}"),
            );
        }
    }
    cuts
}

#[test]
fn no_number_of_a_boot_is_given_twice() {
    let mut cuts = 0;
    for boots in 0..24 {
        let before = at(boots);
        let count = |flash: &mut Flash| settings(flash).count_boot().map(drop);
        cuts += cut_everywhere(&before, &count, &mut |mut flash, told| {
            // The start that was cut short had no number, so the next one may have it.
            let next = settings(&mut flash).count_boot();
            assert!(
                next == Ok(boots + 1) || next == Ok(boots + 2),
                "boot {boots}, {told}: {next:?}"
            );
            let mut after = settings(&mut flash);
            let label = after.get(Setting::Label);
            assert_eq!(
                label,
                Ok(Some(b"rack 7".as_slice())),
                "boot {boots}, {told}"
            );
            // And it goes on: the log was repaired, not only read.
            let after = settings(&mut flash).count_boot();
            assert_eq!(after, next.map(|next| next + 1), "boot {boots}, {told}");
        });
    }
    assert!(cuts > 2_000, "{cuts} cuts: the log did not go round");
}

#[test]
fn a_label_is_the_old_one_or_the_new_one() {
    for boots in 0..24 {
        let before = at(boots);
        let rename = |flash: &mut Flash| settings(flash).set(Setting::Label, b"rack 12, slot 3");
        cut_everywhere(&before, &rename, &mut |mut flash, told| {
            let mut after = settings(&mut flash);
            let label = after.get(Setting::Label);
            assert!(
                label == Ok(Some(b"rack 7")) || label == Ok(Some(b"rack 12, slot 3")),
                "boot {boots}, {told}: {label:?}"
            );
            let counted = settings(&mut flash).count_boot();
            assert_eq!(counted, Ok(boots + 1), "boot {boots}, {told}");
        });
    }
}

/// A board on a bad supply starts, is cut short, starts, is cut short.
#[test]
fn a_repair_that_is_cut_short_is_repaired() {
    // Where the log goes on to its next page, which takes the most writes.
    let before = at(9);
    let count = |flash: &mut Flash| settings(flash).count_boot().map(drop);
    let mut cuts = 0;
    cut_everywhere(&before, &count, &mut |once, first| {
        cuts += cut_everywhere(&once, &count, &mut |mut twice, second| {
            let next = settings(&mut twice).count_boot();
            assert!(
                next.is_ok_and(|next| (10..=12).contains(&next)),
                "{first}, then {second}: {next:?}"
            );
        });
    });
    assert!(cuts > 2_000, "{cuts}");
}
