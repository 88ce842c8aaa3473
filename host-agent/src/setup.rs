//! From the configuration to what proves: the methods, and the TPM.

use std::path::PathBuf;

use assay_common::policy::AttestorSet;
use assay_host::document::DocumentError;

use crate::config::{Attestor, Config};
use crate::evidence::{Evidence, Proofs};
use crate::method::Method;
use crate::tpm::{HostTpm, TpmPlace, devid};

/// What proves: the methods without a TPM, the way to the TPM, and which of its methods are offered.
#[derive(Debug)]
pub struct Setup {
    /// The methods, in the order of the configuration.
    pub methods: Vec<Box<dyn Method>>,
    /// The TPM, when it is used.
    pub tpm: Option<TpmSetup>,
    /// Where the SVID's key is kept.
    pub key_file: Option<PathBuf>,
    /// What becomes of the proofs.
    pub proofs: Proofs,
}

/// Which TPM, and what of it is offered.
#[derive(Debug)]
pub struct TpmSetup {
    /// Where it is.
    pub place: TpmPlace,
    /// Its methods that are offered.
    pub offered: AttestorSet,
    /// The DevID key's files, and where their relative paths begin.
    pub devid: Option<(devid::Config, PathBuf)>,
}

impl Setup {
    /// Builds every method. The methods' settings are taken out of the configuration, for they are used up.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] for settings that can never work.
    pub fn of(config: &mut Config) -> Result<Self, DocumentError> {
        let (setup, errors) = Self::of_what_can(config);
        errors.into_iter().next().map_or(Ok(setup), Err)
    }

    /// As [`of`](Self::of), without what can never work, and why each of that cannot.
    pub(crate) fn of_what_can(config: &mut Config) -> (Self, Vec<DocumentError>) {
        let file = config.file.display().to_string();
        let attestors = core::mem::take(&mut config.attestors);
        let mut methods = Vec::new();
        let mut errors = Vec::new();
        let mut offered = AttestorSet::EMPTY;
        let mut devid = None;
        for Attestor { kind, config: own } in attestors {
            let Some(own) = own else {
                offered = offered.with(kind);
                continue;
            };
            if let Some(files) = own.devid() {
                offered = offered.with(kind);
                let base = config.surroundings(kind).base.to_owned();
                devid = Some((files.clone(), base));
                continue;
            }
            match own.build(&config.surroundings(kind)) {
                Ok(method) => methods.push(method),
                Err(error) => {
                    let what = format!("{kind}: {}", error.what);
                    errors.push(DocumentError::new(file.clone(), what).hint(error.hint));
                }
            }
        }
        let place = match offered.is_empty() {
            true => None,
            false => match config.tcti.parse::<TpmPlace>() {
                Ok(place) => Some(place),
                Err(error) => {
                    let what = format!("tcti: {error}");
                    errors.push(DocumentError::new(file, what).hint(error.hint()));
                    None
                }
            },
        };
        let setup = Self {
            methods,
            tpm: place.map(|place| TpmSetup {
                place,
                offered,
                devid,
            }),
            key_file: config.key_file.clone(),
            proofs: Proofs::default(),
        };
        (setup, errors)
    }

    /// The one source that a login asks.
    #[must_use]
    pub fn evidence(self) -> Evidence {
        let evidence = Evidence::new(self.methods).with_key_file(self.key_file);
        let evidence = match self.tpm {
            None => evidence,
            Some(TpmSetup {
                place,
                offered,
                devid,
            }) => {
                let mut source = HostTpm::at(place);
                if let Some((files, base)) = devid {
                    source = source.with_devid(files, base);
                }
                evidence.with_tpm(Box::new(source), offered)
            }
        };
        evidence.counted(self.proofs)
    }
}
