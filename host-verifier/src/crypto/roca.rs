//! The fingerprint of RSA keys made by a broken generator (CVE-2017-15361, "ROCA").
//!
//! Infineon chips with firmware of 2012 to 2017 made primes of the form `k * M + (65537^a mod M)`,
//! where M is a product of the first primes. So the modulus is a power of 65537 modulo each of
//! them, which an honest modulus is with a probability below 2^-27. Such keys of 2048 bits can be
//! factored for the price of some cloud computing.

use super::RsaPublicKey;

const PRIMES: [u16; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Generator of the subgroups.
const GENERATOR: u32 = 65_537;

/// True when the modulus has the fingerprint.
#[must_use]
pub fn has_roca_fingerprint(key: &RsaPublicKey) -> bool {
    PRIMES.iter().all(|prime| {
        let prime = u32::from(*prime);
        let residue = key
            .modulus()
            .iter()
            .fold(0, |r, byte| (r << 8 | u32::from(*byte)) % prime);
        is_power_of_generator(residue, prime)
    })
}

fn is_power_of_generator(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == residue {
            return true;
        }
        power = power * (GENERATOR % prime) % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    /// Big-endian `65537^n`: a number with the fingerprint by construction.
    fn power(n: usize) -> Vec<u8> {
        let mut number = vec![1u8];
        for _ in 0..n {
            // x * 65537 = (x << 16) + x
            let mut shifted = number.clone();
            shifted.extend([0, 0]);
            let mut carry = 0u16;
            for i in 0..shifted.len() {
                let low = number.iter().rev().nth(i).copied().unwrap_or(0);
                let slot = shifted.iter_mut().rev().nth(i).unwrap();
                let sum = u16::from(*slot) + u16::from(low) + carry;
                *slot = sum as u8;
                carry = sum >> 8;
            }
            number = shifted;
        }
        number
    }

    #[test]
    fn recognises_powers_of_the_generator() {
        let key = RsaPublicKey::new(&power(127), 65_537).unwrap();
        assert!(key.bits() > 2030);
        assert!(has_roca_fingerprint(&key));
    }

    #[test]
    fn leaves_an_honest_modulus_alone() {
        let mut modulus = power(127);
        *modulus.last_mut().unwrap() ^= 2;
        assert!(!has_roca_fingerprint(
            &RsaPublicKey::new(&modulus, 65_537).unwrap()
        ));
    }
}
