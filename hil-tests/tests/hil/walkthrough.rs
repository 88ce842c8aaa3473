//! `docs/adding-a-method.md` and `docs/boards/porting.md`, followed to the letter: their blocks are run one after the other in a copy of the workspace, and
//! what comes of them is built and tested.
//!
//! The copy has a target directory of its own, which begins with the libraries of others that are built already: cargo names
//! what it builds by the place within a workspace, so that in one directory the copy's crates would take the place of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use assay_hil_tests::board::{image_size, symbol_address, workspace_root};

/// What no build of the host's crates reads, at the top.
const LEFT_OUT: [&str; 3] = [".git", "target", "fuzz"];

/// Copies what differs, so that what is the same is not built again.
fn copy(from: &Path, to: &Path, left_out: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            if !left_out.iter().any(|name| entry.file_name() == *name) {
                copy(&from, &to, &[]);
            }
        } else if kind.is_file() {
            let bytes = std::fs::read(&from).unwrap();
            if std::fs::read(&to).ok().as_deref() != Some(&bytes[..]) {
                std::fs::copy(&from, &to).unwrap();
            }
        }
    }
}

/// The document's blocks of shell, in order.
fn blocks(document: &str) -> Vec<&str> {
    let blocks = document.split("\n```sh\n").skip(1);
    blocks
        .map(|block| block.split("\n```").next().unwrap())
        .collect()
}

/// Where cargo puts what it builds with this program's profile: the program lies in `<there>/deps`.
fn built() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(2).unwrap().to_owned()
}

/// Makes a target directory with what is built of others' crates. Libraries are links, since cargo replaces them whole.
fn begin(target: &Path) {
    let script = r#"
        rm -rf "$2" && mkdir -p "$2/debug"
        cp -al "$1/deps" "$2/debug/deps"
        cp -a "$1/build" "$1/.fingerprint" "$2/debug/"
        find "$2/debug/deps" -name '*assay*' -delete
        find "$2/debug/.fingerprint" -maxdepth 1 -name 'assay*' -exec rm -r {} +
    "#;
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script, "begin"]);
    let status = command.arg(built()).arg(target).status().unwrap();
    assert!(status.success());
}

fn run(block: &str, place: &Path, target: &Path) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", block])
        .current_dir(place)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{block}\n{said}");
    said
}

/// The lines that one file has and the other has not.
fn added(before: &Path, after: &Path) -> usize {
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    lines(after).checked_sub(lines(before)).unwrap()
}

#[test]
fn a_method_is_added_as_the_document_says() {
    let root = workspace_root();
    let place = built().join("adding-a-method");
    let target = place.join("target");
    copy(&root, &place, &LEFT_OUT);
    // Of an earlier run.
    for made in [
        "host-verifier/src/attestor/raw_key",
        "host-agent/src/method/raw_key.rs",
        "docs/methods/raw_key.md",
    ] {
        let made = place.join(made);
        if made.is_dir() {
            std::fs::remove_dir_all(made).unwrap();
        } else if made.is_file() {
            std::fs::remove_file(made).unwrap();
        }
    }
    begin(&target);
    let document = std::fs::read_to_string(root.join("docs/adding-a-method.md")).unwrap();
    let blocks = blocks(&document);
    assert_eq!(blocks.len(), 5);
    let said: Vec<String> = blocks
        .iter()
        .map(|block| run(block, &place, &target))
        .collect();

    // A folder, and a line where methods are listed and one where modules are.
    for (file, lines) in [
        ("common/src/policy/kind.rs", 2),
        ("host-verifier/src/attestor/mod.rs", 1),
        ("host-verifier/src/attestor/registry.rs", 1),
        ("host-agent/src/method/mod.rs", 1),
        ("host-agent/src/method/registry.rs", 1),
    ] {
        assert_eq!(added(&root.join(file), &place.join(file)), lines, "{file}");
    }
    // Cargo says nothing when a filter finds no test.
    let tests = said.last().unwrap();
    for test in [
        "attestor::raw_key::tests::the_holder_of_a_listed_key_is_let_in ... ok",
        "method::raw_key::tests::signs_the_logins_nonce_with_the_key_of_the_file ... ok",
    ] {
        assert!(tests.contains(test), "{test}: {tests}");
    }
}

#[test]
fn a_board_is_added_as_the_document_says() {
    let root = workspace_root();
    let place = built().join("adding-a-board");
    let target = place.join("target");
    // All but the target folder, whose libraries are others' and stay good.
    for entry in std::fs::read_dir(&place).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && path != target {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    copy(&root, &place, &LEFT_OUT);
    let document = std::fs::read_to_string(root.join("docs/boards/porting.md")).unwrap();
    let blocks = blocks(&document);
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        run(block, &place, &target);
    }

    let image = target.join("thumbv7em-none-eabihf/firmware/assay-board-stm32l432");
    let record = symbol_address(&image, "_provisioning_start").unwrap();
    assert_eq!(record, Some(0x0803_C000));
    let size = image_size(&image).unwrap();
    assert!(size.flash > 30_000 && size.flash < 98_304, "{size:?}");
    // Nothing outside its folder but a row in each of two tables.
    for table in ["boards/README.md", "docs/boards/README.md"] {
        assert_eq!(added(&root.join(table), &place.join(table)), 1, "{table}");
    }
    let names = std::fs::read_to_string(place.join("boards/stm32l432/src/main.rs")).unwrap();
    assert!(
        names.contains("\"stm32l432\"") && !names.contains("l476"),
        "{names}"
    );
}
