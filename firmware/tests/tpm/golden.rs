//! Commands as bytes, written out from Part 3 of the specification, and their known lengths.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{PcrIndex, PcrMask, PcrSelection};
use assay_common::tpm::public::templates::EkTemplate;
use assay_firmware::tpm::{Tpm, TpmError};

use crate::bytes::{hex, response};
use crate::scripted::{Scripted, by, rc, steps};

/// The first command that `run` sends.
fn sent(run: impl FnOnce(&mut Tpm<Scripted>) -> Result<(), TpmError>) -> Vec<u8> {
    let (mut tpm, journal) = by(|_| rc(0x101));
    assert_eq!(run(&mut tpm), Err(TpmError::FailureMode));
    journal.borrow_mut().sent.remove(0)
}

const SHA256: AlgId = AlgId::SHA256;

#[test]
fn commands_are_encoded_as_part_3_says() {
    let key = Handle(0x8000_0001);
    assert_eq!(
        sent(|t| t.start().map(drop)),
        hex("8001 0000000c 00000144 0000")
    );
    assert_eq!(sent(|t| t.shutdown()), hex("8001 0000000c 00000145 0000"));
    assert_eq!(sent(|t| t.self_test()), hex("8001 0000000b 00000143 00"));
    assert_eq!(
        sent(|t| t.test_result().map(drop)),
        hex("8001 0000000a 0000017c")
    );
    assert_eq!(
        sent(|t| t.random(&mut [0; 40])),
        hex("8001 0000000c 0000017b 0020")
    );
    assert_eq!(
        sent(|t| t.random(&mut [0; 16])),
        hex("8001 0000000c 0000017b 0010")
    );
    assert_eq!(
        sent(|t| t.read_clock().map(drop)),
        hex("8001 0000000a 00000181")
    );
    assert_eq!(
        sent(|t| t.flush(key)),
        hex("8001 0000000e 00000165 80000001")
    );
    assert_eq!(
        sent(|t| t.nv_read_public(Handle(0x01C0_0002)).map(drop)),
        hex("8001 0000000e 00000169 01c00002")
    );
    assert_eq!(
        sent(|t| t.read_public(key).map(drop)),
        hex("8001 0000000e 00000173 80000001")
    );
    assert_eq!(
        sent(|t| t.evict_control(key, Handle(0x8101_0001))),
        hex("8002 00000023 00000120 40000001 80000001 00000009 40000009 0000 01 0000 81010001")
    );
    assert_eq!(
        sent(|t| t.start_policy_session(SHA256).map(drop)),
        hex(
            "8001 0000002b 00000176 40000007 40000007 0010 00000000000000000000000000000000 0000 01 0010 000b"
        )
    );
    assert_eq!(
        sent(|t| t
            .quote(
                key,
                &[0xAB; 4],
                &[PcrSelection::new(SHA256, PcrMask(0x80_00_81))]
            )
            .map(drop)),
        hex(
            "8002 0000002d 00000158 80000001 00000009 40000009 0000 01 0000 0004 abababab 0010 00000001 000b 03 810080"
        )
    );
    assert_eq!(
        sent(|t| t
            .pcr_read(&[PcrSelection::new(SHA256, PcrMask(0xFF))], &mut [0; 256])
            .map(drop)),
        hex("8001 00000014 0000017e 00000001 000b 03 ff0000")
    );
    assert_eq!(
        sent(|t| t.pcr_extend(PcrIndex::new(7).unwrap(), SHA256, &[0xCD; 32])),
        [
            hex("8002 00000041 00000182 00000007 00000009 40000009 0000 01 0000 00000001 000b"),
            vec![0xCD; 32]
        ]
        .concat()
    );
}

#[test]
fn create_primary_carries_the_template_and_nothing_else() {
    for (template, len) in [
        (EkTemplate::L1, 355),
        (EkTemplate::L2, 163),
        (EkTemplate::H1, 99),
        (EkTemplate::H2, 99),
        (EkTemplate::H3, 115),
    ] {
        let command = sent(|t| {
            t.create_primary(Handle::ENDORSEMENT, &[template.bytes()])
                .map(drop)
        });
        assert_eq!(command.len(), len, "{}", template.name());
        assert_eq!(
            command[10..33],
            hex("4000000b 00000009 40000009 0000 01 0000 0004 0000 0000")
        );
        assert!(command.ends_with(&hex("0000 00000000")));
    }
}

#[test]
fn activation_goes_through_the_session_that_ends_with_it() {
    let session = response(0x8001, 0, &hex("03000002 0004 01020304"));
    let (mut tpm, journal) = steps(&[session, rc(0x101), rc(0x101), rc(0x101)]);
    let session = tpm.start_policy_session(SHA256).unwrap();
    let _ = tpm.policy_secret(Handle::ENDORSEMENT, &session);
    let _ = tpm.policy_or(&session, [&[0xAA; 32], &[0xCC; 32]]);
    let (ak, ek) = (Handle(0x8000_0001), Handle(0x8000_0000));
    let _ = tpm.activate_credential(ak, ek, &session, &[0xB1; 3], &[0xE5; 2]);
    let sent = &journal.borrow().sent;
    assert_eq!(
        sent[1],
        hex(
            "8002 00000029 00000151 4000000b 03000002 00000009 40000009 0000 01 0000 0000 0000 0000 00000000"
        )
    );
    assert_eq!(
        sent[2],
        [
            hex("8001 00000056 00000171 03000002 00000002 0020"),
            vec![0xAA; 32],
            hex("0020"),
            vec![0xCC; 32]
        ]
        .concat()
    );
    assert_eq!(
        sent[3],
        hex(
            "8002 00000031 00000147 80000001 80000000 00000012 40000009 0000 01 0000 03000002 0000 00 0000 0003 b1b1b1 0002 e5e5"
        )
    );
}

#[test]
fn nv_is_read_by_whoever_may() {
    let area = |attributes: u32| {
        let mut area = hex("01c00002 000b");
        area.extend(attributes.to_be_bytes());
        area.extend(hex("0000 0010"));
        let body = [crate::bytes::tpm2b(&area), crate::bytes::tpm2b(&[0; 34])].concat();
        response(0x8001, 0, &body)
    };
    // The attributes of a manufacturer's index, and one that only the owner may read.
    for (attributes, reader) in [(0x6207_2001, "01c00002"), (0x6203_2001, "40000001")] {
        let (mut tpm, journal) = steps(&[area(attributes), rc(0x101)]);
        let nv = tpm.nv_read_public(Handle(0x01C0_0002)).unwrap();
        assert_eq!(nv.data_size, 16);
        assert_eq!(tpm.nv_read(&nv, 4, 8), Err(TpmError::FailureMode));
        assert_eq!(
            journal.borrow().sent[1],
            hex(&format!(
                "8002 00000023 0000014e {reader} 01c00002 00000009 40000009 0000 01 0000 0008 0004"
            ))
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_sent() {
    let (mut tpm, journal) = by(|_| panic!("sent"));
    let too_long = [0; 2000];
    assert!(matches!(
        tpm.quote(Handle(0x8000_0000), &too_long, &[]),
        Err(TpmError::Encode(_))
    ));
    assert!(matches!(
        tpm.quote(
            Handle(0x8000_0000),
            &[],
            &[PcrSelection::new(SHA256, PcrMask(1 << 24))]
        ),
        Err(TpmError::Encode(_))
    ));
    assert!(matches!(
        tpm.create_primary(Handle::ENDORSEMENT, &[&too_long]),
        Err(TpmError::Encode(_))
    ));
    assert!(journal.borrow().sent.is_empty());
}
