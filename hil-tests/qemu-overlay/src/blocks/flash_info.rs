//! The factory area of the flash: unique id and flash size. `[RM0090] 39.1, 39.2`

/// Offset of the unique id in the area that begins at 0x1FFF_7800.
const UNIQUE_ID: u32 = 0x210;
/// Offset of the flash size in KiB.
const FLASH_SIZE: u32 = 0x222;
/// An STM32F405xG has 1 MiB.
const FLASH_KIB: u16 = 1024;

/// The area, read only; what is not named here is erased.
#[derive(Debug, Clone)]
pub struct FlashInfo {
    uid: [u8; 12],
}

impl FlashInfo {
    /// The area of a chip with this id.
    #[must_use]
    pub fn new(uid: [u8; 12]) -> Self {
        Self { uid }
    }

    /// A read of `size` bytes, little-endian.
    #[must_use]
    pub fn read(&self, offset: u32, size: u32) -> u32 {
        (0..size.min(4)).rev().fold(0, |word, i| {
            (word << 8) | u32::from(self.byte(offset.saturating_add(i)))
        })
    }

    fn byte(&self, offset: u32) -> u8 {
        let at = |base: u32| usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX);
        match offset {
            UNIQUE_ID..0x21C => self.uid.get(at(UNIQUE_ID)).copied(),
            FLASH_SIZE..0x224 => FLASH_KIB.to_le_bytes().get(at(FLASH_SIZE)).copied(),
            _ => None,
        }
        .unwrap_or(0xFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_id_and_size_where_the_manual_has_them() {
        let info = FlashInfo::new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(info.read(UNIQUE_ID, 4), 0x0403_0201);
        assert_eq!(info.read(UNIQUE_ID + 8, 4), 0x0C0B_0A09);
        assert_eq!(info.read(FLASH_SIZE, 2), 1024);
        assert_eq!(info.read(0, 4), u32::MAX);
    }
}
