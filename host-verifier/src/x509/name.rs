//! Distinguished names.

use super::{
    Oid,
    der::{DerError, Element, Reader, tag},
};

/// Most attributes in one name; real ones have fewer than ten.
const MAX_ATTRIBUTES: usize = 64;

/// One attribute of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Index of the relative distinguished name (SET) it stands in.
    pub rdn: usize,
    /// The attribute type.
    pub oid: Oid,
    /// The value as text; `None` when it is no string.
    pub text: Option<String>,
}

/// A distinguished name: the bytes, the attributes, and a key for comparison.
#[derive(Clone, Debug)]
pub struct Name {
    raw: Box<[u8]>,
    attributes: Vec<Attribute>,
    key: Vec<u8>,
    /// Where in `key` each relative distinguished name ends.
    rdn_ends: Vec<usize>,
}

impl Name {
    /// Reads a `Name` (a SEQUENCE of SETs). SETs may be in any order.
    ///
    /// # Errors
    /// [`DerError`], also [`DerError::Value`] for more than 64 attributes or an empty SET.
    pub fn from_element(element: &Element<'_>) -> Result<Self, DerError> {
        let mut attributes = Vec::new();
        let (mut key, mut rdn_ends) = (Vec::new(), Vec::new());
        let mut sets = element.reader();
        while !sets.is_empty() {
            let mut set = sets.expect(tag::SET)?.reader();
            let mut keys: Vec<Vec<u8>> = Vec::new();
            while !set.is_empty() {
                let mut pair = set.expect(tag::SEQUENCE)?.reader();
                let oid = Oid::from_contents(pair.expect(tag::OID)?.contents)?;
                let value = pair.any()?;
                pair.finish()?;
                let text = text(&value);
                keys.push(comparison_key(&oid, &value, text.as_deref()));
                attributes.push(Attribute {
                    rdn: rdn_ends.len(),
                    oid,
                    text,
                });
                if attributes.len() > MAX_ATTRIBUTES {
                    return Err(DerError::Value("name"));
                }
            }
            if keys.is_empty() {
                return Err(DerError::Value("name"));
            }
            keys.sort_unstable();
            keys.iter().for_each(|one| key.extend_from_slice(one));
            rdn_ends.push(key.len());
        }
        Ok(Self {
            raw: element.raw.into(),
            attributes,
            key,
            rdn_ends,
        })
    }

    /// The DER as received.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// True for `SEQUENCE {}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// All attributes in order.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The text of the first attribute of that type.
    #[must_use]
    pub fn text(&self, oid: Oid) -> Option<&str> {
        self.attributes
            .iter()
            .find(|a| a.oid == oid)
            .and_then(|a| a.text.as_deref())
    }

    /// A key that is equal for names that match under RFC 5280 section 7.1: string types,
    /// letter case, repeated blanks and the order inside a SET do not count.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// True when `self` is `base` or lies below it (RFC 5280 section 4.2.1.10).
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        self.rdn_ends.starts_with(&base.rdn_ends) && self.key.starts_with(&base.key)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.rdn_ends == other.rdn_ends && self.key == other.key
    }
}

impl core::fmt::Display for Name {
    /// `CN=STM TPM EK Root CA, O=STMicroelectronics NV, C=CH`, in the order of the certificate;
    /// `(empty)` for an empty name. Control characters are escaped.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.attributes.is_empty() {
            return f.write_str("(empty)");
        }
        for (i, attribute) in self.attributes.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match attribute.oid {
                Oid::COMMON_NAME => f.write_str("CN")?,
                Oid::ORGANIZATION => f.write_str("O")?,
                Oid::ORGANIZATIONAL_UNIT => f.write_str("OU")?,
                Oid::COUNTRY => f.write_str("C")?,
                Oid::LOCALITY => f.write_str("L")?,
                Oid::STATE => f.write_str("ST")?,
                Oid::SERIAL_NUMBER => f.write_str("serialNumber")?,
                other => write!(f, "{other}")?,
            }
            match &attribute.text {
                Some(text) => write!(f, "={}", text.escape_debug())?,
                None => f.write_str("=?")?,
            }
        }
        Ok(())
    }
}

/// Decodes the string types of X.520; anything else has no text.
fn text(value: &Element<'_>) -> Option<String> {
    let bytes = value.contents;
    match value.tag {
        tag::UTF8_STRING => core::str::from_utf8(bytes).ok().map(str::to_owned),
        tag::PRINTABLE_STRING | tag::IA5_STRING | tag::VISIBLE_STRING => bytes
            .is_ascii()
            .then(|| core::str::from_utf8(bytes).ok().map(str::to_owned))
            .flatten(),
        // T.61 in practice is Latin-1.
        tag::TELETEX_STRING => Some(bytes.iter().map(|b| char::from(*b)).collect()),
        tag::BMP_STRING => {
            let (units, odd) = bytes.as_chunks::<2>();
            let units = units.iter().map(|u| u16::from_be_bytes(*u));
            odd.is_empty()
                .then(|| char::decode_utf16(units).collect::<Result<_, _>>().ok())
                .flatten()
        }
        tag::UNIVERSAL_STRING => {
            let (units, odd) = bytes.as_chunks::<4>();
            let chars = units.iter().map(|u| char::from_u32(u32::from_be_bytes(*u)));
            odd.is_empty().then(|| chars.collect()).flatten()
        }
        _ => None,
    }
}

/// Unambiguous: type, a kind byte, and the folded text or the raw element, each with its length.
fn comparison_key(oid: &Oid, value: &Element<'_>, text: Option<&str>) -> Vec<u8> {
    let folded = text.map(|text| {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        words.join(" ")
    });
    let (kind, bytes) = match &folded {
        Some(folded) => (1, folded.as_bytes()),
        None => (0, value.raw),
    };
    let mut key = Vec::with_capacity(oid.contents().len() + bytes.len() + 9);
    for part in [oid.contents(), &[kind], bytes] {
        key.extend_from_slice(&(part.len() as u32).to_be_bytes());
        key.extend_from_slice(part);
    }
    key
}

/// A name inside a GeneralName, `[4]`: explicitly tagged, since Name is a CHOICE.
pub(super) fn directory_name(contents: &[u8]) -> Result<Name, DerError> {
    let mut reader = Reader::new(contents);
    let element = reader.expect(tag::SEQUENCE)?;
    reader.finish()?;
    Name::from_element(&element)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
        let mut out = vec![tag, contents.len() as u8];
        out.extend_from_slice(contents);
        out
    }

    fn attribute(oid: Oid, string: u8, text: &[u8]) -> Vec<u8> {
        let oid = tlv(tag::OID, oid.contents());
        tlv(tag::SEQUENCE, &[oid, tlv(string, text)].concat())
    }

    fn name(sets: &[Vec<u8>]) -> Name {
        let der = tlv(tag::SEQUENCE, &sets.concat());
        Name::from_element(&Reader::new(&der).any().unwrap()).unwrap()
    }

    #[test]
    fn matches_across_string_types_case_blanks_and_set_order() {
        let cn = attribute(Oid::COMMON_NAME, tag::PRINTABLE_STRING, b"Some  Root");
        let cn8 = attribute(Oid::COMMON_NAME, tag::UTF8_STRING, b"some root ");
        let o = attribute(Oid::ORGANIZATION, tag::UTF8_STRING, b"X");
        let a = name(&[tlv(tag::SET, &[cn.clone(), o.clone()].concat())]);
        let b = name(&[tlv(tag::SET, &[o.clone(), cn8].concat())]);
        assert_eq!(a, b);
        assert_eq!(a.key(), b.key());
        let split = name(&[tlv(tag::SET, &cn), tlv(tag::SET, &o)]);
        assert_ne!(a, split);
    }

    #[test]
    fn knows_what_lies_below_a_name() {
        let c = tlv(
            tag::SET,
            &attribute(Oid::COUNTRY, tag::PRINTABLE_STRING, b"CH"),
        );
        let o = tlv(
            tag::SET,
            &attribute(Oid::ORGANIZATION, tag::PRINTABLE_STRING, b"ST"),
        );
        assert!(name(&[c.clone(), o.clone()]).is_within(&name(std::slice::from_ref(&c))));
        assert!(!name(std::slice::from_ref(&c)).is_within(&name(&[c, o])));
    }

    #[test]
    fn refuses_an_empty_set_and_escapes_control_characters() {
        let der = tlv(tag::SEQUENCE, &tlv(tag::SET, &[]));
        let element = Reader::new(&der).any().unwrap();
        assert_eq!(
            Name::from_element(&element).err(),
            Some(DerError::Value("name"))
        );
        let evil = name(&[tlv(
            tag::SET,
            &attribute(Oid::COMMON_NAME, tag::UTF8_STRING, b"a\x1b[2J"),
        )]);
        assert_eq!(evil.to_string(), "CN=a\\u{1b}[2J");
    }
}
