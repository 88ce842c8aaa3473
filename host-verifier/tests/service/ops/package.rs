//! The unit, the Debian package's parts, the manual, completions.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{path, succeeds, text, tool};

/// The package's description in Cargo.toml, as cargo reads it.
fn metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
        "--manifest-path",
        manifest,
    ];
    let output = tool(env!("CARGO"), "cargo", &arguments);
    assert!(output.status.success(), "{output:?}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = all["packages"].as_array().unwrap();
    let own = packages
        .iter()
        .find(|package| package["name"] == "assay-host-verifier")
        .unwrap();
    own["metadata"]["deb"].clone()
}

fn assay(arguments: &[&str]) -> Vec<u8> {
    let output = tool(env!("CARGO_BIN_EXE_assay"), "assay-verifier", arguments);
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn everything_that_is_packed_is_in_the_tree_or_made_before() {
    let deb = metadata();
    let script = std::fs::read_to_string(path("../.ci/deb")).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut targets = Vec::new();
    for asset in deb["assets"].as_array().unwrap() {
        let source = asset[0].as_str().unwrap();
        targets.push(asset[1].as_str().unwrap().to_owned());
        if let Some(program) = source.strip_prefix("target/release/") {
            assert!(["assay", "assayd"].contains(&program), "{program}");
        } else if let Some(made) = source.strip_prefix("../target/package/") {
            let name = made.trim_end_matches("/*.1");
            assert!(
                script.contains(&format!("$made/{name}")),
                "{made} is not made"
            );
        } else {
            assert!(folder.join(source).exists(), "{source}");
        }
    }
    let unit = text("systemd/assayd.service");
    for needed in [
        "usr/bin/",
        "etc/assay/assayd.example.yaml",
        "usr/share/man/man8/",
    ] {
        assert!(targets.iter().any(|target| target == needed), "{needed}");
    }
    assert!(unit.contains("ExecStart=/usr/bin/assayd serve --config /etc/assay/assayd.yaml\n"));
    assert_eq!(
        deb["systemd-units"]["enable"], false,
        "there is no configuration yet"
    );
    for name in [
        &deb["maintainer-scripts"],
        &deb["changelog"],
        &deb["systemd-units"]["unit-scripts"],
    ] {
        assert!(folder.join(name.as_str().unwrap()).exists(), "{name}");
    }
    for script in ["postinst", "prerm", "postrm"] {
        let file = path(&format!("debian/{script}"));
        succeeds("sh", "dash", &["-n", file.to_str().unwrap()]);
        assert!(
            text(&format!("debian/{script}")).contains("\n#DEBHELPER#"),
            "{script}"
        );
    }
    let version = env!("CARGO_PKG_VERSION");
    let newest = text("debian/changelog");
    assert!(
        newest.starts_with(&format!("assay-verifier ({version}-1) ")),
        "{newest}"
    );
}

#[test]
fn the_unit_is_valid_and_its_exposure_is_low() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("assayd.service");
    // Only the program is elsewhere, and its manual not installed.
    let own = text("systemd/assayd.service")
        .replace("/usr/bin/assayd", env!("CARGO_BIN_EXE_assayd"))
        .replace("Documentation=man:assayd(8)\n", "");
    std::fs::write(&unit, &own).unwrap();
    let file = unit.to_str().unwrap();
    let said = succeeds("systemd-analyze", "systemd", &["verify", file]);
    assert!(!said.contains("assayd.service:"), "{said}");
    // Ten is a service that may do all; in tenths.
    let measure = |threshold: &str| {
        let limit = format!("--threshold={threshold}");
        let output = tool(
            "systemd-analyze",
            "systemd",
            &["security", "--offline=true", "--no-pager", &limit, file],
        );
        output.status.success()
    };
    assert!(measure("20"), "{own}");
    std::fs::write(
        &unit,
        own.replace("CapabilityBoundingSet=\n", "")
            .replace("ProtectSystem=strict\n", ""),
    )
    .unwrap();
    assert!(!measure("20"), "the measure finds what is missing");
}

#[test]
fn the_manual_has_a_page_for_each_command_that_groff_reads_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man");
    let written: Value =
        serde_json::from_slice(&assay(&["man", "--out", out.to_str().unwrap(), "--json"])).unwrap();
    let pages: Vec<_> = written["pages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|page| page.as_str().unwrap())
        .collect();
    assert!(
        pages.contains(&"assay.1") && pages.contains(&"assay-audit-verify.1"),
        "{pages:?}"
    );
    let mut files: Vec<_> = pages.iter().map(|page| out.join(page)).collect();
    files.push(path("man/assayd.8"));
    for file in files {
        let said = tool(
            "groff",
            "groff-base",
            &["-man", "-Tutf8", "-ww", "-z", file.to_str().unwrap()],
        );
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.is_empty(), "{}: {said}", file.display());
    }
    // Without overstriking, which is how terminals are told of bold and underlined letters.
    let verify = out.join("assay-audit-verify.1");
    let plain = ["-man", "-Tascii", "-P-cbou", verify.to_str().unwrap()];
    let page = tool("groff", "groff-base", &plain);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(
        page.contains("ASSAY-AUDIT-VERIFY(1)") && page.contains("NUMBER:HASH"),
        "{page}"
    );
}

/// What bash offers behind `line`.
fn completed(script: &Path, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let last = words.len() - 1;
    let program = format!(
        "set -u; source {}; COMP_WORDS=({}); COMP_CWORD={last}; COMP_LINE='{line}'; COMP_POINT={}; COMPREPLY=()\n\
         spec=$(complete -p assay); function=${{spec#* -F }}; function=${{function%% *}}\n\
         \"$function\" assay \"{}\" \"{}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words
            .iter()
            .map(|word| format!("'{word}'"))
            .collect::<Vec<_>>()
            .join(" "),
        line.len(),
        words[last],
        words[last - 1],
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &program])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_real_bash_completes_commands_options_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("assay");
    std::fs::write(&script, assay(&["completion", "bash"])).unwrap();
    assert_eq!(completed(&script, "assay aud"), ["audit"]);
    let audit = completed(&script, "assay audit ");
    for command in ["verify", "list", "rotate", "export"] {
        assert!(audit.iter().any(|word| word == command), "{audit:?}");
    }
    assert_eq!(
        completed(&script, "assay audit verify --he"),
        ["--head", "--help"]
    );
    assert_eq!(completed(&script, "assay audit export --format "), ["ocsf"]);
    assert_eq!(completed(&script, "assay nothing-of-ours"), [""]);

    let zsh = String::from_utf8(assay(&["completion", "zsh"])).unwrap();
    assert!(zsh.starts_with("#compdef assay\n"));
    let fish = String::from_utf8(assay(&["completion", "fish"])).unwrap();
    assert!(fish.contains("complete -c assay "));
    let json: Value = serde_json::from_slice(&assay(&["completion", "fish", "--json"])).unwrap();
    assert_eq!(
        json["script"].as_str().map(str::trim_end),
        Some(fish.trim_end())
    );
}
