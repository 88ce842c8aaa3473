//! `./x`: what it asks the machine for before it runs a command, and what it is called in usage lines.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use assay_hil_tests::board::workspace_root;

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a copy of `./x` on a machine that has everything, with this script as cargo; what came of it, and the packages that it
/// asked for.
fn open(arguments: &[&str], cargo: &str) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (bin, debug) = (place.join("bin"), place.join("target/debug"));
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&debug).unwrap();
    for name in ["x", "rust-toolchain.toml"] {
        fs::copy(workspace_root().join(name), place.join(name)).unwrap();
    }
    script(&bin.join("cargo"), cargo);
    // All targets are installed.
    script(
        &bin.join("rustup"),
        r#"sed -n 's/^    "\(.*\)",$/\1/p' rust-toolchain.toml"#,
    );
    for name in ["qemu-system-arm", "qemu-system-aarch64"] {
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
    (output, fs::read_to_string(asked).unwrap())
}

/// What it ran in the end, and the packages that it asked for.
fn asked(arguments: &[&str]) -> (String, String) {
    let (output, packages) = open(arguments, "exit 0");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    (String::from_utf8(output.stdout).unwrap(), packages)
}

/// Some minutes without a word look like a command that hangs.
#[test]
fn without_a_terminal_a_build_is_one_line_and_what_goes_wrong() {
    let compiling = r#"printf '   Compiling %s v0.1.0\n' a b >&2; echo 'warning: odd' >&2"#;
    let fine = format!("{compiling}; echo '    Finished in 1 s' >&2");
    let (output, _) = open(&["soak", "1"], &fine);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "==> compiling what has changed\nwarning: odd\n");
    assert_eq!(output.stdout, b"./x: soak 1\n");

    let wrong = format!("{compiling}; echo 'error: no such field' >&2; exit 101");
    let (output, _) = open(&["soak", "1"], &wrong);
    assert_eq!(output.status.code(), Some(101));
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("error: no such field\n"), "{said}");

    let (output, _) = open(&["soak", "1"], "exit 0");
    assert!(output.stderr.is_empty(), "{output:?}");
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
        (
            "console",
            "Usage: ./x console [OPTIONS] <BOARD|--port <TTY>>",
        ),
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
