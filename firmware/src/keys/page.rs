//! A secret that the board makes for itself, in a page of the flash that is its own: where the microcontroller's key is derived
//! from on a board that can close the page.
//!
//! ```text
//! offset  bytes
//!      0     32  secret: of the board's noise, through the generator
//!     32     32  SHA-256 of the label and the secret
//!     64    2*8  mark, twice: written last, and of a whole secret only
//! ```
//!
//! Power may go at any word. A secret is used only once a mark is there. Without one nobody has used it: the page is erased, and
//! the same secret written once more, or another one where its digest is not right. With a mark and without the digest it was whole
//! once, and is damaged: it is not replaced, since another secret is another microcontroller to every verifier.
//!
//! Nothing here closes the page. That is the board's, after the secret was read and before anybody can ask for anything.

use embedded_storage::nor_flash::NorFlash;
use zeroize::Zeroize;

use super::DerivedKey;
use crate::crypto::hash::Hash;
use crate::entropy::Drbg;

/// What the secret is made for, and its digest.
const LABEL: &[u8] = b"assay/mcu-secret/v1";
const MARK: [u8; 8] = *b"secret 1";
/// As long as the longest word that a flash writes.
const ERASED: [u8; MARK.len()] = [0xFF; MARK.len()];

const SECRET: usize = 32;
/// Where the marks are.
const MARKS: [u32; 2] = [64, 72];

/// Why the page has no secret to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum PageError {
    /// The flash failed, or keeps not what was written: worn out, or write-protected.
    Flash = 1,
    /// The board has no noise to make one of.
    NoNoise = 2,
    /// There was one, and it is damaged.
    Damaged = 3,
}

impl core::fmt::Display for PageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Flash => "flash failed",
            Self::NoNoise => "no noise to make a secret of",
            Self::Damaged => "secret damaged",
        })
    }
}

impl core::error::Error for PageError {}

/// The key of the secret in the page at `page`, bytes from the start of `flash`; of one that is made now where there was none.
///
/// `noise` is [`Platform::noise`](crate::platform::Platform::noise), and asked twice.
///
/// # Errors
///
/// [`PageError`]: the board has no key then, and must not sign with another.
pub fn key<F: NorFlash>(
    flash: &mut F,
    page: u32,
    noise: &mut dyn FnMut(&mut [u8; 32]) -> usize,
) -> Result<DerivedKey, PageError> {
    let mut content = Content::read(flash, page)?;
    if !content.is_marked() {
        // Nobody has used it. One that is whole is written once more: a word that was cut short may read right now and not later.
        if !content.is_whole() {
            content = Content::made_of(noise)?;
        }
        content.write(flash, page)?;
        content = Content::read(flash, page)?;
        if !content.is_whole() {
            return Err(PageError::Flash);
        }
        content.mark(flash, page)?;
        content = Content::read(flash, page)?;
        if !content.is_marked() {
            return Err(PageError::Flash);
        }
    }
    if !content.is_whole() {
        return Err(PageError::Damaged);
    }
    Ok(DerivedKey::of(&content.secret))
}

/// What is in the page, or will be. Wiped when dropped.
struct Content {
    secret: [u8; SECRET],
    digest: [u8; SECRET],
    marks: [[u8; MARK.len()]; MARKS.len()],
}

impl Drop for Content {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Content {
    fn read<F: NorFlash>(flash: &mut F, page: u32) -> Result<Self, PageError> {
        let mut content = Self {
            secret: [0; SECRET],
            digest: [0; SECRET],
            marks: [ERASED; MARKS.len()],
        };
        let mut read = |offset: u32, bytes: &mut [u8]| {
            let at = page.checked_add(offset).ok_or(PageError::Flash)?;
            flash.read(at, bytes).map_err(|_| PageError::Flash)
        };
        read(0, &mut content.secret)?;
        read(SECRET as u32, &mut content.digest)?;
        for (offset, mark) in MARKS.into_iter().zip(&mut content.marks) {
            read(offset, mark)?;
        }
        Ok(content)
    }

    fn made_of(noise: &mut dyn FnMut(&mut [u8; 32]) -> usize) -> Result<Self, PageError> {
        let mut numbers = Drbg::new();
        for _ in 0..2 {
            let mut seed = [0; 32];
            let filled = noise(&mut seed);
            numbers.stir(&[LABEL, &seed]);
            seed.zeroize();
            if filled != seed.len() {
                return Err(PageError::NoNoise);
            }
        }
        let mut content = Self {
            secret: [0; SECRET],
            digest: [0; SECRET],
            marks: [ERASED; MARKS.len()],
        };
        numbers.fill(&mut content.secret);
        let digest = Hash::Sha256.digest(&[LABEL, &content.secret]);
        for (to, from) in content.digest.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        Ok(content)
    }

    fn is_whole(&self) -> bool {
        Hash::Sha256.digest(&[LABEL, &self.secret]).is(&self.digest)
    }

    fn is_marked(&self) -> bool {
        self.marks.contains(&MARK)
    }

    /// Erases the page, whatever is in it: cells of an erasure that was cut short may read as erased and not stay so.
    fn write<F: NorFlash>(&self, flash: &mut F, page: u32) -> Result<(), PageError> {
        let size = u32::try_from(F::ERASE_SIZE).map_err(|_| PageError::Flash)?;
        let end = page.checked_add(size).ok_or(PageError::Flash)?;
        let digest_at = page.checked_add(SECRET as u32).ok_or(PageError::Flash)?;
        flash.erase(page, end).map_err(|_| PageError::Flash)?;
        flash
            .write(page, &self.secret)
            .and_then(|()| flash.write(digest_at, &self.digest))
            .map_err(|_| PageError::Flash)
    }

    /// A mark that was cut short stays as it is, since most flashes take a word once; another one serves.
    fn mark<F: NorFlash>(&self, flash: &mut F, page: u32) -> Result<(), PageError> {
        for (offset, mark) in MARKS.into_iter().zip(&self.marks) {
            if *mark == ERASED {
                let at = page.checked_add(offset).ok_or(PageError::Flash)?;
                flash.write(at, &MARK).map_err(|_| PageError::Flash)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

    use embedded_storage::nor_flash::{ErrorType, NorFlashErrorKind, ReadNorFlash};

    use super::*;
    use crate::keys::McuKey;
    use crate::settings::tests::flash::{Chip, Flash, PAGE};

    /// Noise of which each call differs from all before.
    fn noise(calls: &mut u32) -> impl FnMut(&mut [u8; 32]) -> usize {
        |out| {
            *calls += 1;
            for (to, from) in out.iter_mut().zip(calls.to_le_bytes()) {
                *to = from;
            }
            out.len()
        }
    }

    /// A boot: the secret that its key was made of.
    fn used(flash: &mut Flash, calls: &mut u32) -> Result<[u8; 32], PageError> {
        let mut noise = noise(calls);
        key(&mut Chip::<4>(flash), PAGE as u32, &mut noise)?;
        let held = flash.bytes.get(PAGE..PAGE + 32).unwrap();
        Ok(held.try_into().unwrap())
    }

    fn public_of(flash: &mut Flash, calls: &mut u32) -> Result<[u8; 65], PageError> {
        let mut noise = noise(calls);
        let mut key = key(&mut Chip::<4>(flash), PAGE as u32, &mut noise)?;
        Ok(key.public().unwrap())
    }

    #[test]
    fn a_secret_is_made_once_and_is_the_same_at_each_boot_and_another_boards_is_another() {
        let (mut flash, mut calls) = (Flash::new(), 0);
        let first = public_of(&mut flash, &mut calls).unwrap();
        assert_eq!(calls, 2);
        let (erasures, writes) = (flash.erasures, flash.writes);
        for _ in 0..3 {
            assert_eq!(public_of(&mut flash, &mut calls), Ok(first));
        }
        assert_eq!(
            (calls, flash.erasures, flash.writes),
            (2, erasures, writes),
            "nothing was made or written again"
        );
        assert_ne!(public_of(&mut Flash::new(), &mut calls), Ok(first));
        assert!(flash.bytes.iter().take(PAGE).all(|byte| *byte == 0xFF));
    }

    /// A loss of power at every byte, torn in two ways, and another one at every seventh byte of the boot after it.
    #[test]
    fn power_may_go_at_any_byte_and_a_key_that_was_used_once_stays() {
        let mut cuts = 0;
        for torn in [0x00, 0x5A] {
            for power in 0.. {
                let (mut flash, mut calls) = (Flash::new(), 0);
                (flash.torn, flash.power) = (torn, Some(power));
                if used(&mut flash, &mut calls).is_ok() {
                    break;
                }
                for second in (0..).step_by(7) {
                    cuts += 1;
                    let mut again = flash.clone();
                    again.power = Some(second);
                    let before = used(&mut again, &mut calls);
                    again.power = None;
                    let after = used(&mut again, &mut calls).unwrap();
                    assert_eq!(used(&mut again, &mut calls), Ok(after));
                    if let Ok(before) = before {
                        assert_eq!(before, after, "{power} {second} {torn:#x}");
                        break;
                    }
                }
            }
        }
        assert!(cuts > 5_000, "{cuts}");
    }

    #[test]
    fn a_secret_that_was_whole_is_never_replaced_whatever_bit_of_it_falls() {
        let mut made = Flash::new();
        let own = used(&mut made, &mut 0).unwrap();
        for bit in 0..80 * 8 {
            let mut flash = made.clone();
            let byte = flash.bytes.get_mut(PAGE + bit / 8).unwrap();
            *byte ^= 1 << (bit % 8);
            let before = flash.bytes;
            let result = used(&mut flash, &mut 0);
            let expected = if bit < 64 * 8 {
                Err(PageError::Damaged)
            } else {
                // One of the two marks serves.
                Ok(own)
            };
            assert_eq!(result, expected, "bit {bit}");
            assert_eq!(flash.bytes, before, "bit {bit}");
        }
    }

    #[test]
    fn a_board_without_noise_makes_none_and_leaves_the_page_alone() {
        for full in [0, 1] {
            let (mut flash, mut calls) = (Flash::new(), 0);
            let mut fails = |out: &mut [u8; 32]| {
                calls += 1;
                if calls <= full { out.len() } else { 0 }
            };
            let made = key(&mut Chip::<4>(&mut flash), 0, &mut fails);
            assert_eq!(made.unwrap_err(), PageError::NoNoise);
            assert_eq!((flash.erasures, flash.writes), (0, 0));
        }
    }

    #[test]
    fn a_flash_that_refuses_gives_no_key() {
        let mut flash = Flash::new();
        flash.refuses = true;
        assert_eq!(public_of(&mut flash, &mut 0), Err(PageError::Flash));
    }

    /// A page in which what is written to some bytes does not hold.
    struct Worn {
        page: [u8; PAGE],
        lost: core::ops::Range<usize>,
    }

    impl ErrorType for Worn {
        type Error = NorFlashErrorKind;
    }

    impl ReadNorFlash for Worn {
        const READ_SIZE: usize = 1;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
            let from = offset as usize;
            bytes.copy_from_slice(self.page.get(from..from + bytes.len()).unwrap());
            Ok(())
        }

        fn capacity(&self) -> usize {
            PAGE
        }
    }

    impl NorFlash for Worn {
        const WRITE_SIZE: usize = 4;
        const ERASE_SIZE: usize = PAGE;

        fn erase(&mut self, _: u32, _: u32) -> Result<(), NorFlashErrorKind> {
            self.page.fill(0xFF);
            Ok(())
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
            let cells = self.page.iter_mut().enumerate().skip(offset as usize);
            for ((at, cell), byte) in cells.zip(bytes) {
                if !self.lost.contains(&at) {
                    *cell &= byte;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn what_is_written_counts_once_it_is_read_again() {
        for (lost, is_kept) in [
            (0..1, false),
            (63..64, false),
            (64..80, false),
            (72..80, true),
        ] {
            let mut worn = Worn {
                page: [0xFF; PAGE],
                lost: lost.clone(),
            };
            let made = key(&mut worn, 0, &mut noise(&mut 0));
            assert_eq!(
                made.err(),
                (!is_kept).then_some(PageError::Flash),
                "{lost:?}"
            );
        }
    }
}
