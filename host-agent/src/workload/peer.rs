//! Who is at the other end of the socket: a process, as the kernel has it.
//!
//! # Why a descriptor of the process
//!
//! A process number is used again when its process has ended. So the process is held by a descriptor from the moment of the
//! connection on, and whatever was read of it in `/proc` counts only when it lives still afterwards: then it was this one all
//! the time. Its user must also be the one that has connected, and its start is compared, for the moment between the
//! connection and the descriptor.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use aws_lc_rs::digest;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Largest executable whose digest is taken, bytes.
const MAX_EXECUTABLE: u64 = 1 << 30;

/// Why nothing is known of a peer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It is in a process namespace that this one does not see.
    #[error("the process is not in this machine's process namespace")]
    Foreign,
    /// It has ended, or another has its number by now.
    #[error("the process has ended")]
    Gone,
    /// The kernel does not say.
    #[error("{0}: {1}")]
    Unknown(&'static str, io::Error),
    /// An executable without end.
    #[error("the executable has more than {MAX_EXECUTABLE} bytes")]
    TooLarge,
}

/// A process that has connected.
#[derive(Debug)]
pub struct Peer {
    /// Its user when it connected.
    pub uid: u32,
    /// Its group when it connected.
    pub gid: u32,
    /// Its number.
    pub pid: i32,
    held: OwnedFd,
    started: u64,
}

impl Peer {
    /// Holds the process that has connected.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    pub fn new(uid: u32, gid: u32, pid: Option<i32>) -> Result<Self, PeerError> {
        let number = pid.and_then(Pid::from_raw).ok_or(PeerError::Foreign)?;
        let held = pidfd_open(number, PidfdFlags::empty());
        let held = held.map_err(|_| PeerError::Gone)?;
        let pid = number.as_raw_nonzero().get();
        let peer = Self {
            uid,
            gid,
            pid,
            held,
            started: started(pid)?,
        };
        // Root may give a process of its own another user after it has connected; nobody else can.
        let owner = std::fs::metadata(format!("/proc/{pid}"));
        let owner = owner
            .map_err(|error| PeerError::Unknown("/proc", error))?
            .uid();
        if owner != uid && uid != 0 && owner != 0 {
            return Err(PeerError::Gone);
        }
        peer.lives()?;
        Ok(peer)
    }

    /// The path of its executable, as the kernel has it.
    ///
    /// # Errors
    ///
    /// [`PeerError`]; other users' processes are closed to an agent without `CAP_SYS_PTRACE`.
    pub fn executable(&self) -> Result<PathBuf, PeerError> {
        let path = std::fs::read_link(self.exe());
        let path = path.map_err(|error| PeerError::Unknown("its executable", error))?;
        self.lives()?;
        Ok(path)
    }

    /// The SHA-256 of its executable: of the file that runs, whatever stands at its path by now.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    pub fn executable_sha256(&self) -> Result<[u8; 32], PeerError> {
        let unknown = |error| PeerError::Unknown("its executable", error);
        let mut file = File::open(self.exe())
            .map_err(unknown)?
            .take(MAX_EXECUTABLE + 1);
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; 64 * 1024];
        let mut whole: u64 = 0;
        loop {
            let read = file.read(&mut buffer).map_err(unknown)?;
            if read == 0 {
                break;
            }
            whole = whole.saturating_add(read as u64);
            hash.update(buffer.get(..read).unwrap_or_default());
        }
        if whole > MAX_EXECUTABLE {
            return Err(PeerError::TooLarge);
        }
        self.lives()?;
        let digest = hash.finish();
        digest.as_ref().try_into().map_err(|_| PeerError::Gone)
    }

    /// Whether it is the same process still.
    ///
    /// # Errors
    ///
    /// [`PeerError::Gone`] when it is not.
    pub fn lives(&self) -> Result<(), PeerError> {
        let mut held = [PollFd::new(&self.held, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // The descriptor is readable once the process has ended (pidfd_open(2)).
        let ended = poll(&mut held, Some(&now)).map_or(true, |ready| ready > 0);
        match !ended && started(self.pid)? == self.started {
            true => Ok(()),
            false => Err(PeerError::Gone),
        }
    }

    fn exe(&self) -> String {
        format!("/proc/{}/exe", self.pid)
    }
}

/// When a process was started, in ticks since boot: the 22nd field, counted behind the name, which may have anything in it
/// (`proc_pid_stat(5)`).
fn started(pid: i32) -> Result<u64, PeerError> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.map_err(|_| PeerError::Gone)?;
    let behind = stat.rsplit_once(") ").map(|(_, behind)| behind);
    let field = behind.and_then(|behind| behind.split(' ').nth(19)?.trim().parse().ok());
    field.ok_or(PeerError::Gone)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::process::Command;

    use super::{Peer, PeerError};

    fn own() -> (u32, u32) {
        let uid = rustix::process::getuid().as_raw();
        (uid, rustix::process::getgid().as_raw())
    }

    #[test]
    fn a_process_is_known_by_its_executable() {
        let (uid, gid) = own();
        let pid = i32::try_from(std::process::id()).unwrap();
        let peer = Peer::new(uid, gid, Some(pid)).unwrap();
        let path = peer.executable().unwrap();
        assert_eq!(path, std::env::current_exe().unwrap());
        let sum = Command::new("sha256sum")
            .arg(&path)
            .output()
            .unwrap()
            .stdout;
        let sum = String::from_utf8(sum).unwrap();
        assert!(sum.starts_with(&hex::encode(peer.executable_sha256().unwrap())));
    }

    #[test]
    fn one_that_has_ended_is_nobody() {
        let (uid, gid) = own();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let peer = Peer::new(uid, gid, Some(pid)).unwrap();
        assert!(peer.lives().is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(peer.lives(), Err(PeerError::Gone)));
        assert!(peer.executable().is_err());
        assert!(matches!(
            Peer::new(uid, gid, Some(pid)),
            Err(PeerError::Gone)
        ));
    }

    #[test]
    fn one_of_another_namespace_is_nobody() {
        assert!(matches!(Peer::new(0, 0, None), Err(PeerError::Foreign)));
        assert!(matches!(Peer::new(0, 0, Some(0)), Err(PeerError::Foreign)));
    }

    /// A number that is used again by another user's process.
    #[test]
    fn another_users_process_is_not_the_one_that_connected() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (uid, gid) = own();
        let peer = Peer::new(uid.wrapping_add(4242), gid, Some(pid));
        // Root may change its processes' users, so only another's is told apart.
        assert!(uid == 0 || matches!(peer, Err(PeerError::Gone)));
    }
}
