//! Whatever somebody on the bus changes, takes away, repeats or makes up, is seen, and nothing is believed after it.

use std::cell::RefCell;
use std::rc::Rc;

use assay_common::protocol::TroubleCode;
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{PcrIndex, PcrMask, PcrSelection};
use assay_common::tpm::public::templates::EkTemplate;
use assay_firmware::evidence::EvidenceError;
use assay_firmware::keys::{Ak, AkTemplate, Ek};
use assay_firmware::tpm::{Tpm, TpmError, TransportError};

use super::protected;
use crate::bytes::{authorized, response, tpm2b};
use crate::scripted::code;
use crate::swtpm::{Bus, Interposer, success};

/// What is done to the next command of a code, or to its response.
#[derive(Clone)]
enum Deed {
    FlipInCommand(usize),
    FlipInResponse(usize),
    SetInResponse(usize, u8),
    /// The response before the last one of this code again.
    Replay,
    /// This instead.
    Answer(Vec<u8>),
    /// The session's part taken off, with a tag that says so.
    Strip,
    /// The command does not reach the TPM, which is asked for something harmless instead; this is the answer.
    Swallow(Vec<u8>),
    /// The response does not reach the processor.
    Lose,
    /// The TPM seems to ask for the command again, once.
    Retry,
    /// The TPM seems to have no room for it, then to have something stale in it, and then, as that is flushed, to have been
    /// reset.
    Forget,
}

#[derive(Default)]
struct Liar {
    deed: Option<(u32, Deed)>,
    seen: Vec<(u32, Vec<u8>)>,
    begun: bool,
    done: bool,
}

impl Liar {
    fn due(&self, command: &[u8]) -> Option<Deed> {
        let (wanted, deed) = self.deed.as_ref()?;
        (*wanted == code(command) && !self.done).then(|| deed.clone())
    }
}

impl Interposer for Liar {
    fn command(&mut self, mut command: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
        if self.begun && !self.done {
            match code(&command) {
                GET_CAPABILITY => {
                    let one_stale_object = [0, 0, 0, 0, 1, 0, 0, 0, 1, 0x80, 0, 0, 9];
                    return Err(response(0x8001, 0, &one_stale_object));
                }
                FLUSH_CONTEXT => {
                    self.done = true;
                    return Err(response(0x8001, INITIALIZE, &[]));
                }
                _ => {}
            }
        }
        match self.due(&command) {
            Some(Deed::Forget) if !self.begun => {
                self.begun = true;
                Err(response(0x8001, OBJECT_MEMORY, &[]))
            }
            Some(Deed::FlipInCommand(at)) => {
                self.done = true;
                command[at] ^= 1 << (at % 8);
                Ok(command)
            }
            Some(Deed::Swallow(answer)) => {
                self.done = true;
                Err(answer)
            }
            Some(Deed::Retry) => {
                self.done = true;
                Err(response(0x8001, 0x922, &[]))
            }
            _ => Ok(command),
        }
    }

    fn response(&mut self, command: &[u8], mut answer: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let deed = self.due(command);
        let earlier = self
            .seen
            .iter()
            .rev()
            .find(|(seen, _)| *seen == code(command));
        let earlier = earlier.map(|(_, answer)| answer.clone());
        self.seen.push((code(command), answer.clone()));
        match deed {
            Some(Deed::FlipInResponse(at)) => {
                answer[at] ^= 1 << (at % 8);
            }
            Some(Deed::SetInResponse(at, byte)) => answer[at] = byte,
            Some(Deed::Replay) => answer = earlier.unwrap(),
            Some(Deed::Answer(other)) => answer = other,
            Some(Deed::Strip) => {
                let params = u32::from_be_bytes(answer[10..14].try_into().unwrap()) as usize;
                answer = response(0x8001, 0, &answer[14..14 + params]);
            }
            Some(Deed::Lose) => {
                self.done = true;
                return Err(TransportError::Timeout);
            }
            _ => return Ok(answer),
        }
        self.done = true;
        Ok(answer)
    }
}

/// TPM_RC_INITIALIZE: what a TPM says after a reset.
const INITIALIZE: u32 = 0x100;
/// TPM_RC_OBJECT_MEMORY.
const OBJECT_MEMORY: u32 = 0x902;

struct Scene {
    bus: Bus,
    liar: Rc<RefCell<Liar>>,
    tpm: Tpm<Bus>,
    ek: Ek,
    ek_public: Vec<u8>,
    ak: Ak,
}

const GET_CAPABILITY: u32 = 0x17A;
const FLUSH_CONTEXT: u32 = 0x165;
const GET_RANDOM: u32 = 0x17B;
const CREATE_PRIMARY: u32 = 0x131;
const QUOTE: u32 = 0x158;
const PCR_READ: u32 = 0x17E;
const PCR_EXTEND: u32 = 0x182;
const CLOCK: u32 = 0x181;

impl Scene {
    fn new() -> Self {
        let liar = Rc::new(RefCell::new(Liar::default()));
        let bus = Bus::with(liar.clone());
        let (mut tpm, ek) = protected(&bus, EkTemplate::L2);
        let ek_public = tpm.read_public(ek.handle()).unwrap().public.to_vec();
        let ak = Ak::create(&mut tpm, &[AkTemplate::P256], &mut |_| {}).unwrap();
        Self {
            bus,
            liar,
            tpm,
            ek,
            ek_public,
            ak,
        }
    }

    /// A new session in place of one that is broken; the keys are made again in it.
    fn mend(&mut self) {
        self.liar.borrow_mut().deed = None;
        // A key whose handle was not believed.
        self.tpm.flush_stale().unwrap();
        self.tpm.protect(self.ek.handle(), &self.ek_public).unwrap();
        self.tpm.flush(self.ak.handle()).unwrap();
        self.ak = Ak::create(&mut self.tpm, &[AkTemplate::P256], &mut |_| {}).unwrap();
    }

    fn plan(&mut self, code: u32, deed: Deed) {
        let mut liar = self.liar.borrow_mut();
        liar.deed = Some((code, deed));
        liar.done = false;
    }

    /// One command of this code.
    fn run(&mut self, code: u32) -> Result<(), TpmError> {
        let tpm = &mut self.tpm;
        let pcrs = [PcrSelection::new(AlgId::SHA256, PcrMask(0x01_00_01))];
        match code {
            GET_RANDOM => tpm.random(&mut [0; 32]),
            CREATE_PRIMARY => {
                let made = tpm.create_primary(Handle::ENDORSEMENT, &[&AK_TEMPLATE]);
                let made = made.map(|made| made.handle);
                made.and_then(|handle| tpm.flush(handle))
            }
            QUOTE => tpm.quote(self.ak.handle(), &[9; 32], &pcrs).map(drop),
            PCR_READ => tpm.pcr_read(&pcrs, &mut [0; 64]).map(drop),
            PCR_EXTEND => tpm.pcr_extend(PcrIndex::new(16).unwrap(), AlgId::SHA256, &[5; 32]),
            CLOCK => tpm.read_clock().map(drop),
            other => panic!("{other:x}"),
        }
    }

    fn pcr_16(&self) -> Vec<u8> {
        let command = crate::bytes::hex("8001 00000014 0000017e 00000001 000b 03 000001");
        self.bus.raw(&command)[18..].to_vec()
    }

    /// The lengths of the last command of this code and of its response.
    fn lengths(&self, wanted: u32) -> (usize, usize) {
        let crossed = self.bus.crossed.borrow();
        let (command, answer) = crossed
            .iter()
            .rev()
            .find(|(command, _)| code(command) == wanted)
            .unwrap();
        (command.len(), answer.len())
    }
}

const AK_TEMPLATE: [u8; 24] = assay_common::tpm::public::templates::AK_P256;

fn every_flip_in_a_response_is_seen(code: u32, step: usize) {
    let mut scene = Scene::new();
    scene.run(code).unwrap();
    let (_, len) = scene.lengths(code);
    for at in (0..len).step_by(step) {
        scene.plan(code, Deed::FlipInResponse(at));
        let result = scene.run(code);
        // No HMAC is over a handle in a response. With another one the next command, whose HMAC is over the Name, fails.
        let is_handle = code == CREATE_PRIMARY && (10..14).contains(&at);
        assert!(
            result == Err(TpmError::Forged) || is_handle && result.is_err(),
            "byte {at} of {len}: {result:?}"
        );
        scene.mend();
    }
    scene.run(code).unwrap();
}

#[test]
fn a_bit_changed_anywhere_in_a_response_with_a_secret_is_seen() {
    every_flip_in_a_response_is_seen(GET_RANDOM, 1);
}

#[test]
fn a_bit_changed_in_a_quote_is_seen() {
    every_flip_in_a_response_is_seen(QUOTE, 7);
}

#[test]
fn a_bit_changed_in_the_public_area_of_a_new_key_is_seen() {
    every_flip_in_a_response_is_seen(CREATE_PRIMARY, 11);
}

#[test]
fn a_bit_changed_in_pcr_values_is_seen() {
    every_flip_in_a_response_is_seen(PCR_READ, 5);
}

#[test]
fn a_bit_changed_in_a_clock_is_seen() {
    every_flip_in_a_response_is_seen(CLOCK, 3);
}

#[test]
fn a_bit_changed_anywhere_in_a_measurement_is_seen_and_nothing_is_measured() {
    let mut scene = Scene::new();
    scene.run(PCR_EXTEND).unwrap();
    let before = scene.pcr_16();
    let (len, _) = scene.lengths(PCR_EXTEND);
    // All but the frame's own length, with which the software TPM would wait for more.
    for at in (0..len).filter(|at| !(2..6).contains(at)) {
        scene.plan(PCR_EXTEND, Deed::FlipInCommand(at));
        let result = scene.run(PCR_EXTEND);
        assert!(result.is_err(), "byte {at}");
        assert_eq!(scene.pcr_16(), before, "byte {at}");
        if at >= len - 32 {
            assert_eq!(result, Err(TpmError::Forged), "the digest, byte {at}");
        }
        scene.mend();
    }
    scene.run(PCR_EXTEND).unwrap();
    assert_ne!(scene.pcr_16(), before);
}

#[test]
fn a_measurement_that_is_swallowed_is_not_believed() {
    let mut scene = Scene::new();
    scene.run(PCR_EXTEND).unwrap();
    for answer in [
        success(),
        authorized(None, &[], 1),
        response(0x8002, 0, &[0, 0, 0, 0]),
    ] {
        scene.plan(PCR_EXTEND, Deed::Swallow(answer));
        assert_eq!(scene.run(PCR_EXTEND), Err(TpmError::Forged));
        scene.mend();
    }
}

/// No error has an HMAC, so anybody can say that the TPM was reset. The session is not given up for it.
#[test]
fn a_reset_that_somebody_tells_of_leaves_nothing_unguarded() {
    let mut scene = Scene::new();
    let told = response(0x8001, INITIALIZE, &[]);
    scene.plan(FLUSH_CONTEXT, Deed::Swallow(told));
    assert_eq!(scene.tpm.flush(scene.ak.handle()), Err(TpmError::Reset));
    assert!(scene.tpm.is_protected());
    let sent = scene.bus.sent();
    for code in [GET_RANDOM, PCR_READ, PCR_EXTEND, CREATE_PRIMARY, CLOCK] {
        assert_eq!(scene.run(code), Err(TpmError::Reset), "{code:x}");
    }
    assert_eq!(scene.bus.sent(), sent, "not even without a session");
    scene
        .tpm
        .protect(scene.ek.handle(), &scene.ek_public)
        .unwrap();
    scene.run(PCR_EXTEND).unwrap();
}

/// A command that was sealed, and waits while room is made for it, is not sent again without the session that it was sealed
/// in; and no answer to it is believed, which a session without secrets would let anybody make.
#[test]
fn a_session_that_ends_while_room_is_made_ends_the_command_too() {
    let mut scene = Scene::new();
    let before = scene.pcr_16();
    scene.plan(PCR_EXTEND, Deed::Forget);
    assert_eq!(scene.run(PCR_EXTEND), Err(TpmError::Reset));
    assert!(scene.liar.borrow().done);
    assert_eq!(scene.pcr_16(), before);
    assert!(scene.tpm.is_protected());
    let sent = scene.bus.sent();
    assert_eq!(scene.run(CLOCK), Err(TpmError::Reset));
    assert_eq!(scene.bus.sent(), sent);
}

#[test]
fn a_key_by_another_keys_handle_is_not_used() {
    let mut scene = Scene::new();
    // The handle of the AK in the place of the new key's: no HMAC is over it.
    let [.., handle] = scene.ak.handle().0.to_be_bytes();
    scene.plan(CREATE_PRIMARY, Deed::SetInResponse(13, handle));
    let template = assay_common::tpm::public::templates::STORAGE_P256;
    let made = scene.tpm.create_primary(Handle::NULL, &[&template]);
    let swapped = made.unwrap().handle;
    assert_eq!(swapped, scene.ak.handle());
    let quoted = scene.tpm.quote(swapped, &[9; 32], &[]).map(drop);
    assert_eq!(quoted, Err(TpmError::Forged));
}

#[test]
fn an_earlier_response_does_not_pass_for_a_new_one() {
    for code in [GET_RANDOM, PCR_READ, CLOCK, PCR_EXTEND, QUOTE] {
        let mut scene = Scene::new();
        scene.run(code).unwrap();
        scene.plan(code, Deed::Replay);
        assert_eq!(scene.run(code), Err(TpmError::Forged), "{code:x}");
    }
}

#[test]
fn a_response_without_its_session_is_not_believed() {
    for code in [GET_RANDOM, PCR_READ, CLOCK, PCR_EXTEND, QUOTE] {
        let mut scene = Scene::new();
        scene.plan(code, Deed::Strip);
        assert_eq!(scene.run(code), Err(TpmError::Forged), "{code:x}");
    }
    // The shape of a password's acknowledgement, around numbers of the liar's own choice.
    let mut scene = Scene::new();
    let chosen = authorized(None, &tpm2b(&[0; 32]), 1);
    scene.plan(GET_RANDOM, Deed::Answer(chosen));
    assert_eq!(scene.run(GET_RANDOM), Err(TpmError::Forged));
}

#[test]
fn after_a_lie_nothing_is_sent_until_there_is_a_new_session() {
    let mut scene = Scene::new();
    scene.plan(CLOCK, Deed::Strip);
    assert_eq!(scene.run(CLOCK), Err(TpmError::Forged));
    let sent = scene.bus.sent();
    for code in [
        GET_RANDOM,
        QUOTE,
        PCR_READ,
        PCR_EXTEND,
        CREATE_PRIMARY,
        CLOCK,
    ] {
        assert_eq!(scene.run(code), Err(TpmError::Forged), "{code:x}");
    }
    assert_eq!(scene.bus.sent(), sent, "not even without a session");
    assert!(scene.tpm.is_protected());
    let forged = TpmError::Forged.code();
    assert_eq!(scene.tpm.errors().get(forged), 7);
    let told = EvidenceError::from(TpmError::Forged);
    assert_eq!(told.code, TroubleCode::TPM_FORGED);
    scene.mend();
    scene.run(QUOTE).unwrap();
}

#[test]
fn a_response_that_is_lost_ends_the_session_as_what_it_is() {
    let mut scene = Scene::new();
    scene.plan(CLOCK, Deed::Lose);
    let lost = Err(TpmError::Transport(TransportError::Timeout));
    assert_eq!(scene.run(CLOCK), lost);
    // The TPM's nonce has rolled; that is nobody's lie.
    assert_eq!(scene.run(QUOTE), lost);
    scene.mend();
    scene.run(QUOTE).unwrap();
}

#[test]
fn a_command_is_repeated_as_it_is_when_the_tpm_asks_for_it() {
    let mut scene = Scene::new();
    scene.plan(QUOTE, Deed::Retry);
    scene.run(QUOTE).unwrap();
    let crossed = scene.bus.crossed.borrow();
    let quotes: Vec<_> = crossed
        .iter()
        .filter(|(command, _)| code(command) == QUOTE)
        .collect();
    assert_eq!(quotes.len(), 2);
    assert_eq!(quotes[0].0, quotes[1].0);
}

#[test]
fn nobody_answers_for_a_key_they_do_not_have() {
    let liar = Rc::new(RefCell::new(Liar::default()));
    let bus = Bus::with(liar);
    let mut tpm = bus.tpm();
    tpm.start().unwrap();
    // Two keys of one TPM: the session is salted to the first, the second answers.
    let (first, public) = super::ek(&mut tpm, EkTemplate::L2);
    let (second, _) = super::ek(&mut tpm, EkTemplate::H2);
    assert_eq!(tpm.protect(second.handle(), &public), Err(TpmError::Forged));
    assert_eq!(tpm.random(&mut [0; 4]), Err(TpmError::Forged));
    tpm.protect(first.handle(), &public).unwrap();
}

#[test]
fn a_reset_behind_our_back_ends_the_session() {
    let mut scene = Scene::new();
    // TPM2_Shutdown and TPM2_Startup do nothing to sessions; a reset of the TPM does, here by flushing it.
    let handle = {
        let crossed = scene.bus.crossed.borrow();
        let (_, answer) = crossed
            .iter()
            .find(|(command, _)| code(command) == 0x176)
            .unwrap();
        answer[10..14].to_vec()
    };
    let flush = [crate::bytes::hex("8001 0000000e 00000165"), handle].concat();
    scene.bus.raw(&flush);
    assert!(matches!(scene.run(QUOTE), Err(TpmError::Lost(_))));
    assert!(matches!(scene.run(CLOCK), Err(TpmError::Lost(_))));
}
