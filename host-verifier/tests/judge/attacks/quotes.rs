//! Attacks on quotes and on the structures around them.

use assay_common::tpm::{
    alg::{AlgId, EccCurve},
    attest::{Attested, CertifyInfo},
    attributes::ObjectAttributes,
    public::{Public, Scheme},
    signature::Signature,
};
use assay_host_verifier::{
    attestor::tpm_quote::verify::{Untrusted, verify},
    crypto::{PublicKey, RsaPublicKey},
    tpm::{AkError, AttestationKey},
};
use serde_json::json;

use crate::{
    ek::{Login, Sent, attestor, listed},
    quote_rules::{Bound, good},
    soft::{NONCE, PROPER, SoftKey, Stated, Statement, ecdsa_signature, encode, public_area},
};

/// Judges a statement signed by a key in software: everything holds but what the test breaks.
fn quote(key: &SoftKey, statement: &Statement, values: &[u8]) -> Result<(), &'static str> {
    let attest = statement.attest();
    signed(key, &attest, &key.sign(&attest), values)
}

fn signed(
    key: &SoftKey,
    attest: &[u8],
    signature: &[u8],
    values: &[u8],
) -> Result<(), &'static str> {
    let untrusted = Untrusted::parse(attest, signature).map_err(|e| e.check())?;
    let selection = ["sha256:0,1,7".parse().unwrap()];
    verify(&untrusted, &key.key(), &NONCE, &selection, values)
        .map(drop)
        .map_err(|e| e.check())
}

/// CVE-2024-29039: values given for other PCRs than those that were quoted.
#[test]
fn a02_values_are_not_assigned_to_pcrs_that_were_not_quoted() {
    let key = SoftKey::new();
    let mut statement = Statement::proper(&key);
    // As many PCRs, the same values, other indices.
    statement.selection = vec!["sha256:0,1,8".parse().unwrap()];
    let values = statement.values.clone();
    assert_eq!(quote(&key, &statement, &values), Err("pcr-selection"));
}

/// CVE-2022-0317: a quote over some PCRs vouches for others.
#[test]
fn a03_values_that_were_not_quoted_are_not_trusted() {
    let key = SoftKey::new();
    let mut statement = Statement::proper(&key);
    let all = statement.values.clone();
    statement.selection = vec!["sha256:0".parse().unwrap()];
    statement.values.truncate(32);
    assert_eq!(quote(&key, &statement, &all), Err("pcr-selection"));
    let statement = Statement::proper(&key);
    let more = [&all[..], &[0; 32]].concat();
    assert_eq!(quote(&key, &statement, &more), Err("pcr-values"));
}

/// CVE-2024-29038, CVE-2024-29040: bytes that no TPM made, signed by a key that signs anything.
#[test]
fn a05_a_structure_without_the_magic_of_a_tpm_is_refused() {
    let key = SoftKey::new();
    let statement = Statement::proper(&key);
    let mut attest = statement.attest();
    attest[..4].copy_from_slice(b"\xffTCX");
    let signature = key.sign(&attest);
    let judged = signed(&key, &attest, &signature, &statement.values);
    assert_eq!(judged, Err("magic"));
}

/// GHSA-gwfg-w3jr-xh66, GHSA-x5j2-26fc-hhc3: another attestation passes for a quote.
#[test]
fn a06_a_certification_or_nv_certification_is_no_quote() {
    let key = SoftKey::new();
    let statement = Statement::proper(&key);
    let certify = statement.with(&Attested::Certify(CertifyInfo {
        name: &[0, 11],
        qualified_name: &[0, 11],
    }));
    let nv = statement.with(&Attested::Nv {
        index_name: &[0, 11],
        offset: 0,
        contents: &statement.values,
    });
    // A body that reads as a quote under the number of something else.
    let mut relabelled = statement.attest();
    relabelled[5] = 0x14;
    for attest in [certify, nv, relabelled] {
        let signature = key.sign(&attest);
        let judged = signed(&key, &attest, &signature, &statement.values);
        assert_eq!(judged, Err("attest-type"));
    }
}

/// A nonce has one encoding and one length; it is never padded or cut.
#[test]
fn a10_the_nonce_is_compared_whole() {
    let key = SoftKey::new();
    for nonce in [
        &NONCE[..31],
        &[&NONCE[..], &[0]].concat(),
        &[&[0][..], &NONCE].concat(),
        hex::encode(NONCE).as_bytes(),
        &[],
    ] {
        let mut statement = Statement::proper(&key);
        statement.nonce = nonce.to_vec();
        let values = statement.values.clone();
        assert_eq!(quote(&key, &statement, &values), Err("nonce"));
    }
}

/// A signature of one type under a key of the other crashed a verifier.
#[test]
fn a11_a_signature_of_another_type_than_the_key_is_refused() {
    let key = SoftKey::new();
    let statement = Statement::proper(&key);
    let attest = statement.attest();
    let rsa = Signature::Rsassa {
        hash: AlgId::SHA256,
        sig: &[7; 256],
    };
    let rsa = encode(|w| rsa.encode(w));
    assert_eq!(
        signed(&key, &attest, &rsa, &statement.values),
        Err("signature-scheme")
    );

    // The reverse, with a bare key that fixes no scheme.
    let modulus = [&[0xc0][..], &[0x55; 255]].concat();
    let bare = RsaPublicKey::new(&modulus, 65_537).unwrap();
    let bare = AttestationKey::danger_trusted_by_operator(PublicKey::Rsa(bare));
    let signature = key.sign(&attest);
    let untrusted = Untrusted::parse(&attest, &signature).unwrap();
    let judged = verify(
        &untrusted,
        &bare,
        &NONCE,
        &statement.selection,
        &statement.values,
    );
    assert_eq!(judged.unwrap_err().check(), "signature-scheme");
}

/// Keys on curves that nobody should use, and points on no curve.
#[test]
fn a12_only_nist_curves_and_points_on_them() {
    let key = SoftKey::new();
    // brainpool has no number here; BN-256, SM2 and an unassigned one do.
    for curve in [0x0010, 0x0011, 0x0020, 0x7777] {
        let public = key.stating(Stated {
            curve: EccCurve(curve),
            ..PROPER
        });
        let error = AttestationKey::from_public(&Public::parse(&public).unwrap()).unwrap_err();
        assert_eq!(error.check(), "ak-key", "{curve:#x}");
    }
    for (x, y) in [
        (vec![1; 32], vec![2; 32]),
        (vec![0; 32], vec![0; 32]),
        (vec![0xff; 32], vec![1; 32]),
    ] {
        let public = public_area(PROPER, &x, &y);
        let error = AttestationKey::from_public(&Public::parse(&public).unwrap()).unwrap_err();
        assert_eq!(error.check(), "ak-key");
    }
    let mut good = PROPER;
    good.curve = EccCurve::NIST_P384;
    let public = public_area(good, &[1; 32], &[2; 32]);
    assert!(AttestationKey::from_public(&Public::parse(&public).unwrap()).is_err());
}

/// SHA-1 in banks, signatures and keys.
#[test]
fn a13_sha_1_is_refused_everywhere() {
    let key = SoftKey::new();
    let statement = Statement::proper(&key);
    let attest = statement.attest();
    let proper = key.sign(&attest);
    let mut sha1 = proper.clone();
    sha1[2..4].copy_from_slice(&AlgId::SHA1.0.to_be_bytes());
    assert_eq!(
        signed(&key, &attest, &sha1, &statement.values),
        Err("signature-hash")
    );

    let stating = key.stating(Stated {
        scheme: Scheme::new(AlgId::ECDSA, AlgId::SHA1),
        ..PROPER
    });
    let error = AttestationKey::from_public(&Public::parse(&stating).unwrap()).unwrap_err();
    assert_eq!(error.check(), "ak-scheme");

    let mut bank = Statement::proper(&key);
    bank.selection = vec!["sha1:0,1,7".parse().unwrap()];
    bank.values.truncate(60);
    let attest = bank.attest();
    let signature = key.sign(&attest);
    let untrusted = Untrusted::parse(&attest, &signature).unwrap();
    let judged = verify(
        &untrusted,
        &key.key(),
        &NONCE,
        &bank.selection,
        &bank.values,
    );
    assert_eq!(judged.unwrap_err().check(), "pcr-bank");
}

/// Unknown and confused schemes, scalars out of range.
#[test]
fn a14_unknown_or_confused_schemes_and_scalars_are_refused() {
    let key = SoftKey::new();
    let statement = Statement::proper(&key);
    let attest = statement.attest();
    let proper = key.sign(&attest);
    for (scheme, wanted) in [
        (0x0010u16, "signature-scheme"),
        (0x0005, "signature-scheme"),
        (0x001a, "signature-scheme"),
        (0x001b, "signature-scheme"),
        (0x7777, "signature-scheme"),
    ] {
        let mut signature = proper.clone();
        signature[..2].copy_from_slice(&scheme.to_be_bytes());
        let judged = signed(&key, &attest, &signature, &statement.values);
        assert_eq!(judged, Err(wanted), "{scheme:#x}");
    }
    for hash in [AlgId::SHA384, AlgId::SHA512] {
        let mut signature = proper.clone();
        signature[2..4].copy_from_slice(&hash.0.to_be_bytes());
        let judged = signed(&key, &attest, &signature, &statement.values);
        assert_eq!(judged, Err("signature-scheme"), "{hash}");
    }
    for hash in [AlgId::SM3_256, AlgId::NULL, AlgId(0x7777)] {
        let signature = ecdsa_signature(hash, &proper[6..38], &proper[40..]);
        let judged = signed(&key, &attest, &signature, &statement.values);
        assert_eq!(judged, Err("signature-hash"), "{hash}");
    }
    for (r, s) in [
        (&[0u8; 32][..], &[1u8; 32][..]),
        (&[1; 32], &[]),
        (&[1; 33], &[1; 32]),
    ] {
        let signature = ecdsa_signature(AlgId::SHA256, r, s);
        let judged = signed(&key, &attest, &signature, &statement.values);
        assert_eq!(judged, Err("signature"));
    }
}

/// Keys that a TPM would let sign anything, that can be duplicated, or that were brought in.
#[test]
fn a15_a_key_without_the_attributes_of_an_attestation_key_is_refused() {
    let key = SoftKey::new();
    for missing in [
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::SIGN,
    ] {
        let public = key.stating(Stated {
            attributes: ObjectAttributes::AK.without(missing),
            ..PROPER
        });
        let error = AttestationKey::from_public(&Public::parse(&public).unwrap()).unwrap_err();
        assert!(matches!(error, AkError::Attributes { .. }));
    }
    let both = key.stating(Stated {
        attributes: ObjectAttributes::AK.union(ObjectAttributes::DECRYPT),
        ..PROPER
    });
    assert!(AttestationKey::from_public(&Public::parse(&both).unwrap()).is_err());
}

/// Unsafe clocks, counters that go back, and counters that are disguised.
#[test]
fn a16_counters_are_judged_against_the_last_login_only_where_they_are_true() {
    let mut bound = Bound::new();
    let claims = bound.judge(good()).unwrap();
    bound.last = claims.facts.boot;
    assert!(bound.judge(good()).is_ok());
    // A reset zeroes restartCount: that alone is no error.
    bound.statement.clock.reset_count += 1;
    bound.statement.clock.restart_count = 0;
    bound.statement.clock.clock = 1;
    assert!(bound.judge(good()).is_ok());
    bound.statement.clock.reset_count -= 2;
    assert_eq!(bound.judge(good()).unwrap_err().check, "reset-count");
    // Under a key of another hierarchy the numbers are the TPM's own secret plus a constant.
    bound.statement.signer = vec![0; 34];
    assert_eq!(bound.judge(good()).unwrap_err().check, "counters-disguised");
    let mut config = good();
    config["requireClockSafe"] = json!(true);
    bound.statement.clock.safe = false;
    assert_eq!(bound.judge(config).unwrap_err().check, "clock-safe");
}

/// CVE-2019-16863, CVE-2023-1017: chips whose firmware is known to be broken.
#[test]
fn a30_firmware_below_a_version_is_refused() {
    let mut config = good();
    config["firmwareVersion"] = json!({"min": "0007000200000001"});
    assert_eq!(
        Bound::new().judge(config).unwrap_err().check,
        "firmware-version"
    );
}

/// CVE-2020-8918: TPM 1.2 structures have no place here.
#[test]
fn a34_tpm_1_2_structures_are_refused() {
    let key = SoftKey::new();
    let statement = Statement::proper(&key);
    // TPM_QUOTE_INFO: version 1.1.0.0, "QUOT", composite digest, external data.
    let quote = [&[1, 1, 0, 0][..], b"QUOT", &[7; 20], &[8; 20]].concat();
    let judged = signed(&key, &quote, &key.sign(&quote), &statement.values);
    assert_eq!(judged, Err("magic"));
    // TPM_PUBKEY begins with TPM_KEY_PARMS, algorithm 1 as 32 bits.
    let mut sent = Sent::bare();
    sent.ek = [&[0, 0, 0, 1, 0, 3, 0, 1][..], &[0; 280]].concat();
    let (payload, blobs) = sent.encode();
    let login = Login::new(blobs);
    let error = attestor(listed())
        .judge(&login.context(), &payload)
        .map(drop);
    assert_eq!(error.unwrap_err().check, "ek-public-malformed");
}
