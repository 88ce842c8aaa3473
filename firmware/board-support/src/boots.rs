//! A board that counts its boots: the number goes into each session's secrets, and into what is measured.

use assay_firmware::platform::Platform;
use assay_firmware::settings::{Settings, SettingsError};
use embedded_storage::nor_flash::NorFlash;

/// A platform, and which boot this is.
#[derive(Debug, Clone, Copy)]
pub struct Counting<P> {
    platform: P,
    boots: Option<u32>,
}

impl<P> Counting<P> {
    /// Counts this start. To be called before the TPM is started: so the number never rises by less than its resetCount.
    ///
    /// A board whose settings fail logs in all the same, without a number.
    pub fn start<F: NorFlash>(platform: P, settings: Result<Settings<F>, SettingsError>) -> Self {
        let boots = settings.and_then(|mut settings| settings.count_boot());
        Self {
            platform,
            boots: boots.ok(),
        }
    }

    /// This boot's number, for [`MeasuredBoot`](assay_firmware::measure::MeasuredBoot); `None` when it could not be counted.
    #[must_use]
    pub const fn number(&self) -> Option<u32> {
        self.boots
    }
}

impl<P: Platform> Platform for Counting<P> {
    fn now_us(&mut self) -> u64 {
        self.platform.now_us()
    }

    fn idle(&mut self) {
        self.platform.idle();
    }

    fn kick_watchdog(&mut self) {
        self.platform.kick_watchdog();
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        self.platform.noise(out)
    }

    fn boots(&mut self) -> u32 {
        self.boots.unwrap_or(0)
    }

    fn restart(&mut self) {
        self.platform.restart();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]

    use embedded_storage::nor_flash::{
        ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
    };

    use super::*;

    const PAGE: usize = 256;
    const REGION: core::ops::Range<u32> = 0..2 * PAGE as u32;

    /// A flash that keeps what it is given, or fails at every write.
    struct Flash<'f> {
        bytes: &'f mut [u8; 2 * PAGE],
        is_worn: bool,
    }

    #[derive(Debug)]
    struct Worn;

    impl NorFlashError for Worn {
        fn kind(&self) -> NorFlashErrorKind {
            NorFlashErrorKind::Other
        }
    }

    impl ErrorType for Flash<'_> {
        type Error = Worn;
    }

    impl ReadNorFlash for Flash<'_> {
        const READ_SIZE: usize = 1;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Worn> {
            let at = offset as usize;
            bytes.copy_from_slice(&self.bytes[at..at + bytes.len()]);
            Ok(())
        }

        fn capacity(&self) -> usize {
            self.bytes.len()
        }
    }

    impl NorFlash for Flash<'_> {
        const WRITE_SIZE: usize = 4;
        const ERASE_SIZE: usize = PAGE;

        fn erase(&mut self, from: u32, to: u32) -> Result<(), Worn> {
            self.bytes[from as usize..to as usize].fill(0xFF);
            Ok(())
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Worn> {
            if self.is_worn {
                return Err(Worn);
            }
            let at = offset as usize;
            self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
    }

    /// What a platform was asked.
    #[derive(Default)]
    struct Asked(Vec<&'static str>);

    impl Platform for &mut Asked {
        fn now_us(&mut self) -> u64 {
            41
        }

        fn idle(&mut self) {
            self.0.push("idle");
        }

        fn kick_watchdog(&mut self) {
            self.0.push("kick");
        }

        fn noise(&mut self, _: &mut [u8; 32]) -> usize {
            17
        }

        fn restart(&mut self) {
            self.0.push("restart");
        }
    }

    #[test]
    fn each_start_has_its_number_and_a_flash_that_fails_gives_none() {
        let mut bytes = [0xFF; 2 * PAGE];
        for (is_worn, number) in [
            (false, Some(1)),
            (false, Some(2)),
            (true, None),
            (false, Some(3)),
        ] {
            let mut asked = Asked::default();
            let flash = Flash {
                bytes: &mut bytes,
                is_worn,
            };
            let mut counting = Counting::start(&mut asked, Settings::new(flash, REGION));
            assert_eq!(counting.number(), number);
            assert_eq!(counting.boots(), number.unwrap_or(0));
        }
    }

    #[test]
    fn whatever_else_is_asked_the_platform_answers() {
        let mut asked = Asked::default();
        let settings = Err::<Settings<Flash<'_>>, _>(SettingsError::Region);
        let mut counting = Counting::start(&mut asked, settings);
        assert_eq!((counting.now_us(), counting.noise(&mut [0; 32])), (41, 17));
        counting.idle();
        counting.kick_watchdog();
        counting.restart();
        assert_eq!(asked.0, ["idle", "kick", "restart"]);
    }
}
