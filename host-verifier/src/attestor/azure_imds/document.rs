//! The attested document: what the metadata service says of a machine, in JSON.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::Deserialize;

use super::error::ImdsError;
use crate::cloud::azure::Guid;
use crate::text::Text;

/// What is read of it. It has more, and grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The nonce that it was asked with; otherwise Azure writes a time there.
    pub nonce: String,
    /// Which machine.
    pub vm_id: Guid,
    /// Whose it is.
    pub subscription: Guid,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    nonce: Text<'a>,
    #[serde(borrow)]
    vm_id: Option<Text<'a>>,
    #[serde(borrow)]
    subscription_id: Option<Text<'a>>,
    #[serde(borrow)]
    time_stamp: TimeStamp<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimeStamp<'a> {
    #[serde(borrow)]
    created_on: Text<'a>,
    #[serde(borrow)]
    expires_on: Text<'a>,
}

impl Document {
    /// Reads what was signed.
    ///
    /// # Errors
    ///
    /// [`ImdsError::Document`], [`ImdsError::NoSubscription`].
    pub fn parse(content: &[u8]) -> Result<Self, ImdsError> {
        let text =
            core::str::from_utf8(content).map_err(|_| ImdsError::Document("it is no text"))?;
        let wire: Wire<'_> = serde_json::from_str(text)
            .map_err(|_| ImdsError::Document("it is no JSON with a nonce and times, each once"))?;
        let vm_id = wire.vm_id.ok_or(ImdsError::Document("missing VM ID"))?;
        let subscription = wire.subscription_id.filter(|id| !id.is_empty());
        let subscription = subscription.ok_or(ImdsError::NoSubscription)?;
        let time = |text: &str| time(text).ok_or(ImdsError::Document("a time is none"));
        Ok(Self {
            nonce: wire.nonce.to_string(),
            vm_id: Guid::parse(&vm_id).ok_or(ImdsError::Document("invalid VM ID"))?,
            subscription: Guid::parse(&subscription)
                .ok_or(ImdsError::Document("invalid subscription ID"))?,
            created: time(&wire.time_stamp.created_on)?,
            expires: time(&wire.time_stamp.expires_on)?,
        })
    }
}

/// `MM/dd/yy HH:mm:ss -0000`: a year of this century, in UTC and nowhere else.
fn time(text: &str) -> Option<Timestamp> {
    let (plain, zone) = text.rsplit_once(' ')?;
    if !matches!(zone, "-0000" | "+0000") {
        return None;
    }
    let (date, clock) = plain.split_once(' ')?;
    let [month, day, year] = numbers(date, '/')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let year = i16::from(year).checked_add(2000)?;
    let civil = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}

/// Three numbers of two digits.
fn numbers(text: &str, between: char) -> Option<[i8; 3]> {
    let mut parts = text.split(between);
    let mut next = || {
        let part = parts.next()?;
        let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse().ok())?
    };
    let numbers = [next()?, next()?, next()?];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::{Document, ImdsError, time};

    #[test]
    fn times_have_one_form() {
        let shown = |text| time(text).map(|time| time.to_string());
        assert_eq!(
            shown("11/22/26 12:00:05 -0000").as_deref(),
            Some("2026-11-22T12:00:05Z")
        );
        for wrong in [
            "",
            "11/22/26 12:00:05",
            "11/22/26 12:00:05 -0100",
            "11/22/2026 12:00:05 -0000",
            "22/11/26 12:00:05 -0000",
            "1/22/26 12:00:05 -0000",
            "11/22/26 12:00 -0000",
            "11/22/26 24:00:00 -0000",
            "02/30/26 12:00:00 -0000",
            "11/22/26  12:00:05 -0000",
            "+1/22/26 12:00:05 -0000",
            "2026-11-22T12:00:05Z",
        ] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_document_of_before_2019_04_30_has_no_subscription() {
        let old = br#"{"nonce":"20210104-195534","vmId":"f904ece8-c6c1-4b5c-881f-309b50f25e56",
            "timeStamp":{"createdOn":"01/04/21 13:55:34 -0000","expiresOn":"01/04/21 19:55:34 -0000"}}"#;
        assert_eq!(Document::parse(old), Err(ImdsError::NoSubscription));
    }
}
