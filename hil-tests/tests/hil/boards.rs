//! What boards say about themselves: documents against manifests, manifests against images.

use assay_hil_tests::board::{self, Board, Profile, symbol_address, workspace_root};

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes / 1_024)
}

/// A row of docs/boards/README.md.
fn row(board: &Board) -> String {
    let Board { name, manifest, .. } = board;
    let record = match manifest.provisioning_address {
        0 => "a file".to_owned(),
        address => format!("0x{address:08X}"),
    };
    format!(
        "| [{name}](../../boards/{name}/README.md) | `{}` | {} | {}, {} baud | {}, {} | {record}, {} |",
        manifest.target,
        manifest.tier,
        manifest.serial.uart,
        manifest.serial.baud,
        kib(manifest.flash_max),
        kib(manifest.ram_max),
        kib(manifest.provisioning_size),
    )
}

#[test]
fn the_table_of_boards_is_what_their_manifests_say() {
    let page = std::fs::read_to_string(workspace_root().join("docs/boards/README.md")).unwrap();
    let expected: Vec<String> = board::all().unwrap().iter().map(row).collect();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| [") && line.contains("(../../boards/"))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_board_has_wiring_provisioning_and_recovery_in_its_readme_and_a_row_in_the_list() {
    let root = workspace_root().join("boards");
    let list = std::fs::read_to_string(root.join("README.md")).unwrap();
    for board in board::all().unwrap() {
        let readme = std::fs::read_to_string(root.join(&board.name).join("README.md")).unwrap();
        let link = format!("[{0}]({0}/README.md)", board.name);
        assert!(
            list.contains(&link),
            "boards/README.md has no row for {link}"
        );
        // What runs on hardware is wired, and goes wrong; the RISC-V cores are on rp2350's board, and its page says so.
        if board.manifest.chip.is_none() || readme.contains("[rp2350](../rp2350/README.md)") {
            continue;
        }
        for part in [
            "## Wiring",
            "## Provisioning",
            "## Recovery",
            "SCLK",
            "probe-rs download",
        ] {
            assert!(readme.contains(part), "boards/{}: no `{part}`", board.name);
        }
        let plain = readme.replace('_', "").to_uppercase();
        let address = format!("0X{:08X}", board.manifest.provisioning_address);
        assert!(
            plain.contains(&address),
            "boards/{}: its README writes the record elsewhere than {address}",
            board.name
        );
    }
}

#[test]
fn every_image_looks_for_its_record_where_its_manifest_says() {
    let flashed = board::all().unwrap().into_iter();
    let flashed = flashed.filter(|board| board.manifest.provisioning_address != 0);
    let mut looked_at = 0;
    for board in flashed {
        let image = board::build(&board, Profile::Firmware).unwrap();
        let symbol = |name| symbol_address(&image, name).unwrap().unwrap();
        let (start, end) = (symbol("_provisioning_start"), symbol("_provisioning_end"));
        let manifest = &board.manifest;
        assert_eq!(
            (start, end - start),
            (manifest.provisioning_address, manifest.provisioning_size),
            "boards/{}",
            board.name
        );
        // The tools measure the stack between these.
        assert!(symbol("_stack_start") - symbol("_stack_end") >= manifest.stack_max);
        looked_at += 1;
    }
    assert!(looked_at >= 7, "{looked_at}");
}
