//! What an image takes of flash and RAM, read from its ELF.

use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, elf};

/// Sizes of an image, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ImageSize {
    /// What is flashed: code, constants, and the initial values of data.
    pub flash: u64,
    /// Static data, zeroed or not; without the stack.
    pub ram: u64,
}

/// Reads the sizes of an ELF.
///
/// # Errors
///
/// When the file cannot be read or is no ELF.
pub fn image_size(path: &Path) -> Result<ImageSize> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let elf = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let mut size = ImageSize { flash: 0, ram: 0 };
    for section in elf.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else {
            continue;
        };
        if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
            continue;
        }
        let writable = sh_flags & u64::from(elf::SHF_WRITE) != 0;
        let stored = !matches!(section.kind(), object::SectionKind::UninitializedData);
        if stored {
            size.flash += section.size();
        }
        if writable {
            size.ram += section.size();
        }
    }
    Ok(size)
}

/// The address of a symbol, for a harness that counts instructions between two of them.
///
/// # Errors
///
/// When the file cannot be read.
pub fn symbol_address(path: &Path, name: &str) -> Result<Option<u64>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let elf = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    Ok(elf
        .symbols()
        .find(|symbol| symbol.name() == Ok(name))
        .map(|symbol| symbol.address()))
}
