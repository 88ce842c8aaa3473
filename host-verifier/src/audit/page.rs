//! A trail read backwards, a page at a time, beside its writer: what a page costs does not grow with the trail.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::{MAX_LINE, files};

/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;

/// Where a page begins: a record, and where in its file it ends. A file keeps what is in it when it is closed, so that a place
/// stays one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The record's number.
    pub seq: u64,
    /// Behind its line feed; 0 for the last record of the file.
    pub end: u64,
}

/// Most bytes of the records of a page. It has room for several of the longest.
pub const MAX_BYTES: usize = 4 * MAX_LINE;

/// Some records, and whether a page of them is full though they are fewer than were asked for.
#[derive(Debug)]
pub struct Records {
    /// Without their line feeds, each with the place of the one before it.
    pub lines: Vec<(Vec<u8>, Place)>,
    /// Whether they were cut off at [`MAX_BYTES`].
    pub cut: bool,
}

/// At most `limit` records of at most [`MAX_BYTES`], the newest first, from the one at `from` or the last.
///
/// # Errors
///
/// The system's; [`io::ErrorKind::InvalidInput`] when `from` is no place of this trail, [`io::ErrorKind::InvalidData`] when a
/// line is no record.
pub fn backwards(active: &Path, from: Option<Place>, limit: usize) -> io::Result<Records> {
    let mut from = from;
    let (mut found, mut bytes) = (Vec::new(), 0_usize);
    let files = files::open(active).map_err(|(_, error)| error)?;
    for (_, reader) in files.into_iter().rev() {
        let mut file = reader.into_inner();
        if let Some(place) = from
            && first(&mut file)?.is_none_or(|first| first > place.seq)
        {
            continue;
        }
        let mut expected = from.take();
        let end = expected.map(|place| place.end).filter(|end| *end > 0);
        let mut lines = Backwards::of(file, end)?;
        while found.len() < limit {
            let Some((line, start)) = lines.previous()? else {
                break;
            };
            let seq = number(&line)?;
            if expected.take().is_some_and(|place| place.seq != seq) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let before = Place {
                seq: seq.saturating_sub(1),
                end: start,
            };
            bytes = bytes.saturating_add(line.len());
            found.push((line, before));
            if bytes > MAX_BYTES && found.len() < limit {
                return Ok(Records {
                    lines: found,
                    cut: true,
                });
            }
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(Records {
        lines: found,
        cut: false,
    })
}

/// The number of a file's first record; `None` where there is none yet.
fn first(file: &mut File) -> io::Result<Option<u64>> {
    let mut line = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    super::verify::read_line(&mut io::BufReader::new(file), &mut line)?;
    match line.split_last() {
        Some((b'\n', record)) => number(record).map(Some),
        _ => Ok(None),
    }
}

fn number(line: &[u8]) -> io::Result<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    let numbered: Numbered = serde_json::from_slice(line)?;
    Ok(numbered.seq)
}

/// A file that is read from its end. Records that are written meanwhile are behind it, and not seen.
#[derive(Debug)]
struct Backwards {
    file: File,
    /// Where the last line that was not given yet ends, behind its line feed.
    end: u64,
}

impl Backwards {
    /// Begins behind the last whole line, or behind the one that ends at `end`.
    fn of(mut file: File, end: Option<u64>) -> io::Result<Self> {
        let len = file.seek(SeekFrom::End(0))?;
        let mut reader = Self { file, end: len };
        match end {
            // What stands behind the last line feed is being written.
            None => reader.end = reader.feed_before(len)?.map_or(0, |feed| feed + 1),
            Some(end) => {
                let mut last = [0];
                if (1..=len).contains(&end) {
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

    /// The line before those that were given, without its line feed, and where it begins. `None` at the beginning.
    fn previous(&mut self) -> io::Result<Option<(Vec<u8>, u64)>> {
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
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::{BLOCK, MAX_BYTES, Place, backwards};

    fn record(seq: u64, more: usize) -> String {
        format!("{{\"seq\":{seq},\"x\":\"{}\"}}\n", "x".repeat(more))
    }

    fn numbers(path: &Path, from: Option<Place>, limit: usize) -> (Vec<u64>, Option<Place>) {
        let found = backwards(path, from, limit).unwrap().lines;
        let numbers = found.iter().map(|(line, _)| super::number(line).unwrap());
        (numbers.collect(), found.last().map(|(_, place)| *place))
    }

    #[test]
    fn records_come_from_the_last_to_the_first_and_half_a_record_does_not_come() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        for (text, expected) in [
            (String::new(), vec![]),
            ("{\"seq\":1".to_owned(), vec![]),
            (
                [record(1, 0), record(2, 0), "{\"se".to_owned()].concat(),
                vec![2, 1],
            ),
            (
                [record(1, BLOCK), record(2, 2 * BLOCK + 1), record(3, 0)].concat(),
                vec![3, 2, 1],
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(numbers(&path, None, 9).0, expected);
        }
        std::fs::write(&path, "no record\n").unwrap();
        assert_eq!(
            backwards(&path, None, 9).unwrap_err().kind(),
            ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_place_leads_on_also_when_its_file_was_closed_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let records: Vec<_> = (1..=6).map(|seq| record(seq, 0)).collect();
        std::fs::write(dir.path().join("audit-1-2.jsonl"), records[..2].concat()).unwrap();
        std::fs::write(&path, records[2..5].concat()).unwrap();
        let (page, next) = numbers(&path, None, 2);
        assert_eq!(page, [5, 4]);
        std::fs::rename(&path, dir.path().join("audit-3-5.jsonl")).unwrap();
        std::fs::write(&path, &records[5]).unwrap();
        let (page, next) = numbers(&path, next, 1);
        assert_eq!(page, [3]);
        // Over the edge of a file.
        assert_eq!(next, Some(Place { seq: 2, end: 0 }));
        let (page, next) = numbers(&path, next, 1);
        assert_eq!(page, [2]);
        assert_eq!(numbers(&path, next, 9).0, [1]);
        assert_eq!(numbers(&path, Some(Place { seq: 0, end: 0 }), 9).0, [0; 0]);
        assert_eq!(numbers(&path, None, 9).0, [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn a_page_has_an_end_in_bytes_and_the_next_goes_on_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let records: Vec<_> = (1..=11).map(|seq| record(seq, MAX_BYTES / 5)).collect();
        std::fs::write(&path, records.concat()).unwrap();
        let first = backwards(&path, None, 100).unwrap();
        assert_eq!((first.lines.len(), first.cut), (5, true));
        let next = first.lines.last().map(|(_, place)| *place);
        assert_eq!(numbers(&path, next, 100).0, [6, 5, 4, 3, 2]);
        let few = backwards(&path, None, 3).unwrap();
        assert_eq!((few.lines.len(), few.cut), (3, false));
    }

    #[test]
    fn a_place_that_was_not_given_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        std::fs::write(&path, [record(1, 0), record(2, 0)].concat()).unwrap();
        let end = record(1, 0).len() as u64;
        assert_eq!(numbers(&path, Some(Place { seq: 1, end }), 9).0, [1]);
        for (seq, end) in [
            (2, end),
            (1, end - 1),
            (1, end + 1),
            (1, 1),
            (2, 1000),
            (2, u64::MAX),
        ] {
            let error = backwards(&path, Some(Place { seq, end }), 9).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{seq} {end}");
        }
    }
}
