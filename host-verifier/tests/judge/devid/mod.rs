//! `tpm_devid` as a login uses it: payload in, challenge out, response in, claims out. The EK is that of a TPM that is not ours,
//! the certificates are openssl's; AK and DevID key are in software, so that a test can bend each of them.

mod certificates;
mod checks;
mod soft;
mod structures;

use std::{path::Path, sync::OnceLock};

use assay_common::{
    login::{Direction, LoginKeys, Transcript, proof_nonce},
    method::{
        tpm_devid::{CERTIFICATES_BLOB, DevidPayload, possession_message},
        tpm_ek::{EkPayload, EkResponse},
    },
    policy::AttestorKind,
    protocol::BlobRef,
    tpm::attest::{Attested, CertifyInfo, ClockInfo},
};
use assay_host_verifier::{
    attestor::{
        AttestError, Attestor, Claims, Fault, Judged, MethodConfig as _, Pending, tpm_devid::Config,
    },
    blobs::Blobs,
    crypto::sha256,
    random::SystemRandom,
};
use serde_json::json;

use self::soft::{AK, DEVID, Soft, name};
use crate::{
    ek::{Login, SECRET, hash_of, keys, manufactured},
    pki::Pki,
    soft::Statement,
};

/// Extensions of a DevID certificate.
const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid";
/// Extensions of the owner's authorities.
const OWNER: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
    subjectKeyIdentifier=hash";

/// Keys of one kind, and the certificate for the DevID key among them.
struct Device {
    ak: Soft,
    devid: Soft,
    certificate: Vec<u8>,
}

struct World {
    owner: Pki,
    owner_pem: String,
    vendor_pem: String,
    ek_certificate: Vec<u8>,
    ec: Device,
    rsa: Device,
}

/// Made once: openssl is a process each time.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (_, ek_certificate, vendor_pem) = manufactured();
        let owner = Pki::new();
        owner.root("owner", "p256", OWNER);
        let device = |ak, devid: Soft, name: &str| Device {
            ak,
            certificate: certify(&owner, name, "rack7", &devid.pem(), "owner", LEAF),
            devid,
        };
        World {
            ec: device(Soft::ec(), Soft::ec(), "ec"),
            rsa: device(Soft::rsa(), Soft::rsa(), "rsa"),
            owner_pem: String::from_utf8(owner.pem("owner")).unwrap(),
            owner,
            vendor_pem,
            ek_certificate,
        }
    })
}

/// A certificate for a public key that is not openssl's.
fn certify(
    pki: &Pki,
    file: &str,
    common_name: &str,
    public: &[u8],
    issuer: &str,
    extensions: &str,
) -> Vec<u8> {
    pki.write(&format!("{file}.pub"), public);
    pki.write(&format!("{file}.ext"), extensions);
    pki.key(file, "p256");
    pki.openssl(&format!(
        "req -new -key {file}.key -subj /CN={common_name} -out {file}.csr"
    ));
    pki.openssl(&format!(
        "x509 -req -in {file}.csr -out {file}.crt -set_serial 0x0a1b2c -extfile {file}.ext \
         -CA {issuer}.crt -CAkey {issuer}.key -sha256 -force_pubkey {file}.pub -days 36500"
    ));
    pki.openssl(&format!("x509 -in {file}.crt -outform DER"))
}

fn config() -> serde_json::Value {
    json!({"devidCAs": [world().owner_pem], "endorsementCAs": [world().vendor_pem]})
}

fn nonce() -> [u8; 32] {
    let transcript = Transcript::new().then(Direction::Agent, b"hello");
    proof_nonce(AttestorKind::TPM_DEVID, &transcript)
}

/// What an agent sends, all of it free.
struct Sent {
    ek: Vec<u8>,
    ek_certificate: Option<Vec<u8>>,
    ak: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    devid: Vec<u8>,
    attest: Vec<u8>,
    attest_signature: Vec<u8>,
    possession: Vec<u8>,
}

/// What the AK of `device` says about an object with this Name, over this `extraData`.
fn certification(ak: &[u8], certified: &[u8], extra: &[u8]) -> Vec<u8> {
    let statement = Statement {
        signer: name(ak),
        nonce: extra.to_vec(),
        clock: ClockInfo {
            clock: 1,
            reset_count: 1,
            restart_count: 1,
            safe: true,
        },
        firmware: 1,
        selection: Vec::new(),
        values: Vec::new(),
    };
    let certified = name(certified);
    statement.with(&Attested::Certify(CertifyInfo {
        name: &certified,
        qualified_name: &certified,
    }))
}

impl Sent {
    /// What is accepted.
    fn proper(device: &Device) -> Self {
        Self::of(device, device.ak.public(AK), device.devid.public(DEVID))
    }

    /// The same with public areas that say something else, everything else fitting them.
    fn of(device: &Device, ak: Vec<u8>, devid: Vec<u8>) -> Self {
        let mut sent = Self {
            ek: keys().ek_ecc.clone(),
            ek_certificate: Some(world().ek_certificate.clone()),
            attest: certification(&ak, &devid, &nonce()),
            attest_signature: Vec::new(),
            possession: device.devid.sign(&possession_message(&nonce()).concat()),
            certificates: vec![device.certificate.clone()],
            ak,
            devid,
        };
        sent.attest_signature = device.ak.sign(&sent.attest);
        sent
    }

    fn encode(&self) -> (Vec<u8>, Blobs) {
        let mut blobs = Blobs::default();
        let mut send = |number: u8, bytes: &[u8]| {
            if !bytes.is_empty() {
                blobs.put(number, bytes).unwrap();
            }
            BlobRef {
                blob: number,
                len: bytes.len() as u32,
                sha256: sha256(&[bytes]),
            }
        };
        let payload = DevidPayload {
            endorsement: EkPayload {
                ek_public: &self.ek,
                ak_public: &self.ak,
                ek_certificate: self.ek_certificate.as_deref().map(|bytes| send(0, bytes)),
                ek_chain: Default::default(),
            },
            devid_certificates: send(CERTIFICATES_BLOB, &self.certificates.concat()),
            devid_public: &self.devid,
            attest: &self.attest,
            attest_signature: &self.attest_signature,
            possession: &self.possession,
        };
        let mut buffer = vec![0; 16 * 1024];
        (
            postcard::to_slice(&payload, &mut buffer).unwrap().to_vec(),
            blobs,
        )
    }
}

fn attestor(config: serde_json::Value) -> std::sync::Arc<dyn Attestor> {
    let config: Config = serde_json::from_value(config).unwrap();
    config.build(Path::new("/nonexistent")).unwrap()
}

fn judge_bytes(
    config: serde_json::Value,
    payload: &[u8],
    blobs: Blobs,
) -> Result<(Login, Box<dyn Pending>), AttestError> {
    let login = Login::new(blobs);
    match attestor(config).judge(&login.context(), payload)? {
        Judged::Challenge(pending) => Ok((login, pending)),
        other => panic!("decided without a challenge: {other:?}"),
    }
}

fn judge(config: serde_json::Value, sent: &Sent) -> Result<(Login, Box<dyn Pending>), AttestError> {
    let (payload, blobs) = sent.encode();
    judge_bytes(config, &payload, blobs)
}

/// Judges, and answers the challenge with `secret`.
fn answered(
    config: serde_json::Value,
    sent: &Sent,
    secret: [u8; 32],
) -> Result<Claims, AttestError> {
    let (mut login, pending) = judge(config, sent)?;
    let challenge = pending.challenge(&SECRET, &SystemRandom)?;
    login.transcript = login.transcript.then(Direction::Verifier, &challenge);
    let mac = LoginKeys::new(secret).proof(&login.transcript);
    let response = postcard::to_slice(&EkResponse { mac }, &mut [0; 64])
        .unwrap()
        .to_vec();
    pending.finish(&login.context(), &response)
}

#[track_caller]
fn refused(sent: &Sent, check: &str) {
    refused_by(config(), sent, check);
}

#[track_caller]
fn refused_by(config: serde_json::Value, sent: &Sent, check: &str) {
    let error = judge(config, sent).map(drop).unwrap_err();
    assert_eq!(error.check, check, "{error}");
    assert_eq!(error.fault, Fault::Refused, "{error}");
}

#[track_caller]
fn malformed(sent: &Sent, check: &str) {
    let error = judge(config(), sent).map(drop).unwrap_err();
    assert_eq!(error.check, check, "{error}");
    assert_eq!(error.fault, Fault::Malformed, "{error}");
}

/// Keys of both kinds, mixed.
fn mixed(ak: fn() -> Soft, devid: &'static Device) -> Device {
    let devid_key = match devid.devid.own_scheme() {
        scheme if scheme == world().ec.devid.own_scheme() => Soft::ec(),
        _ => Soft::rsa(),
    };
    let pem = devid_key.pem();
    let file = format!("mixed{}", pem.len());
    Device {
        ak: ak(),
        certificate: certify(&world().owner, &file, "rack7", &pem, "owner", LEAF),
        devid: devid_key,
    }
}

#[test]
fn a_devid_is_accepted_with_every_kind_of_key() {
    let world = world();
    let crossed = [mixed(Soft::rsa, &world.ec), mixed(Soft::ec, &world.rsa)];
    for device in [&world.ec, &world.rsa, &crossed[0], &crossed[1]] {
        let claims = answered(config(), &Sent::proper(device), SECRET).unwrap();
        assert_eq!(claims.kind, AttestorKind::TPM_DEVID);
        let value = |name: &str| {
            let mut found = claims.attributes.iter().filter(|a| a.name == name);
            let first = found.next().map(|a| a.value.clone());
            assert!(found.next().is_none(), "{name}");
            first.unwrap()
        };
        assert_eq!(value("tpm_devid.subject.cn"), "rack7");
        assert_eq!(value("tpm_devid.issuer.cn"), "owner");
        assert_eq!(value("tpm_devid.serial_number"), "0a1b2c");
        let fingerprint = hex::encode(sha256(&[&device.certificate]));
        assert_eq!(value("tpm_devid.fingerprint"), fingerprint);
        assert_eq!(value("tpm_devid.public_hash"), device.devid.hash());
        assert_eq!(value("tpm_devid.ek_public_hash"), hash_of(&keys().ek_ecc));
        let owner = world.owner.openssl("x509 -in owner.crt -outform DER");
        let owner = hex::encode(sha256(&[&owner]));
        assert_eq!(value("tpm_devid.ca.fingerprint"), owner);
        // All that it gives is announced, so that templates can be checked.
        let announced = attestor(config()).attributes();
        assert!(
            claims
                .attributes
                .iter()
                .all(|a| announced.iter().any(|name| *name == a.name))
        );

        let subject = claims.facts.subject.as_deref();
        assert_eq!(subject, Some(hash_of(&keys().ek_ecc).as_str()));
        let bound = claims.facts.attestation_key.unwrap();
        assert_eq!(bound.public, device.ak.public(AK));
        assert_eq!(bound.name, name(&bound.public));
    }
}

#[test]
fn a_listed_ek_needs_no_certificate() {
    let listed = json!({
        "devidCAs": [world().owner_pem], "allowedHashes": [hash_of(&keys().ek_ecc)],
    });
    let bare = Sent {
        ek_certificate: None,
        ..Sent::proper(&world().ec)
    };
    answered(listed, &bare, SECRET).unwrap();
    refused(&bare, "ek-certificate-missing");
}

#[test]
fn quotes_stand_on_a_devid() {
    let quote = json!({"pcrs": {"0": "00".repeat(32)}});
    let quote: assay_host_verifier::attestor::tpm_quote::Config =
        serde_json::from_value(quote).unwrap();
    let stands_on = quote.build(Path::new("/")).unwrap().stands_on();
    assert!(stands_on.contains(AttestorKind::TPM_DEVID));
    assert!(attestor(config()).stands_on().is_empty() && attestor(config()).is_fresh());
}
