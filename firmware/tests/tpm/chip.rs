//! A TPM that makes keys, holds NV content and counts what is loaded, behind a scripted transport.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use assay_common::tpm::public::templates::EkTemplate;
use assay_common::tpm::public::{Parameters, Public};
use assay_firmware::keys::{Ek, EkIndices, KeyError};
use assay_firmware::tpm::Tpm;
use sha2::{Digest, Sha256};

use crate::bytes::{authorized, created, hex, response, tpm2b};
use crate::pcr::pcr_page;
use crate::scripted::{Journal, Scripted, by, code, handles, rc};

/// A TPM with NV content, some algorithms and the loading of objects and sessions.
#[derive(Default)]
pub struct Chip {
    pub nv: BTreeMap<u32, Vec<u8>>,
    /// Curves and key sizes that it refuses in a template, by the code it answers.
    pub refuses: Vec<(u16, u32)>,
    pub loaded: Vec<u32>,
    pub most_objects: usize,
    pub most_sessions: usize,
    /// NV indices, and the command by which each is refused with this code.
    pub unreadable: Vec<(u32, u32, u32)>,
    /// Indices whose attributes lack TPMA_NV_NO_DA.
    pub lockable: Vec<u32>,
    /// Codes answered once, by command.
    pub fails: Vec<(u32, u32)>,
    pub pcr: u8,
    /// The next n quotes are over PCRs that moved after they were read.
    pub moves: u32,
    pub templates: Vec<Vec<u8>>,
}

impl Chip {
    fn load(&mut self, first: u32) -> u32 {
        let handle = (first..).find(|h| !self.loaded.contains(h)).unwrap();
        self.loaded.push(handle);
        let count = |kind: u32| self.loaded.iter().filter(|h| *h >> 24 == kind).count();
        self.most_objects = self.most_objects.max(count(0x80));
        self.most_sessions = self.most_sessions.max(count(0x03));
        handle
    }

    fn answer(&mut self, command: &[u8]) -> Vec<u8> {
        let cc = code(command);
        if let Some(at) = self.fails.iter().position(|(c, _)| *c == cc) {
            return rc(self.fails.remove(at).1);
        }
        let word = |at: usize| u32::from_be_bytes(command[at..at + 4].try_into().unwrap());
        let half = |at: usize| u16::from_be_bytes(command[at..at + 2].try_into().unwrap());
        let nv_index = match cc {
            0x169 => word(10),
            0x14E => word(14),
            _ => 0,
        };
        let mut unreadable = self.unreadable.iter();
        if let Some((.., code)) = unreadable.find(|(index, c, _)| (*index, *c) == (nv_index, cc)) {
            return rc(*code);
        }
        match cc {
            0x17A => handles(&self.nv.keys().copied().collect::<Vec<_>>(), false),
            0x169 => match self.nv.get(&word(10)) {
                Some(data) => {
                    let mut area = word(10).to_be_bytes().to_vec();
                    let lockable = self.lockable.contains(&word(10));
                    area.extend(hex(if lockable {
                        "000b 60072001 0000"
                    } else {
                        "000b 62072001 0000"
                    }));
                    area.extend((data.len() as u16).to_be_bytes());
                    response(0x8001, 0, &[tpm2b(&area), tpm2b(&[0; 34])].concat())
                }
                None => rc(0x18B),
            },
            0x14E => {
                let (len, offset) = (usize::from(half(31)), usize::from(half(33)));
                match self.nv[&word(14)].get(offset..offset + len) {
                    Some(part) => authorized(None, &tpm2b(part), 1),
                    None => rc(0x146),
                }
            }
            0x131 => {
                let len = usize::from(half(33));
                let template = &command[35..35 + len];
                self.templates.push(template.to_vec());
                let kind = match Public::parse(template).unwrap().parameters {
                    Parameters::Rsa { key_bits, .. } => key_bits,
                    Parameters::Ecc { curve, .. } => curve.0,
                };
                if let Some((_, code)) = self.refuses.iter().find(|(k, _)| *k == kind) {
                    return rc(*code);
                }
                let handle = self.load(0x8000_0000);
                authorized(Some(handle), &created(template), 1)
            }
            0x176 => {
                let handle = self.load(0x0300_0000);
                let body = [handle.to_be_bytes().to_vec(), tpm2b(&[8; 32])].concat();
                response(0x8001, 0, &body)
            }
            0x151 => authorized(None, &hex("0000 8023 4000000b 0000"), 1),
            0x171 => rc(0),
            0x147 => {
                self.loaded.retain(|h| *h != word(31));
                authorized(None, &tpm2b(&[0x5E; 32]), 2)
            }
            0x165 => {
                let before = self.loaded.len();
                self.loaded.retain(|h| *h != word(10));
                if self.loaded.len() < before {
                    rc(0)
                } else {
                    rc(0x1C4)
                }
            }
            0x17E => pcr_page(1, 1, &[vec![self.pcr; 32]]),
            0x158 => {
                if let Some(left) = self.moves.checked_sub(1) {
                    self.moves = left;
                    self.pcr += 1;
                }
                let attest = [&[0xFF; 20][..], &tpm2b(&Sha256::digest([self.pcr; 32]))].concat();
                let signature = [hex("0018 000b"), tpm2b(&[1; 32]), tpm2b(&[2; 32])].concat();
                authorized(None, &[tpm2b(&attest), signature].concat(), 1)
            }
            other => panic!("{other:x}"),
        }
    }
}

pub type Shared = Rc<RefCell<Chip>>;

pub fn tpm(chip: Chip) -> (Tpm<Scripted>, Rc<RefCell<Journal>>, Shared) {
    let chip = Rc::new(RefCell::new(chip));
    let inner = Rc::clone(&chip);
    let (tpm, journal) = by(move |command| inner.borrow_mut().answer(command));
    (tpm, journal, chip)
}

pub fn with_nv(nv: &[(u32, Vec<u8>)]) -> Chip {
    Chip {
        nv: nv.iter().cloned().collect(),
        ..Chip::default()
    }
}

/// A certificate of `len` bytes, and what follows it in its index.
pub fn certificate(len: u16, padding: usize) -> Vec<u8> {
    let mut out = vec![0x30, 0x82];
    out.extend((len - 4).to_be_bytes());
    out.extend((4..len).map(|n| n as u8));
    out.extend(vec![0xFF; padding]);
    out
}

pub fn create(chip: Chip) -> (Result<Ek, KeyError>, Tpm<Scripted>, Shared) {
    let (mut tpm, _, chip) = tpm(chip);
    let indices = EkIndices::read(&mut tpm).unwrap();
    let ek = Ek::create(&mut tpm, &indices, &EkTemplate::ALL, &mut |_| {});
    (ek, tpm, chip)
}
