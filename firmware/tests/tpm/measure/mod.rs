//! Measured boot against a TPM that keeps PCRs and can be reset behind the node's back.

mod unanswered;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use assay_common::measurement::{BOOT_PCR, Event, IMAGE_PCR, Image, Log, PcrBank, replay};
use assay_common::tpm::alg::AlgId;
use assay_firmware::measure::{Measurable, MeasureError, MeasuredBoot};
use assay_firmware::tpm::{Identity, Start, Tpm, TransportError};
use sha2::{Digest, Sha256, Sha384};

use crate::bytes::response;
use crate::scripted::{Scripted, code, fallible};

const IMAGE: Measurable<'static> = Measurable {
    name: "rack-node",
    version: "1.2.3",
    bytes: b"what is in the flash",
};

const PCR_EXTEND: u32 = 0x182;
const BOTH: [AlgId; 2] = [AlgId::SHA256, AlgId::SHA384];

/// What becomes of an extension whose answer does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is made.
    Made,
    /// It does not reach the TPM.
    Lost,
}

/// What such a TPM holds.
struct Chip {
    banks: Vec<AlgId>,
    /// A bank that readings are told to be of no known hash, whether it is there or not.
    denied: Option<AlgId>,
    /// By bank and index.
    pcrs: BTreeMap<(u16, u8), Vec<u8>>,
    reset_count: u32,
    restart_count: u32,
    null_seed: u8,
    /// The extensions with these numbers have no answer.
    unanswered: BTreeMap<usize, Fate>,
    /// All that were sent, and those that were made.
    sent: usize,
    extensions: usize,
    loaded: u32,
}

impl Chip {
    fn new(banks: &[AlgId]) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            banks: banks.to_vec(),
            denied: None,
            pcrs: BTreeMap::new(),
            reset_count: 41,
            restart_count: 2,
            null_seed: 1,
            unanswered: BTreeMap::new(),
            sent: 0,
            extensions: 0,
            loaded: 0,
        }))
    }

    fn value(&self, bank: AlgId, index: u8) -> Vec<u8> {
        let zero = vec![0; bank.digest_len().unwrap()];
        self.pcrs.get(&(bank.0, index)).cloned().unwrap_or(zero)
    }

    fn extend(&mut self, bank: AlgId, index: u8, digest: &[u8]) {
        let all = [self.value(bank, index), digest.to_vec()].concat();
        let new = match bank {
            AlgId::SHA256 => Sha256::digest(all).to_vec(),
            _ => Sha384::digest(all).to_vec(),
        };
        self.pcrs.insert((bank.0, index), new);
    }

    fn answer(&mut self, command: &[u8]) -> Result<Vec<u8>, TransportError> {
        let number = |at: usize| u16::from_be_bytes([command[at], command[at + 1]]);
        Ok(match code(command) {
            // ReadClock
            0x181 => {
                let mut body = [7u64.to_be_bytes(), 9u64.to_be_bytes()].concat();
                body.extend(self.reset_count.to_be_bytes());
                body.extend(self.restart_count.to_be_bytes());
                body.push(1);
                response(0x8001, 0, &body)
            }
            // CreatePrimary, in the null hierarchy
            0x131 => {
                assert_eq!(command[10..14], 0x4000_0007u32.to_be_bytes());
                self.loaded += 1;
                let mut name = vec![0, 0x0B];
                name.extend(Sha256::digest([self.null_seed]));
                let mut parameters = vec![0, 0, 0, 0, 0, 0, 0x80, 0x21, 0x40, 0, 0, 7, 0, 0];
                parameters.extend((name.len() as u16).to_be_bytes());
                parameters.extend(name);
                let mut body = 0x8000_0000u32.to_be_bytes().to_vec();
                body.extend((parameters.len() as u32).to_be_bytes());
                body.extend(parameters);
                body.extend([0, 0, 1, 0, 0]);
                response(0x8002, 0, &body)
            }
            // FlushContext
            0x165 => {
                self.loaded -= 1;
                response(0x8001, 0, &[])
            }
            // GetCapability of the banks
            0x17A => {
                assert_eq!(command[10..14], 5u32.to_be_bytes());
                let mut body = [&[0][..], &command[10..14]].concat();
                body.extend((self.banks.len() as u32).to_be_bytes());
                for bank in &self.banks {
                    body.extend(bank.0.to_be_bytes());
                    body.extend([3, 0xFF, 0xFF, 0xFF]);
                }
                response(0x8001, 0, &body)
            }
            0x17E if self.denied == Some(AlgId(number(14))) => response(0x8001, 0x1C3, &[]),
            // PCR_Read of one bank
            0x17E => {
                let bank = AlgId(number(14));
                let bits = u32::from_le_bytes([command[17], command[18], command[19], 0]);
                let has = self.banks.contains(&bank);
                let indices: Vec<u8> = (0..24).filter(|i| has && bits & 1 << i != 0).collect();
                let mut body = 5u32.to_be_bytes().to_vec();
                body.extend(1u32.to_be_bytes());
                body.extend(bank.0.to_be_bytes());
                let out = indices.iter().fold(0u32, |mask, i| mask | 1 << i);
                body.extend([&[3], &out.to_le_bytes()[..3]].concat());
                body.extend((indices.len() as u32).to_be_bytes());
                for index in indices {
                    let value = self.value(bank, index);
                    body.extend((value.len() as u16).to_be_bytes());
                    body.extend(value);
                }
                response(0x8001, 0, &body)
            }
            PCR_EXTEND => {
                let index = command[13];
                let area = u32::from_be_bytes(command[14..18].try_into().unwrap()) as usize;
                let list = 18 + area;
                assert_eq!(command[list..list + 4], [0, 0, 0, 1]);
                let bank = AlgId(number(list + 4));
                let digest = command[list + 6..].to_vec();
                assert_eq!(digest.len(), bank.digest_len().unwrap());
                assert!(self.banks.contains(&bank), "{bank} is not there");
                self.sent += 1;
                let fate = self.unanswered.get(&self.sent).copied();
                if fate != Some(Fate::Lost) {
                    self.extend(bank, index, &digest);
                    self.extensions += 1;
                }
                if fate.is_some() {
                    return Err(TransportError::Timeout);
                }
                response(0x8002, 0, &[0, 0, 0, 0, 0, 0, 1, 0, 0])
            }
            other => panic!("{other:#x} is not expected"),
        })
    }
}

fn tpm(chip: &Rc<RefCell<Chip>>) -> Tpm<Scripted> {
    let chip = Rc::clone(chip);
    fallible(move |command| chip.borrow_mut().answer(command)).0
}

fn start(already_started: bool) -> Start {
    Start {
        already_started,
        flushed: 0,
        identity: Identity {
            manufacturer: 0,
            vendor: [0; 4],
            firmware: [0; 2],
        },
    }
}

/// The log leads to exactly what the TPM holds.
fn agrees(log: &[u8], chip: &Chip, bank: PcrBank) {
    let measured = replay(&Log::parse(log).unwrap(), bank).unwrap();
    for index in [IMAGE_PCR, BOOT_PCR] {
        let held = chip.value(bank.alg(), index.get());
        assert_eq!(measured.value(index), held, "{}:{index}", bank.alg());
        assert!(held.iter().any(|byte| *byte != 0));
    }
}

#[test]
fn a_boot_is_measured_once_into_every_bank_and_the_log_leads_to_what_the_tpm_holds() {
    let chip = Chip::new(&[AlgId::SHA256, AlgId::SHA384]);
    let mut tpm = tpm(&chip);
    let mut boot = MeasuredBoot::new(IMAGE, Some(7));
    assert_eq!(boot.log(), None, "nothing was extended yet");
    for _ in 0..3 {
        boot.at_login(&mut tpm, start(false)).unwrap();
        boot.check(&mut tpm).unwrap();
    }
    assert_eq!(chip.borrow().extensions, 4);
    assert_eq!(chip.borrow().loaded, 0, "the witness is flushed each time");
    let log = boot.log().unwrap();
    agrees(log, &chip.borrow(), PcrBank::Sha256);
    agrees(log, &chip.borrow(), PcrBank::Sha384);

    let log = Log::parse(log).unwrap();
    let events: Vec<_> = log
        .records()
        .map(|r| r.event(AlgId::SHA256).unwrap().unwrap())
        .collect();
    let [Event::Image(image), Event::Boot(state)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(*image, Image::measure("rack-node", "1.2.3", IMAGE.bytes));
    assert_eq!(image.sha256, <[u8; 32]>::from(Sha256::digest(IMAGE.bytes)));
    assert_eq!(
        (state.counter, state.reset_count, state.restart_count),
        (Some(7), 41, 2)
    );
    assert_eq!(state.witness.0[2..], Sha256::digest([1])[..]);
}

#[test]
fn a_bank_that_the_tpm_does_not_keep_is_not_extended_and_not_in_the_log() {
    let chip = Chip::new(&[AlgId::SHA256]);
    let mut tpm = tpm(&chip);
    let mut boot = MeasuredBoot::new(IMAGE, None);
    boot.at_login(&mut tpm, start(false)).unwrap();
    assert_eq!(chip.borrow().extensions, 2);
    agrees(boot.log().unwrap(), &chip.borrow(), PcrBank::Sha256);
    let log = Log::parse(boot.log().unwrap()).unwrap();
    assert!(replay(&log, PcrBank::Sha384).is_err());
}

/// Each of the three alone gives a reset away, and the node stays away until it is started again.
#[test]
fn a_tpm_that_was_reset_without_the_node_is_found_out_before_a_login_and_a_renewal() {
    type Change = fn(&mut Chip);
    let changes: [Change; 3] = [
        |chip| chip.reset_count += 1,
        |chip| chip.restart_count += 1,
        |chip| chip.null_seed += 1,
    ];
    for change in changes {
        for renewal in [false, true] {
            let chip = Chip::new(&[AlgId::SHA256]);
            let mut tpm = tpm(&chip);
            let mut boot = MeasuredBoot::new(IMAGE, Some(7));
            boot.at_login(&mut tpm, start(false)).unwrap();
            change(&mut chip.borrow_mut());
            let mut again = |boot: &mut MeasuredBoot<'_>| match renewal {
                true => boot.check(&mut tpm),
                false => boot.at_login(&mut tpm, start(true)),
            };
            assert_eq!(again(&mut boot), Err(MeasureError::Reset));
            assert_eq!(boot.log(), None);
            assert_eq!(again(&mut boot), Err(MeasureError::Reset), "for good");
            assert_eq!(chip.borrow().extensions, 2, "nothing is measured anew");
        }
    }
}

/// Its PCRs hold an earlier boot: a log of this one alone would be a lie.
#[test]
fn a_tpm_that_was_not_reset_with_the_node_gives_no_log() {
    let chip = Chip::new(&[AlgId::SHA256]);
    let mut tpm = tpm(&chip);
    let mut boot = MeasuredBoot::new(IMAGE, Some(7));
    boot.at_login(&mut tpm, start(false)).unwrap();
    let mut next = MeasuredBoot::new(IMAGE, Some(8));
    next.at_login(&mut tpm, start(true)).unwrap();
    assert_eq!(next.log(), None);
    assert_eq!(chip.borrow().extensions, 2, "nothing on top of it");
    chip.borrow_mut().null_seed += 1;
    assert_eq!(next.check(&mut tpm), Err(MeasureError::Reset));
}

#[test]
fn a_tpm_that_somebody_started_and_nobody_extended_is_measured_into() {
    let chip = Chip::new(&[AlgId::SHA256]);
    let mut tpm = tpm(&chip);
    let mut boot = MeasuredBoot::new(IMAGE, Some(7));
    boot.at_login(&mut tpm, start(true)).unwrap();
    agrees(boot.log().unwrap(), &chip.borrow(), PcrBank::Sha256);
}

#[test]
fn what_a_boot_loader_measured_comes_first() {
    let chip = Chip::new(&[AlgId::SHA256]);
    let mut tpm = tpm(&chip);
    let mut loader = assay_common::measurement::EventLog::<300>::new();
    let image = Event::Image(Image::measure("loader", "1.0.0", b"another"));
    let digests = loader.append(IMAGE_PCR, &image, false).unwrap();
    chip.borrow_mut().extend(AlgId::SHA256, 8, &digests.sha256);
    let mut boot = MeasuredBoot::after(loader.bytes(), IMAGE, Some(7)).unwrap();
    boot.at_login(&mut tpm, start(true)).unwrap();
    let log = boot.log().unwrap();
    agrees(log, &chip.borrow(), PcrBank::Sha256);
    assert!(log.starts_with(loader.bytes()));
    assert_eq!(Log::parse(log).unwrap().len(), 3);
}

/// An error has no HMAC, so anybody can make it up: it is asked again, through the session where there is one.
#[test]
fn a_bank_that_an_error_denies_is_measured_into_if_the_tpm_lists_it() {
    for (banks, extensions) in [(&BOTH[..], 4), (&BOTH[..1], 2)] {
        let chip = Chip::new(banks);
        let mut tpm = tpm(&chip);
        chip.borrow_mut().denied = Some(AlgId::SHA384);
        let mut boot = MeasuredBoot::new(IMAGE, Some(7));
        boot.at_login(&mut tpm, start(false)).unwrap();
        assert_eq!(chip.borrow().extensions, extensions);
        agrees(boot.log().unwrap(), &chip.borrow(), PcrBank::Sha256);
    }
}

#[test]
fn an_image_without_a_proper_name_gives_no_log_and_is_not_extended() {
    let chip = Chip::new(&[AlgId::SHA256]);
    let mut tpm = tpm(&chip);
    let image = Measurable {
        name: "No Name",
        ..IMAGE
    };
    let mut boot = MeasuredBoot::new(image, Some(7));
    boot.at_login(&mut tpm, start(false)).unwrap();
    assert_eq!(boot.log(), None);
    assert_eq!(chip.borrow().extensions, 0);
}
