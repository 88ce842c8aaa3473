//! The Workload API as a workload sees it: this process, with another implementation's client.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};

use assay_hil_tests::scenario::live::program;
use spiffe::{SpiffeId, TrustDomain, WorkloadApiClient};
use tokio_stream::StreamExt as _;

use super::site::{Process, Site, eventually, run_agent};

const POLICY: &str = "section: AgentAttestation\nschema: v1\nspec: {policies: [{name: token, requiredAttestors: [{type: join_token}]}]}\n";
const SESSION: &str = "session: {pathTemplate: '/node/{{join_token.id}}', ttl: 60s}\n";

/// A verifier that takes join tokens, and the token of one node.
pub(super) fn with_token() -> (Site, Process) {
    let site = Site::set_up_with(POLICY, SESSION);
    let assayd = site.start(&[]);
    site.write_token();
    (site, assayd)
}

fn own_uid() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap())
}

/// What admits this very process and no other.
fn selectors() -> String {
    let own = std::env::current_exe().unwrap();
    let sum = Command::new("sha256sum").arg(&own).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap();
    let (sum, _) = sum.split_once(' ').unwrap();
    let uid = own_uid();
    format!("{{uid: {uid}, path: '{}', sha256: {sum}}}", own.display())
}

fn api(site: &Site, selectors: &str) -> String {
    let socket = site.folder().join("api.sock");
    format!(
        "  workloadApi:\n    socket: {}\n    workloads:\n      - {{name: test, hint: inside, selectors: {selectors}}}\n  output: {{directory: svid}}\n",
        socket.display()
    )
}

/// An agent with a session, and a client of its socket.
fn agent(site: &Site, selectors: &str) -> Process {
    let config = site.agent(
        "[{type: join_token, config: {joinTokenFile: token}}]",
        &api(site, selectors),
    );
    let mut agent = run_agent(&config);
    agent.wait_for("Connected to server");
    agent.wait_for("Bundle updated");
    agent
}

async fn connect(site: &Site) -> WorkloadApiClient {
    let socket = site.folder().join("api.sock");
    WorkloadApiClient::connect_to(format!("unix:{}", socket.display()))
        .await
        .unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_workload_gets_svids_and_bundles_and_is_told_when_they_change() {
    let (site, _assayd) = with_token();
    let mut agent = agent(&site, &selectors());
    let id = agent.said("Connected to server").unwrap()["spiffe_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let domain = TrustDomain::new("example.org").unwrap();
    block_on(async {
        let client = connect(&site).await;
        let svid = client.fetch_x509_svid().await.unwrap();
        assert_eq!(svid.spiffe_id().to_string(), id);
        assert_eq!(
            svid.hint().map(|hint| hint.to_string()).as_deref(),
            Some("inside")
        );
        let bundles = client.fetch_x509_bundles().await.unwrap();
        assert!(!bundles.get(&domain).unwrap().authorities().is_empty());
        let jwt_bundles = client.fetch_jwt_bundles().await.unwrap();
        // A token is good by another implementation, and by the agent.
        let token = client.fetch_jwt_token(["db"], None).await.unwrap();
        let parsed = spiffe::JwtSvid::parse_and_validate(&token, &jwt_bundles, &["db"]).unwrap();
        assert_eq!(parsed.spiffe_id().to_string(), id);
        let valid = client.validate_jwt_token("db", &token).await.unwrap();
        assert_eq!(valid.spiffe_id().to_string(), id);
        let other = client.validate_jwt_token("web", &token).await;
        assert!(other.unwrap_err().to_string().contains("audience"));
        // An identity that is not its own.
        let strange = SpiffeId::new("spiffe://example.org/other").unwrap();
        assert!(
            client
                .fetch_jwt_token(["db"], Some(&strange))
                .await
                .is_err()
        );
        // The session is renewed after half a minute, and its SVID with it.
        let mut stream = pin!(client.stream_x509_svids().await.unwrap());
        let first = stream.next().await.unwrap().unwrap();
        let second = stream.next().await.unwrap().unwrap();
        assert_eq!(first.spiffe_id(), second.spiffe_id());
        assert_ne!(first.leaf().as_bytes(), second.leaf().as_bytes());
    });
    check_files(&site, &id);
    assert_eq!(agent.stop(), 0);
    assert!(!site.folder().join("api.sock").exists());
}

/// OpenSSL verifies the certificate by the bundle, and finds the key to be the certificate's.
fn check_files(site: &Site, id: &str) {
    let files = site.folder().join("svid");
    eventually("files", || files.join("svid.pem").is_file());
    let openssl = |arguments: &[&str]| {
        let run = Command::new("openssl")
            .args(arguments)
            .current_dir(&files)
            .output()
            .unwrap();
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
        String::from_utf8(run.stdout).unwrap()
    };
    openssl(&[
        "verify",
        "-CAfile",
        "bundle.pem",
        "-untrusted",
        "svid.pem",
        "svid.pem",
    ]);
    let names = openssl(&[
        "x509",
        "-in",
        "svid.pem",
        "-noout",
        "-ext",
        "subjectAltName",
    ]);
    assert!(names.contains(&format!("URI:{id}")), "{names}");
    let of_certificate = openssl(&["x509", "-in", "svid.pem", "-noout", "-pubkey"]);
    let of_key = openssl(&["pkey", "-in", "svid-key.pem", "-pubout"]);
    assert_eq!(of_certificate, of_key);
    let mode = |file: &str| files.join(file).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("svid-key.pem"), mode("svid.pem")), (0o600, 0o644));
}

/// A workload finds it out first: its next token is refused, and from then on nobody acts as the node.
#[test]
fn a_session_that_is_revoked_serves_nobody_any_more() {
    let (site, _assayd) = with_token();
    let mut agent = agent(&site, &selectors());
    let connected = agent.said("Connected to server").unwrap();
    site.revoke(connected["session_id"].as_str().unwrap());
    block_on(async {
        let client = connect(&site).await;
        assert!(client.fetch_jwt_token(["db"], None).await.is_err());
        agent.wait_for("Session is over");
        assert!(client.fetch_x509_svid().await.is_err());
        // Whom to trust is still known.
        assert!(client.fetch_x509_bundles().await.is_ok());
    });
    // The token was good for one login.
    let failed = agent.wait_for("Login failed");
    assert!(
        failed["error"].as_str().unwrap().contains("refused"),
        "{failed}"
    );
}

#[test]
fn a_process_that_no_entry_fits_gets_nothing_by_any_call() {
    let (site, _assayd) = with_token();
    let own = std::env::current_exe().unwrap();
    let wrong = format!(
        "{{uid: {}, path: '{}', sha256: {}}}",
        own_uid(),
        own.display(),
        "0".repeat(64)
    );
    let agent = agent(&site, &wrong);
    block_on(async {
        let client = connect(&site).await;
        assert!(client.fetch_x509_svid().await.is_err());
        assert!(client.fetch_x509_bundles().await.is_err());
        assert!(client.fetch_jwt_bundles().await.is_err());
        assert!(client.fetch_jwt_token(["db"], None).await.is_err());
        assert!(client.validate_jwt_token("db", "a.b.c").await.is_err());
    });
    let refused = agent.said("Workload refused").unwrap();
    assert_eq!(refused["pid"], std::process::id(), "{refused}");
}

#[test]
fn a_call_without_the_security_header_is_refused() {
    let (site, _assayd) = with_token();
    let _agent = agent(
        &site,
        &format!("{{uid: {}, path: /usr/bin/curl}}", own_uid()),
    );
    let (empty, long) = (site.folder().join("empty"), site.folder().join("long"));
    std::fs::write(&empty, [0; 5]).unwrap();
    std::fs::write(&long, [0; 100_000]).unwrap();
    // Reads until there is what is looked for: an answer that is granted has no end.
    let call = |body: &Path, headers: &[&str], wanted: &str| {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "-i",
            "-N",
            "--http2-prior-knowledge",
            "--limit-rate",
            "100k",
            "--max-time",
            "60",
            "-H",
            "content-type: application/grpc",
        ]);
        curl.arg("--unix-socket")
            .arg(site.folder().join("api.sock"));
        for header in headers {
            curl.args(["-H", header]);
        }
        curl.arg("--data-binary")
            .arg(format!("@{}", body.display()))
            .arg("http://localhost/SpiffeWorkloadAPI/FetchX509Bundles");
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = curl.stdout.take().unwrap();
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&answer).contains(wanted) {
            match stdout.read(&mut part).unwrap() {
                0 => break,
                length => answer.extend(&part[..length]),
            }
        }
        curl.kill().unwrap();
        curl.wait().unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains(wanted), "{headers:?}: {answer}");
    };
    for bad in [
        &[][..],
        &["workload.spiffe.io: false"],
        &["workload.spiffe.io: true", "workload.spiffe.io: true"],
    ] {
        call(&empty, bad, "grpc-status: 3");
    }
    // The refusal reaches a client that has more to send: curl 7.88 loses it with a stream that is reset.
    call(&long, &[], "grpc-status: 3");
    call(&long, &["workload.spiffe.io: true"], "grpc-status: 8");
    call(
        &empty,
        &["workload.spiffe.io: true"],
        "spiffe://example.org",
    );
}

/// The same login from the command line: once, for a token is good for one.
#[test]
fn a_node_with_a_token_logs_in_once_and_its_key_is_in_memory() {
    let (site, _assayd) = with_token();
    let attestors = "[{type: join_token, config: {joinTokenFile: token}}]";
    let config = site.agent(attestors, "");
    let (status, answer, errors) = super::site::agent_json(&["login"], &config);
    assert_eq!(status, 0, "{errors}");
    assert_eq!(answer["proven"], serde_json::json!(["join_token"]));
    assert_eq!(answer["svidKey"], "memory");
    let (status, answer, _) = super::site::agent_json(&["login"], &config);
    assert_eq!(status, 1);
    assert!(
        answer["error"].as_str().unwrap().contains("refused"),
        "{answer}"
    );
    assert!(
        answer["hint"].as_str().unwrap().contains("assay audit"),
        "{answer}"
    );
    std::fs::remove_file(site.folder().join("token")).unwrap();
    let (status, answer, _) = super::site::agent_json(&["login"], &config);
    assert_eq!(status, 1);
    assert!(
        answer["error"].as_str().unwrap().contains("token"),
        "{answer}"
    );
    let program = program("assay").unwrap();
    // `assay agent` is the same program.
    let show = Command::new(&program)
        .args(["agent", "show", "--json", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(show.status.code(), Some(1), "nothing to offer");
    assert!(Path::new(&program).exists());
}
