//! Flash cells that a board writes, and how the controllers of the STM32s are unlocked.

use std::fs;
use std::path::PathBuf;

/// What is written to the key register, one after the other.
const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];
/// The same for the option bytes.
const OPTION_KEYS: [u32; 2] = [0x0819_2A3B, 0x4C5D_6E7F];

/// How far a controller is unlocked.
#[derive(Debug, Clone, Copy)]
pub struct Lock {
    keys: [u32; 2],
    /// How many keys were right; more than all after a wrong one, until the next reset.
    right: usize,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            keys: KEYS,
            right: 0,
        }
    }
}

impl Lock {
    /// That of the option bytes.
    #[must_use]
    pub const fn of_options() -> Self {
        Self {
            keys: OPTION_KEYS,
            right: 0,
        }
    }

    /// A key was written; whether it was the last one that was wanted.
    pub fn key(&mut self, key: u32) -> bool {
        self.right = match self.keys.get(self.right) {
            Some(wanted) if *wanted == key => self.right.saturating_add(1),
            _ => usize::MAX,
        };
        self.right == self.keys.len()
    }
}

/// Bytes that erasing sets and programming clears.
#[derive(Debug, Clone)]
pub struct Cells {
    bytes: Vec<u8>,
    /// Where they are kept from one run to the next.
    file: Option<PathBuf>,
}

impl Cells {
    /// `len` erased bytes, or what an earlier run left in `file`.
    #[must_use]
    pub fn new(len: usize, file: Option<PathBuf>) -> Self {
        let mut bytes = vec![0xFF; len];
        let kept = file.as_ref().and_then(|file| fs::read(file).ok());
        for (to, from) in bytes.iter_mut().zip(kept.unwrap_or_default()) {
            *to = from;
        }
        Self { bytes, file }
    }

    /// A read of `size` bytes, little-endian.
    #[must_use]
    pub fn read(&self, offset: u32, size: u32) -> u32 {
        (0..size.min(4)).rev().fold(0, |word, i| {
            let at = usize::try_from(offset.saturating_add(i)).unwrap_or(usize::MAX);
            (word << 8) | u32::from(self.bytes.get(at).copied().unwrap_or(0xFF))
        })
    }

    /// Clears the bits that `bytes` has as zeros.
    pub fn program(&mut self, offset: u32, bytes: &[u8]) {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (cell, byte) in self.bytes.iter_mut().skip(from).zip(bytes) {
            *cell &= byte;
        }
        self.keep();
    }

    /// Sets all bits of the page number `nth`.
    pub fn erase(&mut self, nth: usize, page: usize) {
        let page = self.bytes.chunks_mut(page).nth(nth);
        page.unwrap_or_default().fill(0xFF);
        self.keep();
    }

    /// The file is a convenience of the harness: a flash that cannot be kept works until the run ends.
    fn keep(&self) {
        if let Some(file) = &self.file
            && let Err(error) = fs::write(file, &self.bytes)
        {
            eprintln!("assay-qemu-overlay: {}: {error}", file.display());
        }
    }
}
