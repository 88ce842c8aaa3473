//! The TPM as a source of evidence: connected anew for every login, so that one that was away, or whose resource manager was,
//! is found again. What an earlier login left in it goes with the connection.

use std::path::PathBuf;

use assay_common::identity::Pins;
use assay_common::login::LoginKeys;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{MessageWriter, TroubleCode};
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Own, Request};
use assay_firmware::link::BlobSink;
use assay_firmware::tpm::TpmTransport;

use super::devid;
use crate::method::MethodError;

/// Opens a connection to the TPM.
pub type Connect<T> = Box<dyn FnMut() -> Result<T, MethodError> + Send>;

/// The TPM as a login asks it.
pub trait TpmSource: EvidenceSource {
    /// Why the TPM, or its DevID, has no part in the login under way, and what to do about it; the list is empty afterwards.
    fn take_troubles(&mut self) -> Vec<MethodError>;
}

/// A host's TPM.
pub struct HostTpm<T> {
    connect: Connect<T>,
    evidence: Option<TpmEvidence<T>>,
    devid: Option<(devid::Config, PathBuf)>,
    /// Why the TPM, or its DevID, has no part in the login under way.
    troubles: Vec<MethodError>,
}

impl<T> core::fmt::Debug for HostTpm<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HostTpm")
            .field("connected", &self.evidence.is_some())
            .field("devid", &self.devid)
            .finish_non_exhaustive()
    }
}

impl HostTpm<super::PlacedTpm> {
    /// The TPM at `place`.
    #[must_use]
    pub fn at(place: super::TpmPlace) -> Self {
        Self::new(Box::new(move || place.open()))
    }
}

impl<T: TpmTransport> HostTpm<T> {
    /// The TPM that `connect` leads to. Nothing is opened yet.
    #[must_use]
    pub fn new(connect: Connect<T>) -> Self {
        Self {
            connect,
            evidence: None,
            devid: None,
            troubles: Vec::new(),
        }
    }

    /// With a DevID key, whose files are read for each login; relative paths begin at `base`.
    #[must_use]
    pub fn with_devid(self, config: devid::Config, base: PathBuf) -> Self {
        Self {
            devid: Some((config, base)),
            ..self
        }
    }

    fn connected(&mut self) -> Result<TpmEvidence<T>, EvidenceError> {
        match (self.connect)() {
            Ok(transport) => Ok(TpmEvidence::new(transport)),
            Err(error) => {
                self.troubles.push(error);
                Err(EvidenceError::new(TroubleCode::TPM_ABSENT))
            }
        }
    }

    /// Gives the key and the passwords of its files to the TPM's source. Without them the rest of the TPM still serves.
    fn equip(&mut self, evidence: &mut TpmEvidence<T>) {
        evidence.set_devid(None);
        let Some((config, base)) = &self.devid else {
            return;
        };
        let equipped = config.load(base).and_then(|devid| {
            for (hierarchy, password) in &devid.passwords {
                let set = evidence.tpm().set_password(*hierarchy, password);
                set.map_err(|error| MethodError::new(error.to_string(), "64 bytes at most"))?;
            }
            Ok(devid.key)
        });
        match equipped {
            Ok(key) => evidence.set_devid(Some(key)),
            Err(error) => {
                let what = format!("{}: {error}", AttestorKind::TPM_DEVID);
                self.troubles.push(MethodError::new(what, error.hint));
            }
        }
    }
}

impl<T: TpmTransport> EvidenceSource for HostTpm<T> {
    /// Before the first login: what could be, once it is connected.
    fn kinds(&self) -> AttestorSet {
        match &self.evidence {
            Some(evidence) => evidence.kinds(),
            None => AttestorSet::EMPTY
                .with(AttestorKind::TPM_EK)
                .with(AttestorKind::TPM_QUOTE)
                .with(AttestorKind::SVID_KEY),
        }
    }

    fn begin(&mut self) -> Result<(), EvidenceError> {
        self.troubles.clear();
        // Closed first: a software TPM takes one connection at a time.
        self.end();
        self.evidence = None;
        let mut evidence = self.connected()?;
        self.equip(&mut evidence);
        // Every login has a generator of its own here, and the system's numbers to begin with.
        let mut noise = zeroize::Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(noise.as_mut_slice())
            .map_err(|_| EvidenceError::new(TroubleCode::METHOD))?;
        evidence.prepare(&Own {
            pins: Pins::default(),
            noise: noise.as_slice(),
            counts: [0; 3],
        });
        evidence.begin()?;
        self.evidence = Some(evidence);
        Ok(())
    }

    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        self.source()?.random(out)
    }

    fn prove(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        self.source()?.prove(request, blobs, out)
    }

    fn renew(
        &mut self,
        qualifying_data: &[u8; 32],
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        self.source()?.renew(qualifying_data, out)
    }

    fn keep(&mut self) {
        if let Some(evidence) = &mut self.evidence {
            evidence.keep();
        }
    }

    fn end(&mut self) {
        if let Some(evidence) = &mut self.evidence {
            evidence.end();
        }
    }
}

impl<T: TpmTransport> TpmSource for HostTpm<T> {
    fn take_troubles(&mut self) -> Vec<MethodError> {
        core::mem::take(&mut self.troubles)
    }
}

impl<T: TpmTransport> HostTpm<T> {
    fn source(&mut self) -> Result<&mut TpmEvidence<T>, EvidenceError> {
        let absent = EvidenceError::new(TroubleCode::TPM_ABSENT);
        self.evidence.as_mut().ok_or(absent)
    }

    /// Signs with the SVID's key of the login that was granted; see
    /// [`sign_as_svid`](TpmEvidence::sign_as_svid).
    ///
    /// # Errors
    ///
    /// [`EvidenceError`].
    pub fn sign_as_svid(
        &mut self,
        digest: &[u8; 32],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), EvidenceError> {
        self.source()?.sign_as_svid(digest, take)
    }
}
