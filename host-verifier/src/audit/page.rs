//! A trail read backwards, a page at a time, beside its writer: what a page costs does not grow with the trail.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::MAX_LINE;

/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;

/// A trail that is read from its end. Records that are written meanwhile are behind it, and not seen.
#[derive(Debug)]
pub struct Backwards {
    file: File,
    /// Where the last line that was not given yet ends, behind its line feed.
    end: u64,
}

impl Backwards {
    /// Begins behind the last whole record, or behind the one that ends at `end`.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::InvalidInput`] when no record ends there.
    pub fn open(path: &Path, end: Option<u64>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let len = file.seek(SeekFrom::End(0))?;
        let mut reader = Self { file, end: len };
        match end {
            // What stands behind the last line feed is being written.
            None => reader.end = reader.feed_before(len)?.map_or(0, |feed| feed + 1),
            Some(0) => reader.end = 0,
            Some(end) => {
                let mut last = [0];
                if end <= len {
                    reader.file.seek(SeekFrom::Start(end - 1))?;
                    reader.file.read_exact(&mut last)?;
                }
                if last != *b"\n" {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                reader.end = end;
            }
        }
        Ok(reader)
    }

    /// The record before those that were given, without its line feed, and where the one before it ends. `None` at the
    /// trail's beginning.
    ///
    /// # Errors
    ///
    /// The system's; a line that is longer than any record.
    pub fn previous(&mut self) -> io::Result<Option<(Vec<u8>, u64)>> {
        let Some(feed) = self.end.checked_sub(1) else {
            return Ok(None);
        };
        let start = self.feed_before(feed)?.map_or(0, |feed| feed + 1);
        let mut line = Vec::new();
        self.file.seek(SeekFrom::Start(start))?;
        (&self.file).take(feed - start).read_to_end(&mut line)?;
        self.end = start;
        Ok(Some((line, start)))
    }

    /// Where the last line feed before `end` is.
    fn feed_before(&mut self, end: u64) -> io::Result<Option<u64>> {
        let mut block = vec![0; BLOCK];
        let mut behind = end;
        while behind > 0 {
            if end - behind > MAX_LINE as u64 {
                return Err(io::Error::other(format!(
                    "a line longer than {MAX_LINE} bytes"
                )));
            }
            let length = behind.min(BLOCK as u64);
            let Some(part) = usize::try_from(length)
                .ok()
                .and_then(|n| block.get_mut(..n))
            else {
                break;
            };
            behind -= length;
            self.file.seek(SeekFrom::Start(behind))?;
            self.file.read_exact(part)?;
            if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
                return Ok(Some(behind + at as u64));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::{BLOCK, Backwards};

    fn all(text: &str, end: Option<u64>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trail");
        std::fs::write(&path, text).unwrap();
        let mut reader = Backwards::open(&path, end).unwrap();
        let lines = std::iter::from_fn(|| reader.previous().unwrap());
        lines
            .map(|(line, _)| String::from_utf8(line).unwrap())
            .collect()
    }

    #[test]
    fn lines_come_from_the_last_to_the_first_and_half_a_line_does_not_come() {
        assert_eq!(all("", None), [""; 0]);
        assert_eq!(all("half", None), [""; 0]);
        assert_eq!(all("one\ntwo\nhalf", None), ["two", "one"]);
        let (a, b) = ("a".repeat(BLOCK), "b".repeat(2 * BLOCK + 1));
        assert_eq!(all(&format!("{a}\n{b}\nc\n"), None), ["c", &b, &a]);
    }

    #[test]
    fn a_place_that_was_given_leads_on_and_any_other_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trail");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let mut reader = Backwards::open(&path, None).unwrap();
        let (line, place) = reader.previous().unwrap().unwrap();
        assert_eq!((line.as_slice(), place), (&b"three"[..], 8));
        assert_eq!(all("one\ntwo\nthree\n", Some(place)), ["two", "one"]);
        assert_eq!(all("one\n", Some(0)), [""; 0]);
        for wrong in [1, 7, 15, u64::MAX] {
            let error = Backwards::open(&path, Some(wrong)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
        }
    }
}
