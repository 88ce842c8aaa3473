//! Credentials made here and opened by a TPM that is not ours.

use assay_common::tpm::{
    credential::{EccPoint, IdObject},
    public::{Public, templates::EkTemplate},
};
use assay_host_verifier::{
    crypto::HashAlgorithm,
    random::{SeededRandom, SystemRandom},
    tpm::{Credential, CredentialKey, danger_make_credential_from, make_credential},
};

use crate::swtpm::Swtpm;

/// The file format of tpm2-tools: magic, version, then both TPM2Bs.
pub(crate) fn file(credential: &Credential) -> Vec<u8> {
    let mut out = vec![0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
    for part in [&credential.id_object, &credential.encrypted_secret] {
        out.extend((part.len() as u16).to_be_bytes());
        out.extend(part);
    }
    out
}

/// Creates the EK of a template. tpm2_createprimary takes one only as options, so they are spelled out
/// and the result is compared with the template.
fn create_ek(tpm: &Swtpm, template: EkTemplate) {
    let (name_alg, alg, policy, high) = match template {
        EkTemplate::L1 => ("sha256", "rsa2048:null:aes128cfb", "A256", false),
        EkTemplate::L2 => ("sha256", "ecc256:null:aes128cfb", "A256", false),
        EkTemplate::H1 => ("sha256", "rsa2048:null:aes128cfb", "B256", true),
        EkTemplate::H2 => ("sha256", "ecc256:null:aes128cfb", "B256", true),
        EkTemplate::H3 => ("sha384", "ecc384:null:aes256cfb", "B384", true),
    };
    let public = Public::parse(template.bytes()).unwrap();
    tpm.write(policy, public.auth_policy);
    let user = if high { "userwithauth|" } else { "" };
    tpm.tool(&format!(
        "tpm2_createprimary -Q -C e -g {name_alg} -G {alg} -L {policy} -c ek.ctx -a \
         {user}fixedtpm|fixedparent|sensitivedataorigin|adminwithpolicy|restricted|decrypt"
    ));
    tpm.describe("ek");
    let created = tpm.public("ek");
    let created = Public::parse(&created).unwrap();
    assert_eq!(created.attributes, public.attributes);
    assert_eq!(created.name_alg, public.name_alg);
    assert_eq!(created.auth_policy, public.auth_policy);
    assert_eq!(created.parameters, public.parameters);
}

fn opens(template: EkTemplate, random_seed: Option<u64>) {
    let tpm = Swtpm::start();
    create_ek(&tpm, template);
    tpm.ak("ak", "sha256", "ecc256:ecdsa-sha256:null");

    let ek = tpm.public("ek");
    let ek = CredentialKey::from_public(&Public::parse(&ek).unwrap()).unwrap();
    let secret: [u8; 32] = core::array::from_fn(|i| i as u8 ^ 0x5a);
    let name = tpm.read("ak.name");
    let credential = match random_seed {
        Some(seed) => make_credential(&ek, &name, &secret, &SeededRandom::new(seed)),
        None => make_credential(&ek, &name, &secret, &SystemRandom),
    }
    .unwrap();

    tpm.write("credential", &file(&credential));
    // Low templates answer to a policy session only; high ones also to the empty password.
    if template.needs_policy_session() {
        tpm.activate("ak", "ek", "credential", "secret");
    } else {
        tpm.tool("tpm2_activatecredential -Q -c ak.ctx -C ek.ctx -i credential -o secret");
    }
    assert_eq!(tpm.read("secret"), secret);
}

#[test]
fn a_tpm_opens_a_credential_for_the_low_rsa_2048_ek() {
    opens(EkTemplate::L1, None);
}

#[test]
fn a_tpm_opens_a_credential_for_the_low_p256_ek() {
    opens(EkTemplate::L2, Some(1));
}

#[test]
fn a_tpm_opens_a_credential_for_the_high_rsa_2048_ek() {
    opens(EkTemplate::H1, Some(2));
}

#[test]
fn a_tpm_opens_a_credential_for_the_high_p256_ek() {
    opens(EkTemplate::H2, None);
}

#[test]
fn a_tpm_opens_a_credential_for_the_high_p384_ek() {
    opens(EkTemplate::H3, Some(3));
}

/// The second half of `MakeCredential` once more, from the specification's words, with openssl's AES: with
/// the seed known, everything behind it is determined.
fn recomputed(hash: HashAlgorithm, seed: &[u8], name: &[u8], secret: &[u8], bits: u32) -> Vec<u8> {
    let one = 1u32.to_be_bytes();
    let kdf = |label: &[u8], context: &[u8], bits: u32| {
        let tag = hash.hmac(seed, &[&one, label, &[0], context, &bits.to_be_bytes()]);
        tag.as_ref()[..bits as usize / 8].to_vec()
    };
    let key = kdf(b"STORAGE", name, bits);
    let pki = crate::pki::Pki::new();
    let plain = [&(secret.len() as u16).to_be_bytes()[..], secret].concat();
    pki.write("plain", plain);
    let identity = pki.openssl(&format!(
        "enc -aes-{bits}-cfb -K {} -iv 00000000000000000000000000000000 -in plain",
        hex::encode(key)
    ));
    let integrity = kdf(b"INTEGRITY", b"", hash.digest_len() as u32 * 8);
    let tag = hash.hmac(&integrity, &[&identity, name]);
    let tag = tag.as_ref();
    [&(tag.len() as u16).to_be_bytes()[..], tag, &identity].concat()
}

#[test]
fn with_the_seed_known_the_blob_is_what_the_specification_says() {
    let keys = crate::ek::keys();
    let ek = CredentialKey::from_public(&Public::parse(&keys.ek_rsa).unwrap()).unwrap();
    let seed = [0x33; 32];
    let name = [&[0, 0x0b][..], &[9; 32]].concat();
    let credential = danger_make_credential_from(&ek, &name, b"a secret", &seed).unwrap();
    let wanted = recomputed(HashAlgorithm::Sha256, &seed, &name, b"a secret", 128);
    assert_eq!(credential.id_object, wanted);
    let parsed = IdObject::parse(&credential.id_object).unwrap();
    assert_eq!(parsed.integrity_hmac.len(), 32);
    assert_eq!(credential.encrypted_secret.len(), 256);
}

#[test]
fn with_the_ephemeral_key_known_the_whole_credential_is_determined() {
    let keys = crate::ek::keys();
    let ek = CredentialKey::from_public(&Public::parse(&keys.ek_ecc).unwrap()).unwrap();
    let scalar = [0x21; 32];
    let name = [&[0, 0x0b][..], &[9; 32]].concat();
    let one = danger_make_credential_from(&ek, &name, &[1; 32], &scalar).unwrap();
    let two = danger_make_credential_from(&ek, &name, &[1; 32], &scalar).unwrap();
    assert_eq!(one, two);

    // The other side, by openssl: Z from the EK's point and the scalar, then KDFe by hand.
    let pki = crate::pki::Pki::new();
    let mut der = hex::decode("30310201010420").unwrap();
    der.extend(scalar);
    der.extend(hex::decode("a00a06082a8648ce3d030107").unwrap());
    pki.write("scalar.der", &der);
    pki.openssl("ec -inform DER -in scalar.der -out scalar.pem");
    pki.write("ek.pem", &keys.ek_ecc_pem);
    let z = pki.openssl("pkeyutl -derive -inkey scalar.pem -peerkey ek.pem");
    let point = EccPoint::parse(&one.encrypted_secret).unwrap();
    let Public { unique, .. } = Public::parse(&keys.ek_ecc).unwrap();
    let assay_common::tpm::public::Unique::Ecc { x: ek_x, .. } = unique else {
        panic!("an ECC key");
    };
    let counter = 1u32.to_be_bytes();
    let seed = HashAlgorithm::Sha256.hash(&[&counter, &z, b"IDENTITY\0", point.x, ek_x]);
    let wanted = recomputed(HashAlgorithm::Sha256, seed.as_ref(), &name, &[1; 32], 128);
    assert_eq!(one.id_object, wanted);
}

#[test]
fn a_secret_that_does_not_fit_is_refused() {
    let ek =
        CredentialKey::from_public(&Public::parse(&crate::ek::keys().ek_ecc).unwrap()).unwrap();
    for len in [0, 33, 64] {
        assert!(make_credential(&ek, &[0; 34], &vec![1; len], &SystemRandom).is_err());
    }
    assert!(danger_make_credential_from(&ek, &[0; 34], &[1; 32], &[0; 32]).is_err());
    assert!(danger_make_credential_from(&ek, &[0; 34], &[1; 32], &[1; 31]).is_err());
    let rsa =
        CredentialKey::from_public(&Public::parse(&crate::ek::keys().ek_rsa).unwrap()).unwrap();
    assert!(danger_make_credential_from(&rsa, &[0; 34], &[1; 32], &[1; 31]).is_err());
}
