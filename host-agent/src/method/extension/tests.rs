//! Executables as operators write them: in shell.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use serde_json::{Value, json};

use super::super::{Method, MethodConfig as _, MethodError, ProofRequest, Surroundings};
use super::Config;

fn method(config: Value) -> Result<Box<dyn Method>, MethodError> {
    let around = Surroundings {
        kind: AttestorKind::EXTENSION,
        base: Path::new("/"),
        cluster: "rack",
        trust_domain: "example.org",
    };
    let config: Config = serde_json::from_value(config).unwrap();
    Box::new(config).build(&around)
}

fn prove(method: &mut Box<dyn Method>) -> Result<Vec<u8>, MethodError> {
    let request = ProofRequest {
        round: 0,
        payload: &[],
        transcript: &Transcript::new(),
        nonce: &[0xfb; 32],
    };
    method.prove(&request).map(|proof| proof.payload)
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A script in a directory of its own.
struct Script {
    dir: tempfile::TempDir,
}

impl Script {
    fn new(text: &str) -> Self {
        let script = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let path = script.path("script");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        set_mode(&path, 0o755);
        script
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn method(&self, more: Value) -> Box<dyn Method> {
        let dir = self.dir.path().display().to_string();
        let mut config = json!({
            "command": [self.path("script"), "an argument; with $HOME"],
            "environment": {"DIR": dir, "PATH": "/usr/bin:/bin"},
        });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        method(config).unwrap()
    }
}

#[test]
fn an_executable_is_asked_with_a_line_and_its_bytes_are_the_proof() {
    let script = Script::new(
        r#"read -r line; printf '%s\n' "$line" >"$DIR/line"; printf '%s' "$1" >"$DIR/argument"
env >"$DIR/environment"; printf '{"id":1,"proof":"%s"}\n' "$(printf 'a\0b' | base64)""#,
    );
    let mut method = script.method(json!({}));
    method.begin().unwrap();
    assert_eq!(prove(&mut method).unwrap(), b"a\0b");
    let read = |name: &str| std::fs::read_to_string(script.path(name)).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&read("line")).unwrap(),
        json!({"version": 1, "id": 1, "nonce": "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s=",
               "cluster": "rack", "trustDomain": "example.org"})
    );
    assert_eq!(
        read("argument"),
        "an argument; with $HOME",
        "no shell has read it"
    );
    let environment = read("environment");
    let mut names: Vec<_> = environment
        .lines()
        .filter_map(|l| l.split_once('='))
        .map(|(n, _)| n)
        .collect();
    names.sort_unstable();
    // The shell itself adds two.
    names.retain(|name| !matches!(*name, "PWD" | "_" | "SHLVL" | "OLDPWD"));
    assert_eq!(names, ["DIR", "PATH"], "nothing of the agent's own");
}

#[test]
fn a_long_running_one_is_asked_again_and_one_that_ended_is_started_anew() {
    let text = r#"echo started >>"$DIR/starts"
while read -r line; do
  id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  printf '{"id":%s,"proof":"AA=="}\n' "$id"
  [ "$id" != 3 ] || exit 0
done"#;
    let script = Script::new(text);
    let mut method = script.method(json!({"longRunning": true}));
    let starts = || {
        std::fs::read_to_string(script.path("starts"))
            .unwrap()
            .lines()
            .count()
    };
    for _ in 0..3 {
        assert_eq!(prove(&mut method).unwrap(), [0]);
        method.end();
    }
    assert_eq!(starts(), 1);
    // It has ended by now or is about to: then the first question finds that out, and the next one starts it.
    let fourth = prove(&mut method);
    if fourth.is_err() {
        prove(&mut method).unwrap();
    }
    assert_eq!(starts(), 2);
    let script = Script::new(text);
    let mut once = script.method(json!({}));
    assert!(prove(&mut once).is_ok() && prove(&mut once).is_ok());
}

#[test]
fn every_wrong_answer_is_no_proof() {
    let long = format!("{}\\n", "a".repeat(70_000));
    for (answer, told) in [
        ("", "ended"),
        ("{", "ended"),
        (r#"{"id":1,"proof":"AA=="}"#, "ended"),
        (r"\n", "cannot be read"),
        (r"proof\n", "cannot be read"),
        (r#"{"proof":"AA=="}\n"#, "cannot be read"),
        (r#"{"id":1,"proof":"AA==","more":1}\n"#, "cannot be read"),
        (r#"{"id":1,"id":1,"proof":"AA=="}\n"#, "cannot be read"),
        (r#"{"id":2,"proof":"AA=="}\n"#, "another question"),
        (r#"{"id":1}\n"#, "neither"),
        (r#"{"id":1,"proof":"AA==","error":"no"}\n"#, "neither"),
        (r#"{"id":1,"error":"two words"}\n"#, "neither"),
        (r#"{"id":1,"error":""}\n"#, "neither"),
        (r#"{"id":1,"proof":"A"}\n"#, "base64"),
        (r#"{"id":1,"error":"no-dongle"}\n"#, "no proof: no-dongle"),
        (&long, "more than 65536"),
    ] {
        let script = Script::new(&format!("read -r line; printf '{answer}'"));
        let error = prove(&mut script.method(json!({}))).unwrap_err();
        assert!(error.what.contains(told), "{answer:.80}: {error:?}");
        assert!(!error.hint.is_empty());
    }
    let much = Script::new(
        r#"read -r l; printf '{"id":1,"proof":"%s"}\n' "$(head -c 32769 /dev/zero | base64 -w0)""#,
    );
    let error = prove(&mut much.method(json!({}))).unwrap_err();
    assert!(error.what.contains("32768"), "{error:?}");
    let fits = Script::new(
        r#"read -r l; printf '{"id":1,"proof":"%s"}\n' "$(head -c 32768 /dev/zero | base64 -w0)""#,
    );
    assert_eq!(prove(&mut fits.method(json!({}))).unwrap().len(), 32768);
}

#[test]
fn whoever_hangs_is_killed_with_all_that_it_started() {
    let script = Script::new(r#"sleep 1000 & echo $! >"$DIR/child"; echo $$ >"$DIR/pid"; wait"#);
    let mut method = script.method(json!({"timeout": "2s", "longRunning": true}));
    let error = prove(&mut method).unwrap_err();
    assert!(error.what.contains("no answer within 2 s"), "{error:?}");
    for name in ["pid", "child"] {
        let pid = std::fs::read_to_string(script.path(name)).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        // Killed, and perhaps not yet collected by whoever inherited it. Its end takes a moment, which is waited for.
        let begun = std::time::Instant::now();
        let is_alive = || {
            let state = std::fs::read_to_string(&stat);
            state.is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
        };
        while is_alive() {
            assert!(begun.elapsed().as_secs() < 30, "{name} {pid} is alive");
            std::thread::yield_now();
        }
    }
}

#[test]
fn without_an_executable_the_proof_is_empty() {
    let mut empty = method(json!({})).unwrap();
    empty.begin().unwrap();
    assert_eq!(prove(&mut empty).unwrap(), b"");
    assert!(empty.show().is_ok());
}

#[test]
fn what_can_never_work_is_refused_at_the_start_and_the_rest_before_the_login() {
    for config in [
        json!({"command": ["script"]}),
        json!({"command": ["./script"]}),
        json!({"longRunning": true}),
        json!({"environment": {"A": "b"}}),
        json!({"command": ["/bin/true"], "timeout": "0s"}),
        json!({"command": ["/bin/true"], "timeout": "10"}),
        json!({"command": ["/bin/true"], "timeout": "301s"}),
    ] {
        assert!(method(config.clone()).is_err(), "{config}");
    }
    let script = Script::new("");
    let set = |mode| set_mode(&script.path("script"), mode);
    let mut method = script.method(json!({}));
    let told = |method: &mut Box<dyn Method>| {
        let error = method.begin().unwrap_err();
        assert_eq!(method.show().unwrap_err(), error);
        assert!(method.doctor().iter().any(|f| f.mend.is_some()));
        assert!(prove(method).is_err());
        error.what
    };
    set(0o644);
    assert!(told(&mut method).contains("not an executable"));
    set(0o757);
    assert!(told(&mut method).contains("lets others change it"));
    std::fs::remove_file(script.path("script")).unwrap();
    assert!(told(&mut method).contains("No such file"));
}

#[test]
fn debug_tells_neither_arguments_nor_environment() {
    let config = json!({"command": ["/bin/true", "s3cret"], "environment": {"TOKEN": "s3cret"}});
    let settings: Config = serde_json::from_value(config.clone()).unwrap();
    for told in [
        format!("{settings:?}"),
        format!("{:?}", method(config).unwrap()),
    ] {
        assert!(
            told.contains("/bin/true") && !told.contains("s3cret"),
            "{told}"
        );
    }
}

/// Whatever the agent may do beside being its user (a capability for the Workload API, say) is not handed on, and a
/// set-user-id program gets no more than it has.
#[test]
fn an_executable_has_none_of_the_agents_privileges() {
    use rustix::thread::{
        CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities,
    };
    // Only root has one to hand on, and only this thread does.
    if rustix::process::geteuid().is_root() {
        let mut own = capabilities(None).unwrap();
        own.inheritable |= CapabilitySet::CHOWN;
        set_capabilities(None, own).unwrap();
        configure_capability_in_ambient_set(CapabilitySet::CHOWN, true).unwrap();
    }
    let script = Script::new(r#"cat /proc/self/status >"$DIR/status""#);
    assert!(prove(&mut script.method(json!({}))).is_err());
    let read = |path: &Path, name: &str| {
        let status = std::fs::read_to_string(path).unwrap();
        let field = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(field.unwrap().trim(), 16).unwrap()
    };
    let its = script.path("status");
    let own = Path::new("/proc/thread-self/status");
    assert_eq!(read(&its, "CapAmb:"), 0);
    assert_eq!(
        read(own, "CapAmb:"),
        u64::from(rustix::process::geteuid().is_root())
    );
    assert_eq!(
        (read(&its, "NoNewPrivs:"), read(own, "NoNewPrivs:")),
        (1, 0)
    );
}
