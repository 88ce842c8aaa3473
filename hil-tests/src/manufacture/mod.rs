//! Manufacturing a software TPM: what a vendor does once per chip, with a CA of its own.
//!
//! ```text
//! swtpm_setup ──► state with EKs, RSA-2048 and P-384 certificates ─┐
//! own CA (root, intermediate; made by swtpm_localca, no expiry)     ├─► recipe: P-256 certificate,
//! swtpm_cert ──► certificates for other keys ──────────────────────┘   padding, nonce, template, chain
//! ```
//!
//! * [`recipe`] says what the TPM shall have in NV; [`cache`] makes each recipe once and hands out copies.
//! * [`ca`] runs the tools; [`commands`] speaks to the TPM, independently of the code under test.
//!
//! The certificates are what a strict verifier expects: subject alternative name with manufacturer, model
//! and version, extended key usage 2.23.133.8.1, key usage by key type, valid to the year 9999.

pub mod ca;
pub mod cache;
pub mod commands;
pub mod recipe;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use assay_spi_tpm::BackendError;
use assay_spi_tpm::swtpm::{Mode, StartError, Swtpm};

use ca::Ca;
use commands::TpmCommands;
pub use recipe::{EkKind, Recipe};

/// Index of the first chain certificate. `[EKP 2.5] 2.2.1.5`
pub const CHAIN_INDEX: u32 = 0x01C0_0100;

/// Why a TPM could not be manufactured.
#[derive(Debug, thiserror::Error)]
pub enum ManufactureError {
    /// A tool is missing or could not be run.
    #[error("cannot run {tool} (Debian package \"{package}\"): {source}")]
    Tool {
        /// The program.
        tool: &'static str,
        /// The package that has it.
        package: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A tool refused.
    #[error("{tool} failed ({status}): {output}")]
    Failed {
        /// The program.
        tool: &'static str,
        /// Its exit status.
        status: String,
        /// What it wrote.
        output: String,
    },
    /// A file could not be read, written or moved.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The software TPM did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The software TPM did not answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The TPM refused a command.
    #[error("{command} answered {rc:#x}")]
    Refused {
        /// The command.
        command: &'static str,
        /// TPM_RC.
        rc: u32,
    },
    /// A response was shorter than its content demands.
    #[error("the response to {0} is cut off")]
    CutOff(&'static str),
}

/// A manufactured TPM: files in one folder.
#[derive(Debug, Clone)]
pub struct ManufacturedTpm {
    folder: PathBuf,
    recipe: Recipe,
}

impl ManufacturedTpm {
    /// The folder of the TPM's state, for [`Swtpm::start`].
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The root CA's certificate, PEM.
    #[must_use]
    pub fn root_ca(&self) -> PathBuf {
        self.folder.join("root.pem")
    }

    /// The certificate of the CA that issued the EK certificates, PEM.
    #[must_use]
    pub fn intermediate_ca(&self) -> PathBuf {
        self.folder.join("intermediate.pem")
    }

    /// The EK certificate of `kind`, DER as issued (without padding); there also when the recipe leaves it
    /// out of NV.
    #[must_use]
    pub fn ek_certificate(&self, kind: EkKind) -> PathBuf {
        self.folder.join(format!("ek-{}.der", kind.name()))
    }

    /// The public area of the EK of `kind`: TPMT_PUBLIC bytes.
    #[must_use]
    pub fn ek_public(&self, kind: EkKind) -> PathBuf {
        self.folder.join(format!("ek-{}.pub", kind.name()))
    }

    /// The Name of its EK of `kind`, as its maker's files have it: by SHA-256, of P-384 by SHA-384.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn ek_name(&self, kind: EkKind) -> io::Result<Vec<u8>> {
        let public = fs::read(self.ek_public(kind))?;
        let (algorithm, hash) = match kind {
            EkKind::Rsa2048 | EkKind::P256 => (0x0B, &aws_lc_rs::digest::SHA256),
            EkKind::P384 => (0x0C, &aws_lc_rs::digest::SHA384),
        };
        let digest = aws_lc_rs::digest::digest(hash, &public);
        Ok([&[0, algorithm], digest.as_ref()].concat())
    }

    /// What it was made from.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Starts the TPM for a board or a test, with its sockets in `sockets`.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(&self, sockets: &Path, mode: Mode) -> Result<Swtpm, StartError> {
        Swtpm::start(&self.state(), sockets, mode)
    }
}

/// Manufactures a TPM by `recipe` into `folder` (absolute, made if absent). Takes about 1.5 s;
/// [`cache::copy`] is quicker from the second time on.
///
/// # Errors
/// [`ManufactureError`].
pub fn manufacture(recipe: &Recipe, folder: &Path) -> Result<ManufacturedTpm, ManufactureError> {
    let tpm = ManufacturedTpm {
        folder: folder.to_owned(),
        recipe: recipe.clone(),
    };
    let state = tpm.state();
    make_folder(&state)?;
    let ca = Ca::set_up(folder, &state)?;
    copy_file(ca.root(), &tpm.root_ca())?;
    copy_file(ca.intermediate(), &tpm.intermediate_ca())?;

    // Socket paths are short: the folder of a cache may not be.
    let sockets = tempfile::tempdir().map_err(|source| ManufactureError::File {
        path: std::env::temp_dir(),
        source,
    })?;
    let process = Swtpm::start(&state, sockets.path(), Mode::Sockets)?;
    let mut commands = TpmCommands::new(process.client());
    commands.startup_clear()?;
    for kind in EkKind::ALL {
        equip(&mut commands, &ca, &tpm, kind)?;
    }
    if recipe.chain {
        let der = ca.intermediate_der(folder)?;
        commands.nv_replace(CHAIN_INDEX, &der)?;
    }
    commands.shutdown_clear()?;
    Ok(tpm)
}

/// Brings NV into the state that the recipe wants for one kind of EK.
fn equip(
    tpm: &mut TpmCommands,
    ca: &Ca,
    made: &ManufacturedTpm,
    kind: EkKind,
) -> Result<(), ManufactureError> {
    let recipe = made.recipe();
    let wanted = recipe.certificates.contains(&kind);
    let template = recipe.template_of(kind);
    if wanted && recipe.template {
        tpm.nv_replace(kind.template_index(), &recipe.stored_template(kind))?;
    }
    if let (true, Some(nonce), Some(index)) = (wanted, recipe.nonce_of(kind), kind.nonce_index()) {
        tpm.nv_replace(index, &nonce)?;
    }
    let public = tpm.create_primary_public(&template)?;
    write_file(&made.ek_public(kind), &public)?;

    let by_setup = kind.has_certificate_by_setup() && template == kind.default_template();
    let certificate = if by_setup {
        tpm.nv_read(kind.certificate_index())?
    } else {
        ca.issue(kind, &public, &made.folder)?
    };
    write_file(&made.ek_certificate(kind), &certificate)?;
    if !wanted {
        return tpm.nv_remove(kind.certificate_index());
    }
    let mut stored = certificate;
    if let Some(len) = recipe.padded_to {
        stored.resize(stored.len().max(usize::from(len)), 0xFF);
    }
    if !by_setup || recipe.padded_to.is_some() {
        tpm.nv_replace(kind.certificate_index(), &stored)?;
    }
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ManufactureError + '_ {
    move |source| ManufactureError::File {
        path: path.to_owned(),
        source,
    }
}

fn make_folder(path: &Path) -> Result<(), ManufactureError> {
    fs::create_dir_all(path).map_err(at(path))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ManufactureError> {
    fs::write(path, bytes).map_err(at(path))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), ManufactureError> {
    fs::copy(from, to).map(|_| ()).map_err(at(from))
}
