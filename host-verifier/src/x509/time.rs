//! Points in time as certificates write them.

use super::der::{DerError, Element, tag};

/// Seconds since 1970-01-01T00:00:00Z, negative before it.
///
/// A type of its own, since certificates run from year 0001 to 9999-12-31T23:59:59Z ("never
/// expires"), a second that [`jiff::Timestamp`] cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// Reads a `Time`: `YYMMDDHHMM[SS]Z` as UTCTime, `YYYYMMDDHHMM[SS[.f]]Z` as GeneralizedTime.
    /// Offsets `+hhmm` are accepted besides `Z`, since X.680 allows them.
    ///
    /// # Errors
    /// [`DerError::Tag`] for another element, [`DerError::Value`] for anything that is not a date.
    pub fn from_element(element: &Element<'_>) -> Result<Self, DerError> {
        let two_digit_year = match element.tag {
            tag::UTC_TIME => true,
            tag::GENERALIZED_TIME => false,
            got => {
                return Err(DerError::Tag {
                    expected: tag::UTC_TIME,
                    got,
                });
            }
        };
        parse(element.contents, two_digit_year).ok_or(DerError::Value("time"))
    }
}

impl UnixTime {
    /// Appends the `Time` of RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. Years before
    /// 1950 and after 9999 have no such form; the nearest moment that has one is written.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        // 1950-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
        let time = self.0.clamp(-631_152_000, 253_402_300_799);
        let (days, seconds) = (time.div_euclid(86_400), time.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let fields = [month, day, seconds / 3600, seconds / 60 % 60, seconds % 60];
        let century = (!(1950..2050).contains(&year)).then_some(year / 100);
        let (tag, len) = match century {
            None => (tag::UTC_TIME, 13),
            Some(_) => (tag::GENERALIZED_TIME, 15),
        };
        out.extend([tag, len]);
        for pair in century.into_iter().chain([year % 100]).chain(fields) {
            // Both digits are below ten.
            out.extend([b'0' + (pair / 10) as u8, b'0' + (pair % 10) as u8]);
        }
        out.push(b'Z');
    }
}

impl From<jiff::Timestamp> for UnixTime {
    fn from(timestamp: jiff::Timestamp) -> Self {
        Self(timestamp.as_second())
    }
}

impl core::fmt::Display for UnixTime {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (days, seconds) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

fn parse(text: &[u8], two_digit_year: bool) -> Option<UnixTime> {
    let mut digits = Digits(text);
    let year = if two_digit_year {
        // RFC 5280 section 4.1.2.5.1: 50 to 99 are 1950 to 1999.
        let year = digits.two()?;
        if year >= 50 { 1900 + year } else { 2000 + year }
    } else {
        digits.two()? * 100 + digits.two()?
    };
    let (month, day) = (digits.two()?, digits.two()?);
    let (hour, minute) = (digits.two()?, digits.two()?);
    let second = if digits.0.first()?.is_ascii_digit() {
        digits.two()?
    } else {
        0
    };
    if !two_digit_year && matches!(digits.0.first(), Some(b'.' | b',')) {
        digits.fraction()?;
    }
    let offset = digits.zone()?;
    // Second 60 is a leap second; X.680 allows it and it costs nothing.
    if !(1..=12).contains(&month)
        || !(1..=days_in_month(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let days = days_from_civil(year, month, day);
    Some(UnixTime(
        days * 86_400 + hour * 3600 + minute * 60 + second - offset,
    ))
}

struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn two(&mut self) -> Option<i64> {
        let (pair, rest) = self.0.split_first_chunk::<2>()?;
        let [tens, ones] = pair.map(|b| b.is_ascii_digit().then(|| i64::from(b - b'0')));
        self.0 = rest;
        Some(tens? * 10 + ones?)
    }

    /// Skips a separator and at least one digit.
    fn fraction(&mut self) -> Option<()> {
        let rest = self.0.get(1..)?;
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.0 = rest.get(count..)?;
        (count > 0).then_some(())
    }

    /// `Z` or `+hhmm`, in seconds east; nothing may follow.
    fn zone(&mut self) -> Option<i64> {
        let (sign, rest) = self.0.split_first()?;
        self.0 = rest;
        let offset = match sign {
            b'Z' => 0,
            b'+' => self.two()? * 3600 + self.two()? * 60,
            b'-' => -(self.two()? * 3600 + self.two()? * 60),
            _ => return None,
        };
        self.0.is_empty().then_some(offset)
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in 400-year eras of years
/// that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<i64> {
        parse(text.as_bytes(), true).map(|t| t.0)
    }

    fn generalized(text: &str) -> Option<i64> {
        parse(text.as_bytes(), false).map(|t| t.0)
    }

    #[test]
    fn reads_both_forms() {
        assert_eq!(utc("700101000000Z"), Some(0));
        assert_eq!(utc("491231235959Z"), Some(2_524_607_999));
        assert_eq!(utc("500101000000Z"), Some(-631_152_000));
        assert_eq!(utc("2001010000Z"), Some(1_577_836_800));
        assert_eq!(utc("200101010000+0100"), Some(1_577_836_800));
        assert_eq!(generalized("20000229000000Z"), Some(951_782_400));
        assert_eq!(generalized("20000229000000.5Z"), Some(951_782_400));
        assert_eq!(generalized("99991231235959Z"), Some(253_402_300_799));
        assert_eq!(generalized("00010101000000Z"), Some(-62_135_596_800));
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            "Z",
            "700101000000",
            "701301000000Z",
            "700001000000Z",
            "700132000000Z",
            "700229000000Z",
            "700101240000Z",
            "700101006000Z",
            "700101000061Z",
            "70010100000Z",
            "700101000000ZZ",
            "7001010000 0Z",
            "700101000000*0000",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
        assert_eq!(generalized("19000229000000Z"), None);
        assert_eq!(generalized("20000101000000.Z"), None);
    }

    #[test]
    fn what_it_writes_is_read_back_and_has_the_form_of_its_year() {
        for (time, tag) in [
            (0, tag::UTC_TIME),
            (-631_152_000, tag::UTC_TIME),
            (951_782_399, tag::UTC_TIME),
            (2_524_607_999, tag::UTC_TIME),
            (2_524_608_000, tag::GENERALIZED_TIME),
            (253_402_300_799, tag::GENERALIZED_TIME),
        ] {
            let mut out = Vec::new();
            UnixTime(time).put(&mut out);
            let mut reader = super::super::der::Reader::new(&out);
            let read = reader.any().map(|e| (e.tag, UnixTime::from_element(&e)));
            assert_eq!(read, Ok((tag, Ok(UnixTime(time)))), "{time}");
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn prints_what_it_read() {
        for text in [
            "19700101000000Z",
            "20240229123456Z",
            "99991231235959Z",
            "00010101000000Z",
        ] {
            let printed = parse(text.as_bytes(), false)
                .map(|t| t.to_string())
                .unwrap_or_default();
            let compact: String = printed.chars().filter(|c| !"-:T".contains(*c)).collect();
            assert_eq!(compact, text);
        }
    }
}
