//! Which EK is made, from what, and how its certificate is read.

use assay_common::tpm::handle::Handle;
use assay_common::tpm::public::templates::{EK_P256_L2, EK_P384_H3, EK_RSA2048_L1, EkTemplate};
use assay_firmware::keys::{Certificate, Ek, EkIndices, KeyError};

use crate::bytes::hex;
use crate::chip::{Chip, certificate, create, tpm, with_nv};

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
    let ek = Ek::create(&mut tpm, &indices, &[EkTemplate::L1], &mut |_| {}).unwrap();
    assert_eq!(ek.template(), EkTemplate::L1);
    assert_eq!(chip.borrow().templates, [EK_RSA2048_L1.to_vec()]);
    ek.flush(&mut tpm).unwrap();
    assert_eq!(
        Ek::create(&mut tpm, &indices, &[], &mut |_| {}).err(),
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
    let ek = Ek::create(&mut tpm, &indices, &EkTemplate::ALL, &mut |_| {}).unwrap();
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
    let certificate = Certificate::open(&mut tpm, index).unwrap();
    let ended = certificate.stream(&mut tpm, &mut |_, _| Err(KeyError::Disagree));
    assert_eq!(ended, Err(KeyError::Disagree));
    assert_eq!(journal.borrow().codes(), [0x17A, 0x169, 0x14E]);
}

/// What is streamed of a chain index with this content.
fn read_chain(content: Vec<u8>) -> Result<Vec<u8>, KeyError> {
    let (mut tpm, ..) = tpm(with_nv(&[(0x01C0_0100, content)]));
    let certificates = Certificate::open_chain(&mut tpm, Handle(0x01C0_0100)).unwrap();
    let mut out = Vec::new();
    certificates.stream(&mut tpm, &mut |offset, piece| {
        assert_eq!(usize::from(offset), out.len());
        out.extend_from_slice(piece);
        Ok::<(), KeyError>(())
    })?;
    Ok(out)
}

#[test]
fn a_chain_index_is_streamed_to_the_end_of_its_last_whole_certificate() {
    let all =
        |lens: &[u16]| -> Vec<u8> { lens.iter().flat_map(|len| certificate(*len, 0)).collect() };
    for lens in [
        &[842][..],
        &[842, 700],
        &[510, 510, 20],
        &[512, 512],
        &[1024, 20],
        &[900, 1600, 600],
    ] {
        // As it is, padded as ST does it, and with a certificate that is cut off.
        for tail in [
            vec![],
            vec![0xFF; 1],
            vec![0xFF; 760],
            vec![0; 600],
            certificate(700, 0)[..699].to_vec(),
        ] {
            let content = [all(lens), tail.clone()].concat();
            assert_eq!(
                read_chain(content).unwrap(),
                all(lens),
                "{lens:?}, tail of {}",
                tail.len()
            );
        }
    }
}

#[test]
fn a_chain_index_that_does_not_begin_with_a_certificate_is_refused() {
    for content in [vec![], vec![0xFF; 900], certificate(900, 0)[..899].to_vec()] {
        let refused = Err(KeyError::NotACertificate(Handle(0x01C0_0100)));
        assert_eq!(read_chain(content), refused);
    }
}

/// Codes with which a TPM refuses to read an index: never written, locked, not authorized, a policy instead of a
/// password, wrong password.
const UNREADABLE: [u32; 5] = [0x14A, 0x148, 0x149, 0x12F, 0x98E];

#[test]
fn a_nonce_or_template_that_cannot_be_read_passes_to_the_next_kind() {
    for code in UNREADABLE {
        for command in [0x169, 0x14E] {
            for index in [0x01C0_000B, 0x01C0_000C] {
                let chip = Chip {
                    unreadable: vec![(index, command, code)],
                    ..with_nv(&[
                        (0x01C0_000A, certificate(900, 0)),
                        (index, vec![0; 32]),
                        (0x01C0_0002, certificate(900, 0)),
                    ])
                };
                let (ek, _, chip) = create(chip);
                assert_eq!(ek.unwrap().template(), EkTemplate::L1, "{code:x}");
                assert_eq!(chip.borrow().templates, [EK_RSA2048_L1.to_vec()]);
            }
        }
    }
}

#[test]
fn an_index_that_could_lock_the_tpm_is_not_even_tried() {
    let chip = Chip {
        lockable: vec![0x01C0_000B],
        ..with_nv(&[
            (0x01C0_000A, certificate(900, 0)),
            (0x01C0_000B, vec![0xA7; 32]),
            (0x01C0_0002, certificate(900, 0)),
        ])
    };
    let (mut tpm, journal, _) = tpm(chip);
    let indices = EkIndices::read(&mut tpm).unwrap();
    let ek = Ek::create(&mut tpm, &indices, &EkTemplate::ALL, &mut |_| {});
    assert_eq!(ek.unwrap().template(), EkTemplate::L1);
    let reads = |command: &Vec<u8>| command[6..10] == hex("0000014e");
    assert!(!journal.borrow().sent.iter().any(reads));

    let chip = Chip {
        lockable: vec![0x01C0_0002],
        ..with_nv(&[(0x01C0_0002, certificate(900, 0))])
    };
    let (mut tpm, ..) = crate::chip::tpm(chip);
    let opened = Certificate::open(&mut tpm, Handle(0x01C0_0002));
    assert_eq!(opened.unwrap_err(), KeyError::BadNv(Handle(0x01C0_0002)));
}

#[test]
fn trouble_with_the_tpm_itself_is_not_taken_for_an_unreadable_index() {
    // Lockout, reset, failure mode; NV that is busy, for as long as the command is repeated; a cancelled command.
    for code in [0x921, 0x100, 0x101, 0x920, 0x909] {
        let chip = Chip {
            unreadable: vec![(0x01C0_000B, 0x14E, code)],
            ..with_nv(&[
                (0x01C0_000A, certificate(900, 0)),
                (0x01C0_000B, vec![0xA7; 32]),
                (0x01C0_0002, certificate(900, 0)),
            ])
        };
        let (ek, ..) = create(chip);
        assert!(matches!(ek, Err(KeyError::Tpm(_))), "{code:x}");
    }
}

#[test]
fn only_an_rsa_key_is_given_the_time_of_a_prime_search() {
    use assay_firmware::tpm::DurationClass;
    for (allowed, class) in [
        (EkTemplate::L1, DurationClass::KeyGeneration),
        (EkTemplate::L2, DurationClass::Crypto),
        (EkTemplate::H3, DurationClass::Crypto),
    ] {
        // With a nonce, the template goes out in parts.
        for nv in [
            &[][..],
            &[(0x01C0_0003, vec![1; 9]), (0x01C0_000B, vec![1; 9])],
        ] {
            let (mut tpm, journal, _) = tpm(with_nv(nv));
            let indices = EkIndices::read(&mut tpm).unwrap();
            Ek::create(&mut tpm, &indices, &[allowed], &mut |_| {}).unwrap();
            let journal = journal.borrow();
            let at = journal.codes().iter().position(|c| *c == 0x131).unwrap();
            assert_eq!(journal.classes[at], class, "{}", allowed.number());
        }
    }
}
