//! Who is at the other end of the socket: a process, as the kernel has it.
//!
//! # Why a descriptor of the process
//!
//! A process number is used again when its process has ended. So the process is held by a descriptor from the moment of the
//! connection on, and whatever was read of it in `/proc` counts only when it lives still afterwards: then it was this one all
//! the time. The kernel gives that descriptor with the connection (`SO_PEERPIDFD`, Linux 6.5). An older one gives the number
//! only; for the moment between the connection and the descriptor its user must then be the one that has connected, and its
//! start is compared.
//!
//! None of this says that the process still is what it was: by `exec` it becomes another program and stays the same process.
//! So an entry of the configuration names a user or a group too.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use aws_lc_rs::digest;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
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
    /// Holds the process at the other end of a socket, by the credentials that the kernel has of the connection.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    pub fn of(socket: &impl AsFd, uid: u32, gid: u32, pid: Option<i32>) -> Result<Self, PeerError> {
        match getsockopt(socket, sockopt::PeerPidfd) {
            Ok(held) => Self::held(uid, gid, pid, |_| Ok(held)),
            Err(Errno::ENOPROTOOPT) => Self::by_number(uid, gid, pid),
            Err(_) => Err(PeerError::Gone),
        }
    }

    /// Holds the process that has a number now.
    fn by_number(uid: u32, gid: u32, pid: Option<i32>) -> Result<Self, PeerError> {
        Self::held(uid, gid, pid, |number| {
            pidfd_open(number, PidfdFlags::empty()).map_err(|_| PeerError::Gone)
        })
    }

    fn held(
        uid: u32,
        gid: u32,
        pid: Option<i32>,
        hold: impl FnOnce(Pid) -> Result<OwnedFd, PeerError>,
    ) -> Result<Self, PeerError> {
        let number = pid.and_then(Pid::from_raw).ok_or(PeerError::Foreign)?;
        let held = hold(number)?;
        let pid = number.as_raw_nonzero().get();
        let peer = Self {
            uid,
            gid,
            pid,
            held,
            started: started(pid)?,
        };
        // Root may give a process of its own another user after it has connected; nobody else can. Who owns the files in
        // /proc says less: those of a process that hides its memory are root's.
        if uid != 0 && user(pid)? != uid {
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

/// Whom a process acts as: the second number of its line `Uid` (`proc_pid_status(5)`).
fn user(pid: i32) -> Result<u32, PeerError> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|_| PeerError::Gone)?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let effective = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    effective.ok_or(PeerError::Gone)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::net::UnixStream;
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
        let peer = Peer::by_number(uid, gid, Some(pid)).unwrap();
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
        let peer = Peer::by_number(uid, gid, Some(pid)).unwrap();
        assert!(peer.lives().is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(peer.lives(), Err(PeerError::Gone)));
        assert!(peer.executable().is_err());
        assert!(matches!(
            Peer::by_number(uid, gid, Some(pid)),
            Err(PeerError::Gone)
        ));
    }

    #[test]
    fn one_of_another_namespace_is_nobody() {
        assert!(matches!(
            Peer::by_number(0, 0, None),
            Err(PeerError::Foreign)
        ));
        assert!(matches!(
            Peer::by_number(0, 0, Some(0)),
            Err(PeerError::Foreign)
        ));
    }

    /// A number that is used again by a process of another user, root's too.
    #[test]
    fn another_users_process_is_not_the_one_that_connected() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (uid, gid) = own();
        let peer = Peer::by_number(uid.wrapping_add(4242), gid, Some(pid));
        assert!(matches!(peer, Err(PeerError::Gone)), "{uid}");
    }

    /// Of a pair it is the process that made it.
    #[test]
    fn the_kernel_says_who_has_connected() {
        let (uid, gid) = own();
        let (one, _other) = UnixStream::pair().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let peer = Peer::of(&one, uid, gid, Some(pid)).unwrap();
        assert_eq!(peer.executable().unwrap(), std::env::current_exe().unwrap());
    }

    /// As a process is that has connected, handed the connection on, and ended before anybody looked: by a kernel that gives
    /// the descriptor, a later process with its number is not taken for it.
    #[test]
    fn one_that_has_handed_its_connection_on_and_ended_is_nobody() {
        let (uid, gid) = own();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let script =
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .spawn()
            .unwrap();
        let (socket, _) = listener.accept().unwrap();
        child.wait().unwrap();
        // The number of one that lives stands for the number that is used again.
        let pid = i32::try_from(std::process::id()).unwrap();
        let peer = Peer::of(&socket, uid, gid, Some(pid));
        assert!(matches!(peer, Err(PeerError::Gone)));
    }
}
