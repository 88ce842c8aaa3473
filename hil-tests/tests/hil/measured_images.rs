//! What a board's image measures of itself, against what its ELF has for the flash and what `assay image register` makes of it.

use std::fs;

use assay_common::measurement::Image;
use assay_hil_tests::board::{self, Board, IMAGE_START, Profile, symbol_address};
use assay_host_verifier::cli::image::elf;
use object::Endianness;
use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// What flash reads where nothing was written.
const ERASED: u8 = 0xFF;

/// What the file has for the flash: the address of the first byte, and the bytes up to the last, as a flasher leaves them.
fn flashed(file: &[u8]) -> (u64, Vec<u8>) {
    let header = FileHeader32::<Endianness>::parse(file).unwrap();
    let endian = header.endian().unwrap();
    let mut segments: Vec<(u64, &[u8])> = header
        .program_headers(endian, file)
        .unwrap()
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD && segment.p_filesz(endian) > 0)
        .map(|segment| {
            let at = segment.p_paddr(endian).into();
            (at, segment.data(endian, file).unwrap())
        })
        .collect();
    segments.sort_by_key(|(at, _)| *at);
    let start = segments.first().unwrap().0;
    let mut flash = Vec::new();
    for (at, bytes) in segments {
        let offset = usize::try_from(at - start).unwrap();
        assert!(offset >= flash.len(), "segments lie over one another");
        flash.resize(offset, ERASED);
        flash.extend_from_slice(bytes);
    }
    (start, flash)
}

fn measures_all_of_itself(board: &Board) {
    let name = &board.name;
    let image = board::build(board, Profile::Firmware).unwrap();
    let file = fs::read(&image).unwrap();
    let symbol = |symbol: &str| symbol_address(&image, symbol).unwrap().unwrap();
    let (start, end) = (symbol(IMAGE_START), symbol("_image_end"));
    let (first, flash) = flashed(&file);
    // From the first byte that is flashed to the last, and nothing beyond: what was left out could be changed unseen.
    assert_eq!(start, first, "{name}");
    let last = first + u64::try_from(flash.len()).unwrap();
    assert_eq!(end, last, "{name}: {end:#x}, {last:#x}");
    let measured = Image::measure(name, "1", &flash);
    let registered = elf::measure(&file, ERASED).unwrap();
    assert_eq!(measured.sha256, registered.sha256, "{name}");
    assert_eq!(u64::from(registered.len), end - start, "{name}");
}

#[test]
fn an_image_measures_everything_that_is_flashed_and_is_registered_as_that() {
    let boards = board::all().unwrap().into_iter();
    let boards: Vec<_> = boards.filter(Board::measures_itself).collect();
    assert!(boards.len() >= 6, "{boards:?}");
    boards.iter().for_each(measures_all_of_itself);
}
