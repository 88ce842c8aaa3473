//! Attestations.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::attest::{Attest, AttestError, AttestType, Attested};
use assay_common::tpm::codec::DecodeError;
use assay_common::tpm::pcr::{PcrError, PcrMask, PcrSelection};
use sha2::{Digest, Sha256, Sha384};

use crate::fixtures::{assert_exact, assert_returns_on_mutations, fixture, hex};

/// Recorded attestations, with their kinds.
const ATTESTS: &[(&str, AttestType)] = &[
    ("quote_ak_p256", AttestType::QUOTE),
    ("quote_ak_p384", AttestType::QUOTE),
    ("quote_ak_rsa2048", AttestType::QUOTE),
    ("quote_ak_rsapss", AttestType::QUOTE),
    ("quote_three_banks", AttestType::QUOTE),
    ("certify", AttestType::CERTIFY),
    ("creation", AttestType::CREATION),
    ("nv", AttestType::NV),
    ("time", AttestType::TIME),
    ("command_audit", AttestType::COMMAND_AUDIT),
    ("session_audit", AttestType::SESSION_AUDIT),
];

fn attest(name: &str) -> Vec<u8> {
    fixture(&format!("{name}.attest"))
}

/// The qualifying data of every recorded attestation that has one.
fn nonce() -> Vec<u8> {
    (0..32).collect()
}

#[test]
fn refuses_attests_cut_or_extended_anywhere() {
    for (name, _) in ATTESTS {
        let bytes = attest(name);
        assert_exact(name, &bytes, |b| Attest::parse(b).map(|_| ()));
        let sized = [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
        assert_exact(name, &sized, |b| Attest::parse_tpm2b(b).map(|_| ()));
    }
}

#[test]
fn returns_on_attests_with_any_byte_changed() {
    for (name, _) in ATTESTS {
        assert_returns_on_mutations(&attest(name), |b| Attest::parse(b).is_ok());
    }
}

#[test]
fn reads_the_head_of_every_kind() {
    for &(name, kind) in ATTESTS {
        let bytes = attest(name);
        let attest = Attest::parse(&bytes).unwrap();
        assert_eq!(attest.raw(), bytes, "{name}");
        assert_eq!(attest.kind, kind, "{name}");
        assert_eq!(attest.attested.kind(), Some(kind), "{name}");
        let signer = match name.strip_prefix("quote_") {
            Some("three_banks") | None => "ak_p256",
            Some(key) => key,
        };
        assert_eq!(
            attest.qualified_signer,
            fixture(&format!("{signer}.qualified")),
            "{name}"
        );
        // tpm2_certify 5.4 and tpm2_certifycreation give no qualifying data of ours.
        if !matches!(kind, AttestType::CERTIFY | AttestType::CREATION) {
            assert_eq!(attest.extra_data, nonce(), "{name}");
        }
        assert!(
            attest.clock_info.clock > 0 && attest.clock_info.safe,
            "{name}"
        );
        assert_eq!(
            attest.clock_info.reset_count, 1,
            "first start of a new TPM; {name}"
        );
        assert_eq!(attest.clock_info.restart_count, 0, "{name}");
        assert_eq!(attest.firmware_version, 0x2019_1023_0016_3636, "{name}");
    }
}

#[test]
fn a_quote_is_145_bytes_and_its_digest_is_over_the_values() {
    for key in ["ak_p256", "ak_rsa2048", "ak_rsapss"] {
        let bytes = attest(&format!("quote_{key}"));
        assert_eq!(bytes.len(), 145);
        let attest = Attest::parse(&bytes).unwrap();
        let quote = attest.quote().unwrap();
        let expected = PcrSelection::new(AlgId::SHA256, PcrMask(0b1000_0011));
        assert!(quote.selection.iter().eq([expected]));
        let values = fixture(&format!("quote_{key}.values"));
        assert_eq!(Some(values.len()), expected.values_len());
        assert_eq!(
            quote.pcr_digest,
            Sha256::digest(&values).as_slice(),
            "{key}"
        );
    }
}

#[test]
fn the_composite_digest_uses_the_hash_of_the_signature_not_of_the_bank() {
    let bytes = attest("quote_ak_p384");
    let attest = Attest::parse(&bytes).unwrap();
    let quote = attest.quote().unwrap();
    assert_eq!(quote.selection.mask_of(AlgId::SHA256), PcrMask(0b1000_0011));
    let values = fixture("quote_ak_p384.values");
    assert_eq!(quote.pcr_digest, Sha384::digest(&values).as_slice());
}

#[test]
fn a_quote_over_several_banks_keeps_their_order() {
    let bytes = attest("quote_three_banks");
    let attest = Attest::parse(&bytes).unwrap();
    let selection = attest.quote().unwrap().selection;
    assert_eq!(selection.to_string(), "sha1:0,7+sha256:0,23+sha384:7");
    assert_eq!(selection.mask_of(AlgId::SHA384), PcrMask(0x80));
    assert_eq!(selection.mask_of(AlgId::SHA512), PcrMask::NONE);
}

// A06: a structure of another kind, signed by the same key, must never pass for a quote.
#[test]
fn nothing_but_a_quote_reads_as_a_quote() {
    for &(name, kind) in ATTESTS {
        let bytes = attest(name);
        let attest = Attest::parse(&bytes).unwrap();
        assert_eq!(
            attest.quote().is_some(),
            kind == AttestType::QUOTE,
            "{name}"
        );
        assert_eq!(
            attest.certify().is_some(),
            kind == AttestType::CERTIFY,
            "{name}"
        );
    }
}

#[test]
fn a_certify_relabelled_as_a_quote_is_refused() {
    let mut bytes = attest("certify");
    bytes[4..6].copy_from_slice(&AttestType::QUOTE.0.to_be_bytes());
    assert!(Attest::parse(&bytes).is_err());
    let mut bytes = attest("quote_ak_p256");
    bytes[4..6].copy_from_slice(&AttestType::CERTIFY.0.to_be_bytes());
    assert!(Attest::parse(&bytes).is_err());
}

// A05: whatever a key that is not restricted signed, it does not begin with the TPM's magic.
#[test]
fn refuses_a_wrong_magic_before_anything_else() {
    let good = attest("quote_ak_p256");
    for at in 0..4 {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let magic = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(Attest::parse(&bytes), Err(AttestError::BadMagic(magic)));
    }
    assert_eq!(Attest::parse(&[0; 4]), Err(AttestError::BadMagic(0)));
    assert_eq!(
        Attest::parse(&[]),
        Err(AttestError::Decode(DecodeError::Truncated))
    );
}

#[test]
fn unknown_kinds_are_carried_by_number_with_their_bytes() {
    let mut bytes = attest("quote_ak_p256");
    for number in [0x8000, 0x8013, 0x801b, 0x8029, 0xffff] {
        bytes[4..6].copy_from_slice(&u16::to_be_bytes(number));
        let attest = Attest::parse(&bytes).unwrap();
        assert_eq!(attest.kind, AttestType(number));
        assert_eq!(attest.attested, Attested::Other(&bytes[101..]));
        assert_eq!(attest.attested.kind(), None);
        assert!(attest.quote().is_none());
        assert_eq!(attest.kind.to_string(), format!("0x{number:04x}"));
    }
}

#[test]
fn certify_and_creation_name_the_object() {
    let bytes = attest("certify");
    let certified = *Attest::parse(&bytes).unwrap().certify().unwrap();
    assert_eq!(certified.name, fixture("certify.name"));
    assert_eq!(certified.qualified_name, fixture("certify.qualified"));

    let bytes = attest("creation");
    let Attested::Creation {
        object_name,
        creation_hash,
    } = Attest::parse(&bytes).unwrap().attested
    else {
        panic!("not a creation");
    };
    assert_eq!(object_name, fixture("certify.name"));
    assert_eq!(creation_hash, &fixture("creation.hash")[2..]);
}

#[test]
fn nv_time_and_audits_have_their_fields() {
    let bytes = attest("nv");
    let Attested::Nv {
        index_name,
        offset,
        contents,
    } = Attest::parse(&bytes).unwrap().attested
    else {
        panic!("not an NV certification");
    };
    assert_eq!(
        (index_name.len(), offset, contents),
        (34, 0, &b"assay NV content"[..])
    );

    let bytes = attest("time");
    let attest_time = Attest::parse(&bytes).unwrap();
    let Attested::Time {
        time,
        clock_info,
        firmware_version,
    } = attest_time.attested
    else {
        panic!("not a time");
    };
    assert!(time > 0);
    // The signer is an endorsement key, so the head is not shifted and both are the same.
    assert_eq!(clock_info, attest_time.clock_info);
    assert_eq!(firmware_version, attest_time.firmware_version);

    let bytes = attest("command_audit");
    let Attested::CommandAudit {
        digest_alg,
        command_digest,
        ..
    } = Attest::parse(&bytes).unwrap().attested
    else {
        panic!("not a command audit");
    };
    assert_eq!(digest_alg.digest_len(), Some(command_digest.len()));

    let bytes = attest("session_audit");
    let Attested::SessionAudit { digest, .. } = Attest::parse(&bytes).unwrap().attested else {
        panic!("not a session audit");
    };
    assert_eq!(digest.len(), 32);
}

/// Head of an attest of `kind` with empty signer and extra data; `safe` is the last of its clock.
fn head(kind: u16, safe: u8) -> Vec<u8> {
    let mut bytes = hex("ff544347");
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend([0; 16]);
    bytes.push(safe);
    bytes.extend([0; 8]);
    bytes
}

#[test]
fn safe_and_exclusive_are_0_or_1() {
    let quote = |safe| [head(0x8018, safe), hex("00000000 0000")].concat();
    assert!(!Attest::parse(&quote(0)).unwrap().clock_info.safe);
    assert!(Attest::parse(&quote(1)).unwrap().clock_info.safe);
    assert_eq!(Attest::parse(&quote(2)), Err(AttestError::YesNo(2)));
    assert_eq!(Attest::parse(&quote(0xff)), Err(AttestError::YesNo(0xff)));
    let audit = [head(0x8016, 1), hex("03 0000")].concat();
    assert_eq!(Attest::parse(&audit), Err(AttestError::YesNo(3)));
}

#[test]
fn nv_digest_is_read() {
    let bytes = [head(0x801c, 1), hex("0002 aabb 0001 cc")].concat();
    let attested = Attest::parse(&bytes).unwrap().attested;
    let expected = Attested::NvDigest {
        index_name: &[0xaa, 0xbb],
        digest: &[0xcc],
    };
    assert_eq!(attested, expected);
    assert_exact("nv digest", &bytes, |b| Attest::parse(b).map(|_| ()));
}

#[test]
fn a_bad_selection_in_a_quote_is_named() {
    let cases = [
        ("00000011", PcrError::TooManyBanks(17)),
        ("ffffffff", PcrError::TooManyBanks(u32::MAX)),
        ("00000001 000b 00", PcrError::SelectSize(0)),
        ("00000001 000b 05 0000000000", PcrError::SelectSize(5)),
        ("00000001 000b 04 00000001", PcrError::Index(24)),
        (
            "00000002 000b 01 01 000b 01 02",
            PcrError::DuplicateBank(AlgId::SHA256),
        ),
    ];
    for (selection, error) in cases {
        let bytes = [head(0x8018, 1), hex(selection), hex("0000")].concat();
        assert_eq!(
            Attest::parse(&bytes),
            Err(AttestError::Pcr(error)),
            "{selection}"
        );
    }
}

#[test]
fn refuses_fields_above_their_limits() {
    let too_long = Err(AttestError::Decode(DecodeError::TooLong));
    let signer = [hex("ff544347 8018 0043"), vec![0; 300]].concat();
    assert_eq!(Attest::parse(&signer), too_long);
    let extra = [hex("ff544347 8018 0000 0043"), vec![0; 300]].concat();
    assert_eq!(Attest::parse(&extra), too_long);
    let digest = [head(0x8018, 1), hex("00000000 0041"), vec![0; 65]].concat();
    assert_eq!(Attest::parse(&digest), too_long);
}
