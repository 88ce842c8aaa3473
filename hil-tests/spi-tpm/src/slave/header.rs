//! The four header bytes of an SPI TPM frame. `[PTP 1.05] 6.4.6`
//!
//! ```text
//! byte 0   bit 7 read, bit 6 reserved (0), bits 5..0 length - 1
//! byte 1   0xD4
//! byte 2   locality (high nibble), register bits 11..8
//! byte 3   register bits 7..0
//! ```

/// A register access, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the host reads.
    pub read: bool,
    /// Bytes of data, 1..=64.
    pub len: usize,
    /// Locality, 0..=15 (a TPM has 0..=4).
    pub locality: u8,
    /// Register offset in the locality, 12 bits.
    pub register: u16,
}

impl Header {
    /// Decodes a header; `None` when it addresses no TPM (another base, or the reserved bit set).
    #[must_use]
    pub fn decode(bytes: [u8; 4]) -> Option<Self> {
        let [first, base, high, low] = bytes;
        (base == 0xD4 && first & 0x40 == 0).then_some(Self {
            read: first & 0x80 != 0,
            len: usize::from(first & 0x3F) + 1,
            locality: high >> 4,
            register: (u16::from(high & 0x0F) << 8) | u16::from(low),
        })
    }

    /// Whether the access goes to the FIFO, where the address does not advance.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        matches!(self.register, 0x024 | 0x080)
    }

    /// Whether the access covers register `offset`.
    #[must_use]
    pub fn covers(&self, offset: u16) -> bool {
        !self.is_fifo()
            && offset
                .checked_sub(self.register)
                .is_some_and(|distance| usize::from(distance) < self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_the_headers_of_a_bench_trace() {
        let header = |bytes| Header::decode(bytes);
        let expected = |read, len, register| {
            Some(Header {
                read,
                len,
                locality: 0,
                register,
            })
        };
        assert_eq!(header([0x83, 0xD4, 0x0F, 0x00]), expected(true, 4, 0xF00));
        assert_eq!(header([0x00, 0xD4, 0x00, 0x18]), expected(false, 1, 0x018));
        assert_eq!(header([0xBF, 0xD4, 0x00, 0x24]), expected(true, 64, 0x024));
    }

    #[test]
    fn ignores_other_bases_and_the_reserved_bit() {
        assert_eq!(Header::decode([0x83, 0xD5, 0x0F, 0x00]), None);
        assert_eq!(Header::decode([0xC3, 0xD4, 0x0F, 0x00]), None);
    }
}
