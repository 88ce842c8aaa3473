//! Certificate requests made by openssl, as they are and broken in every way.

use assay_host_verifier::crypto::{Curve, VerifyError};
use assay_host_verifier::svid::csr::MAX_CSR;
use assay_host_verifier::svid::{CsrError, verify_csr};

use super::Folder;

const KINDS: [&str; 5] = ["p256", "p384", "rsa:2048", "rsa:3072", "rsa:4096"];

/// The public key that openssl sees in a request is the one that is used, whatever else it asks for.
#[test]
fn requests_of_every_supported_kind_give_their_key_and_nothing_else() {
    let folder = Folder::new();
    for kind in KINDS {
        let verified = verify_csr(&folder.request("node", kind)).unwrap();
        folder.openssl("pkey -in node.key -pubout -outform DER -out node.pub");
        assert_eq!(verified.spki_der(), folder.read("node.pub"), "{kind}");
    }
    // Attributes that ask for names and for being a CA are read over.
    let options = "-subj /O=evil/CN=root -addext basicConstraints=critical,CA:TRUE \
        -addext subjectAltName=URI:spiffe://example.org/other";
    let asks = verify_csr(&folder.request_of("node", options)).unwrap();
    let plain = verify_csr(&folder.request_of("node", "-subj /")).unwrap();
    assert_eq!(asks, plain);
}

#[test]
fn signatures_of_every_modern_hash_and_of_pss_are_verified() {
    let folder = Folder::new();
    for (kind, signatures) in [
        ("p256", &["-sha256", "-sha384", "-sha512"][..]),
        ("p384", &["-sha256", "-sha384", "-sha512"]),
        (
            "rsa:2048",
            &[
                "-sha256",
                "-sha384",
                "-sha512",
                "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32",
            ],
        ),
    ] {
        folder.key("node", kind, "");
        for options in signatures {
            let csr = folder.request_of("node", &format!("-subj /CN=x {options}"));
            assert!(verify_csr(&csr).is_ok(), "{kind} {options}");
        }
    }
}

#[test]
fn a_signature_that_is_not_the_keys_is_refused() {
    let folder = Folder::new();
    for kind in ["p256", "p384", "rsa:2048"] {
        let csr = folder.request("node", kind);
        // The signature stands at the end. An ECDSA signature ends in a number, so its last bits are its own.
        let mut forged = csr.clone();
        *forged.last_mut().unwrap() ^= 1;
        let wrong = Err(CsrError::Signature(VerifyError::BadSignature));
        assert_eq!(verify_csr(&forged), wrong, "{kind}: signature");
        // Another subject under the same signature.
        let mut forged = csr.clone();
        let at = csr.windows(8).position(|w| w == b"somebody").unwrap();
        forged[at] = b'S';
        assert_eq!(verify_csr(&forged), wrong, "{kind}: subject");
    }
}

/// Of two requests, the signed part of one and the rest of the other: the signature of another key.
#[test]
fn a_signature_of_another_key_is_refused() {
    let folder = Folder::new();
    let (one, other) = (
        folder.request("a", "rsa:2048"),
        folder.request("b", "rsa:2048"),
    );
    assert_eq!(one.len(), other.len());
    let mut mixed = one.clone();
    let signature = mixed.len() - 256;
    mixed[signature..].copy_from_slice(&other[signature..]);
    let wrong = Err(CsrError::Signature(VerifyError::BadSignature));
    assert_eq!(verify_csr(&mixed), wrong);
}

#[test]
fn a_request_cut_at_any_byte_or_with_bytes_behind_it_is_refused() {
    let folder = Folder::new();
    for kind in ["p256", "p384", "rsa:2048"] {
        let csr = folder.request("node", kind);
        assert!(verify_csr(&csr).is_ok());
        for end in 0..csr.len() {
            assert!(verify_csr(&csr[..end]).is_err(), "{kind} cut at {end}");
        }
        let longer = [csr.as_slice(), &[0]].concat();
        assert!(
            matches!(
                verify_csr(&longer),
                Err(CsrError::Der { field: "outer", .. })
            ),
            "{kind}"
        );
        let twice = [csr.as_slice(), &csr].concat();
        assert!(verify_csr(&twice).is_err(), "{kind}");
    }
}

/// Every byte changed: what is still accepted has the same key.
#[test]
fn no_changed_byte_smuggles_in_another_key() {
    let folder = Folder::new();
    let csr = folder.request("node", "p256");
    let key = verify_csr(&csr).unwrap();
    let mut accepted = 0;
    for at in 0..csr.len() {
        for bit in 0..8 {
            let mut changed = csr.clone();
            changed[at] ^= 1 << bit;
            if let Ok(other) = verify_csr(&changed) {
                assert_eq!(other, key, "byte {at}");
                accepted += 1;
            }
        }
    }
    assert_eq!(
        accepted, 0,
        "every bit of a request is signed, structure or signature"
    );
}

#[test]
fn keys_that_get_no_certificate_are_refused_by_name() {
    let folder = Folder::new();
    let refused = |kind: &str, options: &str| {
        folder.key("bad", kind, options);
        verify_csr(&folder.request_of("bad", "-subj /CN=x")).unwrap_err()
    };
    assert_eq!(refused("rsa:1024", ""), CsrError::RsaBits(1024));
    assert_eq!(
        refused("rsa:2048", "-pkeyopt rsa_keygen_pubexp:3"),
        CsrError::Exponent(3)
    );
    assert_eq!(
        refused("rsa:2048", "-pkeyopt rsa_keygen_pubexp:257"),
        CsrError::Exponent(257)
    );
    assert_eq!(refused("p521", ""), CsrError::Curve(Curve::P521));
    assert_eq!(refused("ed25519", ""), CsrError::Ed25519);
    assert!(matches!(
        {
            folder.key("bad", "rsa:4104", "");
            verify_csr(&folder.request_of("bad", "-subj /CN=x")).unwrap_err()
        },
        CsrError::RsaBits(4104)
    ));
}

#[test]
fn a_request_signed_with_sha1_is_refused() {
    let folder = Folder::new();
    folder.key("node", "rsa:2048", "");
    let csr = folder.request_of("node", "-subj /CN=x -sha1");
    assert!(matches!(
        verify_csr(&csr),
        Err(CsrError::Signature(VerifyError::WeakHash(_)))
    ));
}

/// A length of one element by one: the header of every SEQUENCE above it would have to change too, so only elements whose
/// length stays are replaced.
#[test]
fn another_version_another_label_and_another_algorithm_are_refused() {
    let folder = Folder::new();
    let csr = folder.request("node", "p256");
    let replaced = |from: &[u8], to: &[u8], which: usize| {
        assert_eq!(from.len(), to.len());
        let mut changed = csr.clone();
        let places = csr.windows(from.len()).enumerate();
        let at = places.filter(|(_, w)| *w == from).nth(which).unwrap().0;
        changed[at..at + to.len()].copy_from_slice(to);
        verify_csr(&changed).unwrap_err()
    };
    // The first INTEGER is the version.
    assert_eq!(replaced(&[2, 1, 0], &[2, 1, 1], 0), CsrError::Version(1));
    // ecdsa-with-SHA256 to ecdsa-with-SHA224, which nothing here knows.
    let sha256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let sha224 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01];
    assert!(matches!(
        replaced(&sha256, &sha224, 0),
        CsrError::Algorithm(_)
    ));
    // id-ecPublicKey to something else.
    let ec = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    let other = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x02];
    assert!(matches!(replaced(&ec, &other, 0), CsrError::Key(_)));
    // An RSA signature's label on an ECDSA request.
    let rsa = folder.request("rsa", "rsa:2048");
    let label = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    let mut changed = rsa.clone();
    let at = rsa.windows(9).position(|w| w == label).unwrap();
    changed[at + 8] = 0x05;
    assert!(matches!(
        verify_csr(&changed),
        Err(CsrError::Signature(VerifyError::WeakHash(_)))
    ));
}

/// An RSA key under the label `id-RSASSA-PSS` or `id-RSAES-OAEP` is another statement than the certificate would make.
#[test]
fn a_key_that_is_not_written_in_its_one_form_is_refused() {
    let folder = Folder::new();
    let csr = folder.request("node", "rsa:2048");
    let label = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let at = csr.windows(9).position(|w| w == label).unwrap();
    let mut oaep = csr.clone();
    oaep[at + 8] = 0x07;
    assert_eq!(verify_csr(&oaep), Err(CsrError::NotCanonical));
}

#[test]
fn a_request_longer_than_any_real_one_is_not_read() {
    let long = vec![0x30; MAX_CSR + 1];
    assert_eq!(verify_csr(&long), Err(CsrError::TooLong(MAX_CSR + 1)));
    assert!(verify_csr(&[]).is_err());
    assert!(verify_csr(&[0x30, 0x80]).is_err());
}
