//! From the configuration to what proves: the methods, and the TPM.

use assay_common::login::LoginKeys;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{MessageWriter, TroubleCode};
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Request};
use assay_firmware::link::BlobSink;
use assay_host::document::DocumentError;

use crate::config::{Attestor, Config};
use crate::evidence::Evidence;
use crate::method::Method;
use crate::tpm::{StreamTpm, Way};

/// What proves: the methods without a TPM, the way to the TPM, and which of its methods are offered.
#[derive(Debug)]
pub struct Setup {
    /// The methods, in the order of the configuration.
    pub methods: Vec<Box<dyn Method>>,
    /// The TPM, when it is used.
    pub tpm: Option<(Way, AttestorSet)>,
}

impl Setup {
    /// Builds every method. The methods' settings are taken out of the configuration, for they are used up.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] for settings that can never work.
    pub fn of(config: &mut Config) -> Result<Self, DocumentError> {
        let file = config.file.display().to_string();
        let attestors = core::mem::take(&mut config.attestors);
        let mut methods = Vec::new();
        let mut offered = AttestorSet::EMPTY;
        for Attestor { kind, config: own } in attestors {
            match own {
                None => offered = offered.with(kind),
                Some(own) => {
                    let built = own.build(&config.surroundings(kind));
                    methods.push(built.map_err(|error| {
                        let what = format!("{kind}: {}", error.what);
                        DocumentError::new(file.clone(), what).hint(error.hint)
                    })?);
                }
            }
        }
        let tpm = match offered.is_empty() {
            true => None,
            false => {
                let way = Way::parse(&config.tcti);
                let way = way.map_err(|error| {
                    let what = format!("tcti: {}", error.what);
                    DocumentError::new(file, what).hint(error.hint)
                })?;
                Some((way, offered))
            }
        };
        Ok(Self { methods, tpm })
    }

    /// The one source that a login asks.
    #[must_use]
    pub fn evidence(self) -> Evidence {
        let evidence = Evidence::new(self.methods);
        match self.tpm {
            None => evidence,
            Some((way, offered)) => {
                let source = TpmSource {
                    way,
                    evidence: None,
                };
                evidence.with_tpm(Box::new(source), offered)
            }
        }
    }
}

/// The TPM as a source: opened for every login, so that one that was away, or whose resource manager was, is found again.
/// What an earlier login left in it goes with the connection.
#[derive(Debug)]
struct TpmSource {
    way: Way,
    evidence: Option<TpmEvidence<StreamTpm>>,
}

impl TpmSource {
    fn opened(&mut self) -> Result<&mut TpmEvidence<StreamTpm>, EvidenceError> {
        let closed = EvidenceError::new(TroubleCode::TPM_ABSENT);
        self.evidence.as_mut().ok_or(closed)
    }
}

impl EvidenceSource for TpmSource {
    fn kinds(&self) -> AttestorSet {
        AttestorSet::EMPTY
            .with(AttestorKind::TPM_EK)
            .with(AttestorKind::TPM_QUOTE)
            .with(AttestorKind::SVID_KEY)
    }

    fn begin(&mut self) -> Result<(), EvidenceError> {
        // Closed first: a TPM may take one connection at a time.
        self.end();
        self.evidence = None;
        let opened = self.way.open();
        let opened = opened.map_err(|_| EvidenceError::new(TroubleCode::TPM_ABSENT))?;
        let evidence = self.evidence.insert(TpmEvidence::new(opened));
        evidence.begin()
    }

    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        self.opened()?.random(out)
    }

    fn prove(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        self.opened()?.prove(request, blobs, out)
    }

    fn renew(
        &mut self,
        qualifying_data: &[u8; 32],
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        self.opened()?.renew(qualifying_data, out)
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
