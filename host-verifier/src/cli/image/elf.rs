//! What of an ELF file lies in a node's flash, byte for byte as the node hashes it.
//!
//! From the symbol `_image_start` to `_image_end`, which the board's linker script puts around what it flashes. What no
//! segment covers is as erased flash has it.

use object::elf::PT_LOAD;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol};

use crate::crypto::sha256;

/// Longest image, bytes: larger than the flash of any microcontroller.
const MAX_IMAGE: u64 = 64 * 1024 * 1024;
/// The symbols around the image.
const START: &str = "_image_start";
const END: &str = "_image_end";

/// Why there is no image in a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// It is no 32-bit or 64-bit ELF file, or a broken one.
    #[error("not an ELF file that can be read: {0}")]
    Unreadable(String),
    /// A symbol is missing.
    #[error("there is no symbol {0} in it")]
    Symbol(&'static str),
    /// The two symbols are around nothing, or around too much.
    #[error("the image is from {start:#x} to {end:#x}")]
    Extent {
        /// Where it would begin.
        start: u64,
        /// Where it would end.
        end: u64,
    },
    /// Two segments say different things of one byte.
    #[error("two segments lie over one another at {0:#x}")]
    Overlap(u64),
    /// Nothing in the file lies between the symbols.
    #[error("no segment lies in the image")]
    Empty,
}

impl ElfError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => {
                "give the ELF file that the linker wrote, not a .bin or .hex made of it"
            }
            Self::Symbol(_) => {
                "a board that measures itself has _image_start and _image_end in its memory.x, and a file that was stripped has no symbols"
            }
            Self::Extent { .. } | Self::Overlap(_) | Self::Empty => {
                "look at the board's linker script: llvm-readelf -lsW FILE"
            }
        }
    }
}

/// An image as a node measures it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfImage {
    /// SHA-256 over it.
    pub sha256: [u8; 32],
    /// Its length, bytes.
    pub len: u32,
    /// Bytes that no segment covers, and that are taken as erased.
    pub gaps: u32,
    /// The linker's build id in hex, or empty.
    pub build_id: String,
}

/// Measures an ELF file. `erased` is what the flash reads where nothing was written: 0xFF on most chips.
///
/// # Errors
/// [`ElfError`].
pub fn measure(file: &[u8], erased: u8) -> Result<ElfImage, ElfError> {
    let unreadable = |error: object::Error| ElfError::Unreadable(error.to_string());
    let parsed = object::File::parse(file).map_err(unreadable)?;
    let symbol = |name: &'static str| {
        let mut symbols = parsed.symbols();
        let found = symbols.find(|symbol| symbol.name() == Ok(name) && !symbol.is_undefined());
        found
            .map(|symbol| symbol.address())
            .ok_or(ElfError::Symbol(name))
    };
    let (start, end) = (symbol(START)?, symbol(END)?);
    let segments = match &parsed {
        object::File::Elf32(_) => {
            loaded(object::elf::FileHeader32::<Endianness>::parse(file), file)
        }
        object::File::Elf64(_) => {
            loaded(object::elf::FileHeader64::<Endianness>::parse(file), file)
        }
        _ => return Err(ElfError::Unreadable("another format".to_owned())),
    };
    let build_id = parsed.build_id().ok().flatten().unwrap_or_default();
    let image = compose(start, end, &segments?, erased)?;
    Ok(ElfImage {
        sha256: sha256(&[&image.bytes]),
        len: u32::try_from(image.bytes.len()).map_err(|_| ElfError::Extent { start, end })?,
        gaps: image.gaps,
        build_id: hex::encode(build_id),
    })
}

/// Where each segment lies in flash, and its bytes.
fn loaded<'d, H: FileHeader<Endian = Endianness>>(
    header: object::read::Result<&'d H>,
    file: &'d [u8],
) -> Result<Vec<(u64, &'d [u8])>, ElfError> {
    let unreadable = |error: object::Error| ElfError::Unreadable(error.to_string());
    let header = header.map_err(unreadable)?;
    let endian = header.endian().map_err(unreadable)?;
    let mut segments = Vec::new();
    for segment in header.program_headers(endian, file).map_err(unreadable)? {
        if segment.p_type(endian) != PT_LOAD {
            continue;
        }
        let bytes = segment.data(endian, file).map_err(|()| {
            ElfError::Unreadable("a segment lies behind the end of the file".to_owned())
        })?;
        // Variables are copied from their place in flash, which is the physical address.
        segments.push((segment.p_paddr(endian).into(), bytes));
    }
    Ok(segments)
}

struct Composed {
    bytes: Vec<u8>,
    gaps: u32,
}

fn compose(
    start: u64,
    end: u64,
    segments: &[(u64, &[u8])],
    erased: u8,
) -> Result<Composed, ElfError> {
    let len = end
        .checked_sub(start)
        .filter(|len| (1..=MAX_IMAGE).contains(len));
    let len = len.ok_or(ElfError::Extent { start, end })?;
    let mut bytes: Vec<Option<u8>> = vec![None; usize::try_from(len).unwrap_or(0)];
    for (at, content) in segments {
        let places = (0u64..).zip(*content);
        for (offset, byte) in places {
            let address = at.saturating_add(offset);
            let place = address
                .checked_sub(start)
                .and_then(|o| usize::try_from(o).ok());
            let Some(slot) = place.and_then(|place| bytes.get_mut(place)) else {
                continue;
            };
            if slot.is_some_and(|known| known != *byte) {
                return Err(ElfError::Overlap(address));
            }
            *slot = Some(*byte);
        }
    }
    let gaps = bytes.iter().filter(|byte| byte.is_none()).count();
    if gaps == bytes.len() {
        return Err(ElfError::Empty);
    }
    Ok(Composed {
        gaps: u32::try_from(gaps).unwrap_or(u32::MAX),
        bytes: bytes
            .into_iter()
            .map(|byte| byte.unwrap_or(erased))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::{ElfError, compose};

    #[test]
    fn what_no_segment_covers_is_as_erased_flash_has_it() {
        let segments: [(u64, &[u8]); 3] =
            [(0x1006, b"later"), (0x1000, b"first"), (0x2000, b"ram")];
        for erased in [0xFF, 0x00] {
            let image = compose(0x1000, 0x100C, &segments, erased).unwrap();
            let mut expected = *b"first.later.";
            expected[5] = erased;
            expected[11] = erased;
            assert_eq!(image.bytes, expected);
            assert_eq!(image.gaps, 2);
        }
    }

    #[test]
    fn only_what_lies_between_the_symbols_counts() {
        let whole: [(u64, &[u8]); 1] = [(0xFFE, b"0123456789")];
        let image = compose(0x1000, 0x1004, &whole, 0xFF).unwrap();
        assert_eq!((image.bytes.as_slice(), image.gaps), (&b"2345"[..], 0));
        let at_the_end: [(u64, &[u8]); 1] = [(u64::MAX - 1, b"abcd")];
        assert!(compose(0x1000, 0x1004, &at_the_end, 0xFF).is_err());
    }

    #[test]
    fn two_segments_may_say_the_same_and_not_different_things() {
        let same: [(u64, &[u8]); 2] = [(0x1000, b"abc"), (0x1002, b"cd")];
        assert_eq!(compose(0x1000, 0x1004, &same, 0).unwrap().bytes, b"abcd");
        let other: [(u64, &[u8]); 2] = [(0x1000, b"abc"), (0x1002, b"xd")];
        let told = compose(0x1000, 0x1004, &other, 0).map(|image| image.bytes);
        assert_eq!(told, Err(ElfError::Overlap(0x1002)));
    }

    #[test]
    fn an_image_without_extent_is_none() {
        let some: [(u64, &[u8]); 1] = [(0x1000, b"abc")];
        for (start, end) in [(0x1000, 0x1000), (0x1004, 0x1000), (0, u64::MAX)] {
            let told = compose(start, end, &some, 0).map(|image| image.bytes);
            assert_eq!(told, Err(ElfError::Extent { start, end }));
        }
        let told = compose(0x2000, 0x2004, &some, 0).map(|image| image.bytes);
        assert_eq!(told, Err(ElfError::Empty));
    }

    #[test]
    fn what_is_no_elf_file_says_so() {
        for file in [&b""[..], b"\x7fELF", &[0; 64], b"MZ"] {
            let told = super::measure(file, 0xFF).unwrap_err();
            assert!(matches!(told, ElfError::Unreadable(_)), "{told}");
        }
    }
}
