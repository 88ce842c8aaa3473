//! Where a trail goes on when a writer starts.

use std::io::{self, BufReader};
use std::path::Path;

use super::disk::{Disk, Folder, Names};
use super::log::{AuditError, failed};
use super::settings::Settings;
use super::verify::{Head, VerifyError, Walker, read_line};
use super::writer::{Writer, time_of};
use crate::clock::Settled;

/// The writer of a trail in a folder, and how many bytes of an unfinished record were cut off.
pub(super) fn open(path: &Path, settings: Settings) -> Result<(Writer<Folder>, u64), AuditError> {
    let fail = |error: io::Error| failed(path, &error);
    let broken = |file: &Path, error: VerifyError| AuditError::Broken {
        path: file.display().to_string(),
        error,
    };
    let opened = Folder::open(path).map_err(fail)?;
    let Some(mut disk) = opened else {
        return Err(AuditError::Locked(path.display().to_string()));
    };
    let names = Names::of(path);
    let closed = disk.closed().map_err(fail)?;
    let mut last = Vec::new();
    let mut walker = match closed.last() {
        None => Walker::default(),
        Some(newest) => {
            let line = disk.last_line(*newest).map_err(fail)?;
            last.clone_from(&line);
            let end = Walker::behind(&line, newest.last);
            end.map_err(|error| broken(&names.closed(*newest), error))?
        }
    };
    let first = walker.head().seq + 1;
    let (mut end, mut line) = (0, Vec::new());
    let cut = {
        let mut lines = BufReader::new(disk.contents().map_err(fail)?);
        loop {
            line.clear();
            let read = read_line(&mut lines, &mut line).map_err(fail)?;
            let Some((b'\n', record)) = line.split_last() else {
                break read;
            };
            walker.take(record).map_err(|error| broken(path, error))?;
            last.clear();
            last.extend_from_slice(record);
            end += read;
        }
    };
    walker.finish().map_err(|error| broken(path, error))?;
    if cut > 0 {
        disk.truncate(end).map_err(fail)?;
    }
    // Without closed files it begins where its first record says, which an anchor in it has proven.
    let first = match closed.is_empty() {
        true => walker.base().seq + 1,
        false => first,
    };
    let mut writer = writer(path, disk, settings, walker.head(), first, end);
    writer.newest = time_of(&last);
    Ok((writer, cut))
}

/// A writer that goes on behind `head`.
pub(super) fn writer<D: Disk>(
    path: &Path,
    disk: D,
    settings: Settings,
    head: Head,
    first: u64,
    end: u64,
) -> Writer<D> {
    // The hour before anything is removed by its age begins now.
    let mut settled = Settled::default();
    settled.observe(settings.clock.now());
    Writer {
        settled,
        newest: None,
        path: path.to_owned(),
        disk,
        head,
        first,
        end,
        rotate_at: settings.files.max_file_size,
        settings,
        torn: false,
        failed: false,
    }
}
