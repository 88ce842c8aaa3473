//! `tpm_devid`: a DevID of an authority of two levels, in a TPM whose EK is on the policy's list. All keys P-256; the TPM's
//! structures are made here. The challenge is left out: what making a credential costs, `benches/crypto.rs` says.

use assay_common::method::tpm_devid::{CERTIFICATES_BLOB, DevidPayload, possession_message};
use assay_common::method::tpm_ek::{EkPayload, EkResponse};
use assay_common::policy::AttestorKind;
use assay_common::protocol::BlobRef;
use assay_common::tpm::{
    alg::{AlgId, EccCurve},
    attest::{Attest, Attested, CertifyInfo, ClockInfo},
    attributes::ObjectAttributes,
    codec::Writer,
    handle::Handle,
    name::Name,
    public::{Parameters, Public, Scheme, Symmetric, Unique, templates},
    signature::Signature,
};
use assay_host_verifier::attestor::tpm_devid::verify::DEVID_ATTRIBUTES;
use assay_host_verifier::crypto::{Curve, EcPublicKey, PublicKey, sha256};
use serde_json::json;

use crate::case::{Case, Login};
use crate::keys::{Bare, Form, Key, Kind, numbers_of};
use crate::x509::certify;

pub(crate) fn devid() -> Case {
    let mut login = Login::new(AttestorKind::TPM_DEVID);
    let nonce = login.nonce();
    let [ek, ak, device] = [(); 3].map(|()| Key::new(Kind::P256));
    let chain = certify(&device, Kind::P256);
    let signing = Scheme::new(AlgId::ECDSA, AlgId::SHA256);
    let ak_public = public(&ak, ObjectAttributes::AK, signing);
    let device_public = public(&device, DEVID_ATTRIBUTES, signing);

    let name = Name::of(&Public::parse(&device_public).unwrap()).unwrap();
    let below = Name::qualified_of_primary(Handle::ENDORSEMENT, &name).unwrap();
    let info = CertifyInfo {
        name: name.as_bytes(),
        qualified_name: below.as_bytes(),
    };
    let clock = ClockInfo {
        clock: 1,
        reset_count: 1,
        restart_count: 0,
        safe: true,
    };
    let signer = [[0, 0x0b].as_slice(), &[7; 32]].concat();
    let attest = encode(|w| {
        Attest::encode(&signer, &nonce, &clock, 1, &Attested::Certify(info), w);
    });
    let certified = ak.sign(Form::Certificate, &attest);
    let possession = device.sign(Form::Certificate, &possession_message(&nonce).concat());

    let certificates = chain.certificates.concat();
    login.blobs.put(CERTIFICATES_BLOB, &certificates).unwrap();
    let payload = DevidPayload {
        endorsement: EkPayload {
            ek_public: &endorsement_key(&ek),
            ak_public: &ak_public,
            ek_certificate: None,
            ek_chain: Default::default(),
        },
        devid_certificates: BlobRef {
            blob: CERTIFICATES_BLOB,
            len: certificates.len() as u32,
            sha256: sha256(&[&certificates]),
        },
        devid_public: &device_public,
        attest: &attest,
        attest_signature: &tpm_signature(&certified),
        possession: &tpm_signature(&possession),
    };
    let payload = postcard::to_allocvec(&payload).unwrap();
    let response = EkResponse {
        mac: login.activated(),
    };
    let listed = PublicKey::Ec(EcPublicKey::from_point(Curve::P256, ek.public()).unwrap());
    let config = json!({
        "devidCAs": [chain.root],
        "allowedHashes": [hex::encode(listed.spki_sha256())],
    });
    Case::new(login, config, payload)
        .then(postcard::to_allocvec(&response).unwrap())
        .fresh([certified, possession])
        .lasting(chain.signatures)
}

fn encode(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer);
    writer.finish().unwrap().to_vec()
}

fn public(key: &Key, attributes: ObjectAttributes, scheme: Scheme) -> Vec<u8> {
    public_area(key, attributes, &[], Symmetric::NULL, scheme)
}

fn endorsement_key(key: &Key) -> Vec<u8> {
    let aes = Symmetric {
        alg: AlgId::AES,
        key_bits: 128,
        mode: AlgId::CFB,
    };
    let policy = &templates::POLICY_A_SHA256;
    public_area(key, ObjectAttributes::EK_LOW, policy, aes, Scheme::NULL)
}

fn public_area(
    key: &Key,
    attributes: ObjectAttributes,
    policy: &[u8],
    symmetric: Symmetric,
    scheme: Scheme,
) -> Vec<u8> {
    let parameters = Parameters::Ecc {
        symmetric,
        scheme,
        curve: EccCurve::NIST_P256,
        kdf: Scheme::NULL,
    };
    let (x, y) = key.public()[1..].split_at(32);
    let unique = Unique::Ecc { x, y };
    encode(|w| Public::encode(AlgId::SHA256, attributes, policy, &parameters, &unique, w))
}

fn tpm_signature(signature: &Bare) -> Vec<u8> {
    let [r, s] = numbers_of(&signature.signature);
    let (r, s, hash) = (r.as_slice(), s.as_slice(), AlgId::SHA256);
    encode(|w| Signature::Ecdsa { hash, r, s }.encode(w))
}
