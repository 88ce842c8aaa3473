//! Keys of a TPM as the rest of the world writes them.

use assay_common::tpm::alg::EccCurve;
use assay_common::tpm::public::{Parameters, Public, Unique};
use sha2::{Digest as _, Sha256};

use crate::key::element;

const RSA: &[u8] = &[
    0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const P256: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22];

/// SHA-256 of a key's SubjectPublicKeyInfo, which is what `allowedHashes` has; `None` for a key on another curve.
#[must_use]
pub fn sha256(public: &Public<'_>) -> Option<[u8; 32]> {
    let (algorithm, key) = match (&public.parameters, public.unique) {
        (Parameters::Rsa { .. }, Unique::Rsa(modulus)) => {
            let exponent = public.parameters.rsa_exponent()?.to_be_bytes();
            let numbers = [integer(modulus), integer(&exponent)].concat();
            (RSA.to_vec(), element(0x30, &numbers))
        }
        (Parameters::Ecc { curve, .. }, Unique::Ecc { x, y }) => {
            let (name, len) = match *curve {
                EccCurve::NIST_P256 => (P256, 32),
                EccCurve::NIST_P384 => (P384, 48),
                _ => return None,
            };
            let point = [vec![4], padded(x, len)?, padded(y, len)?].concat();
            ([EC_PUBLIC_KEY, name].concat(), point)
        }
        _ => return None,
    };
    let bits = element(0x03, &[&[0], key.as_slice()].concat());
    let spki = element(0x30, &[element(0x30, &algorithm), bits].concat());
    Some(Sha256::digest(spki).into())
}

/// Whether a certificate has this key in it: its modulus or its point.
#[must_use]
pub(super) fn is_in(public: &Public<'_>, certificate: &[u8]) -> bool {
    let has = |number: &[u8]| {
        let number = digits(number);
        !number.is_empty() && certificate.windows(number.len()).any(|part| part == number)
    };
    match public.unique {
        Unique::Rsa(modulus) => has(modulus),
        Unique::Ecc { x, y } => has(x) && has(y),
    }
}

fn digits(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// A positive INTEGER.
fn integer(number: &[u8]) -> Vec<u8> {
    let digits = digits(number);
    let sign: &[u8] = match digits.first() {
        Some(0..=0x7F) => &[],
        _ => &[0],
    };
    element(0x02, &[sign, digits].concat())
}

/// A chip may leave leading zeros out.
fn padded(number: &[u8], len: usize) -> Option<Vec<u8>> {
    let digits = digits(number);
    let zeros = len.checked_sub(digits.len())?;
    Some([vec![0; zeros], digits.to_vec()].concat())
}
