//! `assay image`: reference values of measured boot, made from builds.

pub mod elf;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assay_common::measurement::event::{is_name, is_version};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use self::elf::ElfImage;
use super::access::{Access, Reached};
use super::format::Format;
use super::service::{Failure, author, block_on, changed, finish, open_store, table};
use crate::attestor::tpm_quote::measured::images::Sha256Text;
use crate::audit::Change;
use crate::config::Config;
use crate::store::ImageRecord;

/// Longest ELF file, bytes: one with all that a debugger wants.
const MAX_FILE: u64 = 512 * 1024 * 1024;
/// Entries that are read at once.
const PAGE: u32 = 500;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What a node would measure of a build: a reference value for a policy's `measurements`
    // `--version` is the image's here.
    #[command(disable_version_flag = true)]
    Measure {
        /// The build
        #[command(flatten)]
        build: Build,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Let nodes boot a build, by its name and version
    #[command(disable_version_flag = true)]
    Register {
        /// The build
        #[command(flatten)]
        build: Build,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Images that were registered, also those that were revoked
    List {
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// One image
    Show {
        /// Its digest
        digest: Sha256Text,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Refuse nodes that boot an image, from their next login on
    Revoke {
        /// Its digest
        digest: Sha256Text,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

/// A build.
#[derive(Debug, Args)]
pub struct Build {
    /// The ELF file, with its symbols
    #[arg(value_name = "ELF")]
    file: PathBuf,
    /// What the image calls itself; left out: the file's name, without `assay-board-`
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The image's semantic version
    #[arg(id = "image_version", long = "version", value_name = "VERSION")]
    version: String,
    /// What the flash reads where nothing was written, in hex
    #[arg(long, value_name = "HEX", value_parser = byte, default_value = "ff")]
    erased: u8,
}

fn byte(text: &str) -> Result<u8, String> {
    u8::from_str_radix(text, 16).map_err(|_| "two hexadecimal digits".to_owned())
}

/// A reference value.
#[derive(Debug, Serialize)]
struct Measured {
    name: String,
    version: String,
    digest: Sha256Text,
    len: u32,
    /// Bytes of it that are taken as erased flash.
    gaps: u32,
    build_id: String,
}

/// An image as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    version: String,
    digest: Sha256Text,
    len: u32,
    build_id: String,
    registered_at: Timestamp,
    registered_by: String,
    revoked_at: Option<Timestamp>,
}

impl From<ImageRecord> for Shown {
    fn from(image: ImageRecord) -> Self {
        Self {
            name: image.name,
            version: image.version,
            digest: Sha256Text(image.sha256),
            len: image.len,
            build_id: image.build_id,
            registered_at: image.registered_at,
            registered_by: image.registered_by,
            revoked_at: image.revoked_at,
        }
    }
}

impl Shown {
    fn line(&self) -> String {
        let Self {
            name,
            version,
            digest,
            ..
        } = self;
        format!("{name} {version} {digest}")
    }
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Measure { build, format } => {
            finish(format, measure(&build), |image: &Measured| {
                format!("{} {} {}", image.name, image.version, image.digest)
            })
        }
        Command::Register {
            build,
            access,
            format,
        } => {
            let result = store(&access).and_then(|config| block_on(register(config, build)));
            finish(format, result, |image| {
                format!("{}: registered", image.line())
            })
        }
        Command::List { access, format } => {
            let result = store(&access).and_then(|config| block_on(list(config)));
            finish(format, result, |images: &Vec<Shown>| {
                let rows = images.iter().map(|image| {
                    let state = match image.revoked_at {
                        Some(at) => format!("revoked {at}"),
                        None => "good".to_owned(),
                    };
                    [
                        image.name.clone(),
                        image.version.clone(),
                        image.digest.to_string(),
                        state,
                    ]
                });
                table(["NAME", "VERSION", "DIGEST", "STATE"], rows)
            })
        }
        Command::Show {
            digest,
            access,
            format,
        } => {
            let result = store(&access).and_then(|config| block_on(show(config, digest)));
            finish(format, result, |image: &Shown| {
                let revoked = image.revoked_at.map(|at| format!("\nrevoked {at}"));
                format!(
                    "{}\n{} bytes, build id {}\nregistered {} by {}{}",
                    image.line(),
                    image.len,
                    match image.build_id.as_str() {
                        "" => "none",
                        id => id,
                    },
                    image.registered_at,
                    image.registered_by,
                    revoked.unwrap_or_default()
                )
            })
        }
        Command::Revoke {
            digest,
            access,
            format,
        } => {
            let result = store(&access).and_then(|config| block_on(revoke(config, digest)));
            finish(format, result, |image: &Shown| {
                format!("{}: revoked", image.line())
            })
        }
    }
}

/// The store. Reference values come from where builds are made and kept: they are not set from afar.
fn store(access: &Access) -> Result<Box<Config>, Failure> {
    match access.reach()? {
        Reached::Store(config) => Ok(config),
        Reached::Api(_) => Err(
            Failure::usage("images are registered beside the verifier's store")
                .hint("--config FILE of a verifier on this machine"),
        ),
    }
}

fn measure(build: &Build) -> Result<Measured, Failure> {
    let named = |path: &Path| {
        let stem = path.file_stem()?.to_str()?;
        Some(stem.strip_prefix("assay-board-").unwrap_or(stem).to_owned())
    };
    let name = build.name.clone().or_else(|| named(&build.file));
    let name = name.filter(|name| is_name(name)).ok_or_else(|| {
        Failure::usage("that is no image's name")
            .hint("say --name: 1 to 32 of a-z, 0-9, `.`, `_` and `-`, as the image calls itself")
    })?;
    let version = build.version.clone();
    if !is_version(&version) || semver::Version::parse(&version).is_err() {
        return Err(
            Failure::usage(format!("{version:?} is no semantic version")).hint("e.g. 1.4.2"),
        );
    }
    let file = read(&build.file)?;
    let ElfImage {
        sha256,
        len,
        gaps,
        build_id,
    } = elf::measure(&file, build.erased).map_err(|error| {
        Failure::failed(format!("{}: {error}", build.file.display())).hint(error.hint())
    })?;
    Ok(Measured {
        name,
        version,
        digest: Sha256Text(sha256),
        len,
        gaps,
        build_id,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let failed = |error: &dyn core::fmt::Display| {
        Failure::usage(format!("{}: {error}", path.display()))
            .hint("give the ELF file that the linker wrote")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    match u64::try_from(bytes.len()) {
        Ok(..=MAX_FILE) => Ok(bytes),
        _ => Err(failed(&format_args!("longer than {MAX_FILE} bytes"))),
    }
}

async fn register(config: Box<Config>, build: Build) -> Result<Shown, Failure> {
    let measured = measure(&build)?;
    let now = Timestamp::now();
    let record = ImageRecord {
        sha256: measured.digest.0,
        name: measured.name,
        version: measured.version,
        len: measured.len,
        build_id: measured.build_id,
        registered_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
        registered_by: author(),
        revoked_at: None,
    };
    changed(&config, async |store| {
        if !store.register_image(&record).await? {
            return Err(Failure::failed(format!(
                "{}: registered before",
                Shown::from(record.clone()).line()
            ))
            .hint("`assay image show` shows as what; one that was revoked stays so"));
        }
        let digest = Sha256Text(record.sha256).to_string();
        let change = Change::new("image.register", "image", &digest);
        let change = change.detail(format!("{} {}", record.name, record.version));
        Ok(((), Some(change)))
    })
    .await?;
    Ok(record.into())
}

async fn list(config: Box<Config>) -> Result<Vec<Shown>, Failure> {
    let store = open_store(&config).await?;
    let mut images: Vec<ImageRecord> = Vec::new();
    loop {
        let after = images.last().map(|image| image.sha256);
        let page = store.images(after.as_ref(), PAGE).await?;
        let last = page.len() < PAGE as usize;
        images.extend(page);
        if last {
            break;
        }
    }
    store.close().await;
    images.sort_by(|a, b| (&a.name, a.registered_at).cmp(&(&b.name, b.registered_at)));
    Ok(images.into_iter().map(Shown::from).collect())
}

async fn show(config: Box<Config>, digest: Sha256Text) -> Result<Shown, Failure> {
    let store = open_store(&config).await?;
    let found = store.images_for(&[], &[digest.0]).await?;
    store.close().await;
    let found = found.into_iter().next();
    found.map(Shown::from).ok_or_else(|| unknown(digest))
}

async fn revoke(config: Box<Config>, digest: Sha256Text) -> Result<Shown, Failure> {
    changed(&config, async |store| {
        let revoked = store.revoke_image(&digest.0, Timestamp::now()).await?;
        let image = revoked.ok_or_else(|| unknown(digest))?;
        let change = Change::new("image.revoke", "image", &digest.to_string());
        let change = change.detail(format!("{} {}", image.name, image.version));
        Ok((Shown::from(image), Some(change)))
    })
    .await
}

fn unknown(digest: Sha256Text) -> Failure {
    Failure::failed(format!("no good image has the digest {digest}"))
        .hint("`assay image list` shows all")
}
