//! Each check fails by itself: everything else about what is sent is as it should be.

use assay_common::tpm::{
    alg::AlgId,
    attest::Attested,
    attributes::ObjectAttributes as Is,
    public::{Public, Scheme, Symmetric},
};

use super::soft::Said;
use super::*;

fn devid_with(attributes: Is) -> Sent {
    let device = &world().ec;
    let said = Said {
        attributes,
        ..DEVID
    };
    Sent::of(device, device.ak.public(AK), device.devid.public(said))
}

fn ak_saying(said: Said) -> Sent {
    let device = &world().ec;
    Sent::of(device, device.ak.public(said), device.devid.public(DEVID))
}

#[test]
fn a_devid_key_that_could_be_elsewhere_is_refused() {
    for missing in [
        Is::FIXED_TPM,
        Is::FIXED_PARENT,
        Is::SENSITIVE_DATA_ORIGIN,
        Is::SIGN,
    ] {
        refused(
            &devid_with(DEVID.attributes.without(missing)),
            "devid-attributes",
        );
    }
    refused(
        &devid_with(DEVID.attributes | Is::DECRYPT),
        "devid-attributes",
    );
    refused(
        &devid_with(DEVID.attributes | Is(1 << 31)),
        "devid-reserved-attributes",
    );
    // A restricted key signs nothing of a TPM's that it should not; a DevID key may be one.
    judge(config(), &devid_with(DEVID.attributes | Is::RESTRICTED)).unwrap();
}

#[test]
fn an_ak_whose_word_proves_nothing_is_refused() {
    for missing in [
        Is::RESTRICTED,
        Is::SIGN,
        Is::FIXED_TPM,
        Is::FIXED_PARENT,
        Is::SENSITIVE_DATA_ORIGIN,
    ] {
        let attributes = AK.attributes.without(missing);
        refused(&ak_saying(Said { attributes, ..AK }), "ak-attributes");
    }
    let attributes = AK.attributes | Is::DECRYPT;
    refused(&ak_saying(Said { attributes, ..AK }), "ak-attributes");
    let scheme = Some(Scheme::NULL);
    refused(&ak_saying(Said { scheme, ..AK }), "ak-scheme");
}

#[test]
fn the_certificates_key_is_the_one_in_the_tpm() {
    let world = world();
    // A published certificate beside a key of one's own; and possession of the certificate's key beside the TPM's.
    let other = Device {
        ak: Soft::ec(),
        devid: Soft::ec(),
        certificate: world.ec.certificate.clone(),
    };
    refused(&Sent::proper(&other), "devid-key-mismatch");
    let sent = Sent {
        possession: world.ec.devid.sign(&possession_message(&nonce()).concat()),
        ..Sent::proper(&other)
    };
    refused(&sent, "devid-key-mismatch");
    let rsa = Sent {
        certificates: vec![world.rsa.certificate.clone()],
        ..Sent::proper(&world.ec)
    };
    refused(&rsa, "devid-key-mismatch");
}

#[test]
fn possession_is_shown_by_the_certified_key_in_this_login() {
    let world = world();
    let proper = || Sent::proper(&world.ec);
    for signed in [
        // The bare nonce, another login's, another method's.
        nonce().to_vec(),
        possession_message(&[7; 32]).concat(),
        [b"assay/join-token/v1", &nonce()[..]].concat(),
    ] {
        let possession = world.ec.devid.sign(&signed);
        refused(
            &Sent {
                possession,
                ..proper()
            },
            "possession",
        );
    }
    let possession = world.ec.ak.sign(&possession_message(&nonce()).concat());
    refused(
        &Sent {
            possession,
            ..proper()
        },
        "possession",
    );
}

#[test]
fn the_aks_word_is_about_this_key_in_this_login() {
    let world = world();
    let proper = || Sent::proper(&world.ec);
    let saying = |attest: Vec<u8>| Sent {
        attest_signature: world.ec.ak.sign(&attest),
        attest,
        ..proper()
    };
    let (ak, devid) = (world.ec.ak.public(AK), world.ec.devid.public(DEVID));
    for extra in [
        &[][..],
        &nonce()[..31],
        &[7; 32],
        &[&nonce()[..], &[0]].concat(),
    ] {
        refused(&saying(certification(&ak, &devid, extra)), "nonce");
    }
    refused(&saying(certification(&ak, &ak, &nonce())), "devid-name");
    // The same key as it would be with other attributes is another object.
    let other = world.ec.devid.public(Said {
        attributes: DEVID.attributes | Is::USER_WITH_AUTH | Is::NO_DA | Is::ADMIN_WITH_POLICY,
        ..DEVID
    });
    refused(&saying(certification(&ak, &other, &nonce())), "devid-name");

    let mut unmade = certification(&ak, &devid, &nonce());
    unmade[0] ^= 1;
    refused(&saying(unmade), "magic");
    let statement = Statement {
        nonce: nonce().to_vec(),
        ..Statement::proper(&crate::soft::SoftKey::new())
    };
    refused(&saying(statement.attest()), "attest-type");
    let certified = name(&devid);
    let created = statement.with(&Attested::Creation {
        object_name: &certified,
        creation_hash: &[0; 32],
    });
    refused(&saying(created), "attest-type");

    // Signed by another: the DevID key itself, a key of whoever sends it, or not at all.
    for signer in [&world.ec.devid, &Soft::ec()] {
        let attest_signature = signer.sign(&proper().attest);
        refused(
            &Sent {
                attest_signature,
                ..proper()
            },
            "signature",
        );
    }
    let other = certification(&ak, &devid, &[7; 32]);
    let attest_signature = world.ec.ak.sign(&other);
    refused(
        &Sent {
            attest_signature,
            ..proper()
        },
        "signature",
    );
}

#[test]
fn the_ek_is_the_one_of_the_certificate_and_can_be_challenged() {
    let world = world();
    let other = Sent {
        ek: keys().ek_rsa.clone(),
        ..Sent::proper(&world.ec)
    };
    refused(&other, "key-mismatch");
    let ek = Public::parse(&keys().ek_ecc).unwrap();
    let stating = |attributes: Is, symmetric: Symmetric| {
        let parameters = match ek.parameters {
            assay_common::tpm::public::Parameters::Ecc {
                scheme, curve, kdf, ..
            } => assay_common::tpm::public::Parameters::Ecc {
                symmetric,
                scheme,
                curve,
                kdf,
            },
            _ => panic!("a curve key"),
        };
        let ek = crate::soft::encode(|w| {
            Public::encode(
                ek.name_alg,
                attributes,
                ek.auth_policy,
                &parameters,
                &ek.unique,
                w,
            );
        });
        Sent {
            ek,
            ..Sent::proper(&world.ec)
        }
    };
    refused(&stating(ek.attributes, Symmetric::NULL), "ek-symmetric");
    let symmetric = ek.parameters.symmetric();
    refused(
        &stating(ek.attributes.without(Is::RESTRICTED), symmetric),
        "ek-attributes",
    );
    refused(
        &stating(ek.attributes | Is::SIGN, symmetric),
        "ek-attributes",
    );
    judge(config(), &stating(ek.attributes, symmetric)).unwrap();
    let listed = json!({"devidCAs": [world.owner_pem], "allowedHashes": ["00".repeat(32)]});
    refused_by(listed, &Sent::proper(&world.ec), "ek-not-allowed");
}

#[test]
fn whoever_cannot_open_the_credential_is_refused() {
    let error = answered(config(), &Sent::proper(&world().ec), [0; 32]).unwrap_err();
    assert_eq!(
        (error.check, error.fault),
        ("credential-activation", Fault::Refused)
    );
}

#[test]
fn a_signature_does_not_choose_how_it_is_checked() {
    let world = world();
    let message = possession_message(&nonce()).concat();
    // The AK's scheme is its own. Every other is refused before any arithmetic.
    for (device, other) in [(&world.ec, &world.rsa), (&world.rsa, &world.ec)] {
        let attest = Sent::proper(device).attest;
        let attest_signature = other.ak.sign(&attest);
        refused(
            &Sent {
                attest_signature,
                ..Sent::proper(device)
            },
            "signature-scheme",
        );
        let possession = other.devid.sign(&message);
        refused(
            &Sent {
                possession,
                ..Sent::proper(device)
            },
            "possession-scheme",
        );
        // A DevID key that leaves the scheme open still has a type.
        let said = Said {
            scheme: Some(Scheme::NULL),
            ..DEVID
        };
        let open = || Sent::of(device, device.ak.public(AK), device.devid.public(said));
        judge(config(), &open()).unwrap();
        let possession = other.devid.sign(&message);
        refused(
            &Sent {
                possession,
                ..open()
            },
            "possession-scheme",
        );
    }
    // The hash is the scheme's, and never SHA-1.
    let with_hash = |signature: Vec<u8>, hash: AlgId| {
        let mut signature = signature;
        signature[2..4].copy_from_slice(&hash.0.to_be_bytes());
        signature
    };
    let proper = || Sent::proper(&world.ec);
    let attest_signature = with_hash(proper().attest_signature, AlgId::SHA384);
    refused(
        &Sent {
            attest_signature,
            ..proper()
        },
        "signature-scheme",
    );
    let attest_signature = with_hash(proper().attest_signature, AlgId::SHA1);
    refused(
        &Sent {
            attest_signature,
            ..proper()
        },
        "signature-hash",
    );
    let possession = with_hash(proper().possession, AlgId::SHA1);
    refused(
        &Sent {
            possession,
            ..proper()
        },
        "possession-hash",
    );
    let possession = with_hash(proper().possession, AlgId::SHA384);
    refused(
        &Sent {
            possession,
            ..proper()
        },
        "possession-scheme",
    );
    // Zero is no scalar.
    let zero = crate::soft::ecdsa_signature(AlgId::SHA256, &[0; 32], &[1; 32]);
    refused(
        &Sent {
            possession: zero.clone(),
            ..proper()
        },
        "possession",
    );
    refused(
        &Sent {
            attest_signature: zero,
            ..proper()
        },
        "signature",
    );
    // No signature at all, and schemes that are none of a TPM's signatures here.
    for tag in [AlgId::NULL, AlgId::HMAC, AlgId(0xFFFF)] {
        let tag = tag.0.to_be_bytes().to_vec();
        malformed(
            &Sent {
                attest_signature: tag.clone(),
                ..proper()
            },
            "signature-malformed",
        );
        malformed(
            &Sent {
                possession: tag,
                ..proper()
            },
            "possession-malformed",
        );
    }
}
