//! HMAC_DRBG with SHA-256 (SP 800-90A rev. 1, section 10.1.2).

use zeroize::Zeroize;

use crate::crypto::hash::{Hash, Mac};

/// Bytes of the key and of the value: SHA-256.
const LEN: usize = 32;

/// A generator. Nobody can tell its numbers from random ones who does not know one of its inputs; those that were given out
/// stay so even if its state is read later. Never printed; wiped when dropped.
///
/// The standard bounds the number of requests between two inputs by 2^48. A node that asks a thousand times a second gets
/// there in nine thousand years, so nothing counts them.
pub struct Drbg {
    key: [u8; LEN],
    value: [u8; LEN],
}

impl core::fmt::Debug for Drbg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Drbg")
    }
}

impl Drop for Drbg {
    fn drop(&mut self) {
        self.key.zeroize();
        self.value.zeroize();
    }
}

impl Default for Drbg {
    fn default() -> Self {
        Self::new()
    }
}

impl Drbg {
    /// A generator that was given nothing: its numbers are known to everybody until [`stir`](Self::stir).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            key: [0; LEN],
            value: [1; LEN],
        }
    }

    /// Takes inputs, one after the other, as entropy: the standard's instantiation (10.1.2.3) the first time, its reseeding
    /// (10.1.2.4) later. What was in the state stays in it, so a foreseeable input does no harm.
    pub fn stir(&mut self, inputs: &[&[u8]]) {
        self.update(0, inputs);
        if inputs.iter().any(|input| !input.is_empty()) {
            self.update(1, inputs);
        }
    }

    /// Fills `out` with random bytes (10.1.2.5, without additional input).
    #[inline(never)]
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(LEN) {
            self.next_value();
            for (to, from) in chunk.iter_mut().zip(&self.value) {
                *to = *from;
            }
        }
        // What was given out cannot be computed from the state afterwards.
        self.stir(&[]);
    }

    /// One round of the standard's update (10.1.2.2).
    fn update(&mut self, round: u8, inputs: &[&[u8]]) {
        let mut mac = Mac::new(Hash::Sha256, &[&self.key]);
        mac.update(&self.value);
        mac.update(&[round]);
        for input in inputs {
            mac.update(input);
        }
        copy(mac, &mut self.key);
        self.next_value();
    }

    fn next_value(&mut self) {
        let mut mac = Mac::new(Hash::Sha256, &[&self.key]);
        mac.update(&self.value);
        copy(mac, &mut self.value);
    }
}

fn copy(mac: Mac, to: &mut [u8; LEN]) {
    for (to, from) in to.iter_mut().zip(mac.finish().as_bytes()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests stop at the first surprise")]

    use super::Drbg;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8);
        bytes.collect()
    }

    /// NIST's CAVP, HMAC_DRBG.rsp (drbgvectors_no_reseed), SHA-256, first case: two requests, the second one is given.
    #[test]
    fn a_published_case_comes_out() {
        let entropy = hex("ca851911349384bffe89de1cbdc46e6831e44d34a4fb935ee285dd14b71a7488");
        let nonce = hex("659ba96c601dc69fc902940805ec0ca8");
        let mut drbg = Drbg::new();
        drbg.stir(&[&entropy, &nonce]);
        let mut out = [0; 128];
        drbg.fill(&mut out);
        drbg.fill(&mut out);
        let expected = hex(
            "e528e9abf2dece54d47c7e75e5fe302149f817ea9fb4bee6f4199697d04d5b89
             d54fbb978a15b5c443c9ec21036d2460b6f73ebad0dc2aba6e624abf07745bc1
             07694bb7547bb0995f70de25d6b29e2d3011bb19d27676c07162c8b5ccde0668
             961df86803482cb37ed6d5c0bb8d50cf1f50d476aa0458bdaba806f48be9dcb8",
        );
        assert_eq!(out.as_slice(), expected);
    }

    #[test]
    fn every_input_counts_and_none_takes_away_what_was_there() {
        let first = |inputs: &[&[&[u8]]]| {
            let mut drbg = Drbg::new();
            inputs.iter().for_each(|inputs| drbg.stir(inputs));
            let mut out = [0; 32];
            drbg.fill(&mut out);
            out
        };
        let secret = first(&[&[b"secret"]]);
        assert_ne!(secret, first(&[]));
        assert_ne!(secret, first(&[&[b"another"]]));
        // A known input on top of two secrets still gives two streams.
        assert_ne!(
            first(&[&[b"secret"], &[b"known"]]),
            first(&[&[b"another"], &[b"known"]])
        );
        assert_eq!(
            first(&[&[b"sec", b"ret"]]),
            secret,
            "pieces are one after the other"
        );
    }

    #[test]
    fn requests_do_not_repeat_each_other() {
        let mut drbg = Drbg::new();
        drbg.stir(&[b"seed"]);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            let mut out = [0; 16];
            drbg.fill(&mut out);
            assert!(seen.insert(out));
        }
    }
}
