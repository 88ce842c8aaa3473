//! `ssh_pop`: a host certificate, the authority's key and the host's of one kind. Written here field by field, as
//! PROTOCOL.certkeys has them; that `ssh-keygen`'s are read the same is a matter of the tests.

use assay_common::method::possession::digest;
use assay_common::policy::AttestorKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::case::{Case, Login};
use crate::keys::{Form, Key, Kind, numbers_of};

pub(crate) fn case(kind: Kind) -> Case {
    let login = Login::new(AttestorKind::SSH_POP);
    let (authority, host) = (Key::new(kind), Key::new(kind));
    let authority_blob = [string(name(kind)), fields(&authority)].concat();
    let now = login.now() as u64;
    let signed = [
        string(format!("{}-cert-v01@openssh.com", name(kind))),
        string([5; 32]),
        fields(&host),
        17u64.to_be_bytes().to_vec(),
        2u32.to_be_bytes().to_vec(),
        string("node-17.example.org"),
        string(string("node-17.example.org")),
        (now - 60).to_be_bytes().to_vec(),
        (now + 3600).to_be_bytes().to_vec(),
        string([]),
        string([]),
        string([]),
        string(&authority_blob),
    ]
    .concat();
    let certified = authority.sign(Form::Ssh, &signed);
    let signature = [
        string(algorithm(kind)),
        string(blob(kind, &certified.signature)),
    ]
    .concat();
    let certificate = [signed, string(signature)].concat();

    let agent = [9; 32];
    let possession = host.sign(Form::Ssh, &digest(&login.nonce(), &agent));
    let payload = json!({
        "Certificate": STANDARD.encode(certificate),
        "Response": {
            "Nonce": STANDARD.encode(agent),
            "Signature": {
                "Format": algorithm(kind),
                "Blob": STANDARD.encode(blob(kind, &possession.signature)),
                "Rest": null,
            },
        },
    });
    let line = format!("{} {}", name(kind), STANDARD.encode(authority_blob));
    let config = json!({"certAuthorities": [line], "canonicalDomain": "example.org"});
    Case::new(login, config, payload.to_string())
        .fresh([possession])
        .lasting([certified])
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Rsa2048 => "ssh-rsa",
        Kind::P256 => "ecdsa-sha2-nistp256",
        Kind::Ed25519 => "ssh-ed25519",
    }
}

const fn algorithm(kind: Kind) -> &'static str {
    match kind {
        Kind::Rsa2048 => "rsa-sha2-512",
        other => name(other),
    }
}

/// The public key, without its type.
fn fields(key: &Key) -> Vec<u8> {
    match key.kind {
        Kind::Rsa2048 => {
            let (modulus, exponent) = key.numbers();
            [positive(&exponent), positive(&modulus)].concat()
        }
        Kind::P256 => [string("nistp256"), string(key.public())].concat(),
        Kind::Ed25519 => string(key.public()),
    }
}

/// A signature without its algorithm.
fn blob(kind: Kind, signature: &[u8]) -> Vec<u8> {
    match kind {
        Kind::P256 => numbers_of(signature).map(|n| positive(&n)).concat(),
        _ => signature.to_vec(),
    }
}

fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn positive(number: &[u8]) -> Vec<u8> {
    match number.first() {
        Some(0x80..) => string([&[0], number].concat()),
        _ => string(number),
    }
}
