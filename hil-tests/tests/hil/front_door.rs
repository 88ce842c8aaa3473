//! `./x`: what it asks the machine for before it runs a command, and what it is called in usage lines.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use assay_hil_tests::board::workspace_root;
use tempfile::TempDir;

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A copy of `./x` on a machine that has everything, with this script as cargo; its folder, where `asked` has the packages that
/// it asks for.
fn door(arguments: &[&str], cargo: &str) -> (Command, TempDir) {
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
    let mut command = Command::new(place.join("x"));
    command
        .args(arguments)
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    (command, folder)
}

/// What came of it, and the packages that it asked for.
fn open(arguments: &[&str], cargo: &str) -> (Output, String) {
    let (mut command, folder) = door(arguments, cargo);
    let output = command.output().unwrap();
    let asked = fs::read_to_string(folder.path().join("asked"));
    (output, asked.unwrap())
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
    assert_eq!(
        said,
        "\u{1b}[1m==> compiling what has changed\u{1b}[0m\nwarning: odd\n"
    );
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

/// While it compiles, and not when it is done.
#[test]
fn a_build_says_so_at_once() {
    let until_told = "echo '   Compiling a v0.1.0' >&2; until [ -e go ]; do sleep 0.01; done";
    let (mut command, folder) = door(&["soak", "1"], until_told);
    let mut door = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (told, telling) = mpsc::channel();
    let stderr = BufReader::new(door.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in stderr.lines() {
            let _ = told.send(line.unwrap());
        }
    });
    let line = telling.recv_timeout(Duration::from_secs(60));
    fs::write(folder.path().join("go"), "").unwrap();
    assert!(door.wait().unwrap().success());
    reader.join().unwrap();
    assert!(line.is_ok_and(|line| line.contains("compiling what has changed")));
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
