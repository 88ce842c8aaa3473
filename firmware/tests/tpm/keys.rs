//! Which keys are made, from what, and that nothing stays loaded that shouldn't.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{PcrMask, PcrSelection};
use assay_common::tpm::public::templates::{
    AK_P256, AK_RSA2048, EK_P256_L2, EK_P384_H3, EK_RSA2048_L1, EkTemplate, POLICY_A_SHA256,
    POLICY_A_SHA384, POLICY_B_SHA256, POLICY_B_SHA384, POLICY_C_SHA384,
};
use assay_common::tpm::public::{Parameters, Public};
use assay_common::tpm::rc::TpmRc;
use assay_firmware::keys::{Ak, AkTemplate, Ek, EkIndices, KeyError, activate, quote};
use assay_firmware::tpm::{Tpm, TpmError};
use sha2::{Digest, Sha256};

use crate::bytes::{authorized, created, hex, response, tpm2b};
use crate::commands::pcr_page;
use crate::scripted::{Journal, Scripted, by, code, handles, rc};

/// A TPM with NV content, some algorithms and the loading of objects and sessions.
#[derive(Default)]
struct Chip {
    nv: BTreeMap<u32, Vec<u8>>,
    /// Curves and key sizes that it refuses in a template, by the code it answers.
    refuses: Vec<(u16, u32)>,
    loaded: Vec<u32>,
    most_objects: usize,
    most_sessions: usize,
    /// Codes answered once, by command.
    fails: Vec<(u32, u32)>,
    pcr: u8,
    /// The next n quotes are over PCRs that moved after they were read.
    moves: u32,
    templates: Vec<Vec<u8>>,
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
        match cc {
            0x17A => handles(&self.nv.keys().copied().collect::<Vec<_>>(), false),
            0x169 => match self.nv.get(&word(10)) {
                Some(data) => {
                    let mut area = word(10).to_be_bytes().to_vec();
                    area.extend(hex("000b 62072001 0000"));
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

type Shared = Rc<RefCell<Chip>>;

fn tpm(chip: Chip) -> (Tpm<Scripted>, Rc<RefCell<Journal>>, Shared) {
    let chip = Rc::new(RefCell::new(chip));
    let inner = Rc::clone(&chip);
    let (tpm, journal) = by(move |command| inner.borrow_mut().answer(command));
    (tpm, journal, chip)
}

fn with_nv(nv: &[(u32, Vec<u8>)]) -> Chip {
    Chip {
        nv: nv.iter().cloned().collect(),
        ..Chip::default()
    }
}

/// A certificate of `len` bytes, and what follows it in its index.
fn certificate(len: u16, padding: usize) -> Vec<u8> {
    let mut out = vec![0x30, 0x82];
    out.extend((len - 4).to_be_bytes());
    out.extend((4..len).map(|n| n as u8));
    out.extend(vec![0xFF; padding]);
    out
}

fn create(chip: Chip) -> (Result<Ek, KeyError>, Tpm<Scripted>, Shared) {
    let (mut tpm, _, chip) = tpm(chip);
    let indices = EkIndices::read(&mut tpm).unwrap();
    let ek = Ek::create(&mut tpm, &indices, &EkTemplate::ALL);
    (ek, tpm, chip)
}

#[test]
fn the_certificate_in_nv_decides_which_ek_is_made() {
    let all = [
        0x01C0_0016,
        0x01C0_000A,
        0x01C0_0014,
        0x01C0_0002,
        0x01C0_0012,
    ];
    let order = [
        EkTemplate::H3,
        EkTemplate::L2,
        EkTemplate::H2,
        EkTemplate::L1,
        EkTemplate::H1,
    ];
    for n in 0..all.len() {
        let nv: Vec<_> = all[n..].iter().map(|i| (*i, certificate(900, 0))).collect();
        let (ek, ..) = create(with_nv(&nv));
        assert_eq!(ek.unwrap().template(), order[n]);
    }
}

#[test]
fn without_any_certificate_there_is_still_an_ek() {
    let (ek, mut tpm, chip) = create(Chip::default());
    let ek = ek.unwrap();
    assert_eq!(ek.template(), EkTemplate::L2);
    assert_eq!(chip.borrow().templates, [EK_P256_L2.to_vec()]);
    assert_eq!(ek.public(), EK_P256_L2);
    assert!(ek.certificate(&mut tpm).unwrap().is_none());
}

#[test]
fn templates_that_the_tpm_does_not_have_are_passed_over() {
    // CURVE, VALUE, KEY_SIZE: all of parameter 2, the template.
    let chip = Chip {
        refuses: vec![(3, 0x2E6), (4, 0x2C4)],
        ..with_nv(&[(0x01C0_0016, certificate(900, 0))])
    };
    let (ek, _, chip) = create(chip);
    assert_eq!(ek.unwrap().template(), EkTemplate::L1);
    assert_eq!(chip.borrow().templates[0], EK_P384_H3);
    let refuses = vec![(3, 0x2E6), (4, 0x2E6), (2048, 0x2C7)];
    let (ek, _, chip) = create(Chip {
        refuses,
        ..Chip::default()
    });
    assert_eq!(ek.err(), Some(KeyError::NoTemplate));
    assert!(chip.borrow().loaded.is_empty());
}

#[test]
fn an_error_that_is_not_about_the_template_ends_the_search() {
    // The endorsement hierarchy has a password, or is disabled.
    for code in [0x9A2, 0x185, 0x921] {
        let (ek, _, chip) = create(Chip {
            fails: vec![(0x131, code)],
            ..Chip::default()
        });
        assert!(matches!(ek, Err(KeyError::Tpm(_))), "{code:x}");
        assert!(chip.borrow().templates.is_empty());
    }
}

#[test]
fn only_allowed_templates_are_tried() {
    let (mut tpm, _, chip) = tpm(with_nv(&[(0x01C0_0016, certificate(900, 0))]));
    let indices = EkIndices::read(&mut tpm).unwrap();
    let ek = Ek::create(&mut tpm, &indices, &[EkTemplate::L1]).unwrap();
    assert_eq!(ek.template(), EkTemplate::L1);
    assert_eq!(chip.borrow().templates, [EK_RSA2048_L1.to_vec()]);
    ek.flush(&mut tpm).unwrap();
    assert_eq!(
        Ek::create(&mut tpm, &indices, &[]).err(),
        Some(KeyError::NoTemplate)
    );
    assert!(chip.borrow().loaded.is_empty());
}

#[test]
fn a_nonce_in_nv_goes_into_unique() {
    let chip = with_nv(&[
        (0x01C0_000A, certificate(900, 0)),
        (0x01C0_000B, vec![0xA7; 32]),
    ]);
    let (ek, _, chip) = create(chip);
    assert_eq!(ek.unwrap().template(), EkTemplate::L2);
    let mut expected = EK_P256_L2.to_vec();
    expected[56..88].fill(0xA7);
    assert_eq!(chip.borrow().templates, [expected]);
    let chip = with_nv(&[
        (0x01C0_0002, certificate(900, 0)),
        (0x01C0_0003, vec![0xA7; 20]),
    ]);
    let (ek, _, chip) = create(chip);
    assert_eq!(ek.unwrap().template(), EkTemplate::L1);
    let mut expected = EK_RSA2048_L1.to_vec();
    expected[58..78].fill(0xA7);
    assert_eq!(chip.borrow().templates, [expected]);
}

#[test]
fn a_template_in_nv_takes_the_place_of_the_default() {
    let mut own = EK_P384_H3.to_vec();
    own[7] |= 0x04;
    let chip = with_nv(&[
        (0x01C0_0016, certificate(900, 0)),
        (0x01C0_0017, own.clone()),
    ]);
    let (ek, _, chip) = create(chip);
    assert_eq!(ek.unwrap().template(), EkTemplate::H3);
    assert_eq!(chip.borrow().templates, [own]);
}

#[test]
fn a_nonce_is_put_into_a_template_from_nv_as_well() {
    let mut own = EK_P256_L2.to_vec();
    own[7] |= 0x04;
    let chip = with_nv(&[
        (0x01C0_000A, certificate(900, 0)),
        (0x01C0_000B, vec![0xA7; 32]),
        (0x01C0_000C, own.clone()),
    ]);
    let (ek, _, chip) = create(chip);
    ek.unwrap();
    own[56..88].fill(0xA7);
    assert_eq!(chip.borrow().templates, [own]);
}

#[test]
fn a_nonce_or_template_that_cannot_fit_passes_to_the_next_kind() {
    for (index, content) in [
        (0x01C0_000B, vec![1; 33]),
        (0x01C0_000B, vec![1; 300]),
        (0x01C0_000C, vec![1; 600]),
    ] {
        let chip = with_nv(&[
            (0x01C0_000A, certificate(900, 0)),
            (index, content),
            (0x01C0_0002, certificate(900, 0)),
        ]);
        let (ek, _, chip) = create(chip);
        assert_eq!(ek.unwrap().template(), EkTemplate::L1);
        assert_eq!(chip.borrow().templates, [EK_RSA2048_L1.to_vec()]);
    }
}

fn read_certificate(content: Vec<u8>) -> (Result<Vec<u8>, KeyError>, usize) {
    let (mut tpm, journal, _) = tpm(with_nv(&[(0x01C0_0016, content)]));
    let indices = EkIndices::read(&mut tpm).unwrap();
    let ek = Ek::create(&mut tpm, &indices, &EkTemplate::ALL).unwrap();
    let certificate = ek.certificate(&mut tpm).unwrap().unwrap();
    let mut out = Vec::new();
    let streamed = certificate.stream(&mut tpm, &mut |offset, piece| {
        assert_eq!(usize::from(offset), out.len());
        out.extend_from_slice(piece);
        Ok::<(), KeyError>(())
    });
    let reads = journal
        .borrow()
        .codes()
        .iter()
        .filter(|c| **c == 0x14E)
        .count();
    (
        streamed.map(|len| {
            assert_eq!(usize::from(len), out.len());
            out
        }),
        reads,
    )
}

#[test]
fn a_certificate_is_trimmed_to_its_der_length() {
    for len in [20, 511, 512, 513, 842, 1024, 1600] {
        for padding in [0, 1, 760] {
            let (read, reads) = read_certificate(certificate(len, padding));
            assert_eq!(read.unwrap(), certificate(len, 0), "{len} + {padding}");
            // What is padding isn't read, unless it lies in the last piece.
            assert_eq!(
                reads,
                usize::from(len).div_ceil(512).max(1),
                "{len} + {padding}"
            );
        }
    }
}

#[test]
fn headers_before_a_certificate_are_taken_off() {
    for head in [hex("100100 034a"), hex("100100 034c 1002")] {
        for len in [100, 508, 600] {
            let content = [head.clone(), certificate(len, 30)].concat();
            assert_eq!(read_certificate(content).0.unwrap(), certificate(len, 0));
        }
    }
}

#[test]
fn what_is_not_a_certificate_is_refused() {
    let cut = certificate(900, 0)[..899].to_vec();
    for content in [
        vec![],
        vec![0xFF; 1600],
        vec![0x1F, 0x8B, 8, 0],
        cut,
        vec![0x30, 0x80, 0, 0],
    ] {
        let (read, _) = read_certificate(content);
        assert_eq!(read, Err(KeyError::NotACertificate(Handle(0x01C0_0016))));
    }
}

#[test]
fn a_sink_can_end_the_reading() {
    let (mut tpm, journal, _) = tpm(with_nv(&[(0x01C0_0100, certificate(1600, 0))]));
    let indices = EkIndices::read(&mut tpm).unwrap();
    let index = indices.chain().next().unwrap();
    let certificate = assay_firmware::keys::Certificate::open(&mut tpm, index).unwrap();
    let ended = certificate.stream(&mut tpm, &mut |_, _| Err(KeyError::Disagree));
    assert_eq!(ended, Err(KeyError::Disagree));
    assert_eq!(journal.borrow().codes(), [0x17A, 0x169, 0x14E]);
}

#[test]
fn an_ak_is_p256_or_rsa_where_there_is_no_p256() {
    let (mut tpm, _, chip) = tpm(Chip::default());
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL).unwrap();
    assert_eq!(ak.template(), AkTemplate::P256);
    assert_eq!(ak.public(), AK_P256);
    ak.flush(&mut tpm).unwrap();
    chip.borrow_mut().refuses = vec![(3, 0x2E6)];
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL).unwrap();
    assert_eq!(ak.template(), AkTemplate::Rsa2048);
    assert_eq!(chip.borrow().templates.last().unwrap(), &AK_RSA2048);
    ak.flush(&mut tpm).unwrap();
    assert_eq!(
        Ak::create(&mut tpm, &[AkTemplate::P256]).err(),
        Some(KeyError::NoTemplate)
    );
    assert!(chip.borrow().loaded.is_empty());
}

fn both(chip: Chip, template: EkTemplate) -> (Tpm<Scripted>, Rc<RefCell<Journal>>, Shared, Ek, Ak) {
    let (mut tpm, journal, chip) = tpm(chip);
    let ek = Ek::create(&mut tpm, &EkIndices::default(), &[template]).unwrap();
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL).unwrap();
    journal.borrow_mut().sent.clear();
    (tpm, journal, chip, ek, ak)
}

#[test]
fn a_credential_is_activated_through_the_policy_of_its_ek() {
    for (template, hash, commands) in [
        (EkTemplate::L1, AlgId::SHA256, &[0x176, 0x151, 0x147][..]),
        (EkTemplate::L2, AlgId::SHA256, &[0x176, 0x151, 0x147]),
        (EkTemplate::H1, AlgId::SHA256, &[0x176, 0x151, 0x171, 0x147]),
        (EkTemplate::H2, AlgId::SHA256, &[0x176, 0x151, 0x171, 0x147]),
        (EkTemplate::H3, AlgId::SHA384, &[0x176, 0x151, 0x171, 0x147]),
    ] {
        let (mut tpm, journal, chip, ek, ak) = both(Chip::default(), template);
        let secret = activate(&mut tpm, &ek, &ak, &[1; 68], &[2; 70]).unwrap();
        assert_eq!(secret.as_bytes(), [0x5E; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(32 bytes)");
        assert_eq!(journal.borrow().codes(), commands, "{}", template.name());
        assert!(journal.borrow().sent[0].ends_with(&hash.0.to_be_bytes()));
        assert_eq!(tpm.loaded(), 2);
        assert_eq!(chip.borrow().loaded, [0x8000_0000, 0x8000_0001]);
        assert!(chip.borrow().most_objects <= 2 && chip.borrow().most_sessions <= 1);
    }
}

#[test]
fn policy_or_names_both_branches() {
    let (mut tpm, journal, _, ek, ak) = both(Chip::default(), EkTemplate::H3);
    activate(&mut tpm, &ek, &ak, &[1], &[2]).unwrap();
    let or = journal.borrow().sent[2].clone();
    let branches = [tpm2b(&POLICY_A_SHA384), tpm2b(&POLICY_C_SHA384)].concat();
    assert!(or.ends_with(&branches));
}

#[test]
fn the_session_of_an_activation_is_gone_on_every_path() {
    for cc in [0x176, 0x151, 0x171, 0x147] {
        for code in [0x1DF, 0x98E, 0x921, 0x922, 0x101] {
            let fails = match code {
                0x922 => vec![(cc, code); 8],
                _ => vec![(cc, code)],
            };
            let (mut tpm, _, chip, ek, ak) = both(Chip::default(), EkTemplate::H3);
            chip.borrow_mut().fails = fails;
            let result = activate(&mut tpm, &ek, &ak, &[1; 68], &[2; 70]);
            assert!(matches!(result, Err(KeyError::Tpm(_))), "{cc:x} {code:x}");
            assert_eq!(
                chip.borrow().loaded,
                [0x8000_0000, 0x8000_0001],
                "{cc:x} {code:x}"
            );
            assert_eq!(tpm.loaded(), 2);
        }
    }
}

#[test]
fn a_credential_for_another_pair_of_keys_is_told_by_its_code() {
    let (mut tpm, _, chip, ek, ak) = both(Chip::default(), EkTemplate::L2);
    chip.borrow_mut().fails = vec![(0x147, 0x1DF)];
    let error = activate(&mut tpm, &ek, &ak, &[1; 68], &[2; 70]).unwrap_err();
    let KeyError::Tpm(TpmError::Rc(rc)) = error else {
        panic!("{error}");
    };
    assert_eq!((rc.base(), rc.parameter()), (TpmRc::INTEGRITY, Some(1)));
}

#[test]
fn an_unknown_policy_is_refused_before_a_session_is_started() {
    let mut own = EK_P256_L2.to_vec();
    own[10] ^= 1;
    let nv = with_nv(&[(0x01C0_000A, certificate(900, 0)), (0x01C0_000C, own)]);
    let (ek, mut tpm, chip) = create(nv);
    let ek = ek.unwrap();
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL).unwrap();
    let error = activate(&mut tpm, &ek, &ak, &[1], &[2]).unwrap_err();
    assert_eq!(error, KeyError::UnknownPolicy);
    assert_eq!(chip.borrow().most_sessions, 0);
}

#[test]
fn policies_are_what_their_definition_computes() {
    use sha2::Sha384;
    // PolicySecret(ENDORSEMENT), then PolicyOR of it and the fixed branch.
    let first = Sha384::digest([&[0; 48][..], &hex("00000151 4000000b")].concat());
    let a = Sha384::digest(first);
    assert_eq!(a[..], POLICY_A_SHA384);
    let or = [&[0; 48][..], &hex("00000171"), &a, &POLICY_C_SHA384].concat();
    assert_eq!(Sha384::digest(or)[..], POLICY_B_SHA384);
    let first = Sha256::digest([&[0; 32][..], &hex("00000151 4000000b")].concat());
    assert_eq!(Sha256::digest(first)[..], POLICY_A_SHA256);
    assert_eq!(EkTemplate::H2.number(), 0x12);
    assert_ne!(POLICY_A_SHA256, POLICY_B_SHA256);
}

const PCR_0: [PcrSelection; 1] = [PcrSelection::new(AlgId::SHA256, PcrMask(1))];

#[test]
fn a_quote_comes_with_the_values_it_speaks_about() {
    let (mut tpm, journal, _, _, ak) = both(Chip::default(), EkTemplate::L2);
    let mut values = [0xEE; 64];
    let agreed = quote(&mut tpm, &ak, &[7; 32], &PCR_0, &mut values).unwrap();
    assert_eq!(agreed.values, [0; 32]);
    assert!(agreed.quote.attest.ends_with(&Sha256::digest([0; 32])));
    assert_eq!(agreed.quote.signature[..4], hex("0018 000b"));
    assert_eq!(journal.borrow().codes(), [0x17E, 0x158]);
}

#[test]
fn a_pcr_that_moves_before_the_quote_is_read_again() {
    let chip = Chip {
        moves: 2,
        ..Chip::default()
    };
    let (mut tpm, journal, _, _, ak) = both(chip, EkTemplate::L2);
    let mut values = [0; 32];
    let agreed = quote(&mut tpm, &ak, &[7; 32], &PCR_0, &mut values).unwrap();
    assert_eq!(agreed.values, [2; 32]);
    assert_eq!(
        journal.borrow().codes(),
        [0x17E, 0x158, 0x17E, 0x158, 0x17E, 0x158]
    );
}

#[test]
fn pcrs_that_never_rest_are_an_error() {
    let chip = Chip {
        moves: 100,
        ..Chip::default()
    };
    let (mut tpm, journal, _, _, ak) = both(chip, EkTemplate::L2);
    let mut values = [0; 32];
    let result = quote(&mut tpm, &ak, &[7; 32], &PCR_0, &mut values);
    assert_eq!(result.err(), Some(KeyError::Disagree));
    assert_eq!(journal.borrow().sent.len(), 8);
}
