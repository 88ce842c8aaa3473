//! Keys whose private half everybody knows, in the place of a TPM's, and the Names that go with them.

use sha2::{Digest, Sha256, Sha384};

use super::CREATE_PRIMARY;
use crate::interposer::parts::{Response, sized, tpm2b};
use crate::interposer::{Script, Stage};
use crate::message::u16_at;

/// The generator of P-256: the public key to the private key 1, so that what is agreed with it is the other side's own
/// point, which everybody on the bus sees.
const P256: [[u8; 32]; 2] = [
    [
        0x6B, 0x17, 0xD1, 0xF2, 0xE1, 0x2C, 0x42, 0x47, 0xF8, 0xBC, 0xE6, 0xE5, 0x63, 0xA4, 0x40,
        0xF2, 0x77, 0x03, 0x7D, 0x81, 0x2D, 0xEB, 0x33, 0xA0, 0xF4, 0xA1, 0x39, 0x45, 0xD8, 0x98,
        0xC2, 0x96,
    ],
    [
        0x4F, 0xE3, 0x42, 0xE2, 0xFE, 0x1A, 0x7F, 0x9B, 0x8E, 0xE7, 0xEB, 0x4A, 0x7C, 0x0F, 0x9E,
        0x16, 0x2B, 0xCE, 0x33, 0x57, 0x6B, 0x31, 0x5E, 0xCE, 0xCB, 0xB6, 0x40, 0x68, 0x37, 0xBF,
        0x51, 0xF5,
    ],
];

/// The generator of P-384, for the same reason.
const P384: [[u8; 48]; 2] = [
    [
        0xAA, 0x87, 0xCA, 0x22, 0xBE, 0x8B, 0x05, 0x37, 0x8E, 0xB1, 0xC7, 0x1E, 0xF3, 0x20, 0xAD,
        0x74, 0x6E, 0x1D, 0x3B, 0x62, 0x8B, 0xA7, 0x9B, 0x98, 0x59, 0xF7, 0x41, 0xE0, 0x82, 0x54,
        0x2A, 0x38, 0x55, 0x02, 0xF2, 0x5D, 0xBF, 0x55, 0x29, 0x6C, 0x3A, 0x54, 0x5E, 0x38, 0x72,
        0x76, 0x0A, 0xB7,
    ],
    [
        0x36, 0x17, 0xDE, 0x4A, 0x96, 0x26, 0x2C, 0x6F, 0x5D, 0x9E, 0x98, 0xBF, 0x92, 0x92, 0xDC,
        0x29, 0xF8, 0xF4, 0x1D, 0xBD, 0x28, 0x9A, 0x14, 0x7C, 0xE9, 0xDA, 0x31, 0x13, 0xB5, 0xF0,
        0xB8, 0xC0, 0x0A, 0x60, 0xB1, 0xCE, 0x1D, 0x7E, 0x81, 0x9D, 0x7A, 0x43, 0x1D, 0x7C, 0x90,
        0xEA, 0x0E, 0x5F,
    ],
];

/// An RSA modulus that is a prime, 2^2048 - 1557: everybody has its private exponent, the inverse of 65,537 modulo one less.
fn modulus() -> [u8; 256] {
    let mut modulus = [0xFF; 256];
    let [.., high, low] = &mut modulus;
    (*high, *low) = (0xF9, 0xEB);
    modulus
}

/// `unique` of his own key in the place of one of this kind and length, and how long that is; `None` for another kind.
fn own_unique(public: &[u8]) -> Option<(usize, Vec<u8>)> {
    const RSA: u16 = 0x01;
    const ECC: u16 = 0x23;
    let sized_at_end = |len: usize| {
        let at = public.len().checked_sub(len.checked_add(2)?)?;
        (usize::from(u16_at(public, at)?) == len).then_some(())
    };
    let own = match u16_at(public, 0)? {
        RSA => sized_at_end(256).map(|()| sized(&modulus()))?,
        ECC if sized_at_end(32).is_some() => P256.iter().flat_map(|x| sized(x)).collect(),
        ECC if sized_at_end(48).is_some() => P384.iter().flat_map(|x| sized(x)).collect(),
        _ => return None,
    };
    Some((own.len(), own))
}

/// Puts a key of his own in the place of the EK.
pub(super) fn own_ek(rename: bool) -> Script {
    Box::new(move |turn| {
        let answer = turn.pass()?;
        if !turn.is(Stage::Ek, CREATE_PRIMARY) {
            return Ok(answer);
        }
        let changed = Response::parse(&answer, turn.code).and_then(|parts| {
            let (public, rest) = tpm2b(parts.parameters)?;
            // It ends with `unique`.
            let (len, unique) = own_unique(public)?;
            let head = public.get(..public.len().checked_sub(len)?)?;
            let own = [head, &unique].concat();
            Some(parts.with(&with_public(&own, rest, rename)?))
        });
        Ok(match changed {
            Some(changed) => {
                turn.strike("showed a key of his own");
                changed
            }
            None => answer,
        })
    })
}

/// The parameters of a CreatePrimary with another public area, whose rest is `rest`; `rename` puts its Name there too.
pub(super) fn with_public(public: &[u8], rest: &[u8], rename: bool) -> Option<Vec<u8>> {
    const SHA256: u16 = 0x0B;
    const SHA384: u16 = 0x0C;
    let mut out = sized(public);
    if rename {
        let algorithm = u16_at(public, 2)?;
        let digest = match algorithm {
            SHA256 => Sha256::digest(public).to_vec(),
            SHA384 => Sha384::digest(public).to_vec(),
            _ => return None,
        };
        let name = sized(&[&algorithm.to_be_bytes()[..], &digest].concat());
        // The Name is the last field.
        out.extend_from_slice(rest.get(..rest.len().checked_sub(name.len())?)?);
        out.extend(name);
    } else {
        out.extend_from_slice(rest);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::*;

    #[test]
    fn a_key_of_each_kind_has_one_of_his_own_of_the_same_length() {
        let ecc = |coordinate: usize| {
            let x = sized(&vec![7; coordinate]);
            [&[0, 0x23, 0, 0x0B][..], &x, &x].concat()
        };
        let rsa = [&[0, 1, 0, 0x0B][..], &sized(&[7; 256])].concat();
        for (public, len) in [(ecc(32), 68), (ecc(48), 100), (rsa, 258)] {
            let (is, own) = own_unique(&public).unwrap();
            assert_eq!((is, own.len()), (len, len));
            assert!(!public.ends_with(&own));
        }
        assert_eq!(own_unique(&ecc(66)), None);
        assert_eq!(own_unique(&[0, 8, 0, 0x0B]), None);
        assert_eq!(own_unique(&[0, 1]), None);
    }

    #[test]
    fn a_name_is_of_the_area_and_by_its_own_algorithm() {
        for (algorithm, len) in [(0x0B_u8, 32), (0x0C, 48)] {
            let public = [0, 0x23, 0, algorithm, 1];
            let rest = [&b"creation"[..], &vec![0; len + 4]].concat();
            let renamed = with_public(&public, &rest, true).unwrap();
            let head = [&sized(&public), &b"creation"[..]].concat();
            assert_eq!(renamed.len(), head.len() + len + 4);
            let name = renamed.strip_prefix(&head[..]).unwrap();
            assert_eq!(name.get(..4), Some(&[0, len as u8 + 2, 0, algorithm][..]));
            assert_ne!(name.get(4..), rest.get(12..));
            let kept = with_public(&public, &rest, false).unwrap();
            assert!(kept.ends_with(&rest));
        }
        assert_eq!(with_public(&[0, 0x23, 0, 0x0D], &[0; 80], true), None);
    }
}
