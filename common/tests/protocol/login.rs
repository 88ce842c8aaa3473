//! The transcript and the keys: both sides agree, and nothing else does.

use assay_common::login::{
    Direction, LoginKeys, RenewDigest, Transcript, challenge_message, quote_nonce, renewal_message,
    renewal_nonce, svid_key_nonce,
};

fn transcript() -> Transcript {
    Transcript::new()
        .then(Direction::Agent, b"hello")
        .then(Direction::Verifier, b"challenge")
}

#[test]
fn the_transcript_depends_on_every_byte_on_order_on_direction_and_on_boundaries() {
    let one = transcript();
    assert_eq!(one, transcript());
    let start = Transcript::new();
    for other in [
        start,
        start.then(Direction::Agent, b"hello"),
        start
            .then(Direction::Agent, b"hellp")
            .then(Direction::Verifier, b"challenge"),
        start
            .then(Direction::Verifier, b"challenge")
            .then(Direction::Agent, b"hello"),
        start
            .then(Direction::Verifier, b"hello")
            .then(Direction::Agent, b"challenge"),
        start
            .then(Direction::Agent, b"helloc")
            .then(Direction::Verifier, b"hallenge"),
        start.then(Direction::Agent, b"hellochallenge"),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn known_answers_hold() {
    // Computed with Python's hashlib and hmac from the definitions in the module doc.
    assert_eq!(
        hex(transcript().as_bytes()),
        include_str!("golden/transcript.hex").trim()
    );
    assert_eq!(
        hex(&quote_nonce(&transcript())),
        include_str!("golden/quote_nonce.hex").trim()
    );
    assert_eq!(
        hex(&svid_key_nonce(&transcript())),
        include_str!("golden/svid_key_nonce.hex").trim()
    );
    assert_eq!(
        hex(&renewal_nonce(&[1; 16], &[2; 32], &[3; 32])),
        include_str!("golden/renewal_nonce.hex").trim()
    );
    assert_eq!(
        hex(&renewal_message(&RenewDigest::of(b"renew"), b"body").concat()),
        include_str!("golden/renewed_message.hex").trim()
    );
    let keys = LoginKeys::new([0x42; 32]);
    assert_eq!(
        hex(&keys.proof(&transcript())),
        include_str!("golden/proof.hex").trim()
    );
    assert_eq!(
        hex(&keys.grant_tag(&transcript(), b"grant")),
        include_str!("golden/grant_tag.hex").trim()
    );
    assert_eq!(
        hex(&keys.seal_secret(&transcript(), &[0x11; 32])),
        include_str!("golden/sealed.hex").trim()
    );
}

#[test]
fn a_proof_fits_only_its_secret_and_its_login() {
    let keys = LoginKeys::new([1; 32]);
    let proof = keys.proof(&transcript());
    assert!(keys.proof_fits(&transcript(), &proof));
    assert!(!LoginKeys::new([2; 32]).proof_fits(&transcript(), &proof));
    assert!(!keys.proof_fits(&transcript().then(Direction::Agent, b""), &proof));
    let mut bad = proof;
    bad[31] ^= 1;
    assert!(!keys.proof_fits(&transcript(), &bad));
}

#[test]
fn a_grant_is_taken_only_whole_and_only_in_its_login() {
    let keys = LoginKeys::new([1; 32]);
    let tag = keys.grant_tag(&transcript(), b"grant");
    assert!(keys.check_grant(&transcript(), b"grant", &tag).is_ok());
    assert!(keys.check_grant(&transcript(), b"granu", &tag).is_err());
    assert!(
        keys.check_grant(&Transcript::new(), b"grant", &tag)
            .is_err()
    );
    assert!(
        LoginKeys::new([2; 32])
            .check_grant(&transcript(), b"grant", &tag)
            .is_err()
    );
    assert_ne!(tag, keys.proof(&transcript()), "labels keep the uses apart");
}

#[test]
fn a_sealed_secret_is_opened_by_the_same_keys_only() {
    let keys = LoginKeys::new([1; 32]);
    let sealed = keys.seal_secret(&transcript(), &[9; 32]);
    assert_eq!(keys.open_secret(&transcript(), &sealed), [9; 32]);
    assert_ne!(
        LoginKeys::new([2; 32]).open_secret(&transcript(), &sealed),
        [9; 32]
    );
    assert_ne!(sealed, [9; 32]);
}

#[test]
fn a_challenge_is_signed_with_its_transcript() {
    let before = Transcript::new();
    let parts = challenge_message(&before, b"body");
    assert_eq!(parts[0], b"assay/challenge/v1");
    assert_eq!(parts[1], before.as_bytes());
    assert_eq!(parts[2], b"body");
}

#[test]
fn no_attestation_of_a_login_can_stand_for_another() {
    let transcript = transcript();
    let nonces = [
        quote_nonce(&transcript),
        svid_key_nonce(&transcript),
        renewal_nonce(&[0; 16], transcript.as_bytes(), transcript.as_bytes()),
    ];
    for (i, nonce) in nonces.iter().enumerate() {
        assert!(!nonces[i + 1..].contains(nonce), "{i}");
    }
}

#[test]
fn a_renewals_quote_is_for_one_session_and_for_both_nonces() {
    let one = renewal_nonce(&[1; 16], &[2; 32], &[3; 32]);
    for other in [
        renewal_nonce(&[0; 16], &[2; 32], &[3; 32]),
        renewal_nonce(&[1; 16], &[0; 32], &[3; 32]),
        renewal_nonce(&[1; 16], &[2; 32], &[0; 32]),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn keys_do_not_print_their_secret() {
    assert_eq!(format!("{:?}", LoginKeys::new([7; 32])), "LoginKeys(..)");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
