//! AES in full-block cipher feedback (SP 800-38A section 6.3): the cipher of parameters in a session.
//!
//! The blocks are RustCrypto's `aes`, whose software is bit-sliced: no table that a secret would index. CFB only ever
//! encrypts blocks, so that is all that is linked.

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};

/// Bytes of a block, and of an initialization vector.
pub(crate) const BLOCK: usize = 16;

/// Which way a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
}

/// Encrypts or decrypts `text` in place. `key_iv` is the key, 16 or 32 bytes, and behind it the initialization vector; one
/// of another length leaves nothing of the text.
#[inline(never)]
pub(crate) fn apply(direction: Direction, key_iv: &[u8], text: &mut [u8]) {
    let Some((key, iv)) = key_iv.split_last_chunk::<BLOCK>() else {
        return text.fill(0);
    };
    if let Ok(key) = <&[u8; 16]>::try_from(key) {
        let cipher = Aes128Enc::new(key.into());
        run(
            direction,
            &mut |block| cipher.encrypt_block(block),
            iv,
            text,
        );
    } else if let Ok(key) = <&[u8; 32]>::try_from(key) {
        let cipher = Aes256Enc::new(key.into());
        run(
            direction,
            &mut |block| cipher.encrypt_block(block),
            iv,
            text,
        );
    } else {
        text.fill(0);
    }
}

fn run(
    direction: Direction,
    encrypt: &mut dyn FnMut(&mut Block<Aes128Enc>),
    iv: &[u8; BLOCK],
    text: &mut [u8],
) {
    let mut feedback = Block::<Aes128Enc>::from(*iv);
    for chunk in text.chunks_mut(BLOCK) {
        encrypt(&mut feedback);
        for (byte, mask) in chunk.iter_mut().zip(&mut feedback) {
            let before = *byte;
            *byte ^= *mask;
            // What is fed back is the encrypted text.
            *mask = match direction {
                Direction::Encrypt => *byte,
                Direction::Decrypt => before,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8);
        bytes.collect()
    }

    /// SP 800-38A appendix F.3.13 to F.3.18, CFB128.
    #[test]
    fn the_standards_examples_come_out() {
        let iv = "000102030405060708090a0b0c0d0e0f";
        let plain = hex(
            "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
             30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
        );
        for (key, expected) in [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "3b3fd92eb72dad20333449f8e83cfb4a c8a64537a0b3a93fcde3cdad9f1ce58b
                 26751f67a3cbb140b1808cf187a4f4df c04b05357c5d1c0eeac4c66f9ff7f2e6",
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "dc7e84bfda79164b7ecd8486985d3860 39ffed143b28b1c832113c6331e5407b
                 df10132415e54b92a13ed0a8267ae2f9 75a385741ab9cef82031623d55b1e471",
            ),
        ] {
            let (key_iv, expected) = (hex(&[key, iv].concat()), hex(expected));
            // Whole blocks and what is left over of one.
            for len in [64, 63, 33, 16, 1, 0] {
                let mut text = plain[..len].to_vec();
                apply(Direction::Encrypt, &key_iv, &mut text);
                assert_eq!(text, expected[..len]);
                apply(Direction::Decrypt, &key_iv, &mut text);
                assert_eq!(text, plain[..len]);
            }
        }
    }

    #[test]
    fn a_key_of_another_length_leaves_nothing() {
        for len in [0, 15, 16, 31, 33, 40, 49] {
            let mut text = [7; 5];
            apply(Direction::Encrypt, &vec![1; len], &mut text);
            assert_eq!(text, [0; 5], "{len}");
        }
        assert_eq!(BLOCK, size_of::<Block<Aes128Enc>>());
    }
}
