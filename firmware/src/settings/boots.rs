//! The boot counter: what tells one start of the board from all others.

use embedded_storage::nor_flash::NorFlash;

use super::{Setting, Settings, SettingsError};

impl<F: NorFlash> Settings<F> {
    /// Counts this start, once, before anything relies on its number. The number is in the flash when this returns, and no
    /// later start gets it again, whenever power goes: the counter may skip a number, but it never repeats one.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]; this start has no number then. After 2³² - 1 starts there are none left.
    pub fn count_boot(&mut self) -> Result<u32, SettingsError> {
        let last = self.number(Setting::Boots)?.unwrap_or(0);
        let boots = last.checked_add(1).ok_or(SettingsError::Value)?;
        self.set(Setting::Boots, &boots.to_be_bytes())?;
        Ok(boots)
    }
}
