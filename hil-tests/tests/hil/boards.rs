//! What boards say about themselves: documents against manifests, manifests against images.

use assay_hil_tests::board::{self, Board, Profile, symbol_address, workspace_root};
use object::{Object, ObjectSection, ObjectSymbol};

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

/// While the RP2350's flash is changed nothing can be fetched from it, and an image that tried would hang until the watchdog bites.
#[test]
fn an_image_that_runs_from_the_flash_that_it_changes_does_so_from_ram() {
    const CODE: &str = "call_in_turn";
    let boards = board::all().unwrap();
    let boards = boards
        .iter()
        .filter(|board| board.name.starts_with("rp2350"));
    let mut looked_at = 0;
    for board in boards {
        let image = board::build(board, Profile::Firmware).unwrap();
        let bytes = std::fs::read(&image).unwrap();
        let elf = object::File::parse(&*bytes).unwrap();
        let code = elf.symbols().find(|symbol| {
            symbol.kind() == object::SymbolKind::Text
                && symbol
                    .name()
                    .is_ok_and(|name| name.contains(CODE) && !name.contains("Thunk"))
        });
        let code = code.unwrap_or_else(|| panic!("{}: no {CODE}", board.name));
        let section = elf.section_by_index(code.section_index().unwrap()).unwrap();
        // Copied there from the flash at the start, with the initial values of variables.
        assert_eq!(section.name(), Ok(".data"), "{}", board.name);
        assert!(code.address() >= 0x2000_0000, "{}", board.name);
        looked_at += 1;
    }
    assert_eq!(looked_at, 2);
}
