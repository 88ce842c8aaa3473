//! A site whose agents come over HTTPS, real processes that serve it, and the wire to them in two halves, so that
//! something can happen between a request and its answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use assay_common::protocol::envelope::{LoginAnswer, LoginRequest, POSTCARD};
use assay_host_verifier::login::ChallengeKey;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use crate::agent::{Agent, Answer};
use crate::api::{client_config, pki};
use crate::fake_tpm::FakeTpm;
use crate::site::Site;

/// A site with a server certificate.
pub(super) struct House {
    pub(super) site: Site,
}

impl House {
    /// `keys` are more of the configuration.
    pub(super) fn new(tpms: &[&FakeTpm], keys: &str) -> Self {
        let site = Site::with(tpms, keys);
        for name in ["server.crt", "server.key"] {
            std::fs::copy(pki().join(name), site.path(name)).unwrap();
        }
        Self { site }
    }

    /// Starts `assayd`, with more `--set`, and waits for its port.
    pub(super) fn serve(&self, sets: &[&str]) -> Replica {
        // What a killed process left.
        let _ = std::fs::remove_file(self.site.path("agent.sock"));
        // A file that may not grow is an error, and not a signal that ends the process.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        command.arg(env!("CARGO_BIN_EXE_assayd"));
        command.args(["serve", "--config", "assayd.yaml"]);
        let listener = [
            "listeners.api.address=127.0.0.1:0",
            "listeners.api.tls.certificate=server.crt",
            "listeners.api.tls.key=server.key",
        ];
        for set in listener.iter().chain(sets) {
            command.args(["--set", set]);
        }
        let mut process = command
            .env("ASSAY_LOG", "info")
            .current_dir(self.site.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Log::default();
        let ear = log.clone();
        // A full pipe would hold the process.
        std::thread::spawn(move || {
            let parsed = |line: String| serde_json::from_str(&line).unwrap_or(Value::String(line));
            lines
                .map_while(Result::ok)
                .for_each(|line| ear.hear(parsed(line)));
            ear.hear(Value::Null);
        });
        let mut replica = Replica {
            process,
            address: ([127, 0, 0, 1], 0).into(),
            log,
        };
        replica.address = replica.listens("api").parse().unwrap();
        replica
    }

    /// An agent that pins this site's key.
    pub(super) fn agent(&self) -> Agent {
        let key = ChallengeKey::existing(&self.site.path("data")).unwrap();
        Agent::new(key.public())
    }

    /// A whole login over one connection.
    pub(super) fn login(&self, replica: &Replica, tpm: &FakeTpm) -> Answer {
        self.login_over(Wire::connect(replica.address).unwrap(), tpm)
    }

    /// A whole login over this connection.
    pub(super) fn login_over(&self, mut wire: Wire, tpm: &FakeTpm) -> Answer {
        let mut agent = self.agent();
        let mut heard = wire.turn(&[], &agent.hello()).unwrap();
        loop {
            match agent.hear(&heard.message) {
                Answer::Asked(asked) => {
                    let proofs = agent.answer(tpm, &asked);
                    heard = wire.turn(&heard.state, &proofs).unwrap();
                }
                other => return other,
            }
        }
    }
}

/// What a process has logged so far; `null` at its end.
#[derive(Clone, Default)]
struct Log(Arc<(Mutex<Vec<Value>>, Condvar)>);

impl Log {
    fn hear(&self, line: Value) {
        let (lines, heard) = &*self.0;
        lines.lock().unwrap().push(line);
        heard.notify_all();
    }

    /// The first line that fits, once it is there.
    fn wait_for(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let (lines, heard) = &*self.0;
        let mut known = lines.lock().unwrap();
        loop {
            if let Some(line) = known.iter().find(|line| fits(line)) {
                return line.clone();
            }
            assert!(
                !known.contains(&Value::Null),
                "assayd has ended: {known:#?}"
            );
            let (next, late) = heard.wait_timeout(known, Duration::from_secs(60)).unwrap();
            assert!(!late.timed_out(), "never logged: {next:#?}");
            known = next;
        }
    }
}

/// A process that serves a site.
pub(super) struct Replica {
    pub(super) process: Child,
    pub(super) address: SocketAddr,
    log: Log,
}

impl Replica {
    /// The address of a port, once it is open.
    pub(super) fn listens(&self, listener: &str) -> String {
        let line = self.log.wait_for(|line| line["listener"] == listener);
        line["address"].as_str().unwrap().to_owned()
    }

    /// The first line with this message, once it is there.
    pub(super) fn logged(&self, message: &str) -> Value {
        self.log.wait_for(|line| line["msg"] == message)
    }

    /// How many lines with this message there are.
    pub(super) fn count(&self, message: &str) -> usize {
        let lines = self.log.0.0.lock().unwrap();
        lines.iter().filter(|line| line["msg"] == message).count()
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) status: u16,
    pub(super) state: Vec<u8>,
    pub(super) message: Vec<u8>,
}

/// A connection to one replica.
pub(super) struct Wire(StreamOwned<ClientConnection, TcpStream>);

impl Wire {
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// From another address of this machine.
    pub(super) fn connect_from(source: SocketAddr, address: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let tcp = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(source)?;
            socket.connect(address).await?.into_std()
        })?;
        tcp.set_nonblocking(false)?;
        Self::over(tcp)
    }

    fn over(tcp: TcpStream) -> io::Result<Self> {
        // Nobody here waits that long; a test that does has failed.
        tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
        tcp.set_nodelay(true)?;
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let config = Arc::new(client_config("http/1.1"));
        let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    pub(super) fn turn(&mut self, state: &[u8], message: &[u8]) -> io::Result<Heard> {
        self.send(state, message)?;
        self.hear()
    }

    /// Sends a request, and does not wait.
    pub(super) fn send(&mut self, state: &[u8], message: &[u8]) -> io::Result<()> {
        let request = LoginRequest {
            state,
            blobs: Default::default(),
            message,
        };
        self.post(POSTCARD, &postcard::to_allocvec(&request).unwrap())
    }

    pub(super) fn post(&mut self, media_type: &str, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        let head = format!(
            "POST /v1/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media_type}\r\n\
             content-length: {length}\r\n\r\n"
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// Any bytes.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// The answer to a login's message.
    pub(super) fn hear(&mut self) -> io::Result<Heard> {
        let (status, body) = self.answer()?;
        let answer: LoginAnswer<'_> =
            assay_common::protocol::decode(&body).map_err(io::Error::other)?;
        Ok(Heard {
            status,
            state: answer.state.to_vec(),
            message: answer.message.to_vec(),
        })
    }

    /// The first line of what comes.
    pub(super) fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            line.extend(byte);
        }
        String::from_utf8(line).map_err(io::Error::other)
    }

    /// Status and body, whole; an error when the connection ends before.
    pub(super) fn answer(&mut self) -> io::Result<(u16, Vec<u8>)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8(head)
            .map_err(io::Error::other)?
            .to_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let length = head
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok());
        let mut body = vec![0; length.expect("every answer says how long it is")];
        self.0.read_exact(&mut body)?;
        Ok((status.unwrap(), body))
    }
}
