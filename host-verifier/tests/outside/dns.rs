//! Real DNS on loopback: Knot has the zone, dnsmasq resolves it, as an operator's network has both.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use assay_host_verifier::outside::client::Client;
use assay_host_verifier::outside::{Outbound, Reach};

/// Where the nodes of the zone are: a public address, which no test leaves this machine for.
const NODES: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 215, 20));

/// The zone that all tests of this binary share: names by what stands behind them.
const ZONE: &str = r"
$ORIGIN assay.test.
$TTL 1
@               SOA ns admin 1 3600 600 86400 1
@               NS ns
ns              A 127.0.0.1
up              A 127.0.0.1
node            A 93.184.215.20
*.nodes         A 93.184.215.20
alias           CNAME node
public          A 93.184.215.14
public          AAAA 2606:2800:21f:cb07:6820:80da:af6b:8b2c
nat64           AAAA 64:ff9b::5db8:d70e
private         A 10.1.2.3
unique          AAAA fd12:3456:789a::1
shared          A 100.64.0.1
loop            A 127.0.0.1
loop6           AAAA ::1
loopcname       CNAME loop
zero            A 0.0.0.0
link            A 169.254.169.254
link6           AAAA fe80::1
azure           A 168.63.129.16
aws6            AAAA fd00:ec2::254
many            A 224.0.0.1
broadcast       A 255.255.255.255
mapped          AAAA ::ffff:127.0.0.1
mappedpublic    AAAA ::ffff:93.184.215.14
sixtofour       AAAA 2002:7f00:1::1
nat64loop       AAAA 64:ff9b::7f00:1
nat64private    AAAA 64:ff9b::a01:203
documentation   A 192.0.2.1
mixed           A 93.184.215.14
mixed           A 127.0.0.1
mixedfamily     A 93.184.215.14
mixedfamily     AAAA ::1
mixedprivate    A 93.184.215.14
mixedprivate    A 10.1.2.3
empty           TXT no-address
dangling        CNAME nobody
";

pub(crate) struct Dns {
    pub(crate) resolver: SocketAddr,
    _dir: tempfile::TempDir,
    _programs: [Running; 2],
}

/// A program that ends with its value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free for both transports. Somebody else may take it before the server does: then the start is tried anew.
fn port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

fn start(program: &str, arguments: &[String], dir: &Path) -> Running {
    let log = std::fs::File::create(dir.join(format!("{program}.log"))).unwrap();
    let child = Command::new(format!("/usr/sbin/{program}"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    Running(child.unwrap_or_else(|error| {
        panic!("{program}: {error}: install the packages `knot` and `dnsmasq-base`")
    }))
}

impl Dns {
    /// Both servers, once they answer.
    pub(crate) async fn start() -> Self {
        for _ in 0..5 {
            if let Some(dns) = Self::attempt().await {
                return dns;
            }
        }
        panic!("no DNS after five attempts");
    }

    async fn attempt() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (authority, resolver) = (port(), port());
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(dir.path().join("zone"), ZONE).unwrap();
        let configuration = format!(
            "server:\n  rundir: {run}\n  listen: 127.0.0.1@{authority}\n\
             database:\n  storage: {db}\n\
             zone:\n  - domain: assay.test\n    file: {zone}\n    zonefile-sync: -1\n    journal-content: none\n",
            run = at(""),
            db = at("db"),
            zone = at("zone"),
        );
        std::fs::write(dir.path().join("knot.conf"), configuration).unwrap();
        let knot = start("knotd", &["-c".to_owned(), at("knot.conf")], dir.path());
        let mut arguments: Vec<String> = [
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--user=",
            "--conf-file=/dev/null",
            "--listen-address=127.0.0.1",
            "--cache-size=0",
            "--log-facility=-",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--port={resolver}"));
        arguments.push(format!("--server=/assay.test/127.0.0.1#{authority}"));
        arguments.push(format!("--pid-file={}", at("pid")));
        let dnsmasq = start("dnsmasq", &arguments, dir.path());
        let dns = Self {
            resolver: SocketAddr::from(([127, 0, 0, 1], resolver)),
            _dir: dir,
            _programs: [knot, dnsmasq],
        };
        // Both are there when a name of the zone comes through.
        let client = dns.client(true);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            let found = client.addresses("https://up.assay.test/", Reach::PUBLIC);
            if found.await.is_ok() {
                return Some(dns);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// A client that asks these servers, and finds the zone's nodes on this machine.
    pub(crate) fn client(&self, allow_loopback: bool) -> Client {
        Client::new(&Outbound {
            resolvers: vec![self.resolver],
            allow_loopback,
            ..Outbound::default()
        })
        .with_stand_ins([(NODES, Ipv4Addr::LOCALHOST.into())])
    }
}

/// The servers that the tests of this binary share.
pub(crate) fn shared() -> &'static Dns {
    static SHARED: OnceLock<Dns> = OnceLock::new();
    SHARED.get_or_init(|| {
        // On a thread of its own: whoever asks first may be within a runtime.
        let started = std::thread::spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(Dns::start())
        });
        started.join().unwrap()
    })
}
