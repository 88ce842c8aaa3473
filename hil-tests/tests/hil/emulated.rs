//! Boards in QEMU, unmodified, at a real `assayd`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use assay_common::protocol::{AgentMessage, TroubleCode, decode};
use assay_hil_tests::board::{self, Board, Profile};
use assay_hil_tests::manufacture::{EkKind, ManufacturedTpm, Recipe, cache};
use assay_hil_tests::qemu::locate::Installation;
use assay_hil_tests::qemu::{Event, ExitEvent, OverlayOptions};
use assay_hil_tests::scenario::live::{Live, Options, VerifierEvent};
use assay_hil_tests::scenario::rig;
use tempfile::TempDir;

/// Generous: the limit only ends a run that has gone wrong.
const LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Bench {
    folder: TempDir,
    tpm: ManufacturedTpm,
}

impl Bench {
    pub(crate) fn new(recipe: &Recipe) -> Self {
        let folder = tempfile::Builder::new().prefix("assay-").tempdir().unwrap();
        let tpm = cache::copy(recipe, &folder.path().join("made")).unwrap();
        Self { folder, tpm }
    }

    pub(crate) fn start(&self, board: &Board, overlay: OverlayOptions) -> Live {
        let image = board::build(board, Profile::Firmware).unwrap();
        let options = Options {
            overlay,
            ..Options::default()
        };
        Live::start(board, &image, &self.tpm, self.folder.path(), &options).unwrap()
    }
}

/// The boards whose flashed image is the one that QEMU runs.
fn flashed() -> [Board; 4] {
    ["stm32f405", "stm32l476", "nrf52840dk", "rp2350"].map(|name| board::find(name).unwrap())
}

fn finish(live: &Live) -> VerifierEvent {
    live.finish(LIMIT, &mut |_| {})
        .unwrap_or_else(|error| panic!("{error:#}\n{}", live.assayd.log()))
}

pub(crate) fn granted(live: &Live) -> VerifierEvent {
    let end = finish(live);
    assert!(end.is_granted(), "{end:?}\n{}", live.assayd.log());
    end
}

/// Ends a run in which the board has kicked its watchdog in time, if it has one.
fn ended(live: Live, board: &str) {
    let kicks = live
        .end()
        .unwrap_or_else(|error| panic!("{board}: {error:#}"));
    let watched = flashed().iter().any(|flashed| flashed.name == board);
    assert_eq!(kicks.is_some(), watched, "{board}: {kicks:?}");
    if let Some(kicks) = kicks {
        eprintln!("{board}: {kicks:?}");
    }
}

fn attribute<'a>(end: &'a VerifierEvent, name: &str) -> &'a str {
    let attributes = end.attributes.as_ref().unwrap();
    attributes
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {attributes:?}"))
        .as_str()
        .unwrap()
}

/// SHA-256 of the SubjectPublicKeyInfo, by OpenSSL.
fn key_hash(certificate: &Path) -> String {
    let key = run(
        "openssl",
        &[
            "x509",
            "-inform",
            "DER",
            "-in",
            text(certificate),
            "-noout",
            "-pubkey",
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let (pem, der) = (folder.path().join("key.pem"), folder.path().join("key.der"));
    std::fs::write(&pem, key.stdout).unwrap();
    run(
        "openssl",
        &[
            "pkey",
            "-pubin",
            "-in",
            text(&pem),
            "-outform",
            "DER",
            "-out",
            text(&der),
        ],
    );
    let digest = run("openssl", &["dgst", "-sha256", "-r", text(&der)]);
    String::from_utf8(digest.stdout)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} (is its package installed?): {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn every_board_that_qemu_runs_logs_in_with_every_kind_of_ek() {
    let boards: Vec<_> = board::all()
        .unwrap()
        .into_iter()
        .filter(|b| b.manifest.qemu.is_some())
        .collect();
    assert!(boards.len() >= 2, "{boards:?}");
    for board in &boards {
        for kind in EkKind::ALL {
            let bench = Bench::new(&Recipe::with([kind]));
            let live = bench.start(board, OverlayOptions::default());
            let end = granted(&live);
            let hash = key_hash(&bench.tpm.ek_certificate(kind));
            assert_eq!(
                attribute(&end, "tpm_ek.public_hash"),
                hash,
                "{} {}",
                board.name,
                kind.name()
            );
            assert_eq!(
                end.spiffe_id.as_deref(),
                Some(&*format!("spiffe://assay.example/node/{hash}"))
            );
            assert_eq!(attribute(&end, "tpm_quote.pcr.sha256.7"), "00".repeat(32));
            // An SVID of this name, which the verifier issues to keys that live in the board's TPM only.
            assert!(live.tap.wait_for(&["granted"], LIMIT));
            let svid = live.tap.svid().unwrap().unwrap();
            assert_eq!(svid.uris, [end.spiffe_id.unwrap()]);
            ended(live, &board.name);
        }
    }
}

#[test]
fn a_board_is_known_by_the_image_in_its_flash_and_not_with_one_bit_changed() {
    for board in flashed() {
        let demo = |image: &str| {
            let output = Command::new(env!("CARGO_BIN_EXE_hil"))
                .args(["demo", "--json", "--board", &board.name, "--image", image])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{} {image}: {said}", board.name);
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
        };
        let good = demo("good");
        assert_eq!(good["granted"], true, "{good}");
        assert_eq!(good["name"], *board.name, "{good}");
        // Counted in its flash, which was blank.
        assert_eq!(good["boot_counter"], "1", "{good}");
        let tampered = demo("tampered");
        assert_eq!(tampered["granted"], false, "{tampered}");
        assert_eq!(tampered["check"], "image-digest", "{tampered}");
    }
}

#[test]
fn a_board_with_a_random_number_generator_asks_it_at_a_login() {
    let [_, others @ ..] = flashed();
    for board in others {
        let bench = Bench::new(&Recipe::with([EkKind::P256]));
        let live = bench.start(&board, OverlayOptions::default());
        granted(&live);
        let exit = exit(live);
        // Eight words of noise, and the one that they are first compared with; an RP2350 has them six at a time.
        let words = if board.name == "rp2350" { 12 } else { 9 };
        assert_eq!(exit.noise_words % words, 0, "{}: {exit:?}", board.name);
        assert!(exit.noise_words >= words, "{}: {exit:?}", board.name);
    }
}

/// Ends the machine; what it was like at its end.
pub(crate) fn exit(live: Live) -> ExitEvent {
    let (_, events) = live.qemu.quit().unwrap();
    let rest = events.unwrap().rest(Duration::from_secs(5));
    let mut exits = rest.into_iter().filter_map(|event| match event {
        Event::Exit(exit) => Some(exit),
        _ => None,
    });
    exits.next().unwrap()
}

#[test]
fn the_evidence_of_a_login_stands_before_other_peoples_tools() {
    let board = board::find("stm32f405").unwrap();
    let bench = Bench::new(&Recipe::with([EkKind::P384]));
    let live = bench.start(&board, OverlayOptions::default());
    granted(&live);
    let folder = bench.folder.path().join("evidence");
    let evidence = live.tap.evidence().unwrap();
    evidence.write(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();

    let nonce = std::fs::read_to_string(file("nonce.hex"))
        .unwrap()
        .trim()
        .to_owned();
    let check_quote = |pcrs: &str| {
        let mut command = Command::new("tpm2_checkquote");
        command.args(["-u", &file("ak.pub"), "-m", &file("attest.bin")]);
        command.args(["-s", &file("signature.bin"), "-g", "sha256", "-q", &nonce]);
        command.args(["-f", pcrs]).output().unwrap()
    };
    let checked = check_quote(&file("pcrs.bin"));
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    // Somebody else's tool sees a PCR value that was not quoted, too.
    let mut forged = std::fs::read(file("pcrs.bin")).unwrap();
    *forged.iter_mut().rfind(|byte| **byte == 32).unwrap() = 31;
    std::fs::write(file("forged.bin"), forged).unwrap();
    assert!(!check_quote(&file("forged.bin")).status.success());
    let attest = run("tpm2_print", &["-t", "TPMS_ATTEST", &file("attest.bin")]);
    let attest = String::from_utf8(attest.stdout).unwrap();
    assert!(
        attest.contains("type: 8018") && attest.contains(&nonce),
        "{attest}"
    );
    let ak = String::from_utf8(run("tpm2_print", &["-t", "TPM2B_PUBLIC", &file("ak.pub")]).stdout)
        .unwrap();
    assert!(ak.contains("restricted") && ak.contains("noda"), "{ak}");
    let ek = String::from_utf8(run("tpm2_print", &["-t", "TPM2B_PUBLIC", &file("ek.pub")]).stdout)
        .unwrap();
    assert!(ek.contains("sha384") && ek.contains("decrypt"), "{ek}");
    // What `assay provision record --ek-name` pins.
    let area = std::fs::read(file("ek.pub")).unwrap().split_off(2);
    std::fs::write(file("ek.area"), area).unwrap();
    let digest = run("openssl", &["dgst", "-sha384", "-r", &file("ek.area")]).stdout;
    let digest = String::from_utf8(digest).unwrap();
    let name = std::fs::read_to_string(file("ek.name.hex")).unwrap();
    // TPM_ALG_SHA384.
    assert_eq!(name.trim().strip_prefix("000c"), digest.split(' ').next());

    let (root, intermediate) = (bench.tpm.root_ca(), bench.tpm.intermediate_ca());
    let pem = file("ek.pem");
    run(
        "openssl",
        &[
            "x509",
            "-inform",
            "DER",
            "-in",
            &file("ek.der"),
            "-out",
            &pem,
        ],
    );
    // OpenSSL does not know the TCG's subject alternative name, which is critical here.
    run(
        "openssl",
        &[
            "verify",
            "-ignore_critical",
            "-CAfile",
            text(&root),
            "-untrusted",
            text(&intermediate),
            &pem,
        ],
    );
    assert_eq!(
        std::fs::read(file("ek.der")).unwrap(),
        std::fs::read(bench.tpm.ek_certificate(EkKind::P384)).unwrap()
    );

    // The same files before our own offline judge.
    let assay = Path::new(env!("CARGO_BIN_EXE_hil")).with_file_name("assay");
    let judged = |pcrs: &str| {
        Command::new(&assay)
            .args([
                "evidence",
                "verify",
                "tpm_quote",
                "--attest",
                &file("attest.bin"),
            ])
            .args([
                "--signature",
                &file("signature.bin"),
                "--ak",
                &file("ak.pub"),
                "--pcrs",
                pcrs,
            ])
            .args([
                "--nonce",
                &nonce,
                "--selection",
                "sha256:0,1,2,3,4,5,6,7",
                "--json",
            ])
            .output()
            .unwrap()
    };
    let accepted = judged(&file("pcrs.txt"));
    assert_eq!(
        accepted.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&accepted.stdout)
    );
    let altered = folder.join("altered.txt");
    let lines = std::fs::read_to_string(file("pcrs.txt"))
        .unwrap()
        .replacen("00", "01", 1);
    std::fs::write(&altered, lines).unwrap();
    assert_eq!(judged(text(&altered)).status.code(), Some(1));
}

#[test]
fn a_board_without_a_tpm_says_so_and_goes_on_trying() {
    flashed().iter().for_each(without_a_tpm);
}

fn without_a_tpm(board: &Board) {
    let bench = Bench::new(&Recipe::with([EkKind::P256]));
    let faults = "miso-stuck-high@any/any/always".parse().unwrap();
    let live = bench.start(
        board,
        OverlayOptions {
            faults,
            ..OverlayOptions::default()
        },
    );
    let troubles = wait_for_troubles(&live, 2);
    for trouble in &troubles {
        assert_eq!(trouble.code, TroubleCode::TPM_ABSENT, "{trouble:?}");
    }
    assert!(
        troubles[1].attempt > troubles[0].attempt
            && troubles[1].retry_in_ms > troubles[0].retry_in_ms
    );
}

#[test]
fn a_board_whose_tpm_comes_back_logs_in_without_a_reflash() {
    flashed().iter().for_each(after_its_tpm_came_back);
}

fn after_its_tpm_came_back(board: &Board) {
    let bench = Bench::new(&Recipe::with([EkKind::P256]));
    let faults = "rc-failure@execution/GetRandom/1".parse().unwrap();
    let live = bench.start(
        board,
        OverlayOptions {
            faults,
            ..OverlayOptions::default()
        },
    );
    let troubles = wait_for_troubles(&live, 1);
    assert_eq!(troubles[0].code, TroubleCode::TPM_FAILURE_MODE);
    granted(&live);
}

#[test]
fn a_qemu_that_cannot_load_the_overlay_is_reported_and_the_other_board_serves() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("usr/bin");
    std::fs::create_dir_all(&bin).unwrap();
    // A program that exports nothing and is QEMU all the same.
    let qemu = Installation::find("qemu-system-arm").unwrap();
    let data = qemu.data.as_deref().map_or_else(String::new, |data| {
        format!("\"-L\", \"{}\", ", data.display())
    });
    let source = folder.path().join("wrapper.c");
    let text_of = format!(
        "#include <unistd.h>\n#include <stdlib.h>\nint main(int n, char **a) {{\n\
         char *fixed[] = {{a[0], {data}0}}; char **all = calloc(n + 4, sizeof *all); int i = 0;\n\
         for (; fixed[i]; i++) all[i] = fixed[i];\n\
         for (int k = 1; k < n; k++) all[i++] = a[k];\n\
         execv(\"{}\", all); return 127; }}\n",
        qemu.binary.display()
    );
    std::fs::write(&source, text_of).unwrap();
    run(
        "cc",
        &["-o", text(&bin.join("qemu-system-arm")), text(&source)],
    );

    let demo = |board: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_hil"))
            .args(["demo", "--json"])
            .args(board)
            .env("ASSAY_QEMU_DIR", folder.path())
            .output()
            .unwrap()
    };
    let output = demo(&[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("cannot load the overlay"), "{said}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["board"], "mps2-an386");
    assert!(document["spi"]["bytes"].as_u64().unwrap() > 3_000);
    what_a_demo_leaves(&document);
    // Asked for by name, the other one is an error and nothing else.
    let output = demo(&["--board", "stm32f405"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("does not export get_system_memory"), "{said}");
}

/// The three commands that a demo ends with, typed as they stand there.
fn what_a_demo_leaves(document: &serde_json::Value) {
    let commands = document["commands"].as_array().unwrap();
    let told: Vec<_> = commands
        .iter()
        .map(|command| {
            let output = Command::new("sh")
                .args(["-c", command.as_str().unwrap()])
                .current_dir(board::workspace_root())
                .output()
                .unwrap();
            assert!(output.status.success(), "{command}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    let [nodes, sessions, explained] = told.as_slice() else {
        panic!("{commands:?}")
    };
    let of = |pointer: &str| document.pointer(pointer).and_then(|value| value.as_str());
    let (identity, session) = (of("/spiffe_id").unwrap(), of("/session/id").unwrap());
    let ek = of("/tpm/ek_hash").unwrap();
    assert_eq!(nodes.lines().count(), 2, "this demo's node alone: {nodes}");
    assert!(nodes.contains(ek) && nodes.contains(identity), "{nodes}");
    assert_eq!(sessions.lines().count(), 2, "{sessions}");
    assert!(sessions.contains(session), "{sessions}");
    for part in [
        "granted",
        session,
        identity,
        "bare_metal: satisfied, and the first: it won",
        "tpm_quote  requiredAttestors  satisfied",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    // Keys are in it.
    let config = commands[0].as_str().unwrap().rsplit(' ').next().unwrap();
    let folder = board::workspace_root().join(config.trim_matches('\''));
    let mode = std::fs::metadata(folder.parent().unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn every_scenario_of_the_bench_holds_in_qemu_too() {
    let boards = board::all().unwrap();
    let emulated = boards.iter().filter(|b| b.manifest.qemu.is_some());
    // At the same time: most of it is a board that waits for the end of its session.
    std::thread::scope(|scope| {
        for board in emulated {
            scope.spawn(|| {
                let bench = Bench::new(&Recipe::with([EkKind::P256]));
                let mut live = bench.start(board, OverlayOptions::default());
                for scenario in rig::ALL {
                    scenario.run(&mut live).unwrap_or_else(|error| {
                        panic!("{}: {error:#}\n{}", board.name, live.assayd.log())
                    });
                }
                ended(live, &board.name);
            });
        }
    });
}

#[test]
fn a_dry_run_for_the_bench_shows_every_command_and_touches_nothing() {
    let bench = Bench::new(&Recipe::with([EkKind::P256]));
    let output = Command::new(env!("CARGO_BIN_EXE_hil"))
        .args([
            "board",
            "stm32f405",
            "--dry-run",
            "--manufacturer-cas",
            text(&bench.tpm.root_ca()),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("probe-rs download --chip STM32F405"),
        "{said}"
    );
    assert!(
        said.contains("--base-address 0x80e0000 record.bin"),
        "{said}"
    );
    assert!(
        rig::ALL.iter().all(|scenario| said.contains(scenario.name)),
        "{said}"
    );
}

fn wait_for_troubles(live: &Live, count: usize) -> Vec<assay_common::protocol::Trouble> {
    let started = std::time::Instant::now();
    while started.elapsed() < LIMIT {
        let troubles: Vec<_> = live
            .tap
            .seen()
            .iter()
            .filter_map(|frame| match decode(&frame.body) {
                Ok(AgentMessage::Trouble(trouble)) if frame.name() == "trouble" => Some(trouble),
                _ => None,
            })
            .collect();
        if troubles.len() >= count {
            return troubles;
        }
        // Nothing announces a frame on the tap; the pause only spares the processor.
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("no {count} troubles: {}", live.tap.summary())
}
