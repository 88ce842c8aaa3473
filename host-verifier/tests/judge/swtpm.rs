//! A software TPM per test, driven by tpm2-tools: everything it makes is made by code that is not ours.
//!
//! A missing tool fails the test and names the package.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A running swtpm with a working folder of its own.
pub(crate) struct Swtpm {
    folder: TempDir,
    process: Child,
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a program to its end; its output, or a panic that shows what it said.
pub(crate) fn run(program: &str, args: &[&str], folder: &Path, env: &[(&str, &str)]) -> Vec<u8> {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("{program}: {error} (install swtpm, swtpm-tools, tpm2-tools and openssl)")
        });
    assert!(
        output.status.success(),
        "{program} {}: {}{}",
        args.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

impl Swtpm {
    /// Starts a fresh TPM with the default banks.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate", "dir=state"])
            .args(["--server", "type=unixio,path=tpm"])
            .args(["--ctrl", "type=unixio,path=tpm.ctrl"])
            .args(["--flags", "not-need-init,startup-clear"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("swtpm: {error} (install swtpm)"));
        let tpm = Self { folder, process };
        let began = Instant::now();
        while !tpm.path("tpm").exists() || !tpm.path("tpm.ctrl").exists() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "swtpm does not come up"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        tpm
    }

    /// A file in the working folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The contents of a file in the working folder.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file in the working folder.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Runs a tool of tpm2-tools, arguments separated by blanks, then empties the TPM's object slots.
    pub(crate) fn tool(&self, command: &str) -> Vec<u8> {
        let output = self.bare_tool(command);
        self.bare_tool("tpm2_flushcontext -t");
        output
    }

    /// As [`Swtpm::tool`], and leaves the object slots alone.
    pub(crate) fn bare_tool(&self, command: &str) -> Vec<u8> {
        let tcti = format!("swtpm:path={}", self.path("tpm").display());
        let mut words = command.split_whitespace();
        let program = words.next().unwrap();
        let args: Vec<&str> = words.collect();
        run(
            program,
            &args,
            self.folder.path(),
            &[("TPM2TOOLS_TCTI", tcti.as_str())],
        )
    }

    /// Creates a primary key in a hierarchy and keeps its context as `name.ctx`, its public area as
    /// `name.tpm2b` (TPM2B_PUBLIC), `name.pem`, its Name as `name.name`.
    pub(crate) fn primary(
        &self,
        name: &str,
        hierarchy: &str,
        name_alg: &str,
        alg: &str,
        attributes: &str,
    ) {
        self.tool(&format!(
            "tpm2_createprimary -Q -C {hierarchy} -g {name_alg} -G {alg} -a {attributes} -c {name}.ctx"
        ));
        self.describe(name);
    }

    /// Writes out the public area of `name.ctx`.
    pub(crate) fn describe(&self, name: &str) {
        self.tool(&format!(
            "tpm2_readpublic -Q -c {name}.ctx -f tss -o {name}.tpm2b -n {name}.name"
        ));
        self.tool(&format!(
            "tpm2_readpublic -Q -c {name}.ctx -f pem -o {name}.pem"
        ));
    }

    /// The public area of `name` without its length.
    pub(crate) fn public(&self, name: &str) -> Vec<u8> {
        self.read(&format!("{name}.tpm2b")).split_off(2)
    }

    /// An attestation key in the Endorsement hierarchy.
    pub(crate) fn ak(&self, name: &str, name_alg: &str, alg: &str) {
        self.primary(name, "e", name_alg, alg, AK_ATTRIBUTES);
    }

    /// Opens a credential for `object.ctx` with the low-range EK `ek.ctx`, by its policy.
    pub(crate) fn activate(&self, object: &str, ek: &str, credential: &str, secret: &str) {
        assert!(self.try_activate(object, ek, credential, secret));
    }

    /// As [`Swtpm::activate`]; false when the TPM refuses.
    pub(crate) fn try_activate(
        &self,
        object: &str,
        ek: &str,
        credential: &str,
        secret: &str,
    ) -> bool {
        self.bare_tool("tpm2_startauthsession -Q --policy-session -S session");
        self.bare_tool("tpm2_policysecret -Q -S session -c e");
        let opened = self.attempt(&format!(
            "tpm2_activatecredential -Q -c {object}.ctx -C {ek}.ctx -i {credential} -o {secret} -P session:session"
        ));
        self.bare_tool("tpm2_flushcontext session");
        self.bare_tool("tpm2_flushcontext -t");
        opened
    }

    /// Whether a tool succeeds.
    fn attempt(&self, command: &str) -> bool {
        let tcti = format!("swtpm:path={}", self.path("tpm").display());
        let mut words = command.split_whitespace();
        Command::new(words.next().unwrap())
            .args(words)
            .current_dir(self.folder.path())
            .env("TPM2TOOLS_TCTI", tcti)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    /// Quotes with `key.ctx`: `attest`, `signature`, and `pcrs` as binary values. `options` name hash and
    /// scheme where they are not tpm2_quote's own.
    pub(crate) fn quote(&self, key: &str, selection: &str, nonce: &str, options: &str) {
        self.tool(&format!(
            "tpm2_quote -Q -c {key}.ctx -l {selection} -q {nonce} -m attest -s signature -o pcrs -F values {options}"
        ));
    }

    /// The values of `bank:indices` as `index hex` lines.
    pub(crate) fn pcr_lines(&self, selection: &str) -> String {
        let (_, indices) = selection.split_once(':').unwrap();
        self.tool(&format!("tpm2_pcrread -Q {selection} -o raw"));
        let raw = self.read("raw");
        let count = indices.split(',').count();
        let len = raw.len() / count;
        let lines = indices.split(',').zip(raw.chunks(len));
        lines
            .map(|(index, value)| format!("{index} {}\n", hex::encode(value)))
            .collect()
    }
}

/// Attributes of an attestation key, in the words of tpm2-tools.
pub(crate) const AK_ATTRIBUTES: &str =
    "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign|noda";
