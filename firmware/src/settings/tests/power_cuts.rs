//! The power goes at every byte of every write and erasure.

use super::super::{Setting, Settings, SettingsError};
use super::flash::{Chip, Flash, REGION};

/// What torn bytes are left as; every bit is once set and once clear.
const TORN: [u8; 4] = [0x00, 0x5A, 0xA5, 0xFF];

fn settings<const WORD: usize>(flash: &mut Flash) -> Settings<Chip<'_, WORD>> {
    Settings::new(Chip(flash), REGION).unwrap()
}

/// A flash at each point of the log's way round: `boots` starts after it was blank.
fn at<const WORD: usize>(boots: u32) -> Flash {
    let mut flash = Flash::new();
    settings::<WORD>(&mut flash)
        .set(Setting::Label, b"rack 7")
        .unwrap();
    for _ in 0..boots {
        settings::<WORD>(&mut flash).count_boot().unwrap();
    }
    flash
}

/// After how many starts the next one has to erase a page.
fn last_of_a_page<const WORD: usize>() -> u32 {
    let mut flash = at::<WORD>(0);
    let mut boots = 0;
    loop {
        let erasures = flash.erasures;
        settings::<WORD>(&mut flash).count_boot().unwrap();
        if flash.erasures > erasures {
            return boots;
        }
        boots += 1;
    }
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
    count_cut_short::<4>();
    count_cut_short::<8>();
}

fn count_cut_short<const WORD: usize>() {
    let mut cuts = 0;
    for boots in 0..24 {
        let before = at::<WORD>(boots);
        let count = |flash: &mut Flash| settings::<WORD>(flash).count_boot().map(drop);
        cuts += cut_everywhere(&before, &count, &mut |mut flash, told| {
            // The start that was cut short had no number, so the next one may have it.
            let next = settings::<WORD>(&mut flash).count_boot();
            assert!(
                next == Ok(boots + 1) || next == Ok(boots + 2),
                "boot {boots}, {told}: {next:?}"
            );
            let mut after = settings::<WORD>(&mut flash);
            let label = after.get(Setting::Label);
            assert_eq!(
                label,
                Ok(Some(b"rack 7".as_slice())),
                "boot {boots}, {told}"
            );
            // And it goes on: the log was repaired, not only read.
            let after = settings::<WORD>(&mut flash).count_boot();
            assert_eq!(after, next.map(|next| next + 1), "boot {boots}, {told}");
        });
    }
    assert!(cuts > 2_000, "{cuts} cuts: the log did not go round");
}

#[test]
fn a_label_is_the_old_one_or_the_new_one() {
    rename_cut_short::<4>();
    rename_cut_short::<8>();
}

fn rename_cut_short<const WORD: usize>() {
    for boots in 0..24 {
        let before = at::<WORD>(boots);
        let rename =
            |flash: &mut Flash| settings::<WORD>(flash).set(Setting::Label, b"rack 12, slot 3");
        cut_everywhere(&before, &rename, &mut |mut flash, told| {
            let mut after = settings::<WORD>(&mut flash);
            let label = after.get(Setting::Label);
            assert!(
                label == Ok(Some(b"rack 7")) || label == Ok(Some(b"rack 12, slot 3")),
                "boot {boots}, {told}: {label:?}"
            );
            let counted = settings::<WORD>(&mut flash).count_boot();
            assert_eq!(counted, Ok(boots + 1), "boot {boots}, {told}");
        });
    }
}

/// A board on a bad supply starts, is cut short, starts, is cut short.
#[test]
fn a_repair_that_is_cut_short_is_repaired() {
    repair_cut_short::<4>();
    repair_cut_short::<8>();
}

fn repair_cut_short<const WORD: usize>() {
    // Where the log goes on to its next page, which takes the most writes.
    let boots = last_of_a_page::<WORD>();
    let before = at::<WORD>(boots);
    let count = |flash: &mut Flash| settings::<WORD>(flash).count_boot().map(drop);
    let mut cuts = 0;
    cut_everywhere(&before, &count, &mut |once, first| {
        cuts += cut_everywhere(&once, &count, &mut |mut twice, second| {
            let next = settings::<WORD>(&mut twice).count_boot();
            assert!(
                next.is_ok_and(|next| (boots + 1..=boots + 3).contains(&next)),
                "{first}, then {second}: {next:?}"
            );
        });
    });
    assert!(cuts > 2_000, "{cuts}");
}
