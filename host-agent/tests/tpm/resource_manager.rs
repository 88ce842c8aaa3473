//! tpm2-abrmd, the resource manager in user space, on a bus of its own.

use std::process::{Command, Stdio};

use assay_firmware::evidence::EvidenceSource;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_host_agent::tpm::{TctiTpm, TpmPlace};

use crate::swtpm::{Running, Swtpm, start, until};

/// A bus for this test alone. Its address goes to the TSS by the environment, so the test's own half runs in a process that
/// has it from the start.
const ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";
/// Says that this is that process.
const INSIDE: &str = "ASSAY_TEST_INSIDE_THE_BUS";
const THIS: &str = "resource_manager::a_tpm_is_used_through_the_resource_manager_on_the_bus";

#[test]
fn a_tpm_is_used_through_the_resource_manager_on_the_bus() {
    if std::env::var_os(INSIDE).is_some() {
        return through_the_bus();
    }
    let swtpm = Swtpm::start();
    let socket = format!("unix:path={}", swtpm.path("bus").display());
    let config = swtpm.path("bus.conf");
    std::fs::write(
        &config,
        format!(
            "<busconfig><type>session</type><listen>{socket}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>"
        ),
    )
    .unwrap();
    let config = format!("--config-file={}", config.display());
    let _bus = start(
        "dbus-daemon",
        &[&config, "--nofork"],
        swtpm.folder.path(),
        &[],
    );
    until("the bus", || swtpm.path("bus").exists());
    let tcti = format!("--tcti=swtpm:path={}", swtpm.path("tpm").display());
    let manager = start(
        "tpm2-abrmd",
        &["--session", "--allow-root", &tcti],
        swtpm.folder.path(),
        &[(ADDRESS, &socket)],
    );
    until("the resource manager", || owned(&socket));
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["--exact", THIS, "--nocapture"])
        .env(ADDRESS, &socket)
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{stderr}"
    );
    drop::<Running>(manager);
}

/// Whether the manager has its name on the bus.
fn owned(address: &str) -> bool {
    let asked = Command::new("dbus-send")
        .args([
            &format!("--bus={address}"),
            "--dest=org.freedesktop.DBus",
            "--print-reply",
        ])
        .args(["/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner"])
        .arg("string:com.intel.tss2.Tabrmd")
        .output()
        .expect("dbus-send (install the package dbus)");
    String::from_utf8_lossy(&asked.stdout).contains("boolean true")
}

/// The half of the test above that talks to the manager.
fn through_the_bus() {
    let place: TpmPlace = "tabrmd:bus_type=session".parse().unwrap();
    let mut source = TpmEvidence::new(TctiTpm::open(&place).unwrap());
    source.begin().unwrap();
    let mut random = [0; 32];
    source.random(&mut random).unwrap();
    assert_ne!(random, [0; 32]);
    // The EK and the AK of a login, which the manager swaps in and out.
    use assay_common::login::Transcript;
    use assay_common::policy::AttestorKind;
    use assay_firmware::evidence::Request;
    struct Nowhere;
    impl assay_firmware::link::BlobSink for Nowhere {
        fn chunk(
            &mut self,
            _: u8,
            _: u32,
            _: &[u8],
        ) -> Result<(), assay_firmware::link::LinkError> {
            Ok(())
        }
    }
    let transcript = Transcript::new();
    let request = Request {
        kind: AttestorKind::TPM_EK,
        version: 3,
        round: 0,
        payload: &[],
        transcript: &transcript,
    };
    let mut buffer = [0; 2048];
    let mut out = assay_common::protocol::MessageWriter::new(&mut buffer);
    source.prove(&request, &mut Nowhere, &mut out).unwrap();
    assert!(out.finish().unwrap().len() > 200);
    source.end();
}
