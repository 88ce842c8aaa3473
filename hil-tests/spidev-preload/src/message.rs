//! Requests of spidev, as `linux/spi/spidev.h` lays them out.

/// Which way a request's argument goes, seen from the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the kernel.
    Write,
    /// From it.
    Read,
}

/// A request of spidev.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `SPI_IOC_MESSAGE(n)`: so many transfers.
    Message(usize),
    /// A setting: mode (1 and 5), bit order (2), bits of a word (3), clock (4). Bytes of its argument: 1 or 4.
    Setting {
        /// Its number.
        number: u8,
        /// Which way.
        direction: Direction,
        /// Bytes of the argument.
        bytes: usize,
    },
}

/// `SPI_IOC_MAGIC`.
const MAGIC: u64 = b'k' as u64;
/// Bytes of `struct spi_ioc_transfer`.
pub(crate) const TRANSFER_BYTES: usize = 32;
/// What the direction bits of a request say (`asm-generic/ioctl.h`).
const WRITE: u64 = 1;
const READ: u64 = 2;

impl Request {
    /// `None` for a request that is not spidev's.
    #[must_use]
    pub fn decode(request: u64) -> Option<Self> {
        let (direction, bytes) = (request >> 30 & 3, request >> 16 & 0x3FFF);
        let (magic, number) = (request >> 8 & 0xFF, request & 0xFF);
        let bytes = usize::try_from(bytes).ok()?;
        if magic != MAGIC {
            return None;
        }
        let direction = match direction {
            WRITE => Direction::Write,
            READ => Direction::Read,
            _ => return None,
        };
        match (number, direction) {
            (0, Direction::Write) if bytes.is_multiple_of(TRANSFER_BYTES) => {
                Some(Self::Message(bytes.checked_div(TRANSFER_BYTES)?))
            }
            (1..=3, _) if bytes == 1 => Some(Self::setting(number, direction, bytes)),
            (4..=5, _) if bytes == 4 => Some(Self::setting(number, direction, bytes)),
            _ => None,
        }
    }

    fn setting(number: u64, direction: Direction, bytes: usize) -> Self {
        let number = u8::try_from(number).unwrap_or(0);
        Self::Setting {
            number,
            direction,
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_kernels_header() {
        // SPI_IOC_MESSAGE(1), SPI_IOC_MESSAGE(2), SPI_IOC_WR_MODE, SPI_IOC_RD_MAX_SPEED_HZ, as a C compiler makes them.
        assert_eq!(Request::decode(0x4020_6B00), Some(Request::Message(1)));
        assert_eq!(Request::decode(0x4040_6B00), Some(Request::Message(2)));
        let setting = |number, direction, bytes| {
            Some(Request::Setting {
                number,
                direction,
                bytes,
            })
        };
        assert_eq!(
            Request::decode(0x4001_6B01),
            setting(1, Direction::Write, 1)
        );
        assert_eq!(Request::decode(0x8004_6B04), setting(4, Direction::Read, 4));
    }

    #[test]
    fn others_requests_are_left_to_the_kernel() {
        // TCGETS; a message of half a transfer; another magic; a mode of four bytes.
        for request in [0x5401, 0x4010_6B00, 0x4020_6C00, 0x4004_6B01] {
            assert_eq!(Request::decode(request), None, "{request:#x}");
        }
    }
}
