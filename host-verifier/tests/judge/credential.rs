//! Credentials made here and opened by a TPM that is not ours.

use assay_common::tpm::public::{Public, templates::EkTemplate};
use assay_host_verifier::{
    random::{SeededRandom, SystemRandom},
    tpm::{Credential, CredentialKey, make_credential},
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
