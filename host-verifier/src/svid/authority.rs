//! Authorities: a key that signs SVIDs, and what tells others that it may.

use core::time::Duration;
use std::sync::Arc;

use jiff::Timestamp;

use super::certificate::{self, Shape, Unsigned};
use super::keys::{KeyError, KeyType, Signer, key_identifier};
use super::rotation::{Life, State};
use super::upstream::{self, UpstreamAuthority, UpstreamError};
use crate::random::{RandomError, SecureRandom};
use crate::store::{AuthorityKind, AuthorityRecord};
use crate::x509::der::{DerError, Reader, tag};
use crate::x509::{Certificate, Oid, UnixTime, spki};

/// How far before the present validity begins, so that a peer whose clock is a little behind takes it.
pub const BACKDATE: Duration = Duration::from_secs(60);
/// Shortest life of an authority that is made below an upstream authority which ends soon.
const MIN_LIFE: i64 = 300;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
    /// See [`RandomError`].
    #[error(transparent)]
    Random(#[from] RandomError),
    /// See [`UpstreamError`].
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The end lies beyond the calendar.
    #[error("an authority made now would end beyond the calendar")]
    Calendar,
}

/// The names in the certificates of own authorities. A serial number, the key's name, comes after them, so that two
/// authorities never have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Two letters.
    pub country: Option<String>,
    /// Of 1 to 64 characters.
    pub organization: String,
    /// Of 1 to 64 characters.
    pub common_name: String,
}

impl Default for Subject {
    fn default() -> Self {
        Self {
            country: None,
            organization: "SPIFFE".to_owned(),
            common_name: "Assay".to_owned(),
        }
    }
}

/// What an authority is made from.
#[derive(Debug, Clone, Copy)]
pub struct Making<'a> {
    /// Whose identities it will sign.
    pub trust_domain: &'a str,
    /// Whose key it is.
    pub replica: &'a str,
    /// Its name.
    pub subject: &'a Subject,
    /// How long it lives.
    pub ttl: Duration,
    /// The present.
    pub now: Timestamp,
}

impl Making<'_> {
    /// Whole seconds: (begin, end).
    fn validity(&self) -> Result<(Timestamp, Timestamp), AuthorityError> {
        let whole = |at: Timestamp| Timestamp::from_second(at.as_second());
        let begin = self.now.checked_sub(BACKDATE).and_then(whole);
        let end = self.now.checked_add(self.ttl).and_then(whole);
        match (begin, end) {
            (Ok(begin), Ok(end)) => Ok((begin, end)),
            _ => Err(AuthorityError::Calendar),
        }
    }

    fn record(&self, id: &str, kind: AuthorityKind, public: Vec<u8>) -> AuthorityRecord {
        AuthorityRecord {
            trust_domain: self.trust_domain.to_owned(),
            id: id.to_owned(),
            kind,
            state: State::Prepared,
            replica: self.replica.to_owned(),
            public,
            chain: Vec::new(),
            roots: Vec::new(),
            not_before: self.now,
            not_after: self.now,
        }
    }
}

/// An authority whose key this verifier has.
pub trait Own: core::fmt::Debug + Send + Sync {
    /// As it is, or will be, stored.
    fn record(&self) -> &AuthorityRecord;

    /// Its key.
    fn signer(&self) -> &Arc<dyn Signer>;

    /// What decides about it.
    fn life(&self, outdated: bool) -> Life {
        Life {
            not_before: self.record().not_before,
            not_after: self.record().not_after,
            outdated,
        }
    }
}

/// Signs X.509-SVIDs.
#[derive(Debug)]
pub struct X509Authority {
    record: AuthorityRecord,
    signer: Arc<dyn Signer>,
    /// Its `Name`, DER.
    subject: Vec<u8>,
    /// What stands behind an SVID in its chain: nothing for a root.
    behind: Vec<Vec<u8>>,
}

/// Signs JWT-SVIDs.
#[derive(Debug)]
pub struct JwtAuthority {
    record: AuthorityRecord,
    signer: Arc<dyn Signer>,
}

impl Own for X509Authority {
    fn record(&self) -> &AuthorityRecord {
        &self.record
    }

    fn signer(&self) -> &Arc<dyn Signer> {
        &self.signer
    }
}

impl Own for JwtAuthority {
    fn record(&self) -> &AuthorityRecord {
        &self.record
    }

    fn signer(&self) -> &Arc<dyn Signer> {
        &self.signer
    }
}

impl X509Authority {
    /// Makes one: below `upstream`, or one that signs itself.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub async fn make(
        signer: Arc<dyn Signer>,
        making: Making<'_>,
        upstream: Option<&UpstreamAuthority>,
        random: &dyn SecureRandom,
    ) -> Result<Self, AuthorityError> {
        let (begin, mut end) = making.validity()?;
        if let Some(upstream) = upstream {
            end = end.min(upstream.ends());
            if end.as_second() - making.now.as_second() < MIN_LIFE {
                return Err(UpstreamError::Ending(upstream.ends()).into());
            }
        }
        let subject = name(making.subject, signer.id());
        let uri = format!("spiffe://{}", making.trust_domain);
        let own_identifier = key_identifier(signer.public_key());
        let unsigned = Unsigned {
            shape: Shape::Authority,
            serial: certificate::serial(random)?,
            issuer: upstream.map_or(&subject, UpstreamAuthority::name),
            subject: &subject,
            not_before: begin.into(),
            not_after: end.into(),
            spki: &signer.public_key().spki_der(),
            uri: &uri,
            subject_key: own_identifier,
            authority_key: match upstream {
                Some(upstream) => upstream.key_identifier(),
                None => Some(&own_identifier),
            },
        };
        let certificate = match upstream {
            None => unsigned.sign(signer.as_ref()).await?,
            Some(upstream) => {
                let der = unsigned.sign(upstream.signer()).await?;
                upstream.check(&der, making.now)?;
                der
            }
        };
        let id = signer.id().to_owned();
        let mut record = making.record(&id, AuthorityKind::X509, certificate);
        (record.chain, record.roots) = match upstream {
            None => (Vec::new(), record.public.clone()),
            Some(upstream) => (upstream.chain().to_vec(), upstream.roots().to_vec()),
        };
        (record.not_before, record.not_after) = (begin, end);
        Ok(Self {
            behind: behind(&record).unwrap_or_default(),
            record,
            signer,
            subject,
        })
    }

    /// The one of a record, with its key.
    ///
    /// # Errors
    ///
    /// What in the record does not fit the key, for the log.
    pub fn restore(record: AuthorityRecord, signer: Arc<dyn Signer>) -> Result<Self, String> {
        let certificate =
            Certificate::from_der(&record.public).map_err(|error| error.to_string())?;
        if certificate.key() != Ok(signer.public_key()) {
            return Err("its certificate is for another key".to_owned());
        }
        // The times decide when it signs; they are those of the certificate, whatever the record says.
        let ends = (certificate.not_before(), certificate.not_after());
        if ends != (record.not_before.into(), record.not_after.into()) {
            return Err("its times are not those of its certificate".to_owned());
        }
        Ok(Self {
            subject: certificate.subject().raw().to_vec(),
            behind: behind(&record).map_err(|error| error.to_string())?,
            record,
            signer,
        })
    }

    /// Its `Name`, DER: the issuer of what it signs.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.subject
    }

    /// The certificates behind an SVID in its chain, without the root; DER.
    #[must_use]
    pub fn behind(&self) -> &[Vec<u8>] {
        &self.behind
    }

    /// Whether it would be made otherwise now.
    #[must_use]
    pub fn outdated(&self, key_type: KeyType, upstream: Option<&UpstreamAuthority>) -> bool {
        let (chain, roots) = match upstream {
            None => (&[][..], self.record.public.as_slice()),
            Some(upstream) => (upstream.chain(), upstream.roots()),
        };
        self.signer.key_type() != key_type
            || self.record.chain != chain
            || self.record.roots != roots
    }
}

impl JwtAuthority {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Calendar`].
    pub fn make(signer: Arc<dyn Signer>, making: Making<'_>) -> Result<Self, AuthorityError> {
        let (begin, end) = making.validity()?;
        let public = signer.public_key().spki_der();
        let mut record = making.record(signer.id(), AuthorityKind::Jwt, public);
        (record.not_before, record.not_after) = (begin, end);
        Ok(Self { record, signer })
    }

    /// The one of a record, with its key.
    ///
    /// # Errors
    ///
    /// What in the record does not fit the key, for the log.
    pub fn restore(record: AuthorityRecord, signer: Arc<dyn Signer>) -> Result<Self, String> {
        match spki::from_der(&record.public) {
            Ok(key) if key == *signer.public_key() => Ok(Self { record, signer }),
            Ok(_) => Err("its record is for another key".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether it would be made otherwise now.
    #[must_use]
    pub fn outdated(&self, key_type: KeyType) -> bool {
        self.signer.key_type() != key_type
    }
}

/// The certificates of one column, which stand one behind the other.
///
/// # Errors
///
/// [`DerError`].
pub fn split(bytes: &[u8]) -> Result<Vec<Vec<u8>>, DerError> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(reader.expect(tag::SEQUENCE)?.raw.to_vec());
    }
    Ok(all)
}

fn behind(record: &AuthorityRecord) -> Result<Vec<Vec<u8>>, DerError> {
    if record.roots == record.public {
        return Ok(Vec::new());
    }
    let mut all = vec![record.public.clone()];
    all.extend(split(&record.chain)?);
    Ok(all)
}

fn name(subject: &Subject, id: &str) -> Vec<u8> {
    let mut attributes = Vec::new();
    if let Some(country) = &subject.country {
        attributes.push((Oid::COUNTRY, country.as_str()));
    }
    attributes.extend([
        (Oid::ORGANIZATION, subject.organization.as_str()),
        (Oid::COMMON_NAME, subject.common_name.as_str()),
        (Oid::SERIAL_NUMBER, id),
    ]);
    certificate::name(&attributes)
}

/// The seconds of a certificate's time as a timestamp; the latest there is for what no timestamp can hold.
pub(super) fn timestamp(time: UnixTime) -> Timestamp {
    Timestamp::from_second(time.0).unwrap_or(upstream::FOREVER)
}
