//! All files of a trail, in order, as they are at one moment.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::disk::Names;

/// How often files are opened anew because the service closed or removed one meanwhile.
const TRIES: u32 = 16;

/// Files with their paths, or what keeps one from being opened.
pub type Opened = Result<Vec<(PathBuf, BufReader<File>)>, (PathBuf, io::Error)>;

/// Opens the closed files, the oldest first, and the one that is written.
///
/// # Errors
///
/// The system's, with the file; [`io::ErrorKind::NotFound`] when there is no trail.
pub fn open(active: &Path) -> Opened {
    let names = Names::of(active);
    let listed = |names: &Names| names.list().map_err(|error| (active.to_owned(), error));
    let mut tries = 0;
    loop {
        tries += 1;
        let closed = listed(&names)?;
        let paths = closed.iter().map(|closed| names.closed(*closed));
        let opened = open_each(paths.chain([active.to_owned()]));
        // A rotation between the look and the opening shows as another list of names.
        let same = listed(&names)? == closed;
        match opened {
            Ok(files) if same => return Ok(files),
            Err(error) if same && error.1.kind() != io::ErrorKind::NotFound => return Err(error),
            // Between two steps of a rotation there is no file that is written.
            // Nor after a crash there, until the next start.
            Err((path, error)) if tries >= TRIES => {
                let written_is_away = path == active && error.kind() == io::ErrorKind::NotFound;
                return match written_is_away && !closed.is_empty() {
                    true => open_each(closed.iter().map(|closed| names.closed(*closed))),
                    false => Err((path, error)),
                };
            }
            Ok(_) if tries >= TRIES => {
                let busy = io::Error::other("files are closed faster than they can be opened");
                return Err((active.to_owned(), busy));
            }
            _ => {}
        }
    }
}

fn open_each(paths: impl Iterator<Item = PathBuf>) -> Opened {
    paths
        .map(|path| match File::open(&path) {
            Ok(file) => Ok((path, BufReader::new(file))),
            Err(error) => Err((path, error)),
        })
        .collect()
}
