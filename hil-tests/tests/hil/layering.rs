//! Dependencies run one way: between crates, and between the modules of a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_hil_tests::board::workspace_root;
use serde_json::Value;

/// Which of our crates each of our crates may depend on. Boards are matched by their folder.
fn allowed(package: &str) -> &'static [&'static str] {
    match package {
        "assay-cloud-standins" | "assay-common" | "assay-host" | "assay-spi-tpm" => &[],
        "assay-firmware" => &["assay-common"],
        "assay-host-verifier" => &["assay-common", "assay-host"],
        "assay-host-agent" => &[
            "assay-cloud-standins",
            "assay-common",
            "assay-firmware",
            "assay-host",
        ],
        "assay-log-monitor" => &[],
        "assay-qemu-overlay" | "assay-spidev-preload" => &["assay-spi-tpm"],
        "assay-hil-tests" => &[
            "assay-cloud-standins",
            "assay-common",
            "assay-firmware",
            "assay-host",
            "assay-host-agent",
            "assay-host-verifier",
            "assay-spi-tpm",
        ],
        "assay-no-panic" | "assay-tpm-size" => &["assay-common", "assay-firmware"],
        "assay-board-support" => &["assay-common", "assay-firmware"],
        board if board.starts_with("assay-board-") => {
            &["assay-board-support", "assay-common", "assay-firmware"]
        }
        other => panic!("`{other}` is new: say here what it may depend on"),
    }
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_depend_one_way() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() >= 8);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            // A dev-dependency is a test's affair, but not even a test of a lower layer may reach up.
            assert!(
                !on.starts_with("assay-") || allowed(name).contains(&on),
                "{name} must not depend on {on}"
            );
        }
    }
}

#[test]
fn the_agent_library_has_no_hal_and_no_heap() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--prefix",
            "none",
            "-e",
            "normal",
            "-p",
            "assay-firmware",
        ])
        .args(["--target", "thumbv7em-none-eabihf", "--format", "{p}"])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("embedded-hal v1"), "{tree}");
    for line in tree.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let hal = name.ends_with("-hal") && name != "embedded-hal";
        assert!(!hal && !name.starts_with("embassy"), "{name} is a HAL");
    }
    for root in ["common/src", "firmware/src"] {
        for (file, text) in sources(&workspace_root().join(root)) {
            // A host has a heap; boards build without the feature.
            let text = text.replace("#[cfg(feature = \"host\")]\nextern crate alloc;", "");
            assert!(!text.contains("extern crate alloc"), "{}", file.display());
        }
    }
}

/// Modules of a crate in layers; a module may use its own layer and those before it.
fn check_layers(src: &Path, layers: &[&[&str]]) {
    let mut rank = BTreeMap::new();
    for (i, layer) in layers.iter().enumerate() {
        for module in *layer {
            rank.insert(*module, i);
        }
    }
    let mut seen = BTreeSet::new();
    for (file, text) in sources(src) {
        let inside = file.strip_prefix(src).unwrap();
        let module = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let module = module.trim_end_matches(".rs");
        if matches!(module, "lib" | "main" | "bin")
            || inside
                .components()
                .any(|c| is_test(&c.as_os_str().to_string_lossy()))
        {
            continue;
        }
        let Some(own) = rank.get(module) else {
            panic!(
                "`{module}` in {} is new: say here which layer it belongs to",
                src.display()
            )
        };
        seen.insert(module.to_owned());
        // Unit tests below may stand on anything.
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        // Documentation may point anywhere.
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        for used in code.split("crate::").skip(1) {
            let used: String = used
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if let Some(theirs) = rank.get(used.as_str()) {
                assert!(
                    theirs < own || used == module || (theirs == own && layers[*own].len() > 1),
                    "{}: {module} must not use {used}",
                    file.display()
                );
            }
        }
    }
    for module in rank.keys() {
        assert!(
            seen.contains(*module),
            "no module `{module}` in {}",
            src.display()
        );
    }
}

fn is_test(name: &str) -> bool {
    name == "tests" || name == "tests.rs" || name.ends_with("_tests.rs")
}

#[test]
fn the_firmwares_layers_use_only_what_is_below() {
    check_layers(
        &workspace_root().join("firmware/src"),
        &[
            &["fmt"],
            &["trace", "platform", "settings"],
            &["crypto", "entropy"],
            &["bus"],
            &["tis"],
            &["tpm"],
            &["keys", "measure"],
            &["link"],
            &["evidence"],
            &["agent"],
            &["run"],
            &["console"],
        ],
    );
}

#[test]
fn link_knows_the_protocol_and_nothing_else_of_common() {
    for (file, text) in sources(&workspace_root().join("firmware/src/link")) {
        for used in text.split("assay_common::").skip(1) {
            assert!(
                used.starts_with("protocol"),
                "{}: {}",
                file.display(),
                &used[..20.min(used.len())]
            );
        }
    }
}

#[test]
fn commons_layers_use_only_what_is_below() {
    check_layers(
        &workspace_root().join("common/src"),
        &[
            &["tpm"],
            &["measurement"],
            &["policy", "protocol"],
            &["identity", "login"],
            &["method"],
        ],
    );
}

#[test]
fn the_host_agents_layers_use_only_what_is_below() {
    check_layers(
        &workspace_root().join("host-agent/src"),
        &[
            &["finding", "line", "names", "platform"],
            &["key", "metadata", "method", "secret", "tpm"],
            &["config"],
            &["svid"],
            &["evidence", "session"],
            &["client", "setup"],
            &["doctor", "workload"],
            &["run"],
            &["cli"],
        ],
    );
}

#[test]
fn only_named_modules_have_unsafe_code() {
    let allowed: &[&str] = &[
        "firmware/src/bus/mmio.rs",
        "hil-tests/no-panic/src/",
        "hil-tests/qemu-overlay/src/",
        "hil-tests/spidev-preload/src/libc_calls.rs",
        "host-agent/src/tpm/tcti/",
    ];
    let root = workspace_root();
    for folder in [
        "common/host/src",
        "common/src",
        "firmware/src",
        "host-agent/src",
        "host-verifier/src",
        "hil-tests",
    ] {
        for (file, text) in sources(&root.join(folder)) {
            let name = file
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let has = text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains("unsafe {")
                    || code.contains("unsafe fn")
                    || code.contains("unsafe impl")
            });
            assert!(
                !has || allowed.iter().any(|prefix| name.starts_with(prefix))
                    || name.ends_with("layering.rs"),
                "{name} has unsafe code"
            );
        }
    }
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                found.extend(sources(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}
