//! The instance identity document.

use jiff::Timestamp;
use serde::Deserialize;

use super::error::DocumentError;
use super::payload::MAX_DOCUMENT;
use crate::cloud::aws::{Partition, Place, PlaceError, is_account, is_id};

/// What is used of a document. AWS adds members now and then, so others are passed over; none of these stands there twice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Twelve digits.
    pub account_id: String,
    /// E.g. `eu-west-1`.
    pub region: String,
    /// `i-…`.
    pub instance_id: String,
    /// E.g. `eu-west-1a`.
    pub availability_zone: String,
    /// `ami-…`.
    pub image_id: String,
    /// E.g. `m5.large`; that of the start, so it may lag behind.
    pub instance_type: String,
    /// When the instance was last started.
    pub pending_time: Timestamp,
    /// The address of its primary interface inside the VPC, when it was last started.
    pub private_ip: Option<String>,
}

impl Document {
    /// Reads a document. Says nothing about who wrote it.
    ///
    /// # Errors
    /// [`DocumentError::Document`]: no JSON object, a member that is missing, twice there, or not of its form. Their forms
    /// keep a name from becoming a part of a host's name, a path or a request.
    pub fn parse(text: &[u8]) -> Result<Self, DocumentError> {
        let wrong = DocumentError::Document;
        if text.len() > MAX_DOCUMENT {
            return Err(wrong("it is too long"));
        }
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(wrong("it is no JSON object"));
        }
        let text = core::str::from_utf8(text).map_err(|_| wrong("it is no text"))?;
        let document: Self = serde_json::from_str(text)
            .map_err(|_| wrong("a member is missing, there twice, or not of its form"))?;
        document.partition()?;
        if !is_id(&document.instance_id, "i") {
            return Err(wrong("instanceId is none"));
        }
        if !is_id(&document.image_id, "ami") {
            return Err(wrong("imageId is none"));
        }
        // A local or wavelength zone has more behind the region: `us-west-2-lax-1a`.
        let zone = document.availability_zone.strip_prefix(&document.region);
        if !zone.is_some_and(|rest| !rest.is_empty() && is_word(rest)) {
            return Err(wrong("availabilityZone is none of the region"));
        }
        if document.instance_type.is_empty() || !is_word(&document.instance_type) {
            return Err(wrong("instanceType is none"));
        }
        Ok(document)
    }

    /// Where the instance lives.
    ///
    /// # Errors
    /// [`DocumentError::Document`]. Not for a document out of [`Document::parse`].
    pub fn place(&self) -> Result<Place, DocumentError> {
        Place::new(&self.account_id, &self.region).map_err(nowhere)
    }

    /// In which part of AWS the instance lives, by its account and its region.
    ///
    /// # Errors
    /// As [`Self::place`].
    pub fn partition(&self) -> Result<Partition, DocumentError> {
        match is_account(&self.account_id) {
            true => Partition::of_region(&self.region).map_err(nowhere),
            false => Err(nowhere(PlaceError::Account)),
        }
    }
}

const fn nowhere(wrong: PlaceError) -> DocumentError {
    DocumentError::Document(match wrong {
        PlaceError::Account => "accountId is not twelve digits",
        _ => "region is none of a known partition",
    })
}

/// Letters, digits, dots and dashes, at most 64.
fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    text.len() <= 64 && text.bytes().all(plain)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Document;

    /// As the metadata service has it, with blanks before the colons.
    const TEXT: &str = r#"{
  "accountId" : "012345678901",
  "architecture" : "x86_64",
  "availabilityZone" : "eu-west-1a",
  "billingProducts" : null,
  "imageId" : "ami-0123456789abcdef0",
  "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "m5.large",
  "pendingTime" : "2026-02-16T00:38:27Z",
  "privateIp" : "10.0.0.7",
  "region" : "eu-west-1",
  "version" : "2017-09-30"
}"#;

    #[test]
    fn a_document_is_read_with_members_that_nobody_knows() {
        let document = Document::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(document.account_id, "012345678901");
        assert_eq!(document.region, "eu-west-1");
        assert_eq!(document.instance_id, "i-0123456789abcdef0");
        assert_eq!(document.pending_time.to_string(), "2026-02-16T00:38:27Z");
        let local = TEXT.replace("eu-west-1a", "eu-west-1-lax-1a");
        assert!(Document::parse(local.as_bytes()).is_ok());
    }

    #[test]
    fn a_member_of_another_form_is_refused() {
        for (from, to) in [
            ("\"012345678901\"", "12345678901"),
            ("012345678901", "01234567890"),
            ("012345678901", "0123456789012"),
            ("012345678901", "01234567890a"),
            ("\"eu-west-1\"", "\"eu-west-1.evil.example\""),
            ("\"eu-west-1\"", "\"eu-west-1/\""),
            ("\"eu-west-1\"", "\"EU-WEST-1\""),
            ("\"eu-west-1\"", "\"\""),
            ("i-0123456789abcdef0", "i-0123456789ABCDEF0"),
            ("i-0123456789abcdef0", "i-0123456789abcdef0&Action=x"),
            ("ami-0123456789abcdef0", "i-0123456789abcdef0"),
            ("eu-west-1a", "us-east-1a"),
            ("eu-west-1a", "eu-west-1"),
            ("m5.large", "m5 large"),
            ("2026-02-16T00:38:27Z", "yesterday"),
            ("\"architecture\"", "\"accountId\""),
            ("\"region\" ", "\"Region\" "),
        ] {
            let text = TEXT.replace(from, to);
            assert_ne!(text, TEXT, "{from}");
            assert!(Document::parse(text.as_bytes()).is_err(), "{to}");
        }
        for text in ["", "[]", "{}", "null", "x"] {
            assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
