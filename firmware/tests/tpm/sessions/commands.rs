//! Every guarded command against a software TPM, for every kind of EK.

use std::cell::RefCell;
use std::rc::Rc;

use assay_common::method::svid_key::SvidKeyRequest;
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::name::Name;
use assay_common::tpm::pcr::{PcrIndex, PcrMask, PcrSelection};
use assay_common::tpm::public::Public;
use assay_common::tpm::public::templates::EkTemplate;
use assay_firmware::keys::{Ak, AkTemplate, SvidKey, activate, quote};
use assay_firmware::tpm::{Tpm, TpmError};
use sha2::{Digest, Sha256};

use super::protected;
use crate::bytes::{hex, tpm2b};
use crate::scripted::code;
use crate::swtpm::Bus;

const SECRET: [u8; 32] = [0xC4; 32];
const NV_DATA: [u8; 40] = [0xDA; 40];

/// Defines an NV index that its own empty password reads, and writes it: as a manufacturer leaves a certificate.
fn provision_nv(bus: &Bus) -> Handle {
    let attributes = "02040004 0000";
    let public = hex(&format!("01800001 000b {attributes} 0028"));
    let pw = hex("00000009 40000009 0000 01 0000");
    let command = |code: &str, handles: &str, params: &[u8]| {
        let body = [hex(code), hex(handles), pw.clone(), params.to_vec()].concat();
        let size = (body.len() as u32 + 6).to_be_bytes();
        [hex("8002"), size.to_vec(), body].concat()
    };
    bus.raw(&command(
        "0000012a",
        "40000001",
        &[hex("0000"), tpm2b(&public)].concat(),
    ));
    let data = [tpm2b(&NV_DATA), hex("0000")].concat();
    bus.raw(&command("00000137", "01800001 01800001", &data));
    Handle(0x0180_0001)
}

/// `TPM2_MakeCredential` in the TPM itself: a credential that nothing of ours made.
fn credential(bus: &Bus, ek: Handle, name: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let params = [tpm2b(&SECRET), tpm2b(name)].concat();
    let mut command = hex("8001");
    command.extend((14 + params.len() as u32).to_be_bytes());
    command.extend(hex("00000168"));
    command.extend(ek.0.to_be_bytes());
    command.extend(params);
    let answer = bus.raw(&command);
    let first = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
    (answer[2..2 + first].to_vec(), answer[4 + first..].to_vec())
}

/// The attributes of each authorization of the commands of one code.
fn guards_of(bus: &Bus, wanted: u32) -> Vec<(u32, u8)> {
    let crossed = bus.crossed.borrow();
    let of = crossed
        .iter()
        .filter(|(command, _)| code(command) == wanted);
    let mut guards = Vec::new();
    for (command, _) in of {
        // The first session of a command with sessions: found by its handle.
        let found = command
            .windows(6)
            .position(|at| at[0] == 2 && at[1..3] == [0, 0] && at[4..6] == [0, 16]);
        match found {
            Some(at) if command[..2] == [0x80, 0x02] => guards.push((wanted, command[at + 6 + 16])),
            _ => guards.push((wanted, 0)),
        }
    }
    guards
}

fn whole_life(template: EkTemplate) {
    let bus = Bus::with(Rc::new(RefCell::new(())));
    let (mut tpm, ek) = protected(&bus, template);
    let nv = provision_nv(&bus);

    let mut ak_public = Vec::new();
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL, &mut |area| {
        ak_public = area.to_vec()
    })
    .unwrap();
    let ak_name = Name::of(&Public::parse(&ak_public).unwrap()).unwrap();
    let read = tpm.read_public(ak.handle()).unwrap();
    assert_eq!(
        (read.public, read.name),
        (&ak_public[..], ak_name.as_bytes())
    );

    let (blob, secret) = credential(&bus, ek.handle(), ak_name.as_bytes());
    let opened = activate(&mut tpm, &ek, &ak, &blob, &secret).unwrap();
    assert_eq!(opened.as_bytes(), SECRET);
    assert!(!bus.has_told(&SECRET), "the credential is not for the bus");

    let pcr = PcrIndex::new(16).unwrap();
    tpm.pcr_extend(pcr, AlgId::SHA256, &[0xE0; 32]).unwrap();
    let selection = [PcrSelection::new(AlgId::SHA256, PcrMask(0x01_00_FF))];
    let mut values = [0; 9 * 32];
    let nonce = [0x9A; 32];
    let quoted = quote(&mut tpm, &ak, &nonce, &selection, &mut values).unwrap();
    assert!(quoted.quote.attest.windows(32).any(|part| part == nonce));
    assert!(!bus.was_told(&nonce), "it is hidden in the command");
    let expected = Sha256::digest([[0; 32], [0xE0; 32]].as_flattened());
    assert_eq!(values[8 * 32..], *expected);

    let index = tpm.nv_read_public(nv).unwrap();
    assert_eq!(tpm.nv_read(&index, 0, 40).unwrap(), NV_DATA);

    let key = SvidKey::create(
        &mut tpm,
        &[SvidKeyRequest::ECDSA_P256],
        &[7; 32],
        &mut |_| {},
    );
    let key = key.unwrap();
    assert_eq!(tpm.loaded(), 4, "three objects and the session");
    key.sign(&mut tpm, &[0x51; 32]).unwrap();
    let certified = tpm.certify(key.handle(), ak.handle(), &nonce).unwrap();
    assert!(certified.attest.windows(32).any(|part| part == nonce));

    let mut random = [0; 70];
    tpm.random(&mut random).unwrap();
    assert!(!bus.has_told(&random[..32]) && !bus.has_told(&random[64..]));
    let clock = tpm.read_clock().unwrap();
    assert!(clock.clock_info.safe);

    // The EK is not needed any more, and the session stands without it.
    ek.flush(&mut tpm).unwrap();
    tpm.quote(ak.handle(), &nonce, &selection).unwrap();
    for (command, attributes) in [
        (0x131, 0x01),
        (0x173, 0x81),
        (0x151, 0x01),
        (0x147, 0x41),
        (0x182, 0x01),
        (0x17E, 0x81),
        (0x158, 0x21),
        (0x14E, 0x01),
        (0x15D, 0x01),
        (0x148, 0x01),
        (0x181, 0x81),
    ] {
        // The EK itself is made before there is a session.
        let guards = guards_of(&bus, command);
        let guarded = if command == 0x131 {
            &guards[1..]
        } else {
            &guards[..]
        };
        assert!(!guarded.is_empty(), "{command:x}");
        assert!(
            guarded.iter().all(|(_, is)| *is == attributes),
            "{command:x}: {guards:x?}"
        );
    }
    let random = guards_of(&bus, 0x17B);
    assert!(random.len() > 3 && random[0].1 == 0 && random[1..].iter().all(|(_, is)| *is == 0xC1));

    ak.flush(&mut tpm).unwrap();
    key.flush(&mut tpm).unwrap();
    assert!(tpm.is_protected());
    tpm.unprotect().unwrap();
    assert_eq!(tpm.loaded(), 0);
    assert!(!tpm.is_protected());
    let mut loaded = 0;
    for first in [0x8000_0000, 0x0200_0000, 0x0300_0000] {
        let last = Handle(first | 0x00FF_FFFF);
        tpm.handles(Handle(first), last, &mut |_| loaded += 1)
            .unwrap();
    }
    assert_eq!(loaded, 0, "nothing is left in the TPM");
}

#[test]
fn all_commands_go_through_a_session_with_an_rsa_ek_of_the_low_range() {
    whole_life(EkTemplate::L1);
}

#[test]
fn all_commands_go_through_a_session_with_an_rsa_ek_of_the_high_range() {
    whole_life(EkTemplate::H1);
}

#[test]
fn all_commands_go_through_a_session_with_a_p256_ek_of_the_low_range() {
    whole_life(EkTemplate::L2);
}

#[test]
fn all_commands_go_through_a_session_with_a_p256_ek_of_the_high_range() {
    whole_life(EkTemplate::H2);
}

#[test]
fn all_commands_go_through_a_session_with_a_p384_ek() {
    whole_life(EkTemplate::H3);
}

#[test]
fn a_session_outlives_many_commands_and_takes_one_place() {
    let bus = Bus::with(Rc::new(RefCell::new(())));
    let (mut tpm, ek) = protected(&bus, EkTemplate::L2);
    ek.flush(&mut tpm).unwrap();
    for _ in 0..300 {
        tpm.random(&mut [0; 8]).unwrap();
        tpm.read_clock().unwrap();
    }
    assert_eq!(tpm.loaded(), 1);
    // Another one takes the place of the first.
    let (ek, public) = super::ek(&mut tpm, EkTemplate::L2);
    for _ in 0..5 {
        tpm.protect(ek.handle(), &public).unwrap();
    }
    assert_eq!(tpm.loaded(), 2);
}

#[test]
fn a_key_that_nothing_can_be_salted_to_gives_no_session() {
    let bus = Bus::with(Rc::new(RefCell::new(())));
    let mut tpm = bus.tpm();
    tpm.start().unwrap();
    // A signing key has no cipher.
    let mut public = Vec::new();
    let ak = Ak::create(&mut tpm, &[AkTemplate::P256], &mut |area| {
        public = area.to_vec()
    });
    let ak = ak.unwrap();
    let before = bus.sent();
    assert_eq!(tpm.protect(ak.handle(), &public), Err(TpmError::NoSession));
    assert_eq!(tpm.protect(ak.handle(), &[]), Err(TpmError::NoSession));
    // P-521, SHA-512, a point off the curve, a modulus that is even.
    let (_, public) = super::ek(&mut tpm, EkTemplate::L2);
    let mut off = public.clone();
    *off.last_mut().unwrap() ^= 1;
    let mut sha512 = public.clone();
    sha512[3] = 0x0D;
    let mut p521 = public.clone();
    let curve = 10 + 32 + 8;
    assert_eq!(p521[curve..curve + 2], [0, 3]);
    p521[curve + 1] = 5;
    for bad in [off, sha512, p521] {
        assert_eq!(tpm.protect(ak.handle(), &bad), Err(TpmError::NoSession));
    }
    assert!(bus.sent() <= before + 3, "no session was begun");
    assert!(!tpm.is_protected());
    let _: &Tpm<Bus> = &tpm;
}
