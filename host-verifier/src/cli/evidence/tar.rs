//! Archives as tar reads them: POSIX.1-1988 `ustar`, plain files only. Owner, mode and order are fixed, so that the same files
//! make the same bytes.

use std::io::{self, Write};

const BLOCK: usize = 512;
/// Longest name, bytes.
const MAX_NAME: usize = 100;
/// Largest file that eleven octal digits can say.
const MAX_SIZE: u64 = 0o777_7777_7777;

/// Writes an archive of files, each with a name, as of `mtime` in seconds since 1970.
///
/// # Errors
///
/// The system's, or that a name or a file is too long.
pub(super) fn write(
    out: &mut impl Write,
    files: &[(String, Vec<u8>)],
    mtime: u64,
) -> io::Result<()> {
    for (name, bytes) in files {
        out.write_all(&header(name, bytes.len() as u64, mtime)?)?;
        out.write_all(bytes)?;
        let behind = bytes.len() % BLOCK;
        if behind > 0 {
            out.write_all(&vec![0; BLOCK - behind])?;
        }
    }
    // The end: two empty blocks.
    out.write_all(&[0; 2 * BLOCK])
}

fn header(name: &str, size: u64, mtime: u64) -> io::Result<Vec<u8>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{name}: {what}"));
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(wrong("a name of 1 to 100 bytes"));
    }
    if size > MAX_SIZE || mtime > MAX_SIZE {
        return Err(wrong("too large for tar"));
    }
    let mut header = Vec::with_capacity(BLOCK);
    let mut field = |bytes: &[u8], len: usize| {
        header.extend_from_slice(bytes);
        header.extend(std::iter::repeat_n(0, len.saturating_sub(bytes.len())));
    };
    field(name.as_bytes(), MAX_NAME);
    field(b"0000600", 8);
    field(b"0000000", 8);
    field(b"0000000", 8);
    field(format!("{size:011o}").as_bytes(), 12);
    field(format!("{mtime:011o}").as_bytes(), 12);
    // The sum is taken with blanks in its own place.
    field(b"        ", 8);
    field(b"0", 1);
    field(b"", 100);
    field(b"ustar", 6);
    field(b"00", 2);
    field(b"root", 32);
    field(b"root", 32);
    field(b"0000000", 8);
    field(b"0000000", 8);
    field(b"", 155 + 12);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    if let Some(place) = header.get_mut(148..156) {
        place.copy_from_slice(sum.as_bytes());
    }
    Ok(header)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{BLOCK, write};

    #[test]
    fn an_archive_is_whole_blocks_and_what_does_not_fit_is_refused() {
        let archive = |name: &str, len: usize| {
            let mut out = Vec::new();
            write(&mut out, &[(name.to_owned(), vec![1; len])], 0).map(|()| out.len() / BLOCK)
        };
        for (len, blocks) in [(0, 3), (1, 4), (BLOCK, 4), (BLOCK + 1, 5)] {
            assert_eq!(archive("a", len).unwrap(), blocks, "{len}");
        }
        assert!(archive(&"n".repeat(100), 1).is_ok());
        assert!(archive(&"n".repeat(101), 1).is_err());
        assert!(archive("", 1).is_err());
        let mut out = Vec::new();
        assert!(write(&mut out, &[("a".to_owned(), vec![])], 1 << 33).is_err());
    }
}
