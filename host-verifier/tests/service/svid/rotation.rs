//! Which authority signs, as a table over hours: the function by itself.

use assay_host_verifier::svid::rotation::{Life, State, active, due, states};
use jiff::Timestamp;

/// Hours since some moment, and minutes.
fn at(hours: i64, minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hours * 3600 + minutes * 60).unwrap()
}

/// Lives of 24 hours that begin at these hours.
fn lives(begin: &[i64]) -> Vec<Life> {
    begin
        .iter()
        .map(|hour| Life {
            not_before: at(*hour, 0),
            not_after: at(*hour + 24, 0),
            outdated: false,
        })
        .collect()
}

#[test]
fn who_signs_and_what_is_due_over_two_lives() {
    // (hours that lives begin at, now, who signs, whether another is due)
    for (begin, now, signs, wanted) in [
        (&[][..], at(0, 0), None, true),
        // A first one signs at once: there is no other.
        (&[0], at(0, 0), Some(0), false),
        (&[0], at(11, 59), Some(0), false),
        (&[0], at(12, 0), Some(0), true),
        (&[0, 12], at(12, 0), Some(0), false),
        (&[0, 12], at(19, 59), Some(0), false),
        // Five sixths.
        (&[0, 12], at(20, 0), Some(1), false),
        (&[0, 12], at(23, 59), Some(1), false),
        (&[0, 12], at(24, 0), Some(1), true),
        (&[0, 12, 24], at(31, 59), Some(1), false),
        (&[0, 12, 24], at(32, 0), Some(2), false),
        // Nothing was made when it was due: whoever is there goes on to the end.
        (&[0], at(20, 0), Some(0), true),
        (&[0], at(23, 59), Some(0), true),
        (&[0], at(24, 0), None, true),
        // Made late: it is shown for ten minutes before it signs, unless the old one's end comes first.
        (&[0, 22], at(22, 0), Some(0), false),
        (&[0, 22], at(22, 9), Some(0), false),
        (&[0, 22], at(22, 10), Some(1), false),
        (&[0, 23], at(23, 9), Some(0), false),
        // Both are past five sixths: the newer one.
        (&[0, 1], at(22, 0), Some(1), true),
        // Before the beginning of everything.
        (&[0], at(-1, 0), None, true),
        (&[0, 12], at(11, 0), Some(0), false),
    ] {
        let lives = lives(begin);
        assert_eq!(active(now, &lives), signs, "{begin:?} at {now}");
        assert_eq!(due(now, &lives), wanted, "{begin:?} at {now}");
        // Whatever the order they are listed in.
        let reversed: Vec<_> = lives.iter().rev().copied().collect();
        let mirrored = signs.map(|at| lives.len() - 1 - at);
        assert_eq!(
            active(now, &reversed),
            mirrored,
            "{begin:?} at {now}, reversed"
        );
    }
}

#[test]
fn an_end_that_is_near_does_not_wait_for_a_new_one_to_be_known() {
    let mut both = lives(&[0, 0]);
    both[1].not_before = at(23, 55);
    both[1].not_after = at(47, 55);
    assert_eq!(
        active(at(23, 56), &both),
        Some(1),
        "four minutes are too little to sign with"
    );
    both[1].not_before = at(23, 45);
    assert_eq!(active(at(23, 49), &both), Some(0), "eleven are enough");
}

#[test]
fn a_new_configuration_takes_over_as_soon_as_others_can_know_it() {
    let mut both = lives(&[0, 2]);
    both[0].outdated = true;
    assert!(due(at(1, 0), &both[..1]), "at once");
    assert_eq!(
        active(at(1, 0), &both[..1]),
        Some(0),
        "until there is another"
    );
    assert_eq!(active(at(2, 9), &both), Some(0));
    assert_eq!(active(at(2, 10), &both), Some(1));
    assert!(!due(at(2, 10), &both));
}

#[test]
fn states_are_told_by_time_alone() {
    use State::{Active, Old, Prepared};
    let all = lives(&[0, 12, 24]);
    for (now, expected) in [
        (at(13, 0), [Active, Prepared, Prepared]),
        (at(21, 0), [Old, Active, Prepared]),
        (at(33, 0), [Old, Old, Active]),
        // Set back by twenty hours: who signed then signs again.
        (at(13, 0), [Active, Prepared, Prepared]),
        (at(99, 0), [Old, Old, Old]),
        (at(-1, 0), [Prepared, Prepared, Prepared]),
    ] {
        assert_eq!(states(now, &all), expected, "{now}");
    }
}

/// Lives of any length: the one that signs is valid, there is one whenever one is valid, and after what is due was made
/// nothing more is due.
#[test]
fn whatever_the_lives_are_the_one_that_signs_is_valid() {
    let mut seed = 7u64;
    let mut random = |below: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..20_000 {
        let all: Vec<_> = (0..random(5))
            .map(|_| {
                let begin = random(100);
                Life {
                    not_before: at(begin, random(60)),
                    not_after: at(begin + 1 + random(60), 0),
                    outdated: random(4) == 0,
                }
            })
            .collect();
        let now = at(random(160), random(60));
        let valid = all.iter().any(|life| life.holds(now));
        match active(now, &all) {
            Some(one) => assert!(all[one].holds(now), "{all:?} at {now}"),
            None => assert!(!valid, "{all:?} at {now}"),
        }
        let mut more = all.clone();
        more.push(Life {
            not_before: now,
            not_after: now + jiff::SignedDuration::from_hours(24),
            outdated: false,
        });
        assert!(!due(now, &more));
        assert!(active(now, &more).is_some());
    }
}
