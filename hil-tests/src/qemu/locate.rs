//! Finding QEMU: `ASSAY_QEMU_DIR` (a folder with `usr/bin` and `usr/share/qemu`), then
//! `target/tools/qemu` of the workspace (the same layout), then `PATH`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{QemuError, io_error};
use crate::board::workspace_root;

/// A QEMU that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The program.
    pub binary: PathBuf,
    /// Its data folder, where it is not the one compiled in.
    pub data: Option<PathBuf>,
}

impl Installation {
    /// Finds the program `binary`, such as `qemu-system-arm`.
    ///
    /// # Errors
    /// [`QemuError::Missing`] names the Debian package.
    pub fn find(binary: &str) -> Result<Self, QemuError> {
        let configured = std::env::var_os("ASSAY_QEMU_DIR").map(PathBuf::from);
        let roots = configured
            .into_iter()
            .chain([workspace_root().join("target/tools/qemu")]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self::find_in(binary, roots, std::env::split_paths(&path))
    }

    fn find_in(
        binary: &str,
        roots: impl IntoIterator<Item = PathBuf>,
        path: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Self, QemuError> {
        for root in roots {
            let program = root.join("usr/bin").join(binary);
            if program.is_file() {
                return Ok(Self {
                    binary: program,
                    data: Some(root.join("usr/share/qemu")),
                });
            }
        }
        path.into_iter()
            .map(|folder| folder.join(binary))
            .find(|program| program.is_file())
            .map(|binary| Self { binary, data: None })
            .ok_or_else(|| QemuError::Missing {
                binary: binary.to_owned(),
                package: package(binary),
            })
    }

    /// Major and minor version.
    ///
    /// # Errors
    /// [`QemuError::Io`] when it does not run, [`QemuError::Version`] when it does not say.
    pub fn version(&self) -> Result<(u32, u32), QemuError> {
        let output = Command::new(&self.binary)
            .arg("--version")
            .output()
            .map_err(io_error(format!("running {}", self.binary.display())))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        parse_version(&text).ok_or_else(|| QemuError::Version {
            path: self.binary.clone(),
            version: text.lines().next().unwrap_or("silent").to_owned(),
        })
    }

    /// A command that runs it, with its data folder.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        if let Some(data) = &self.data {
            command.arg("-L").arg(data);
        }
        command
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = text.strip_prefix("QEMU emulator version ")?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn package(binary: &str) -> &'static str {
    match Path::new(binary).file_name().and_then(|name| name.to_str()) {
        Some("qemu-system-arm" | "qemu-system-aarch64") => "qemu-system-arm",
        _ => "qemu-system",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::*;
    use std::fs;

    #[test]
    fn a_configured_folder_goes_before_path_and_brings_its_data() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let bin = root.join("usr/bin");
        let elsewhere = folder.path().join("bin");
        for place in [&bin, &elsewhere] {
            fs::create_dir_all(place).unwrap();
            fs::write(place.join("qemu-system-arm"), "").unwrap();
        }
        let found =
            Installation::find_in("qemu-system-arm", [root.clone()], [elsewhere.clone()]).unwrap();
        assert_eq!(found.binary, bin.join("qemu-system-arm"));
        assert_eq!(found.data, Some(root.join("usr/share/qemu")));
        let found = Installation::find_in("qemu-system-arm", [], [elsewhere.clone()]).unwrap();
        assert_eq!(found.binary, elsewhere.join("qemu-system-arm"));
        assert_eq!(found.data, None);
    }

    #[test]
    fn a_missing_qemu_names_its_package() {
        let error = Installation::find_in("qemu-system-aarch64", [], []).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("Debian package \"qemu-system-arm\""),
            "{error}"
        );
    }

    #[test]
    fn reads_the_version_of_a_distribution_build() {
        let text = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright";
        assert_eq!(parse_version(text), Some((7, 2)));
        assert_eq!(parse_version("QEMU emulator version 10.0.2"), Some((10, 0)));
        assert_eq!(parse_version("something else"), None);
    }
}
