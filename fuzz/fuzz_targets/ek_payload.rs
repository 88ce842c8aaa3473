//! `tpm_ek` payloads: whatever comes, an EK is accepted only by its hash or by a manufacturer's certificate for it, and
//! only as an EK.
#![no_main]

use std::{collections::BTreeSet, sync::LazyLock};

use assay_common::{
    method::tpm_ek::EkPayload,
    protocol::{BlobRef, Chunk, MAX_CHUNK},
    tpm::{codec::Reader, public::Public},
};
use assay_host_verifier::{
    attestor::{
        AttestError,
        tpm_ek::{
            Require,
            certificate::Dangers,
            payload,
            verify::{EK_ATTRIBUTES, Rules, verify},
        },
    },
    blobs::Blobs,
    crypto::HashAlgorithm,
    random::SeededRandom,
    tpm::{attestation_key, key::public_key, make_credential},
    x509::{Certificate, TrustStore, UnixTime},
};
use libfuzzer_sys::fuzz_target;

/// A manufacturer whose keys nobody has any more.
static STORE: LazyLock<TrustStore> = LazyLock::new(|| {
    let certificates = [
        &include_bytes!("../corpus/x509_certificate/seed-root.der")[..],
        include_bytes!("../corpus/x509_certificate/seed-intermediate.der"),
    ];
    TrustStore::from_mixed(
        certificates.map(|der| Certificate::from_der(der).expect("the seed is a certificate")),
    )
});

/// The only EK certificate that this manufacturer ever signed.
const SIGNED: &[u8] = include_bytes!("../corpus/x509_certificate/seed-ek_p256.der");

/// In the validity of the seeds.
const AT: UnixTime = UnixTime(1_800_000_000);

fuzz_target!(|data: &[u8]| {
    judge(data, &Blobs::default());
    let _ = payload::parse_response(data);
    // Two sized public areas and a certificate, put into a well-formed message so that the checks behind it are
    // reached.
    let mut parts = Reader::new(data);
    if let (Ok(ek_public), Ok(ak_public)) = (parts.tpm2b(), parts.tpm2b()) {
        let certificate = parts.rest();
        let payload = EkPayload {
            ek_public,
            ak_public,
            ek_certificate: (!certificate.is_empty()).then(|| reference(certificate)),
            ek_chain: Default::default(),
        };
        let mut buffer = vec![0; data.len() + 64];
        let message = postcard::to_slice(&payload, &mut buffer).expect("it fits");
        judge(message, &sent(certificate));
    }
});

fn reference(blob: &[u8]) -> BlobRef {
    let digest = HashAlgorithm::Sha256.hash(&[blob]);
    BlobRef {
        blob: 0,
        len: blob.len() as u32,
        sha256: digest.as_ref().try_into().expect("32 bytes"),
    }
}

fn sent(blob: &[u8]) -> Blobs {
    let mut blobs = Blobs::default();
    for (number, bytes) in blob.chunks(MAX_CHUNK).enumerate() {
        let chunk = Chunk {
            blob: 0,
            offset: (number * MAX_CHUNK) as u32,
            bytes,
        };
        // A blob that grows too long is dropped, and missing then.
        let _ = blobs.add(&chunk);
    }
    blobs
}

fn judge(message: &[u8], blobs: &Blobs) {
    let untrusted = match payload::parse(message, blobs) {
        Ok(untrusted) => untrusted,
        Err(error) => {
            let error = AttestError::from(error);
            return assert!(!error.check.is_empty() && !error.detail.is_empty());
        }
    };
    // The list has exactly this EK, so that everything behind the list is reached.
    let allowed: BTreeSet<[u8; 32]> = public_key(&untrusted.ek)
        .map(|key| key.spki_sha256())
        .into_iter()
        .collect();
    let mut rules = Rules {
        require: Require::Either,
        allowed_hashes: Some(&allowed),
        manufacturers: Some(&STORE),
        dangers: Dangers::default(),
    };
    let accepted = verify(&untrusted, &rules, AT);
    rules.allowed_hashes = None;
    let vouched = verify(&untrusted, &rules, AT);
    rules.manufacturers = None;
    assert!(verify(&untrusted, &rules, AT).is_err());
    if let Ok(vouched) = vouched {
        let certificate = vouched.certificate().expect("nothing else lets it in");
        assert_eq!(Ok(certificate.key()), public_key(&untrusted.ek).as_ref());
        // The signed part, since an ECDSA signature has two forms.
        let known = Certificate::from_der(SIGNED).expect("the seed is a certificate");
        assert_eq!(certificate.chain().leaf().tbs(), known.tbs());
        assert!(accepted.is_ok());
    }
    let Ok(accepted) = accepted else { return };

    assert!(untrusted.ek.attributes.contains(EK_ATTRIBUTES));
    assert!(untrusted.ak.attributes.contains(attestation_key::REQUIRED));
    assert!(allowed.contains(&accepted.ek_hash()));
    assert_eq!(accepted.ak_public(), untrusted.ak.raw());
    assert!(Public::parse(accepted.ak_public()).is_ok());
    let name = accepted.ak().name().expect("it was computed");
    let random = SeededRandom::new(7);
    let credential = make_credential(accepted.ek(), name.as_bytes(), &[0x5a; 32], &random)
        .expect("an accepted EK can be challenged");
    assert!(!credential.id_object.is_empty() && !credential.encrypted_secret.is_empty());
}
