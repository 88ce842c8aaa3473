//! Randomness: the system's, and a settable one for tests.

/// A source of unpredictable bytes.
pub trait SecureRandom: Send + Sync + core::fmt::Debug {
    /// Fills `out` with bytes that nobody can predict.
    ///
    /// # Errors
    ///
    /// [`RandomError`]; `out` must not be used then.
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError>;

    /// `N` fresh bytes.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    fn bytes<const N: usize>(&self) -> Result<[u8; N], RandomError>
    where
        Self: Sized,
    {
        bytes(self)
    }
}

/// `N` fresh bytes, for callers that hold a trait object.
///
/// # Errors
///
/// [`RandomError`].
pub fn bytes<const N: usize>(random: &dyn SecureRandom) -> Result<[u8; N], RandomError> {
    let mut out = [0; N];
    random.fill(&mut out)?;
    Ok(out)
}

/// The system has no randomness to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the random number generator failed")]
pub struct RandomError;

/// The generator of aws-lc, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl SecureRandom for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        aws_lc_rs::rand::fill(out).map_err(|_| RandomError)
    }
}

/// Bytes that a test chose: a counter hashed with a seed. Provides NO security.
#[derive(Debug)]
pub struct SeededRandom {
    seed: [u8; 32],
    counter: std::sync::atomic::AtomicU64,
}

impl SeededRandom {
    /// A generator whose output depends on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut full = [0; 32];
        for (slot, byte) in full.iter_mut().zip(seed.to_be_bytes()) {
            *slot = byte;
        }
        Self {
            seed: full,
            counter: std::sync::atomic::AtomicU64::new(0),
        }
    }
}

impl SecureRandom for SeededRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        for chunk in out.chunks_mut(32) {
            let count = self
                .counter
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut block = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
            block.update(&self.seed);
            block.update(&count.to_be_bytes());
            for (slot, byte) in chunk.iter_mut().zip(block.finish().as_ref()) {
                *slot = *byte;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{SecureRandom, SeededRandom, SystemRandom};

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        let draw = |seed| SeededRandom::new(seed).bytes::<48>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_system_never_gives_the_same_bytes_twice() {
        assert_ne!(SystemRandom.bytes::<32>(), SystemRandom.bytes::<32>());
    }
}
