//! AKs, credential activation and quotes, and that nothing stays loaded that shouldn't.

use std::cell::RefCell;
use std::rc::Rc;

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::{PcrMask, PcrSelection};
use assay_common::tpm::public::templates::{
    AK_P256, AK_RSA2048, EK_P256_L2, EkTemplate, POLICY_A_SHA256, POLICY_A_SHA384, POLICY_B_SHA256,
    POLICY_B_SHA384, POLICY_C_SHA384,
};
use assay_common::tpm::rc::TpmRc;
use assay_firmware::keys::{Ak, AkTemplate, Ek, EkIndices, KeyError, activate, quote};
use assay_firmware::tpm::{Tpm, TpmError};
use sha2::{Digest, Sha256};

use crate::bytes::{hex, tpm2b};
use crate::chip::{Chip, Shared, certificate, create, tpm, with_nv};
use crate::scripted::{Journal, Scripted};

#[test]
fn an_ak_is_p256_or_rsa_where_there_is_no_p256() {
    let (mut tpm, _, chip) = tpm(Chip::default());
    let mut public = Vec::new();
    let mut keep = |area: &[u8]| public.extend_from_slice(area);
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL, &mut keep).unwrap();
    assert_eq!(ak.template(), AkTemplate::P256);
    assert_eq!(public, AK_P256);
    ak.flush(&mut tpm).unwrap();
    chip.borrow_mut().refuses = vec![(3, 0x2E6)];
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL, &mut |_| {}).unwrap();
    assert_eq!(ak.template(), AkTemplate::Rsa2048);
    assert_eq!(chip.borrow().templates.last().unwrap(), &AK_RSA2048);
    ak.flush(&mut tpm).unwrap();
    assert_eq!(
        Ak::create(&mut tpm, &[AkTemplate::P256], &mut |_| {}).err(),
        Some(KeyError::NoTemplate)
    );
    assert!(chip.borrow().loaded.is_empty());
}

fn both(chip: Chip, template: EkTemplate) -> (Tpm<Scripted>, Rc<RefCell<Journal>>, Shared, Ek, Ak) {
    let (mut tpm, journal, chip) = tpm(chip);
    let ek = Ek::create(&mut tpm, &EkIndices::default(), &[template], &mut |_| {}).unwrap();
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL, &mut |_| {}).unwrap();
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
    let ak = Ak::create(&mut tpm, &AkTemplate::ALL, &mut |_| {}).unwrap();
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
