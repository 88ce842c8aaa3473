//! Answers on a true terminal, which util-linux's `script` makes, and behind a pipe.

use std::process::Command;

use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::site::Site;

/// What a command prints on a terminal.
fn on_terminal(site: &Site, command: &str, environment: &[(&str, &str)]) -> String {
    let program = format!("{} {command}", env!("CARGO_BIN_EXE_assay"));
    let output = Command::new("script")
        .args(["-qec", &program, "/dev/null"])
        .env("ASSAYD_CONFIG", site.path("assayd.yaml"))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("script: {error} (Debian package bsdutils)"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn colours_and_short_hashes_are_for_terminals_only() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    granted(site.login(&tpm));
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let green = "\x1b[32mgranted\x1b[0m";
    let (hash, short) = (tpm.ek_hash(), format!("{}…", &tpm.ek_hash()[..12]));

    let terminal = on_terminal(&site, "audit list", &[]);
    assert!(
        terminal.contains(green) && terminal.contains(&short),
        "{terminal}"
    );
    assert!(
        !terminal.contains(&hash) && terminal.contains("--wide shows all"),
        "{terminal}"
    );
    let wide = on_terminal(&site, "audit list --wide", &[]);
    assert!(wide.contains(&hash) && wide.contains(green), "{wide}");
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_terminal(&site, "audit list", &[environment]);
        assert!(
            !plain.contains('\x1b') && plain.contains("granted"),
            "{plain}"
        );
    }
    let json = on_terminal(&site, "audit list --json", &[]);
    assert!(!json.contains('\x1b') && json.contains(&hash), "{json}");

    let piped = String::from_utf8(site.assay(&["audit", "list"]).stdout).unwrap();
    assert!(!piped.contains('\x1b') && piped.contains(&hash), "{piped}");
    assert!(on_terminal(&site, "node list", &[]).contains(&short));
}
