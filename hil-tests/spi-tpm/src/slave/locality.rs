//! Localities: who may use the TPM. `[PTP 1.05] 6.5.2.4`

/// ACCESS bits.
pub const REG_VALID: u8 = 0x80;
/// This locality is active; written, it gives the TPM up.
pub const ACTIVE: u8 = 0x20;
/// Another locality took the TPM; written, the note is cleared.
pub const BEEN_SEIZED: u8 = 0x10;
/// Take the TPM from a lower locality.
pub const SEIZE: u8 = 0x08;
/// Another locality waits.
pub const PENDING: u8 = 0x04;
/// Ask for the TPM.
pub const REQUEST_USE: u8 = 0x02;

/// The five localities.
#[derive(Debug, Default)]
pub(crate) struct Localities {
    active: Option<u8>,
    requested: u8,
    seized: u8,
}

impl Localities {
    pub(crate) fn active(&self) -> Option<u8> {
        self.active
    }

    /// The ACCESS register of `locality`.
    pub(crate) fn access(&self, locality: u8) -> u8 {
        let own = bit(locality);
        let mut value = REG_VALID;
        if self.active == Some(locality) {
            value |= ACTIVE;
        }
        if self.seized & own != 0 {
            value |= BEEN_SEIZED;
        }
        if self.requested & !own != 0 {
            value |= PENDING;
        }
        if self.requested & own != 0 {
            value |= REQUEST_USE;
        }
        value
    }

    /// A write to the ACCESS register of `locality`. Returns whether the active locality changed.
    pub(crate) fn write(&mut self, locality: u8, value: u8) -> bool {
        let before = self.active;
        let own = bit(locality);
        if value & BEEN_SEIZED != 0 {
            self.seized &= !own;
        }
        if value & ACTIVE != 0 {
            self.requested &= !own;
            if self.active == Some(locality) {
                self.release();
            }
        } else if value & SEIZE != 0 {
            if self.active.is_none_or(|active| active < locality) {
                self.seize(locality);
            }
        } else if value & REQUEST_USE != 0 {
            match self.active {
                None => self.active = Some(locality),
                Some(active) if active != locality => self.requested |= own,
                Some(_) => {}
            }
        }
        self.active != before
    }

    /// `locality` takes the TPM from whoever has it.
    pub(crate) fn seize(&mut self, locality: u8) {
        if let Some(loser) = self.active.replace(locality)
            && loser != locality
        {
            self.seized |= bit(loser);
        }
    }

    /// The active locality gives up; the highest that waits follows.
    pub(crate) fn release(&mut self) {
        self.active = (0..5u8).rev().find(|l| self.requested & bit(*l) != 0);
        if let Some(next) = self.active {
            self.requested &= !bit(next);
        }
    }
}

fn bit(locality: u8) -> u8 {
    1u8.checked_shl(u32::from(locality)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_granted_when_nobody_holds_the_tpm() {
        let mut l = Localities::default();
        assert_eq!(l.access(0), 0x80);
        assert!(l.write(0, REQUEST_USE));
        assert_eq!(l.access(0), 0xA0);
        assert!(!l.write(0, REQUEST_USE));
    }

    #[test]
    fn a_second_locality_waits_until_the_first_gives_up() {
        let mut l = Localities::default();
        l.write(0, REQUEST_USE);
        l.write(2, REQUEST_USE);
        assert_eq!(l.access(0), REG_VALID | ACTIVE | PENDING);
        assert_eq!(l.access(2), REG_VALID | REQUEST_USE);
        l.write(0, ACTIVE);
        assert_eq!(l.active(), Some(2));
    }

    #[test]
    fn only_a_higher_locality_may_seize() {
        let mut l = Localities::default();
        l.write(2, REQUEST_USE);
        assert!(!l.write(1, SEIZE));
        assert!(l.write(3, SEIZE));
        assert_eq!(l.access(2), REG_VALID | BEEN_SEIZED);
        l.write(2, BEEN_SEIZED);
        assert_eq!(l.access(2), REG_VALID);
    }
}
