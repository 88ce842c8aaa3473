//! Base64 of proofs, decoded by the library's vector instructions where the processor has them.
//!
//! A proof is mostly base64: a token in three parts, a signed document, certificates. What counts as base64 is the same on
//! every processor: the alphabet, padding as stated, no bits to spare, and nothing else, no line's end either.

use base64::Engine as _;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as URL_SAFE};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use self::vector::{STANDARD, URL_SAFE};

/// Which instructions there are is asked for once.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector {
    use std::sync::LazyLock;

    use base64::engine::Simd;
    use base64::engine::general_purpose::{NO_PAD, PAD};

    pub(super) static STANDARD: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
    pub(super) static URL_SAFE: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));
}

/// Text in the alphabet of RFC 4648 section 4, padded, with no bits to spare.
pub(crate) fn standard(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Text in the alphabet of RFC 4648 section 5, not padded, with no bits to spare.
pub(crate) fn url_safe(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::{standard, url_safe};

    /// With the library's engine for any processor.
    fn agree(text: &[u8]) {
        assert_eq!(standard(text), STANDARD.decode(text).ok(), "{text:?}");
        let other = URL_SAFE_NO_PAD.decode(text).ok();
        assert_eq!(url_safe(text), other, "{text:?}");
    }

    /// Vector instructions take texts of 64 characters and more, 32 at a time.
    #[test]
    fn every_byte_in_every_place_is_what_the_library_says() {
        for short in ["AAAAAAAA", "AAAAAAA=", "AAAAAA==", "AAAAAAA", "AAAAAA"] {
            for text in [short.to_owned(), format!("{}{short}", "Zm9v".repeat(24))] {
                in_every_place(text.as_bytes());
            }
        }
        for text in ["", "A", "AA", "AAA", "A===", "====", "AA==AAAA", "AAAA="] {
            agree(text.as_bytes());
        }
    }

    fn in_every_place(text: &[u8]) {
        for at in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut text = text.to_vec();
                if let Some(place) = text.get_mut(at) {
                    *place = byte;
                }
                agree(&text);
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(standard(STANDARD.encode(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(url_safe(URL_SAFE_NO_PAD.encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_what_the_library_says(text in "[A-Za-z0-9+/_=-]{0,24}|[A-Za-z0-9+/]{60,140}={0,2}|[A-Za-z0-9_-]{60,140}") {
            agree(text.as_bytes());
        }
    }
}
