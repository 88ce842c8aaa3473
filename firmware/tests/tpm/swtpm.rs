//! A software TPM as a process of the test's own, behind a socket, with a place for somebody in between.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use assay_firmware::tpm::{DurationClass, Tpm, TpmTransport, TransportError};

use crate::bytes::response;
use crate::scripted::code;

/// Somebody on the bus. Commands and responses pass through their hands.
pub trait Interposer {
    /// What reaches the TPM; `Err` answers in its place.
    fn command(&mut self, command: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
        Ok(command)
    }

    /// What reaches the processor in answer to `command`.
    fn response(&mut self, command: &[u8], response: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let _ = command;
        Ok(response)
    }
}

impl Interposer for () {}

struct Process {
    child: Child,
    folder: PathBuf,
    socket: UnixStream,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Process {
    fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("assay-firmware-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        // A socket that is there before the process is, so nothing has to be waited for. swtpm takes none of the first three
        // descriptors, hence the shell, which becomes swtpm.
        let (ours, theirs) = UnixStream::pair().unwrap();
        const START: &str = "exec swtpm socket --tpm2 --fd 3 --flags not-need-init --tpmstate dir=\"$0\" 3<&0 </dev/null";
        let child = Command::new("sh")
            .args(["-c", START])
            .arg(&folder)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("swtpm: {error} (`./x setup` installs it)"));
        Self {
            child,
            folder,
            socket: ours,
        }
    }

    fn transact(&mut self, command: &[u8]) -> Vec<u8> {
        self.socket.write_all(command).unwrap();
        let mut response = vec![0; 10];
        self.socket.read_exact(&mut response).unwrap();
        let size = u32::from_be_bytes(response[2..6].try_into().unwrap());
        response.resize(size as usize, 0);
        self.socket.read_exact(&mut response[10..]).unwrap();
        response
    }
}

/// What crossed the bus: each command as the processor sent it and each response as it got it.
pub type Crossed = Rc<RefCell<Vec<(Vec<u8>, Vec<u8>)>>>;

/// A TPM on a bus.
pub struct Bus {
    process: Rc<RefCell<Process>>,
    pub crossed: Crossed,
    pub interposer: Rc<RefCell<dyn Interposer>>,
}

impl Clone for Bus {
    fn clone(&self) -> Self {
        Self {
            process: Rc::clone(&self.process),
            crossed: Rc::clone(&self.crossed),
            interposer: Rc::clone(&self.interposer),
        }
    }
}

impl Bus {
    /// A new TPM that was never started, with `interposer` before it.
    pub fn with(interposer: Rc<RefCell<dyn Interposer>>) -> Self {
        Self {
            process: Rc::new(RefCell::new(Process::start())),
            crossed: Rc::default(),
            interposer,
        }
    }

    /// A command from behind the interposer's back; the parameters of its response.
    pub fn raw(&self, command: &[u8]) -> Vec<u8> {
        let response = self.process.borrow_mut().transact(command);
        assert_eq!(response[6..10], [0; 4], "{:x}", code(command));
        response[10..].to_vec()
    }

    /// Commands over this bus.
    pub fn tpm(&self) -> Tpm<Self> {
        Tpm::new(self.clone())
    }

    /// Whether these bytes crossed the bus in any response.
    pub fn has_told(&self, bytes: &[u8]) -> bool {
        let crossed = self.crossed.borrow();
        let mut responses = crossed.iter();
        responses.any(|(_, response)| response.windows(bytes.len()).any(|part| part == bytes))
    }

    /// Whether these bytes crossed the bus in any command.
    pub fn was_told(&self, bytes: &[u8]) -> bool {
        let crossed = self.crossed.borrow();
        let mut commands = crossed.iter();
        commands.any(|(command, _)| command.windows(bytes.len()).any(|part| part == bytes))
    }

    /// How many commands the processor has sent.
    pub fn sent(&self) -> usize {
        self.crossed.borrow().len()
    }
}

impl TpmTransport for Bus {
    type Error = TransportError;

    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        _: DurationClass,
    ) -> Result<&'r [u8], TransportError> {
        let passed = self.interposer.borrow_mut().command(command.to_vec());
        let answer = match passed {
            Ok(passed) => self.process.borrow_mut().transact(&passed),
            Err(answer) => answer,
        };
        let answer = self.interposer.borrow_mut().response(command, answer)?;
        let entry = (command.to_vec(), answer.clone());
        self.crossed.borrow_mut().push(entry);
        let to = &mut response[..answer.len()];
        to.copy_from_slice(&answer);
        Ok(to)
    }

    fn pause_ms(&mut self, _: u32) {}
}

/// The plain success of a command without parameters.
pub fn success() -> Vec<u8> {
    response(0x8001, 0, &[])
}
