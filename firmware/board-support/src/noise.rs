//! Words of a chip's random number generator, and the check that FIPS 140-2 asks for: a generator that repeats itself is
//! none.

/// What a generator answers when it is asked for a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Not yet.
    Wait,
    /// Here it is.
    Word(u32),
    /// It found its clock or its noise at fault.
    Fault,
}

/// Asks for a word before it is given up.
const POLLS: u32 = 1_000;

/// Fills `out` with words of the generator. Returns its length, or 0, with `out` all zeros, when a word does not come in
/// time, repeats the one before, or the generator is at fault.
pub fn fill(out: &mut [u8; 32], mut poll: impl FnMut() -> Sample) -> usize {
    if words(out, &mut poll).is_some() {
        return out.len();
    }
    out.fill(0);
    0
}

fn words(out: &mut [u8; 32], poll: &mut impl FnMut() -> Sample) -> Option<()> {
    // The first word after the start is only for the comparison.
    let mut last = word(poll)?;
    for chunk in out.as_chunks_mut::<4>().0 {
        let next = word(poll)?;
        if next == last {
            return None;
        }
        *chunk = next.to_le_bytes();
        last = next;
    }
    Some(())
}

fn word(poll: &mut impl FnMut() -> Sample) -> Option<u32> {
    for _ in 0..POLLS {
        match poll() {
            Sample::Wait => {}
            Sample::Word(word) => return Some(word),
            Sample::Fault => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_left_out_and_a_late_one_is_waited_for() {
        let mut out = [0; 32];
        let mut asked = 0;
        let filled = fill(&mut out, || {
            asked += 1;
            if asked % 2 == 0 {
                Sample::Word(asked / 2)
            } else {
                Sample::Wait
            }
        });
        assert_eq!(filled, 32);
        let words: Vec<u8> = out.iter().copied().step_by(4).collect();
        assert_eq!(words, [2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_generator_that_repeats_itself_stops_or_is_at_fault_gives_nothing() {
        for spoilt in [Sample::Word(4), Sample::Wait, Sample::Fault] {
            let mut out = [0xAA; 32];
            let mut next = 0;
            let filled = fill(&mut out, || {
                next += 1;
                if next > 4 { spoilt } else { Sample::Word(next) }
            });
            assert_eq!((filled, out), (0, [0; 32]), "{spoilt:?}");
        }
    }
}
