//! Attacks that worked on other verifiers, by their number in the project's list, with a real agent and real TPMs:
//! somebody sits on the line, on the TPM's bus, or in the node with a TPM of his own.
//!
//! Where each entry is tested:
//!
//! | entries | where |
//! |---|---|
//! | A02, A03, A05, A06, A10 to A16, A18, A24 to A31, A33, A34: what is judged | `host-verifier/tests/judge/attacks.rs` |
//! | A07 to A10, A17, A19 to A23: the login and the store | `host-verifier/tests/service/attacks/` |
//! | A02, A03, A06, A07, A16, A17, A19, A21 to A23: end to end | here |
//! | A30 by vendor, A32: other ways to an identity | `host-verifier/tests/service/{firmware,ways_in}.rs`; there is one way, the login |

mod bus;
mod identity;
mod line;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use assay_common::method::tpm_ek::EkPayload;
use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, DenyCode, Proofs, TroubleCode, decode, encode};
use assay_common::tpm::public::templates::AK_RSA2048;
use assay_firmware::agent::Failure;
use assay_hil_tests::manufacture::{EkKind, ManufacturedTpm, Recipe, cache};
use assay_hil_tests::scenario::line::{Frame, Toward};
use assay_hil_tests::scenario::local_verifier::Outcome;
use assay_hil_tests::scenario::loopback::{Loopback, LoopbackNode, policy, verifier};
use assay_host_verifier::login::Verifier;
use assay_host_verifier::session::PathTemplate;
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{BackendError, Config, SpiTpm, TpmBackend};
use tempfile::TempDir;

const QUOTE: u32 = 0x158;

const PCR_READ: u32 = 0x17E;

const START_AUTH_SESSION: u32 = 0x176;

/// Two nodes' TPMs, both of makers that the verifier trusts.
struct Lab {
    folder: TempDir,
    tpms: [ManufacturedTpm; 2],
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tpm = |instance: u8| {
            let recipe = Recipe {
                instance,
                ..Recipe::with([EkKind::P256])
            };
            cache::copy(&recipe, &folder.path().join(format!("tpm-{instance}"))).unwrap()
        };
        let tpms = [tpm(0), tpm(1)];
        Self { folder, tpms }
    }

    fn power(&self, n: usize) -> SwtpmBackend {
        let sockets = self.folder.path().join(format!("run-{n}"));
        SwtpmBackend::new(self.tpms[n].start(&sockets, Mode::Sockets).unwrap())
    }

    fn verifier(&self) -> Arc<Verifier> {
        let cas: Vec<_> = self
            .tpms
            .iter()
            .flat_map(|tpm| [tpm.root_ca(), tpm.intermediate_ca()])
            .collect();
        let cas: Vec<_> = cas.iter().map(|path| path.as_path()).collect();
        verifier(&policy(&cas, true)).unwrap()
    }

    fn node_with(&self, tpm: impl TpmBackend + 'static) -> Loopback {
        let model = SpiTpm::new(tpm, Config::chip(Personality::SLB9672));
        let mut loopback = Loopback::with_verifier(model, self.verifier()).unwrap();
        // What holds where nobody guards the bus; what a guarded one adds is in `interposer.rs`.
        loopback.leave_unguarded();
        loopback
    }
}

/// Somebody between the FIFO and the TPM: sees every command, and answers as he likes.
struct Interposer<F> {
    tpm: SwtpmBackend,
    tamper: F,
}

impl<F: FnMut(&mut SwtpmBackend, u32, &[u8]) -> Vec<u8> + Send> TpmBackend for Interposer<F> {
    fn execute(&mut self, command: &[u8], _locality: u8) -> Result<Vec<u8>, BackendError> {
        Ok((self.tamper)(&mut self.tpm, code(command), command))
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.tpm.reset()
    }
}

fn code(command: &[u8]) -> u32 {
    u32::from_be_bytes(command[6..10].try_into().unwrap())
}

fn run(tpm: &mut SwtpmBackend, command: &[u8]) -> Vec<u8> {
    tpm.execute(command, 0).unwrap()
}

fn denials(loopback: &Loopback) -> Vec<String> {
    loopback.line.with_peer(|verifier| {
        let detail = |outcome: &Outcome| match outcome {
            Outcome::Denied(denied) => Some(denied.detail.clone()),
            _ => None,
        };
        verifier.outcomes.iter().filter_map(detail).collect()
    })
}

fn granted(loopback: &Loopback) -> usize {
    loopback.line.with_peer(|verifier| verifier.granted())
}

/// The login must end with a refusal whose detail has `why` in it, and without a session.
fn refused(loopback: &Loopback, node: &mut LoopbackNode<'_>, why: &str) {
    let before = granted(loopback);
    let (failure, _) = node.attempt().expect_err(why);
    assert!(
        matches!(
            failure,
            Failure::Denied {
                code: DenyCode::REFUSED,
                ..
            }
        ),
        "{why}: {failure}"
    );
    let denials = denials(loopback);
    let last = denials.last().unwrap();
    assert!(last.contains(why), "{last}");
    assert_eq!(granted(loopback), before);
}

/// The login must end in the node, with `code`, and without a session.
fn stopped(loopback: &Loopback, node: &mut LoopbackNode<'_>, code: TroubleCode) {
    let before = granted(loopback);
    let (failure, _) = node.attempt().unwrap_err();
    let Failure::Evidence(error) = failure else {
        panic!("{failure}")
    };
    assert_eq!(error.code, code, "{failure}");
    assert_eq!(granted(loopback), before);
}
