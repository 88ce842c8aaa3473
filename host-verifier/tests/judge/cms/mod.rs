//! Documents that clouds sign, in the bytes that clouds write, each verified by openssl too.

pub(crate) mod build;
mod sign;

use assay_host_verifier::cms::{CmsError, Profile, Signed, SignedData, to_der};
use assay_host_verifier::x509::{Certificate, Oid};

use self::build::{Message, NULL, algorithm, attribute, element, oid};
use crate::pki::{CA, Pki};

/// With the blanks that AWS writes, and without a newline at the end.
const DOCUMENT: &[u8] = b"{\n  \"accountId\" : \"123456789012\",\n  \"region\" : \"eu-west-1\"\n}";

/// A pinned key, and its certificate.
fn signer() -> (Pki, Certificate) {
    let pki = Pki::new();
    let certificate = pki.root("aws", "rsa2048", "");
    (pki, certificate)
}

/// The verdict on a message, with its content.
fn verify(blob: &[u8], certificate: &Certificate, profile: Profile) -> Result<Vec<u8>, CmsError> {
    let der = to_der(blob)?;
    let Signed { content, .. } = SignedData::read(&der)?.verify(certificate, profile)?;
    Ok(content.to_vec())
}

/// openssl's verdict with the same certificate.
fn by_openssl(pki: &Pki, blob: &[u8], certificate: &str) -> Vec<u8> {
    pki.write("blob.der", blob);
    pki.openssl(&format!(
        "cms -verify -binary -inform DER -in blob.der -certfile {certificate}.crt -noverify"
    ))
}

/// By `openssl cms`, whose stream has the framing of AWS: indefinite lengths, the content in pieces, no certificates.
fn streamed(pki: &Pki, content: &[u8], options: &str) -> Vec<u8> {
    pki.write("document", content);
    pki.openssl(&format!(
        "cms -sign -binary -nodetach -nosmimecap -outform DER -in document -signer aws.crt -inkey aws.key {options}"
    ))
}

#[test]
fn a_stream_of_openssl_is_read_as_aws_frames_it() {
    let (pki, certificate) = signer();
    let blob = streamed(&pki, DOCUMENT, "-nocerts -md sha256 -stream");
    assert_eq!(blob[..2], [0x30, 0x80]);
    assert!(blob.ends_with(&[0; 6]));
    let content = verify(&blob, &certificate, Profile::AWS);
    assert_eq!(content.as_deref(), Ok(DOCUMENT));
    assert_eq!(by_openssl(&pki, &blob, "aws"), DOCUMENT);

    // openssl writes pieces of 4 KiB.
    let long = [&b"{"[..], &[b' '; 9000], b"}"].concat();
    let blob = streamed(&pki, &long, "-nocerts -md sha256 -stream");
    assert_eq!(verify(&blob, &certificate, Profile::AWS), Ok(long));
}

#[test]
fn the_der_of_a_message_is_what_openssl_makes_of_it() {
    let (pki, certificate) = signer();
    let blob = streamed(&pki, DOCUMENT, "-nocerts -md sha256 -stream");
    let der = to_der(&blob).unwrap();
    pki.write("blob.der", &blob);
    let theirs = pki.openssl("cms -cmsout -inform DER -in blob.der -outform DER -nocerts");
    // openssl keeps indefinite lengths when it copies a stream; asn1parse shows both alike but for the framing.
    assert_eq!(to_der(&theirs).as_deref(), Ok(&der[..]));
    assert_eq!(by_openssl(&pki, &der, "aws"), DOCUMENT);
    assert_eq!(
        verify(&der, &certificate, Profile::AWS).as_deref(),
        Ok(DOCUMENT)
    );
}

#[test]
fn every_form_that_aws_has_written_is_accepted() {
    let (pki, certificate) = signer();
    let newest = Message::aws(DOCUMENT);
    let mut of_2021 = newest.clone();
    of_2021.digest = algorithm(Oid::SHA256, NULL);
    of_2021.listed = vec![of_2021.digest.clone()];
    of_2021.attributes = Some(of_2021.usual_attributes());
    let mut of_2020 = newest.clone();
    of_2020.algorithm = algorithm(Oid::RSA_ENCRYPTION, NULL);
    of_2020.attributes = of_2020.attributes.map(|all| {
        let unprotected = [&all[..2], &all[3..]];
        unprotected.concat()
    });
    for message in [newest, of_2021, of_2020] {
        let blob = message.sign(&pki, "aws", &certificate);
        let content = verify(&blob, &certificate, Profile::AWS);
        assert_eq!(content.as_deref(), Ok(DOCUMENT));
        assert_eq!(by_openssl(&pki, &blob, "aws"), DOCUMENT);
    }
    for hash in ["sha384", "sha512"] {
        let blob = streamed(&pki, DOCUMENT, &format!("-md {hash} -nocerts"));
        assert!(verify(&blob, &certificate, Profile::AWS).is_ok(), "{hash}");
    }
}

#[test]
fn the_time_of_signing_is_what_is_signed() {
    let (pki, certificate) = signer();
    let blob = Message::aws(DOCUMENT).sign(&pki, "aws", &certificate);
    let der = to_der(&blob).unwrap();
    let message = SignedData::read(&der).unwrap();
    let signed = message.verify(&certificate, Profile::AWS).unwrap();
    let time = signed.signing_time.map(|time| time.to_string());
    assert_eq!(time.as_deref(), Some("2026-02-16T00:38:30Z"));
}

#[test]
fn what_azure_writes_is_accepted_as_azures_only() {
    let (pki, leaf) = signer();
    // As openssl writes it, with the digest's identifier overwritten: both have nine bytes.
    pki.write("document", DOCUMENT);
    let mut blob = pki.openssl(
        "cms -sign -binary -noattr -nodetach -md sha256 -outform DER -in document -signer aws.crt -inkey aws.key",
    );
    let (sha256, oddity) = (oid(Oid::SHA256), oid(Oid::SHA256_WITH_RSA));
    let mut replaced = 0;
    for at in 0..blob.len() - sha256.len() {
        if blob[at..].starts_with(&sha256) {
            blob[at..at + sha256.len()].copy_from_slice(&oddity);
            replaced += 1;
        }
    }
    assert_eq!(replaced, 2);
    let built = Message::azure(DOCUMENT, &leaf).sign(&pki, "aws", &leaf);
    for blob in [blob, built] {
        let der = to_der(&blob).unwrap();
        assert_eq!(der, blob, "already DER");
        let message = SignedData::read(&der).unwrap();
        let own = message.untrusted_certificate_of_signer().unwrap();
        assert_eq!(own.der(), leaf.der());
        let signed = message.verify(&own, Profile::AZURE).unwrap();
        assert_eq!((signed.content, signed.signing_time), (DOCUMENT, None));
        assert_eq!(by_openssl(&pki, &blob, "aws"), DOCUMENT);
        assert_eq!(
            message.verify(&own, Profile::AWS),
            Err(CmsError::Digest(Oid::SHA256_WITH_RSA))
        );
    }
}

#[test]
fn one_flipped_bit_anywhere_is_refused() {
    let (pki, certificate) = signer();
    let blob = Message::aws(DOCUMENT).sign(&pki, "aws", &certificate);
    let mut accepted = Vec::new();
    for at in 0..blob.len() {
        let mut flipped = blob.clone();
        flipped[at] ^= 1;
        if let Ok(content) = verify(&flipped, &certificate, Profile::AWS) {
            accepted.push((at, content));
        }
    }
    assert_eq!(accepted, []);
}

#[test]
fn one_flipped_bit_in_what_azure_writes_is_refused() {
    let (pki, leaf) = signer();
    let blob = Message::azure(DOCUMENT, &leaf).sign(&pki, "aws", &leaf);
    let der = to_der(&blob).unwrap();
    let bag = SignedData::read(&der).unwrap().untrusted_certificates()[0].len();
    let start = der
        .windows(bag)
        .position(|part| part == leaf.der())
        .unwrap();
    for at in (0..start).chain(start + bag..blob.len()) {
        let mut flipped = blob.clone();
        flipped[at] ^= 1;
        let accepted = to_der(&flipped).map_err(CmsError::from).and_then(|der| {
            let read = SignedData::read(&der)?;
            let own = read.untrusted_certificate_of_signer()?;
            read.verify(&own, Profile::AZURE).map(drop)
        });
        assert!(accepted.is_err(), "{at}");
    }
}

#[test]
fn another_certificate_than_the_one_that_counts_is_refused() {
    let (pki, certificate) = signer();
    let other = pki.root("other", "rsa2048", "");
    let blob = Message::aws(DOCUMENT).sign(&pki, "aws", &certificate);
    assert_eq!(
        verify(&blob, &other, Profile::AWS),
        Err(CmsError::AnotherSigner)
    );
    // The same names and number over another key, in the bag and as what the signature was made with.
    let impostor = Pki::new();
    let twin = impostor.root("aws", "rsa2048", "");
    assert_eq!(twin.serial(), certificate.serial());
    let mut message = Message::aws(DOCUMENT);
    message.certificates = vec![twin.der().to_vec()];
    let blob = message.sign(&impostor, "aws", &twin);
    assert!(verify(&blob, &twin, Profile::AWS).is_ok());
    assert_eq!(
        verify(&blob, &certificate, Profile::AWS)
            .unwrap_err()
            .check(),
        "cms-signature"
    );
}

#[test]
fn the_signers_certificate_is_found_by_its_name_and_number_and_not_by_its_place() {
    let pki = Pki::new();
    pki.root("root", "rsa2048", CA);
    let good = pki.issue_as("good", "good", "rsa2048", "root", "", "-sha256");
    let evil = pki.issue_as("evil", "evil", "rsa2048", "root", "", "-sha256");
    let mut message = Message::azure(DOCUMENT, &good);
    message.certificates = vec![good.der().to_vec(), evil.der().to_vec()];
    // A good certificate stands first, and the signature is the other one's.
    let blob = message.sign(&pki, "evil", &evil);
    let der = to_der(&blob).unwrap();
    let read = SignedData::read(&der).unwrap();
    let named = read.untrusted_certificate_of_signer().unwrap();
    assert_eq!(named.der(), evil.der());
    assert_eq!(
        read.verify(&good, Profile::AZURE),
        Err(CmsError::AnotherSigner)
    );

    message.certificates = vec![good.der().to_vec()];
    let blob = message.sign(&pki, "evil", &evil);
    let der = to_der(&blob).unwrap();
    let read = SignedData::read(&der).unwrap();
    let none = read.untrusted_certificate_of_signer();
    assert_eq!(none.unwrap_err(), CmsError::SignerCertificate(0));

    message.certificates = vec![evil.der().to_vec(), evil.der().to_vec()];
    let blob = message.sign(&pki, "evil", &evil);
    let der = to_der(&blob).unwrap();
    let read = SignedData::read(&der).unwrap();
    let twice = read.untrusted_certificate_of_signer();
    assert_eq!(twice.unwrap_err(), CmsError::SignerCertificate(2));
}

#[test]
fn a_signature_over_attributes_is_none_over_content() {
    let (pki, leaf) = signer();
    let honest = Message::aws(DOCUMENT);
    let attributes = element(0x31, &honest.attributes.clone().unwrap().concat());
    // What was signed as attributes is shown as content without attributes.
    let mut confused = Message::azure(&attributes, &leaf);
    confused.certificates.clear();
    let blob = confused.sign(&pki, "aws", &leaf);
    assert_eq!(by_openssl(&pki, &blob, "aws"), attributes);
    assert_eq!(verify(&blob, &leaf, Profile::AZURE), Err(CmsError::NotJson));
}

/// What a change to an otherwise right message comes to.
fn changed(change: impl FnOnce(&mut Message)) -> CmsError {
    let (pki, certificate) = signer();
    let mut message = Message::aws(DOCUMENT);
    change(&mut message);
    let blob = message.sign(&pki, "aws", &certificate);
    verify(&blob, &certificate, Profile::AWS).unwrap_err()
}

#[test]
fn what_is_no_message_of_this_kind_is_refused() {
    const ENVELOPED: Oid = Oid::SIGNING_TIME;
    assert_eq!(
        changed(|message| message.kind = ENVELOPED),
        CmsError::NotSignedData(ENVELOPED)
    );
    assert_eq!(
        changed(|message| message.content_type = Oid::SIGNED_DATA),
        CmsError::ContentType(Oid::SIGNED_DATA)
    );
    assert_eq!(
        changed(|message| message.content = None),
        CmsError::Detached
    );
    assert_eq!(changed(|message| message.signers = 0), CmsError::Signers(0));
    assert_eq!(changed(|message| message.signers = 2), CmsError::Signers(2));
    for (of, change) in [
        (
            "SignedData",
            (|message| message.version = 3) as fn(&mut Message),
        ),
        ("SignerInfo", |message| message.signer_version = 3),
    ] {
        let version = CmsError::Version {
            field: of,
            got: 3,
            wanted: 1,
        };
        assert_eq!(changed(change), version);
    }
    let many = |message: &mut Message| {
        message.certificates = vec![element(0x30, &[]); 17];
    };
    assert_eq!(changed(many), CmsError::Certificates);
    let of_attributes = |message: &mut Message| {
        message.certificates = vec![element(0xa1, &[])];
    };
    assert_eq!(changed(of_attributes), CmsError::Certificates);
}

#[test]
fn the_digest_is_one_and_a_strong_one() {
    let listed = |message: &mut Message| {
        message.listed.push(algorithm(Oid::SHA512, &[]));
    };
    assert_eq!(changed(listed), CmsError::DigestMismatch);
    let another = |message: &mut Message| {
        message.listed = vec![algorithm(Oid::SHA512, &[])];
    };
    assert_eq!(changed(another), CmsError::DigestMismatch);
    let sha1 = |message: &mut Message| {
        message.digest = algorithm(Oid::SHA1, NULL);
        message.listed = vec![message.digest.clone()];
    };
    assert_eq!(changed(sha1), CmsError::Digest(Oid::SHA1));
    let parameters = |message: &mut Message| {
        message.digest = algorithm(Oid::SHA256, &[0x02, 0x01, 0x00]);
    };
    assert!(changed(parameters).is_malformed());
}

#[test]
fn the_signature_fits_the_digest_and_is_of_a_known_kind() {
    let another = |message: &mut Message| {
        message.algorithm = algorithm(Oid::SHA512_WITH_RSA, NULL);
        message.attributes = Some(message.usual_attributes());
        message.hash = "sha512";
    };
    assert_eq!(
        changed(another),
        CmsError::AlgorithmMismatch(Oid::SHA512_WITH_RSA)
    );
    for kind in [Oid::SHA1_WITH_RSA, Oid::ECDSA_WITH_SHA256, Oid::RSASSA_PSS] {
        let unknown = |message: &mut Message| message.algorithm = algorithm(kind, NULL);
        assert_eq!(changed(unknown), CmsError::SignatureAlgorithm(kind));
    }
}

#[test]
fn signed_attributes_are_there_once_and_fit() {
    let attributes = |change: fn(&mut Vec<Vec<u8>>)| {
        changed(|message| {
            let mut all = message.usual_attributes();
            change(&mut all);
            message.attributes = Some(all);
        })
    };
    let none = |message: &mut Message| message.attributes = None;
    assert_eq!(changed(none), CmsError::NoSignedAttributes);
    assert_eq!(attributes(Vec::clear), CmsError::NoAttribute("contentType"));
    let no_type = |all: &mut Vec<Vec<u8>>| drop(all.remove(0));
    assert_eq!(attributes(no_type), CmsError::NoAttribute("contentType"));
    let no_digest = |all: &mut Vec<Vec<u8>>| drop(all.remove(3));
    assert_eq!(
        attributes(no_digest),
        CmsError::NoAttribute("messageDigest")
    );
    let twice = |all: &mut Vec<Vec<u8>>| all.push(all[3].clone());
    assert_eq!(attributes(twice), CmsError::Attribute(Oid::MESSAGE_DIGEST));
    let two_values = |all: &mut Vec<Vec<u8>>| {
        let value = oid(Oid::DATA);
        all[0] = attribute(Oid::CONTENT_TYPE, &[&value, &value]);
    };
    assert_eq!(
        attributes(two_values),
        CmsError::Attribute(Oid::CONTENT_TYPE)
    );
    let no_value = |all: &mut Vec<Vec<u8>>| all[0] = attribute(Oid::CONTENT_TYPE, &[]);
    assert_eq!(attributes(no_value), CmsError::Attribute(Oid::CONTENT_TYPE));
    let other_type = |all: &mut Vec<Vec<u8>>| {
        all[0] = attribute(Oid::CONTENT_TYPE, &[&oid(Oid::SIGNED_DATA)]);
    };
    assert_eq!(attributes(other_type), CmsError::SignedContentType);
    let other_digest = |all: &mut Vec<Vec<u8>>| {
        all[3] = attribute(Oid::MESSAGE_DIGEST, &[&element(0x04, &[7; 32])]);
    };
    assert_eq!(attributes(other_digest), CmsError::MessageDigest);
    let many = |all: &mut Vec<Vec<u8>>| {
        for last in 0..13 {
            let unknown = Oid::from_contents(&[0x2a, last]).unwrap();
            all.push(attribute(unknown, &[NULL]));
        }
    };
    assert_eq!(attributes(many).check(), "cms-attributes");
}

#[test]
fn content_is_exchanged_and_its_digest_tells() {
    let (pki, certificate) = signer();
    let mut message = Message::aws(DOCUMENT);
    let original = message.attributes.clone();
    message.content = Some(b"{}".to_vec());
    message.attributes = original;
    let blob = message.sign(&pki, "aws", &certificate);
    assert_eq!(
        verify(&blob, &certificate, Profile::AWS),
        Err(CmsError::MessageDigest)
    );
}

#[test]
fn protected_algorithms_are_those_of_the_message() {
    for (digest, signature, mac) in [
        (Oid::SHA512, Some(Oid::SHA256_WITH_RSA), false),
        (Oid::SHA256, Some(Oid::RSA_ENCRYPTION), false),
        (Oid::SHA256, None, false),
        (Oid::SHA256, Some(Oid::SHA256_WITH_RSA), true),
    ] {
        let error = changed(|message| {
            let mut all = message.usual_attributes();
            let mut value = algorithm(digest, &[]);
            if let Some(signature) = signature {
                let mut inner = algorithm(signature, NULL);
                inner[0] = 0xa1;
                value.extend(inner);
            }
            if mac {
                value.extend(element(0xa2, &oid(Oid::SHA256)));
            }
            let value = element(0x30, &value);
            all[2] = attribute(Oid::CMS_ALGORITHM_PROTECTION, &[&value]);
            message.attributes = Some(all);
        });
        assert_eq!(error, CmsError::AlgorithmProtection);
    }
}

#[test]
fn a_small_key_and_another_kind_of_key_do_not_count() {
    for (kind, check) in [("rsa1024", "cms-signature"), ("p256", "cms-signature")] {
        let pki = Pki::new();
        let certificate = pki.root("aws", kind, "");
        let message = Message::aws(DOCUMENT);
        let blob = message.sign(&pki, "aws", &certificate);
        let error = verify(&blob, &certificate, Profile::AWS).unwrap_err();
        assert_eq!(error.check(), check, "{kind}: {error}");
    }
}
