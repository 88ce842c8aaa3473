//! Certificate extensions.

use super::{
    Oid,
    der::{DerError, Element, Reader, tag},
    name::{Name, directory_name},
    name_constraints::NameConstraints,
};

const MAX_EXTENSIONS: usize = 64;
const MAX_USAGES: usize = 64;
const MAX_NAMES: usize = 256;

/// `basicConstraints`, RFC 5280 section 4.2.1.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the subject is a CA.
    pub ca: bool,
    /// How many non-self-issued intermediates may follow.
    pub path_len: Option<u64>,
}

/// `keyUsage` bits, RFC 5280 section 4.2.1.3: bit 0 (digitalSignature) is the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    /// digitalSignature.
    pub const DIGITAL_SIGNATURE: Self = Self(1 << 15);
    /// keyEncipherment.
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 13);
    /// keyAgreement.
    pub const KEY_AGREEMENT: Self = Self(1 << 11);
    /// keyCertSign.
    pub const KEY_CERT_SIGN: Self = Self(1 << 10);
    /// cRLSign.
    pub const CRL_SIGN: Self = Self(1 << 9);

    /// True when all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn from_element(element: &Element<'_>) -> Result<Self, DerError> {
        let [unused, bits @ ..] = element.contents else {
            return Err(DerError::Value("key usage"));
        };
        if *unused > 7 || bits.len() > 2 {
            return Err(DerError::Value("key usage"));
        }
        let high = bits.first().copied().unwrap_or(0);
        let low = bits.get(1).copied().unwrap_or(0);
        // Bits that the encoding declares unused grant nothing, whatever they are set to.
        let used = match bits.len() {
            0 => 0,
            1 => u16::MAX << (8 + unused),
            _ => u16::MAX << unused,
        };
        Ok(Self(u16::from_be_bytes([high, low]) & used))
    }
}

/// One entry of a subject alternative name.
#[derive(Clone, Debug, PartialEq)]
pub enum GeneralName {
    /// `rfc822Name`.
    Email(String),
    /// `dNSName`.
    Dns(String),
    /// `directoryName`.
    Directory(Name),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// `iPAddress`, 4 or 16 bytes in a certificate, 8 or 32 in a constraint.
    Ip(Vec<u8>),
    /// Any other form, by its tag.
    Other(u8),
}

impl GeneralName {
    /// The number of the form, as RFC 5280 section 4.2.1.6 tags it.
    pub(super) fn form(&self) -> u8 {
        match self {
            Self::Email(_) => 1,
            Self::Dns(_) => 2,
            Self::Directory(_) => 4,
            Self::Uri(_) => 6,
            Self::Ip(_) => 7,
            Self::Other(tag) => tag & 0x1f,
        }
    }

    /// Reads one `GeneralName`.
    ///
    /// # Errors
    /// [`DerError`].
    pub fn from_element(element: &Element<'_>) -> Result<Self, DerError> {
        let ascii = || {
            element
                .contents
                .is_ascii()
                .then(|| {
                    core::str::from_utf8(element.contents)
                        .ok()
                        .map(str::to_owned)
                })
                .flatten()
                .ok_or(DerError::Value("general name"))
        };
        const EMAIL: u8 = tag::context(1);
        const DNS: u8 = tag::context(2);
        const DIRECTORY: u8 = tag::constructed(4);
        const URI: u8 = tag::context(6);
        const IP: u8 = tag::context(7);
        Ok(match element.tag {
            EMAIL => Self::Email(ascii()?),
            DNS => Self::Dns(ascii()?),
            DIRECTORY => Self::Directory(directory_name(element.contents)?),
            URI => Self::Uri(ascii()?),
            IP => Self::Ip(element.contents.to_vec()),
            other => Self::Other(other),
        })
    }

    fn sequence(value: &[u8]) -> Result<Vec<Self>, DerError> {
        let mut names = Vec::new();
        let mut reader = whole(value)?;
        while !reader.is_empty() {
            names.push(Self::from_element(&reader.any()?)?);
            if names.len() > MAX_NAMES {
                return Err(DerError::Value("subject alternative name"));
            }
        }
        Ok(names)
    }
}

/// What a certificate's extensions say.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    /// `basicConstraints`.
    pub basic_constraints: Option<BasicConstraints>,
    /// `keyUsage`.
    pub key_usage: Option<KeyUsage>,
    /// `extKeyUsage`. May be empty in a malformed certificate, which then satisfies nothing.
    pub extended_key_usage: Option<Vec<Oid>>,
    /// `subjectAltName`.
    pub subject_alt_name: Option<Vec<GeneralName>>,
    /// `nameConstraints`.
    pub name_constraints: Option<NameConstraints>,
    /// `subjectKeyIdentifier`.
    pub subject_key_identifier: Option<Vec<u8>>,
    /// `keyIdentifier` of `authorityKeyIdentifier`.
    pub authority_key_identifier: Option<Vec<u8>>,
    /// Where `authorityInfoAccess` says that the issuer's certificate is: the URLs of `caIssuers`. Hints, and nothing is
    /// decided by them; an extension that cannot be read has none.
    pub ca_issuers: Vec<String>,
    /// True when the subject alternative name is marked critical: whoever validates must have
    /// read it ([`super::policy::SubjectAltNameRule`]).
    pub subject_alt_name_critical: bool,
    /// What the strict profile ([`super::policy::Profile`]) refuses, the first of it.
    pub(super) departure: Option<&'static str>,
    /// Critical extensions that nothing here understands. Any of them refuses a certificate.
    pub unknown_critical: Vec<Oid>,
}

impl Extensions {
    /// Reads the contents of the `[3]` field of a certificate.
    ///
    /// # Errors
    /// [`DerError`]; [`DerError::Value`] for a repeated extension or more than 64.
    pub fn from_contents(contents: &[u8]) -> Result<Self, DerError> {
        let mut extensions = Self::default();
        let mut seen: Vec<Oid> = Vec::new();
        let mut outer = Reader::new(contents);
        let mut list = outer.expect(tag::SEQUENCE)?.reader();
        outer.finish()?;
        while !list.is_empty() {
            let mut extension = list.expect(tag::SEQUENCE)?.reader();
            let oid = Oid::from_contents(extension.expect(tag::OID)?.contents)?;
            let critical = if extension.peek() == Some(tag::BOOLEAN) {
                extension.boolean()?
            } else {
                false
            };
            let value = extension.expect(tag::OCTET_STRING)?.contents;
            extension.finish()?;
            // Two values for one field are two readings of one certificate.
            if seen.contains(&oid) {
                return Err(DerError::Value("extensions: one stands twice"));
            }
            seen.push(oid);
            if seen.len() > MAX_EXTENSIONS {
                return Err(DerError::Value("extensions: too many"));
            }
            extensions.take(oid, critical, value)?;
        }
        Ok(extensions)
    }

    fn take(&mut self, oid: Oid, critical: bool, value: &[u8]) -> Result<(), DerError> {
        match oid {
            Oid::BASIC_CONSTRAINTS => self.basic_constraints = Some(basic_constraints(value)?),
            Oid::KEY_USAGE => {
                let mut reader = Reader::new(value);
                let usage = KeyUsage::from_element(&reader.expect(tag::BIT_STRING)?)?;
                reader.finish()?;
                self.key_usage = Some(usage);
            }
            Oid::EXTENDED_KEY_USAGE => {
                let mut usages = Vec::new();
                let mut reader = whole(value)?;
                while !reader.is_empty() {
                    usages.push(Oid::from_contents(reader.expect(tag::OID)?.contents)?);
                    if usages.len() > MAX_USAGES {
                        return Err(DerError::Value("extended key usage"));
                    }
                }
                self.departs(usages.is_empty(), "extKeyUsage is empty");
                self.extended_key_usage = Some(usages);
            }
            Oid::SUBJECT_ALT_NAME => {
                let names = GeneralName::sequence(value)?;
                self.departs(names.is_empty(), "subjectAltName is empty");
                self.departs(
                    names.iter().any(
                        |name| matches!(name, GeneralName::Ip(ip) if !matches!(ip.len(), 4 | 16)),
                    ),
                    "an iPAddress of subjectAltName is neither 4 nor 16 bytes long",
                );
                self.subject_alt_name = Some(names);
                self.subject_alt_name_critical = critical;
            }
            Oid::NAME_CONSTRAINTS => {
                self.name_constraints = Some(NameConstraints::from_der(value)?);
            }
            Oid::SUBJECT_KEY_IDENTIFIER => {
                let mut reader = Reader::new(value);
                let id = reader.expect(tag::OCTET_STRING)?.contents;
                self.departs(critical, "subjectKeyIdentifier is critical");
                self.subject_key_identifier = Some(id.to_vec());
            }
            Oid::AUTHORITY_KEY_IDENTIFIER => {
                let id = whole(value)?.optional(tag::context(0))?;
                self.departs(critical, "authorityKeyIdentifier is critical");
                self.authority_key_identifier = id.map(|id| id.contents.to_vec());
            }
            Oid::AUTHORITY_INFO_ACCESS => {
                self.ca_issuers = ca_issuers(value).unwrap_or_default();
                if critical {
                    self.unknown_critical.push(oid);
                }
            }
            // The initial policy set is "any policy" and nothing asks for an explicit one, so the
            // extension can restrict nothing (RFC 5280 section 6.1.3 d); CAs mark it critical.
            Oid::CERTIFICATE_POLICIES => {}
            other => {
                // One that is critical refuses the certificate below; RFC 5280 section 4.2.1.11 knows no other.
                self.departs(
                    other == Oid::POLICY_CONSTRAINTS && !critical,
                    "policyConstraints is not critical",
                );
                if critical {
                    self.unknown_critical.push(other);
                }
            }
        }
        Ok(())
    }

    /// Notes what the strict profile refuses.
    fn departs(&mut self, departs: bool, what: &'static str) {
        if departs {
            self.departure.get_or_insert(what);
        }
    }
}

fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, DerError> {
    let mut reader = whole(value)?;
    let ca = if reader.peek() == Some(tag::BOOLEAN) {
        reader.boolean()?
    } else {
        false
    };
    let path_len = if reader.is_empty() {
        None
    } else {
        Some(reader.small_uint()?)
    };
    reader.finish()?;
    Ok(BasicConstraints { ca, path_len })
}

/// The URLs of `caIssuers`, RFC 5280 section 4.2.2.1.
fn ca_issuers(value: &[u8]) -> Result<Vec<String>, DerError> {
    let mut urls = Vec::new();
    let mut descriptions = whole(value)?;
    while !descriptions.is_empty() {
        let mut description = descriptions.expect(tag::SEQUENCE)?.reader();
        let method = Oid::from_contents(description.expect(tag::OID)?.contents)?;
        let location = GeneralName::from_element(&description.any()?)?;
        if let (Oid::AD_CA_ISSUERS, GeneralName::Uri(url)) = (method, location)
            && urls.len() < MAX_USAGES
        {
            urls.push(url);
        }
    }
    Ok(urls)
}

/// A reader over the one SEQUENCE that `value` consists of.
pub(super) fn whole(value: &[u8]) -> Result<Reader<'_>, DerError> {
    let mut outer = Reader::new(value);
    let element = outer.expect(tag::SEQUENCE)?;
    outer.finish()?;
    Ok(element.reader())
}
