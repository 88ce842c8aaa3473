//! The panic frame of a fault: a line of text with the numbers that a developer needs.
//!
//! Formatting by `core::fmt` would cost more flash than the rest of a board's folder.

use core::convert::Infallible;

use assay_common::protocol::{FrameKind, write_frame};

/// Sends `text` as a frame of kind panic. `write` must not wait for an interrupt.
pub fn send(text: &[u8], write: fn(&[u8])) {
    let Ok(()) = write_frame(FrameKind::PANIC, text, &mut |bytes| {
        write(bytes);
        Ok::<(), Infallible>(())
    });
}

/// Replaces the dots of `text`, from the left, by the hexadecimal digits of `numbers`, `DIGITS` each.
pub fn fill_dots<const DIGITS: u32>(text: &mut [u8], numbers: &[usize]) {
    let mut digits = numbers.iter().flat_map(|number| {
        (0..DIGITS)
            .rev()
            .map(move |place| (number >> (4 * place) & 0xF) as u8)
    });
    for slot in text.iter_mut().filter(|slot| **slot == b'.') {
        if let Some(digit) = digits.next() {
            *slot = if digit < 10 {
                b'0' + digit
            } else {
                b'A' - 10 + digit
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_become_digits_from_the_left() {
        let mut text = *b"at 0x........, CFSR 0x........";
        fill_dots::<8>(&mut text, &[0x0800_1A2F, 0x8200]);
        assert_eq!(&text, b"at 0x08001A2F, CFSR 0x00008200");
    }

    #[test]
    fn what_has_no_number_keeps_its_dots_and_what_has_no_dot_its_number() {
        let mut text = *b"...... .";
        fill_dots::<4>(&mut text, &[0xBEEF]);
        assert_eq!(&text, b"BEEF.. .");
        let mut text = *b"..";
        fill_dots::<4>(&mut text, &[0xBEEF, 1]);
        assert_eq!(&text, b"BE");
    }
}
