//! The provisioning record: a file in the place of a flash sector.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Problem;

/// No record is larger.
const MOST_BYTES: u64 = 0x4000;
/// Write permission of the group and of others.
const WRITABLE: u32 = 0o022;

/// Reads the record. What is in it is for the agent to check.
///
/// Whoever can write it chooses whom the node talks to, so a file, or a folder it lies in, that somebody else than its owner may
/// write is refused: on a board the same is a write-protected sector.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let problem = |what: String| {
        Problem::new(
            format!("{}: {what}", path.display()),
            "the record is a file of root's with mode 0644, in a folder that only root may write, such as /etc/assay",
        )
    };
    let file = File::open(path).map_err(|error| problem(error.to_string()))?;
    let metadata = file
        .metadata()
        .map_err(|error| problem(error.to_string()))?;
    if !metadata.is_file() {
        return Err(problem("not a file".to_owned()));
    }
    if metadata.mode() & WRITABLE != 0 {
        return Err(problem("others than its owner may write it".to_owned()));
    }
    let folder = fs::canonicalize(path).ok();
    let folder = folder
        .as_deref()
        .and_then(Path::parent)
        .and_then(|folder| fs::metadata(folder).ok());
    // The sticky bit keeps others from renaming what is not theirs.
    if folder.is_none_or(|folder| folder.mode() & WRITABLE != 0 && folder.mode() & 0o1000 == 0) {
        return Err(problem("others than its owner may replace it".to_owned()));
    }
    let mut record = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut record)
        .map_err(|error| problem(error.to_string()))?;
    if record.len() as u64 > MOST_BYTES {
        return Err(problem(format!("longer than {MOST_BYTES} bytes")));
    }
    Ok(record)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refused(path: &Path) -> String {
        read(path).expect_err("refused").what
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn a_record_that_only_its_owner_may_write_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.bin");
        fs::write(&path, b"record").expect("a file");
        mode(&path, 0o644);
        assert_eq!(read(&path).expect("a record"), b"record");
    }

    #[test]
    fn a_record_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.bin");
        fs::write(&path, b"record").expect("a file");
        for writable in [0o664, 0o646] {
            mode(&path, writable);
            assert!(refused(&path).contains("may write it"));
        }
    }

    #[test]
    fn a_record_that_others_may_replace_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = folder.path().join("open");
        fs::create_dir(&open).expect("a folder");
        let path = open.join("node.bin");
        fs::write(&path, b"record").expect("a file");
        mode(&path, 0o644);
        mode(&open, 0o777);
        assert!(refused(&path).contains("may replace it"));
        mode(&open, 0o1777);
        assert!(read(&path).is_ok());
    }

    #[test]
    fn a_record_has_an_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.bin");
        for (length, fits) in [(0x4000, true), (0x4001, false)] {
            fs::write(&path, vec![0; length]).expect("a file");
            mode(&path, 0o644);
            assert_eq!(read(&path).is_ok(), fits, "{length}");
        }
        assert!(refused(folder.path()).contains("not a file"));
    }
}
