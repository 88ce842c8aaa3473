//! Which EK is let in, and what shows that the AK is in its TPM.

use super::*;

fn attribute(claims: &Claims, name: &str) -> Option<String> {
    let found = claims.attributes.iter().find(|a| a.name == name);
    found.map(|a| a.value.clone())
}

#[test]
fn a_listed_ek_gives_its_hash_and_nothing_that_was_not_verified() {
    let (_pki, certificate, _) = manufactured();
    for sent in [Sent::bare(), Sent::with_certificate(&certificate)] {
        let claims = claims(listed(), &sent).unwrap();
        let names: Vec<&str> = claims.attributes.iter().map(|a| &*a.name).collect();
        assert_eq!(names, ["tpm_ek.public_hash"]);
        let subject = claims.facts.subject.as_deref();
        assert_eq!(subject, Some(hash_of(&keys().ek_ecc).as_str()));
        assert_eq!(claims.facts.attestation_key.unwrap().public, keys().ak);
    }
}

#[test]
fn the_public_hash_is_what_openssl_and_sha256sum_print() {
    let pki = Pki::new();
    for (pem, public) in [
        (&keys().ek_ecc_pem, &keys().ek_ecc),
        (&keys().ek_rsa_pem, &keys().ek_rsa),
    ] {
        pki.write("ek.pem", pem);
        let der = pki.openssl("pkey -pubin -in ek.pem -outform DER");
        let digest = HashAlgorithm::Sha256.hash(&[&der]);
        assert_eq!(hash_of(public), hex::encode(digest));
    }
}

#[test]
fn a_verified_certificate_gives_all_attributes() {
    let (_pki, certificate, anchor) = manufactured();
    let config = json!({"require": "certificate", "manufacturerCAs": [anchor]});
    let claims = claims(config, &Sent::with_certificate(&certificate)).unwrap();
    assert_eq!(
        attribute(&claims, "tpm_ek.manufacturer").as_deref(),
        Some("id:4E544300")
    );
    assert_eq!(
        attribute(&claims, "tpm_ek.model").as_deref(),
        Some("NPCT75x")
    );
    assert_eq!(
        attribute(&claims, "tpm_ek.firmware_version").as_deref(),
        Some("id:00070002")
    );
    let serial = attribute(&claims, "tpm_ek.serial_number").unwrap();
    assert!(
        serial
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{serial}"
    );
    assert_eq!(claims.attributes.len(), 5);
}

#[test]
fn an_rsa_ek_works_the_same_way() {
    let pki = Pki::new();
    pki.root("vendor", "rsa2048", CA);
    let certificate = pki.certify("ek", &keys().ek_rsa_pem, "vendor", EK_RSA);
    let anchor = String::from_utf8(pki.pem("vendor")).unwrap();
    let sent = Sent {
        ek: keys().ek_rsa.clone(),
        ..Sent::with_certificate(certificate.der())
    };
    let claims = claims(
        json!({"require": "certificate", "manufacturerCAs": [anchor]}),
        &sent,
    );
    assert_eq!(claims.unwrap().attributes.len(), 5);
}

#[test]
fn a_certificate_as_read_from_nv_and_its_chain_are_used() {
    let pki = Pki::new();
    pki.root("vendor", "p256", CA);
    let middle = pki.issue("middle", "vendor", CA);
    let certificate = pki.certify("ek", &keys().ek_ecc_pem, "middle", EK_EC);
    let mut padded = certificate.der().to_vec();
    padded.resize(1600, 0xff);
    let anchor = String::from_utf8(pki.pem("vendor")).unwrap();
    let config = json!({"manufacturerCAs": [anchor]});
    let mut sent = Sent::with_certificate(&padded);
    refused(config.clone(), &sent, "unknown-issuer");
    // An unreadable hint beside the good one does no harm.
    sent.chain = vec![b"garbage".to_vec(), middle.der().to_vec()];
    assert!(claims(config, &sent).is_ok());
}

#[test]
fn a_chain_index_may_hold_several_certificates_one_after_the_other() {
    let pki = Pki::new();
    pki.root("vendor", "p256", CA);
    let upper = pki.issue("upper", "vendor", CA);
    let lower = pki.issue("lower", "upper", CA);
    let certificate = pki.certify("ek", &keys().ek_ecc_pem, "lower", EK_EC);
    let anchor = String::from_utf8(pki.pem("vendor")).unwrap();
    let config = json!({"manufacturerCAs": [anchor]});
    let mut sent = Sent::with_certificate(certificate.der());
    let both = [upper.der(), lower.der()].concat();
    let mut padded = both.clone();
    padded.resize(2048, 0xff);
    for index in [both.clone(), padded] {
        sent.chain = vec![index];
        assert!(claims(config.clone(), &sent).is_ok());
    }
    // Neither is a hint by itself, and what does not read to its end is none at all.
    sent.chain = vec![[&both[..], b"tail"].concat()];
    refused(config, &sent, "unknown-issuer");
}

#[test]
fn require_decides_which_proofs_are_needed() {
    let (_pki, good, anchor) = manufactured();
    let (_other, foreign, _) = manufactured();
    let listed = hash_of(&keys().ek_ecc);
    let unlisted = "00".repeat(32);
    for (require, hash, certificate, wanted) in [
        ("hash", &listed, None, Ok(())),
        ("hash", &listed, Some(&foreign), Ok(())),
        ("hash", &unlisted, Some(&good), Err("ek-not-allowed")),
        ("certificate", &listed, None, Err("ek-certificate-missing")),
        ("certificate", &unlisted, Some(&good), Ok(())),
        ("certificate", &listed, Some(&foreign), Err("bad-signature")),
        ("both", &listed, Some(&good), Ok(())),
        ("both", &listed, None, Err("ek-certificate-missing")),
        ("both", &unlisted, Some(&good), Err("ek-not-allowed")),
        ("both", &listed, Some(&foreign), Err("bad-signature")),
        ("either", &listed, None, Ok(())),
        ("either", &listed, Some(&foreign), Ok(())),
        ("either", &unlisted, Some(&good), Ok(())),
        ("either", &unlisted, Some(&foreign), Err("bad-signature")),
        ("either", &unlisted, None, Err("ek-not-allowed")),
    ] {
        let config = json!({
            "require": require, "allowedHashes": [hash], "manufacturerCAs": [&anchor],
        });
        let sent = Sent {
            certificate: certificate.cloned(),
            ..Sent::bare()
        };
        let judged = claims(config, &sent).map(drop).map_err(|e| e.check);
        assert_eq!(judged, wanted, "{require} {hash} {}", certificate.is_some());
    }
}

#[test]
fn a_certificate_that_failed_beside_a_listed_hash_is_named_to_the_operator() {
    let (_pki, good, anchor) = manufactured();
    let (_other, foreign, _) = manufactured();
    let remark = |require: &str, cas: bool, certificate: Option<&Vec<u8>>| {
        let mut config = json!({"require": require, "allowedHashes": [hash_of(&keys().ek_ecc)]});
        if cas {
            config["manufacturerCAs"] = json!([&anchor]);
        }
        let sent = Sent {
            certificate: certificate.cloned(),
            ..Sent::bare()
        };
        judge(config, &sent).unwrap().1.remark()
    };
    for require in ["either", "hash"] {
        let said = remark(require, true, Some(&foreign)).unwrap();
        assert!(said.contains(": bad-signature: "), "{said}");
        assert_eq!(remark(require, true, Some(&good)), None);
        assert_eq!(remark(require, true, None), None);
        // Nobody asked about it.
        assert_eq!(remark(require, false, Some(&foreign)), None);
    }
    assert_eq!(remark("both", true, Some(&good)), None);
}

#[test]
fn hashes_match_in_either_letter_case() {
    let upper = hash_of(&keys().ek_ecc).to_uppercase();
    assert!(claims(json!({"allowedHashes": [upper]}), &Sent::bare()).is_ok());
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let (pki, _, anchor) = manufactured();
    let other = pki.issue("other", "vendor", EK_EC);
    let config = json!({"manufacturerCAs": [anchor]});
    refused(config, &Sent::with_certificate(other.der()), "key-mismatch");
}

#[test]
fn an_unreadable_certificate_is_refused_where_one_is_needed() {
    let (_pki, _, anchor) = manufactured();
    let config = json!({"manufacturerCAs": [anchor]});
    refused(
        config,
        &Sent::with_certificate(b"0\x03\x02\x01\x05"),
        "ek-certificate-unreadable",
    );
}

#[test]
fn a_blob_that_did_not_come_is_malformed() {
    let (payload, _) = Sent::with_certificate(b"certificate").encode();
    let login = Login::new(Blobs::default());
    let error = attestor(listed())
        .judge(&login.context(), &payload)
        .map(drop)
        .unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Malformed, "blob-missing")
    );
}

#[test]
fn truncated_or_continued_payloads_are_malformed() {
    let (payload, blobs) = Sent::bare().encode();
    let login = Login::new(blobs);
    let attestor = attestor(listed());
    let judge = |payload: &[u8]| attestor.judge(&login.context(), payload).map(drop);
    assert!(judge(&payload).is_ok());
    for n in 0..payload.len() {
        assert_eq!(
            judge(&payload[..n]).unwrap_err().fault,
            Fault::Malformed,
            "{n}"
        );
    }
    let longer = [&payload[..], &[0]].concat();
    assert_eq!(judge(&longer).unwrap_err().check, "payload-malformed");
    // A structure inside with a byte too many.
    for (ek, ak) in [(1, 0), (0, 1)] {
        let mut sent = Sent::bare();
        sent.ek.extend(vec![0; ek]);
        sent.ak.extend(vec![0; ak]);
        let (payload, _) = sent.encode();
        assert_eq!(judge(&payload).unwrap_err().fault, Fault::Malformed);
    }
}

#[test]
fn only_the_right_response_in_the_right_login_proves_anything() {
    let (mut login, pending) = judge(listed(), &Sent::bare()).unwrap();
    let challenge = pending.challenge(&SECRET, &SystemRandom).unwrap();
    login.transcript = login.transcript.then(Direction::Verifier, &challenge);
    let right = LoginKeys::new(SECRET).proof(&login.transcript);

    let answer = |mac: [u8; 32], tail: &[u8]| {
        let (_, pending) = judge(listed(), &Sent::bare()).unwrap();
        let mut response = postcard::to_slice(&EkResponse { mac }, &mut [0; 64])
            .unwrap()
            .to_vec();
        response.extend(tail);
        pending
            .finish(&login.context(), &response)
            .map(drop)
            .map_err(|e| (e.fault, e.check))
    };
    assert_eq!(answer(right, &[]), Ok(()));
    assert_eq!(
        answer(right, &[0]),
        Err((Fault::Malformed, "payload-malformed"))
    );
    let refused = Err((Fault::Refused, "credential-activation"));
    for i in 0..32 {
        let mut wrong = right;
        wrong[i] ^= 0x80;
        assert_eq!(answer(wrong, &[]), refused);
    }
    // The secret of another login, or this one's in another transcript.
    assert_eq!(
        answer(LoginKeys::new([1; 32]).proof(&login.transcript), &[]),
        refused
    );
    let elsewhere = login.transcript.then(Direction::Agent, b"more");
    assert_eq!(
        answer(LoginKeys::new(SECRET).proof(&elsewhere), &[]),
        refused
    );
}

#[test]
fn the_right_tpm_answers_and_another_cannot() {
    let tpm = Swtpm::start();
    tpm.tool("tpm2_createek -Q -G ecc -c ek.ctx");
    tpm.describe("ek");
    tpm.ak("ak", "sha256", "ecc256:ecdsa-sha256:null");
    let sent = Sent {
        ek: tpm.public("ek"),
        ak: tpm.public("ak"),
        ..Sent::bare()
    };
    let config = json!({"allowedHashes": [hash_of(&sent.ek)]});
    let (mut login, pending) = judge(config, &sent).unwrap();
    let challenge = pending.challenge(&SECRET, &SystemRandom).unwrap();
    login.transcript = login.transcript.then(Direction::Verifier, &challenge);

    let wire: EkChallenge<'_> = postcard::from_bytes(&challenge).unwrap();
    let credential = Credential {
        id_object: wire.credential_blob.to_vec(),
        encrypted_secret: wire.encrypted_secret.to_vec(),
    };
    tpm.write("credential", &crate::credential::file(&credential));
    tpm.activate("ak", "ek", "credential", "secret");
    let secret: [u8; 32] = tpm.read("secret").try_into().unwrap();
    let mac = LoginKeys::new(secret).proof(&login.transcript);
    let response = postcard::to_slice(&EkResponse { mac }, &mut [0; 64])
        .unwrap()
        .to_vec();
    assert!(pending.finish(&login.context(), &response).is_ok());

    // The same TPM refuses to open it for another key: the Name is part of the credential.
    tpm.ak("other", "sha256", "ecc256:ecdsa-sha384:null");
    assert!(!tpm.try_activate("other", "ek", "credential", "secret2"));
    // And another TPM holds another EK.
    let stranger = Swtpm::start();
    stranger.tool("tpm2_createek -Q -G ecc -c ek.ctx");
    stranger.ak("ak", "sha256", "ecc256:ecdsa-sha256:null");
    stranger.write("credential", &tpm.read("credential"));
    assert!(!stranger.try_activate("ak", "ek", "credential", "secret"));
}
