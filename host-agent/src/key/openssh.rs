//! Private keys in OpenSSH's own form (its PROTOCOL.key), not encrypted.

use aws_lc_rs::{
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{Ed25519KeyPair, RsaKeyPair},
};
use zeroize::Zeroizing;

use super::{Curve, KeyError, PrivateKey};

const MAGIC: &[u8] = b"openssh-key-v1\0";
/// Bits of the largest RSA key, and bytes of its numbers.
const MAX_NUMBER: usize = 1024;

pub(super) fn read(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let mut reader = Reader(bytes.strip_prefix(MAGIC).ok_or(KeyError::Unusable)?);
    let cipher = reader.string()?;
    let kdf = reader.string()?;
    reader.string()?;
    if cipher != b"none" || kdf != b"none" {
        return Err(KeyError::Encrypted);
    }
    if reader.u32()? != 1 {
        return Err(KeyError::Unusable);
    }
    reader.string()?;
    let mut reader = Reader(reader.string()?);
    // Equal where a passphrase was right; without one they are equal, too.
    if reader.u32()? != reader.u32()? {
        return Err(KeyError::Unusable);
    }
    match reader.string()? {
        b"ssh-ed25519" => {
            let public = reader.string()?;
            let seed = reader.string()?.get(..32).ok_or(KeyError::Unusable)?;
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
                .map(PrivateKey::Ed25519)
                .map_err(|_| KeyError::Unusable)
        }
        b"ecdsa-sha2-nistp256" => ec(Curve::P256, &mut reader),
        b"ecdsa-sha2-nistp384" => ec(Curve::P384, &mut reader),
        b"ecdsa-sha2-nistp521" => ec(Curve::P521, &mut reader),
        b"ssh-rsa" => rsa(&mut reader),
        _ => Err(KeyError::Unusable),
    }
}

/// The key as RFC 5915 writes it, which the library reads and checks.
fn ec(curve: Curve, reader: &mut Reader<'_>) -> Result<PrivateKey, KeyError> {
    reader.string()?;
    let point = reader.string()?;
    let scalar = reader.number()?;
    let padding = curve.len().checked_sub(scalar.len());
    let mut padded = Zeroizing::new(vec![0; padding.ok_or(KeyError::Unusable)?]);
    padded.extend_from_slice(scalar);
    let identifier: &[u8] = match curve {
        Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        Curve::P384 => &[0x2b, 0x81, 4, 0, 0x22],
        Curve::P521 => &[0x2b, 0x81, 4, 0, 0x23],
    };
    let bits = [&[0][..], point].concat();
    let contents = Zeroizing::new(
        [
            vec![2, 1, 1],
            element(4, &padded),
            element(0xa0, &element(6, identifier)),
            element(0xa1, &element(3, &bits)),
        ]
        .concat(),
    );
    PrivateKey::ec(Zeroizing::new(element(0x30, &contents)))
}

/// A DER element. Lengths here are below 65536.
pub(crate) fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let [.., high, low] = contents.len().to_be_bytes();
    let mut out = Vec::with_capacity(contents.len() + 4);
    match (high, low) {
        (0, 0..=0x7f) => out.extend([tag, low]),
        (0, _) => out.extend([tag, 0x81, low]),
        _ => out.extend([tag, 0x82, high, low]),
    }
    out.extend_from_slice(contents);
    out
}

/// The file lacks two of the numbers that the library wants; it checks all of them.
fn rsa(reader: &mut Reader<'_>) -> Result<PrivateKey, KeyError> {
    let [n, e, d, q_inv, p, q] = [
        reader.number()?,
        reader.number()?,
        reader.number()?,
        reader.number()?,
        reader.number()?,
        reader.number()?,
    ];
    let d_p = remainder_of_one_less(d, p)?;
    let d_q = remainder_of_one_less(d, q)?;
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d,
        p,
        q,
        dP: d_p.as_slice(),
        dQ: d_q.as_slice(),
        qInv: q_inv,
    };
    RsaKeyPair::from_components(&components)
        .map(PrivateKey::Rsa)
        .map_err(|_| KeyError::Unusable)
}

/// `number mod (prime - 1)`, bit by bit, big-endian. It takes as long as the numbers are long; how long that is, only this
/// machine's own users can tell.
fn remainder_of_one_less(number: &[u8], prime: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let [head @ .., last] = prime else {
        return Err(KeyError::Unusable);
    };
    // A prime other than 2 is odd, so one less is the last bit cleared.
    if last & 1 == 0 || number.len() > MAX_NUMBER || prime.len() > MAX_NUMBER {
        return Err(KeyError::Unusable);
    }
    let modulus = Zeroizing::new([head, &[last & !1]].concat());
    if modulus.iter().all(|byte| *byte == 0) {
        return Err(KeyError::Unusable);
    }
    // One byte more than the modulus, for the doubling.
    let mut rest = Zeroizing::new(vec![0u8; modulus.len() + 1]);
    for byte in number {
        for bit in (0..8).rev() {
            double_and_add(&mut rest, byte >> bit & 1);
            subtract_if_not_less(&mut rest, &modulus);
        }
    }
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    Ok(Zeroizing::new(
        rest.get(zeros..).unwrap_or_default().to_vec(),
    ))
}

fn double_and_add(number: &mut [u8], bit: u8) {
    let mut carry = bit;
    for byte in number.iter_mut().rev() {
        let high = *byte >> 7;
        *byte = *byte << 1 | carry;
        carry = high;
    }
}

/// `number` has one byte more than `modulus` in front.
fn subtract_if_not_less(number: &mut [u8], modulus: &[u8]) {
    let is_less = match number.split_first() {
        Some((0, rest)) => rest < modulus,
        _ => false,
    };
    if is_less {
        return;
    }
    let mut borrow = false;
    let mut digits = modulus.iter().rev();
    for byte in number.iter_mut().rev() {
        let (first, under) = byte.overflowing_sub(*digits.next().unwrap_or(&0));
        let (second, again) = first.overflowing_sub(u8::from(borrow));
        *byte = second;
        borrow = under || again;
    }
}

/// Fields of RFC 4251 section 5.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn u32(&mut self) -> Result<u32, KeyError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(KeyError::Unusable)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, KeyError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(KeyError::Unusable)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*bytes))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], KeyError> {
        let len = usize::try_from(self.u32()?).map_err(|_| KeyError::Unusable)?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(KeyError::Unusable)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A positive number without the zero in front that its sign may take.
    fn number(&mut self) -> Result<&'a [u8], KeyError> {
        let bytes = self.string()?;
        Ok(bytes.strip_prefix(&[0]).unwrap_or(bytes))
    }
}
