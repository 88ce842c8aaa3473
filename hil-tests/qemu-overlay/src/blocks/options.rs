//! The option bytes: words that outlive resets and losses of power, beside the flash. `[RM0090] 3.6`, `[RM0351] 3.4`
//!
//! Kept in a file beside that of the settings, its name with `.options` behind it: the words, little-endian.

use std::fs;
use std::path::PathBuf;

/// What RDP is at level 2, which freezes all of them.
pub const RDP_LEVEL_2: u32 = 0xCC;

/// So many words.
#[derive(Debug, Clone)]
pub struct Options<const N: usize> {
    words: [u32; N],
    file: Option<PathBuf>,
}

impl<const N: usize> Options<N> {
    /// Those of a chip as it is delivered, or what an earlier run left beside the settings in `settings`.
    #[must_use]
    pub fn new(delivered: [u32; N], settings: Option<PathBuf>) -> Self {
        let file = settings.map(|path| {
            let mut name = path.into_os_string();
            name.push(".options");
            PathBuf::from(name)
        });
        let mut words = delivered;
        let kept = file.as_ref().and_then(|file| fs::read(file).ok());
        let kept = kept.unwrap_or_default();
        for (word, bytes) in words.iter_mut().zip(kept.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self { words, file }
    }

    /// What they are.
    #[must_use]
    pub fn words(&self) -> [u32; N] {
        self.words
    }

    /// Programs all of them.
    pub fn program(&mut self, words: [u32; N]) {
        self.words = words;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        if let Some(file) = &self.file
            && let Err(error) = fs::write(file, bytes)
        {
            eprintln!("assay-qemu-overlay: {}: {error}", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_outlive_a_run_beside_the_settings_and_nowhere_else() {
        let name = format!("assay-options-{}", std::process::id());
        let settings = std::env::temp_dir().join(name);
        let mut options = Options::new([1, 2], Some(settings.clone()));
        options.program([3, 0x0102_0304]);
        assert_eq!(
            Options::new([1, 2], Some(settings.clone())).words(),
            [3, 0x0102_0304]
        );
        assert_eq!(Options::new([1, 2], None).words(), [1, 2]);
        let file = PathBuf::from(format!("{}.options", settings.display()));
        assert_eq!(fs::read(&file).ok(), Some(vec![3, 0, 0, 0, 4, 3, 2, 1]));
        assert!(!settings.exists() && fs::remove_file(file).is_ok());
    }
}
