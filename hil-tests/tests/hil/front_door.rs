//! `./x`: what it asks the machine for before it runs a command, and what it is called in usage lines.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use assay_hil_tests::board::workspace_root;

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a copy of `./x` on a machine that has everything; what it ran in the end, and the packages that it asked for.
fn asked(arguments: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (bin, debug) = (place.join("bin"), place.join("target/debug"));
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&debug).unwrap();
    for name in ["x", "rust-toolchain.toml"] {
        fs::copy(workspace_root().join(name), place.join(name)).unwrap();
    }
    for name in ["cargo", "rustup", "qemu-system-arm", "qemu-system-aarch64"] {
        script(&bin.join(name), "exit 0");
    }
    for name in ["apt-get", "sudo"] {
        script(&bin.join(name), "exit 1");
    }
    let asked = place.join("asked");
    script(
        &bin.join("dpkg-query"),
        &format!("echo \"$4\" >>{}; echo ok installed", asked.display()),
    );
    script(&debug.join("hil"), "echo \"$HIL_CALLED: $*\"");
    let output = Command::new(place.join("x"))
        .args(arguments)
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    (said, fs::read_to_string(asked).unwrap())
}

#[test]
fn whoever_asks_for_words_has_no_tpm_and_no_emulator_installed() {
    for (arguments, runs) in [
        (
            &["demo", "--interposer", "list"][..],
            "./x: demo --interposer list",
        ),
        (
            &["demo", "--interposer=list", "--json"],
            "./x: demo --interposer=list --json",
        ),
        (&["hil", "--help"], "./x: board --help"),
        (&["soak", "-h"], "./x: soak -h"),
    ] {
        let (ran, packages) = asked(arguments);
        assert_eq!(ran.trim(), runs);
        assert!(packages.contains("build-essential\n"), "{packages}");
        for package in ["swtpm\n", "libudev-dev\n"] {
            assert!(!packages.contains(package), "{arguments:?}: {packages}");
        }
    }
    // And whoever asks for more has.
    let (_, packages) = asked(&["demo", "--interposer", "drop-quote"]);
    assert!(packages.contains("swtpm\n"), "{packages}");
    let (_, packages) = asked(&["hil", "stm32f405"]);
    assert!(packages.contains("libudev-dev\n"), "{packages}");
}

#[test]
fn usage_lines_say_what_was_typed() {
    for (command, usage) in [
        ("board", "Usage: ./x hil [OPTIONS] <BOARD>"),
        ("soak", "Usage: ./x soak [OPTIONS] [LOGINS]"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_hil"))
            .args([command, "--help"])
            .env("HIL_CALLED", "./x")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(usage), "{said}");
    }
}
