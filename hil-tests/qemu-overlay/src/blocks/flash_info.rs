//! The factory area of the flash: unique id and flash size. `[RM0090] 39.1, 39.2`, `[RM0351] 49.1, 49.2`

/// Bytes of the unique id.
const UNIQUE_ID_LEN: u32 = 12;
/// Both chips have 1 MiB.
const FLASH_KIB: u16 = 1024;

/// Where in the area a chip has what.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Offset of the unique id.
    unique_id: u32,
    /// Offset of the flash size in KiB, two bytes.
    flash_size: u32,
}

impl Layout {
    /// In the area from 0x1FFF_7800 on.
    pub const STM32F405: Self = Self {
        unique_id: 0x210,
        flash_size: 0x222,
    };
    /// In the area from 0x1FFF_7500 on.
    pub const STM32L476: Self = Self {
        unique_id: 0x90,
        flash_size: 0xE0,
    };
}

/// The area, read only; what is not named here is erased.
#[derive(Debug, Clone)]
pub struct FlashInfo {
    uid: [u8; 12],
    layout: Layout,
}

impl FlashInfo {
    /// The area of a chip with this id.
    #[must_use]
    pub fn new(uid: [u8; 12], layout: Layout) -> Self {
        Self { uid, layout }
    }

    /// A read of `size` bytes, little-endian.
    #[must_use]
    pub fn read(&self, offset: u32, size: u32) -> u32 {
        (0..size.min(4)).rev().fold(0, |word, i| {
            (word << 8) | u32::from(self.byte(offset.saturating_add(i)))
        })
    }

    fn byte(&self, offset: u32) -> u8 {
        let within = |base: u32, len: u32| {
            let at = offset.checked_sub(base).filter(|at| *at < len)?;
            usize::try_from(at).ok()
        };
        let Layout {
            unique_id,
            flash_size,
        } = self.layout;
        if let Some(at) = within(unique_id, UNIQUE_ID_LEN) {
            return self.uid.get(at).copied().unwrap_or(0xFF);
        }
        within(flash_size, 2)
            .and_then(|at| FLASH_KIB.to_le_bytes().get(at).copied())
            .unwrap_or(0xFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_id_and_size_where_the_manual_has_them() {
        for layout in [Layout::STM32F405, Layout::STM32L476] {
            let uid = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
            let info = FlashInfo::new(uid, layout);
            assert_eq!(info.read(layout.unique_id, 4), 0x0403_0201);
            assert_eq!(info.read(layout.unique_id + 8, 4), 0x0C0B_0A09);
            assert_eq!(info.read(layout.flash_size, 2), 1024);
            assert_eq!(info.read(0, 4), u32::MAX);
        }
    }
}
