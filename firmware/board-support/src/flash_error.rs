//! What a board's flash did not do: the error of the drivers of all boards.

use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};

/// Why nothing, or not all, was erased or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// Not whole pages, or not whole words.
    NotAligned,
    /// Not pages that are the driver's to change.
    OutOfBounds,
    /// The controller refused, or what is there afterwards is not what was written: write-protected, worn out, or written
    /// before.
    Refused,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::Refused => NorFlashErrorKind::Other,
        }
    }
}

impl From<NorFlashErrorKind> for FlashError {
    fn from(kind: NorFlashErrorKind) -> Self {
        match kind {
            NorFlashErrorKind::NotAligned => Self::NotAligned,
            NorFlashErrorKind::OutOfBounds => Self::OutOfBounds,
            _ => Self::Refused,
        }
    }
}
