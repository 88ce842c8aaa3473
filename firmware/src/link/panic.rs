//! The last words of a firmware that panics: one frame that says where.

use core::panic::PanicInfo;

use assay_common::protocol::{FrameKind, write_frame_parts};

use super::LinkError;

/// Longest text in a panic frame, bytes; what is longer is cut.
pub const MAX_PANIC_TEXT: usize = 120;

/// Sends the panic's place (`file:line:column`) as a frame of kind panic.
///
/// `write` must not wait for an interrupt: a panic may come with interrupts off. The panic's message
/// is left out, since formatting it could panic again and would bring all of `core::fmt` into the image.
pub fn panic_frame(info: &PanicInfo<'_>, write: &mut dyn FnMut(&[u8])) {
    let mut text = Text {
        bytes: [0; MAX_PANIC_TEXT],
        used: 0,
    };
    if let Some(place) = info.location() {
        text.push(place.file().as_bytes());
        text.push(b":");
        text.number(place.line());
        text.push(b":");
        text.number(place.column());
    } else {
        text.push(b"panic");
    }
    let said = text.bytes.get(..text.used).unwrap_or(&[]);
    // Cannot fail; the error's type is the link's, so that the image has one copy of the frame writer.
    let _ = write_frame_parts::<LinkError>(FrameKind::PANIC, &[said], &mut |bytes| {
        write(bytes);
        Ok(())
    });
}

struct Text {
    bytes: [u8; MAX_PANIC_TEXT],
    used: usize,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(slot) = self.bytes.get_mut(self.used) {
                *slot = *byte;
                self.used += 1;
            }
        }
    }

    fn number(&mut self, number: u32) {
        let mut digits = [0u8; 10];
        let mut rest = number;
        let mut count = 0;
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(digits.len() - count..).unwrap_or(&[]));
    }
}
