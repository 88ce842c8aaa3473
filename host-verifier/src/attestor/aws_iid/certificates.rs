//! The certificates that AWS signs instance identity documents under, by region.
//!
//! They are AWS's to publish, and change: so they stand in files of the operator's, and not in this program. Two forms are read,
//! both line by line:
//!
//! * the page that AWS publishes, in its markdown form ([`PAGE`]): a heading `## NAME — REGION` for each region, below it a
//!   heading `#### [ DSA ]`, `#### [ RSA ]` or `#### [ RSA-2048 ]` for each certificate;
//! * the same by hand: a line `# REGION`, and certificates in PEM below it.
//!
//! A heading says what a certificate is for. Without one its key does: in China the certificate for DSA has an RSA key of 2048
//! bits, so the key alone would let in what AWS uses for something else.
//!
//! A pinned certificate is trusted for its key. Its dates do not count: AWS wrote 179 years into most of them, and an instance
//! cannot be made to sign with another.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::error::PAGE;
use crate::attestor::ConfigError;
use crate::cloud::aws::Region;
use crate::crypto::{MIN_LEGACY_RSA_BITS, MIN_RSA_BITS, PublicKey};
use crate::document::Files;
use crate::x509::{Certificate, UnixTime, decode};

/// Longest file, bytes. AWS's page has 160 KB.
const MAX_FILE: u64 = 1024 * 1024;
/// Most certificates of one kind and region: the one in use, and those around a change.
const MOST: usize = 8;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// What a certificate verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `rsa2048`.
    Rsa2048,
    /// `signature`.
    Rsa1024,
}

/// Pinned certificates, by their kind and their region.
#[derive(Clone, Debug, Default)]
pub struct Certificates(BTreeMap<Kind, BTreeMap<String, Vec<Certificate>>>);

/// Why a file holds no list of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// A certificate stands below no heading with a region.
    #[error("line {0}: a certificate below no heading that names a region")]
    NoRegion(usize),
    /// A heading with a kind that is not known.
    #[error("line {0}: neither [ DSA ] nor [ RSA ] nor [ RSA-2048 ]")]
    Label(usize),
    /// A certificate cannot be read.
    #[error("line {line}: {why}")]
    Certificate {
        /// Where it begins.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A certificate has another key than its heading says.
    #[error("line {0}: the key is not of the kind that its heading says")]
    Key(usize),
    /// More than eight of one kind and region.
    #[error("line {0}: more than {MOST} certificates of one kind in one region")]
    TooMany(usize),
    /// None at all.
    #[error("no certificate in it")]
    Empty,
}

/// What the heading above a certificate says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Unstated,
    Stated(Kind),
    /// For DSA, whatever its key is.
    Other,
}

impl Certificates {
    /// Reads the files that the operator named. They are watched: what is built of them is built anew when one changes.
    ///
    /// # Errors
    /// [`ConfigError`]: a file that cannot be read, or holds something else.
    pub fn read(paths: &[PathBuf], files: Files<'_>) -> Result<Self, ConfigError> {
        let mut all = Self::default();
        for path in paths {
            let wrong = |why: &dyn core::fmt::Display| ConfigError {
                field: "clouds.aws.certificates".to_owned(),
                message: format!("{}: {why}", path.display()),
                hint: Some(format!(
                    "save {PAGE} there, or write `# REGION` above each certificate in PEM"
                )),
            };
            // The operator's file, wherever the document came from.
            let name = path.to_str().ok_or_else(|| wrong(&"not UTF-8"))?;
            let path = files
                .within(Path::new("/"))
                .path(name)
                .map_err(|why| wrong(&why))?;
            let file = std::fs::File::open(path).map_err(|why| wrong(&why))?;
            let mut text = String::new();
            let length = file.take(MAX_FILE + 1).read_to_string(&mut text);
            if length.map_err(|why| wrong(&why))? as u64 > MAX_FILE {
                return Err(wrong(&"it is too long"));
            }
            let page = Self::parse(&text).map_err(|why| wrong(&why))?;
            all.add(page);
        }
        Ok(all)
    }

    /// Reads one file's text.
    ///
    /// # Errors
    /// [`PageError`]. One certificate that cannot be read fails the whole: a list of trust that is read in part is not the one
    /// that was written.
    pub fn parse(text: &str) -> Result<Self, PageError> {
        let mut all = Self::default();
        let (mut region, mut label) = (None, Label::Unstated);
        let mut lines = text.lines().map(str::trim).zip(1_usize..);
        while let Some((line, number)) = lines.next() {
            if line == BEGIN {
                let mut pem = format!("{BEGIN}\n");
                let closed = lines.by_ref().any(|(line, _)| {
                    pem.push_str(line);
                    pem.push('\n');
                    line == END
                });
                if !closed {
                    let why = format!("without `{END}`");
                    return Err(PageError::Certificate { line: number, why });
                }
                if label != Label::Other {
                    all.pin(region.as_ref(), label, &pem, number)?;
                }
            } else if let Some(heading) = line.strip_prefix('#') {
                match bracketed(heading) {
                    Some(stated) => label = stated.ok_or(PageError::Label(number))?,
                    None => (region, label) = (region_of(heading), Label::Unstated),
                }
            }
        }
        match all.0.is_empty() {
            true => Err(PageError::Empty),
            false => Ok(all),
        }
    }

    fn pin(
        &mut self,
        region: Option<&Region>,
        label: Label,
        pem: &str,
        line: usize,
    ) -> Result<(), PageError> {
        let region = region.ok_or(PageError::NoRegion(line))?;
        let certificate =
            decode::certificate(pem.as_bytes()).map_err(|why| PageError::Certificate {
                line,
                why: why.to_string(),
            })?;
        let by_key = match certificate.key() {
            Ok(PublicKey::Rsa(key)) if key.bits() >= MIN_RSA_BITS => Some(Kind::Rsa2048),
            Ok(PublicKey::Rsa(key)) if key.bits() >= MIN_LEGACY_RSA_BITS => Some(Kind::Rsa1024),
            _ => None,
        };
        let kind = match (label, by_key) {
            (Label::Unstated, Some(kind)) => kind,
            (Label::Stated(stated), Some(kind)) if stated == kind => kind,
            _ => return Err(PageError::Key(line)),
        };
        let of_kind = self.0.entry(kind).or_default();
        let pinned = of_kind.entry(region.name().to_owned()).or_default();
        if pinned.iter().all(|known| known.der() != certificate.der()) {
            if pinned.len() == MOST {
                return Err(PageError::TooMany(line));
            }
            pinned.push(certificate);
        }
        Ok(())
    }

    /// Takes over those of another file.
    fn add(&mut self, other: Self) {
        for (kind, regions) in other.0 {
            let of_kind = self.0.entry(kind).or_default();
            for (region, certificates) in regions {
                let pinned = of_kind.entry(region).or_default();
                for certificate in certificates {
                    if pinned.iter().all(|known| known.der() != certificate.der()) {
                        pinned.push(certificate);
                    }
                }
            }
        }
    }

    /// Those that are pinned for a region.
    #[must_use]
    pub fn of(&self, region: &str, kind: Kind) -> &[Certificate] {
        let pinned = self.0.get(&kind).and_then(|regions| regions.get(region));
        pinned.map_or(&[], Vec::as_slice)
    }

    /// For how many regions there is one of this kind.
    #[must_use]
    pub fn regions(&self, kind: Kind) -> usize {
        self.0.get(&kind).map_or(0, BTreeMap::len)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the first of a kind ends.
    #[must_use]
    pub fn first_end(&self, kind: Kind) -> Option<UnixTime> {
        let of_kind = self.0.get(&kind).into_iter().flatten();
        let each = of_kind.flat_map(|(_, certificates)| certificates);
        each.map(Certificate::not_after).min()
    }

    /// Those of a kind that end before `at`, with their region, the first one first. They count none the less; but AWS replaces
    /// a certificate before it ends, so its successor is missing here.
    #[must_use]
    pub fn ending_before(&self, kind: Kind, at: UnixTime) -> Vec<(&str, UnixTime)> {
        let of_kind = self.0.get(&kind).into_iter().flatten();
        let each = of_kind.flat_map(|(region, certificates)| {
            certificates
                .iter()
                .map(move |one| (region.as_str(), one.not_after()))
        });
        let mut ending: Vec<_> = each.filter(|(_, end)| *end < at).collect();
        ending.sort_by_key(|(region, end)| (*end, *region));
        ending
    }
}

/// The kind in the brackets of a heading, if it has any; inside: `None` for one that is not known.
fn bracketed(heading: &str) -> Option<Option<Label>> {
    let (_, rest) = heading.split_once('[')?;
    let (label, _) = rest.split_once(']')?;
    Some(match label.trim() {
        "RSA-2048" => Some(Label::Stated(Kind::Rsa2048)),
        "RSA" => Some(Label::Stated(Kind::Rsa1024)),
        "DSA" => Some(Label::Other),
        _ => None,
    })
}

/// The region at the end of a heading, if one is there.
fn region_of(heading: &str) -> Option<Region> {
    let words = heading.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let last = words.rev().find(|word| !word.is_empty())?;
    Region::parse(last).ok()
}
