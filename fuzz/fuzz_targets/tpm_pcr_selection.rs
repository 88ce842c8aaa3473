//! PCR selections, as bytes and as text: what parses means the same after writing and reading.
#![no_main]

use assay_common::tpm::pcr::{MAX_BANKS, PcrSelection, PcrSelections};
use assay_fuzz::written;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(list) = PcrSelections::parse(data) {
        assert_eq!(list.raw(), data);
        let selections: Vec<PcrSelection> = list.iter().collect();
        assert!(selections.len() <= MAX_BANKS);
        assert_eq!(
            data.first_chunk(),
            Some(&(selections.len() as u32).to_be_bytes())
        );
        // Bitmaps of 1, 2 and 4 bytes become 3, so the bytes may differ; the meaning may not.
        let again = written(data.len(), |w| PcrSelections::encode(&selections, w));
        let reread = PcrSelections::parse(&again).expect("our own encoding");
        assert!(reread.iter().eq(selections.iter().copied()));
        for selection in &selections {
            assert!(selection.mask.is_valid());
            assert_eq!(list.mask_of(selection.bank), selection.mask);
            let text = selection.to_string();
            match text.parse::<PcrSelection>() {
                Ok(read) => assert_eq!(read, *selection),
                Err(_) => assert!(selection.mask.is_empty(), "{text}"),
            }
        }
        if !data.is_empty() {
            assert!(PcrSelections::parse(&data[..data.len() - 1]).is_err());
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(selection) = text.parse::<PcrSelection>()
    {
        assert!(selection.mask.is_valid() && !selection.mask.is_empty());
        assert_eq!(selection.to_string().parse(), Ok(selection));
        assert_eq!(
            selection.to_string().len(),
            text.len(),
            "two spellings of one index"
        );
    }
});
