//! Manufactured TPMs, judged by tools that are not ours: openssl for certificates, tpm2-tools for NV and keys.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use assay_hil_tests::manufacture::commands::TpmCommands;
use assay_hil_tests::manufacture::{CHAIN_INDEX, EkKind, ManufacturedTpm, Recipe, cache};
use assay_spi_tpm::swtpm::{Mode, Swtpm};
use tempfile::TempDir;

struct Bench {
    _folder: TempDir,
    made: ManufacturedTpm,
    process: Swtpm,
}

fn bench(recipe: &Recipe) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let made = cache::copy(recipe, &folder.path().join("tpm")).unwrap();
    let process = made.start(folder.path(), Mode::Sockets).unwrap();
    TpmCommands::new(process.client()).startup_clear().unwrap();
    Bench {
        _folder: folder,
        made,
        process,
    }
}

impl Bench {
    fn commands(&self) -> TpmCommands {
        TpmCommands::new(self.process.client())
    }

    /// One of tpm2-tools, on this TPM.
    fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        let tcti = format!("swtpm:path={}", self.process.data_path().display());
        let output = Command::new(name)
            .args(["-T", &tcti])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{name} (Debian package tpm2-tools): {error}"));
        assert!(output.status.success(), "{name} {arguments:?}: {output:?}");
        output
    }
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn verify(made: &ManufacturedTpm, kind: EkKind) {
    let pem = made.state().join("leaf.pem");
    openssl(&[
        "x509",
        "-inform",
        "der",
        "-in",
        text(&made.ek_certificate(kind)),
        "-out",
        text(&pem),
    ]);
    let verdict = openssl(&[
        "verify",
        // The subject alternative name is critical and holds a directoryName, which openssl does not judge.
        "-ignore_critical",
        "-CAfile",
        text(&made.root_ca()),
        "-untrusted",
        text(&made.intermediate_ca()),
        text(&pem),
    ]);
    assert!(verdict.contains(": OK"), "{verdict}");
}

#[test]
fn every_certificate_verifies_and_says_what_a_strict_verifier_wants() {
    let bench = bench(&Recipe::all());
    for kind in EkKind::ALL {
        verify(&bench.made, kind);
        let der = bench.made.ek_certificate(kind);
        let shown = openssl(&[
            "x509",
            "-inform",
            "der",
            "-in",
            text(&der),
            "-noout",
            "-text",
        ]);
        for part in [
            "2.23.133.8.1",
            "2.23.133.2.1=id:00001014/2.23.133.2.2=swtpm/2.23.133.2.3=id:20191023",
            "CA:FALSE",
            "Not After : Dec 31 23:59:59 9999 GMT",
        ] {
            assert!(shown.contains(part), "{kind:?} lacks {part}: {shown}");
        }
        let usage = if kind == EkKind::Rsa2048 {
            "Key Encipherment"
        } else {
            "Key Agreement"
        };
        assert!(shown.contains(usage), "{kind:?}: {shown}");
    }
}

#[test]
fn a_certificate_of_another_ca_does_not_verify() {
    let bench = bench(&Recipe::all());
    let mut other = Recipe::all();
    other.instance = 1;
    let folder = tempfile::tempdir().unwrap();
    let stranger = cache::copy(&other, folder.path()).unwrap();
    let pem = folder.path().join("leaf.pem");
    let der = bench.made.ek_certificate(EkKind::P256);
    openssl(&[
        "x509",
        "-inform",
        "der",
        "-in",
        text(&der),
        "-out",
        text(&pem),
    ]);
    let output = Command::new("openssl")
        .args([
            "verify",
            "-ignore_critical",
            "-CAfile",
            text(&stranger.root_ca()),
        ])
        .args(["-untrusted", text(&stranger.intermediate_ca()), text(&pem)])
        .output()
        .unwrap();
    assert!(!output.status.success());
}

#[test]
fn nv_holds_the_certificate_and_the_certificate_holds_the_tpms_own_key() {
    let bench = bench(&Recipe::all());
    for (kind, algorithm) in [
        (EkKind::Rsa2048, "rsa"),
        (EkKind::P256, "ecc"),
        (EkKind::P384, "ecc384"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let nv = folder.path().join("nv");
        let index = format!("{:#x}", kind.certificate_index());
        bench.tool("tpm2_nvread", &[&index, "-o", text(&nv)]);
        assert_eq!(
            fs::read(&nv).unwrap(),
            fs::read(bench.made.ek_certificate(kind)).unwrap()
        );

        let der = bench.made.ek_certificate(kind);
        let in_certificate = openssl(&[
            "x509",
            "-inform",
            "der",
            "-in",
            text(&der),
            "-noout",
            "-pubkey",
        ]);
        let public = folder.path().join("ek.pem");
        if algorithm == "ecc384" {
            // tpm2_createek 5.4 knows no high-range templates: the key is made from ours.
            let made = bench
                .commands()
                .create_primary_public(&kind.default_template())
                .unwrap();
            assert_eq!(made, fs::read(bench.made.ek_public(kind)).unwrap());
            let point = &made[made.len() - 98..];
            let shown = openssl(&[
                "x509",
                "-inform",
                "der",
                "-in",
                text(&der),
                "-noout",
                "-text",
            ]);
            let digits: String = shown.chars().filter(char::is_ascii_hexdigit).collect();
            for coordinate in [&point[..48], &point[50..]] {
                assert!(digits.contains(&hex::encode(coordinate)), "{shown}");
            }
        } else {
            let context = folder.path().join("ek.ctx");
            bench.tool(
                "tpm2_createek",
                &[
                    "-G",
                    algorithm,
                    "-c",
                    text(&context),
                    "-u",
                    text(&public),
                    "-f",
                    "pem",
                ],
            );
            bench.tool("tpm2_flushcontext", &["-t"]);
            assert_eq!(fs::read_to_string(&public).unwrap(), in_certificate);
        }
    }
}

#[test]
fn certificates_that_the_recipe_leaves_out_are_absent_from_nv() {
    for left in EkKind::ALL {
        let bench = bench(&Recipe::with([left]));
        for kind in EkKind::ALL {
            let there = bench
                .commands()
                .nv_size(kind.certificate_index())
                .unwrap()
                .is_some();
            assert_eq!(there, kind == left, "{kind:?} when {left:?} is left");
        }
        verify(&bench.made, left);
    }
    let bench = bench(&Recipe::none());
    for kind in EkKind::ALL {
        assert_eq!(
            bench.commands().nv_size(kind.certificate_index()).unwrap(),
            None
        );
    }
}

#[test]
fn padding_fills_the_index_and_leaves_the_certificate_whole() {
    let mut recipe = Recipe::all();
    recipe.padded_to = Some(1600);
    let bench = bench(&recipe);
    for kind in EkKind::ALL {
        let stored = bench.commands().nv_read(kind.certificate_index()).unwrap();
        let issued = fs::read(bench.made.ek_certificate(kind)).unwrap();
        assert_eq!(stored.len(), 1600);
        assert_eq!(stored[..issued.len()], issued[..]);
        assert!(stored[issued.len()..].iter().all(|byte| *byte == 0xFF));
    }
}

#[test]
fn nonce_template_and_chain_are_stored_and_the_certificates_follow_them() {
    let mut recipe = Recipe::all();
    recipe.nonce = true;
    recipe.template = true;
    recipe.chain = true;
    let bench = bench(&recipe);
    let mut commands = bench.commands();
    for kind in EkKind::ALL {
        let template = commands.nv_read(kind.template_index()).unwrap();
        assert_eq!(template, recipe.stored_template(kind));
        if let Some(index) = kind.nonce_index() {
            assert_eq!(
                Some(commands.nv_read(index).unwrap()),
                recipe.nonce_of(kind)
            );
        }
        let key = commands
            .create_primary_public(&recipe.template_of(kind))
            .unwrap();
        assert_eq!(key, fs::read(bench.made.ek_public(kind)).unwrap());
        let default = commands
            .create_primary_public(&kind.default_template())
            .unwrap();
        assert_ne!(key, default, "{kind:?}: the stored template must matter");
        verify(&bench.made, kind);
    }
    let chain = commands.nv_read(CHAIN_INDEX).unwrap();
    let pem = openssl(&[
        "x509",
        "-in",
        text(&bench.made.intermediate_ca()),
        "-noout",
        "-fingerprint",
        "-sha256",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let der = folder.path().join("chain.der");
    fs::write(&der, chain).unwrap();
    let stored = openssl(&[
        "x509",
        "-inform",
        "der",
        "-in",
        text(&der),
        "-noout",
        "-fingerprint",
        "-sha256",
    ]);
    assert_eq!(pem, stored);
}

#[test]
fn the_index_has_the_attributes_that_chips_have() {
    let bench = bench(&Recipe::all());
    let shown = bench.tool("tpm2_nvreadpublic", &["0x1c0000a"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("62072001") || shown.contains("0x62072001"),
        "{shown}"
    );
}

#[test]
fn two_copies_are_the_same_tpm_and_do_not_share_state() {
    let first = bench(&Recipe::all());
    let second = bench(&Recipe::all());
    first
        .commands()
        .nv_remove(EkKind::P256.certificate_index())
        .unwrap();
    let there = second
        .commands()
        .nv_size(EkKind::P256.certificate_index())
        .unwrap();
    assert!(there.is_some());
    assert_eq!(
        fs::read(first.made.ek_public(EkKind::P384)).unwrap(),
        fs::read(second.made.ek_public(EkKind::P384)).unwrap()
    );
}
