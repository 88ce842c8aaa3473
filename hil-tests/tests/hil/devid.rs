//! `tpm_devid` with real parts: the key by tpm2-tools, its certificate by openssl, the EK's by swtpm's CA, the agent's proofs
//! through the TSS, and the verifier's judging.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use assay_common::login::{Direction, LoginKeys, Transcript};
use assay_common::method::tpm_devid::DevidPayload;
use assay_common::policy::AttestorKind;
use assay_common::protocol::{MessageWriter, decode, encode};
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Request};
use assay_firmware::link::{BlobSink, LinkError};
use assay_hil_tests::manufacture::{EkKind, ManufacturedTpm, Recipe, manufacture};
use assay_host_agent::method::MethodError;
use assay_host_agent::tpm::{HostTpm, StreamTpm, TpmPlace, TpmSource, devid};
use assay_host_verifier::attestor::{
    AttestError, Attestor, Claims, Facts, Judged, LoginContext, MethodConfig, tpm_devid, tpm_ek,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::random::SystemRandom;
use assay_spi_tpm::swtpm::{Mode, Swtpm};
use serde_json::json;
use tempfile::TempDir;

use crate::loopback::tpm;

/// A host: a folder, its TPM, and the owner's CA.
pub(crate) struct Host {
    folder: TempDir,
    pub(crate) tpm: ManufacturedTpm,
    process: Swtpm,
}

pub(crate) const SIGNER: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";

impl Host {
    pub(crate) fn new(kind: EkKind) -> Self {
        let (folder, tpm) = tpm(&Recipe::with([kind]));
        Self::with(folder, tpm)
    }

    /// With a TPM that no other test has: copies of one are one TPM, with the same seeds.
    fn alone(kind: EkKind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tpm = manufacture(&Recipe::with([kind]), folder.path()).unwrap();
        Self::with(folder, tpm)
    }

    fn with(folder: TempDir, tpm: ManufacturedTpm) -> Self {
        let process = tpm
            .start(&folder.path().join("run"), Mode::Sockets)
            .unwrap();
        let host = Self {
            folder,
            tpm,
            process,
        };
        // As the firmware of a machine does; the agent finds its TPM started.
        host.run("tpm2_startup", "-c");
        host.run(
            "openssl",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out owner.key",
        );
        host.write("ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash");
        host.write(
            "devid.ext",
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
             subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid",
        );
        host.run(
            "openssl",
            "req -new -key owner.key -subj /CN=owner -out owner.csr",
        );
        host.run(
            "openssl",
            "x509 -req -in owner.csr -signkey owner.key -extfile ca.ext -days 36500 -set_serial 1 -out owner.crt",
        );
        host
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn place(&self) -> TpmPlace {
        let path = format!("swtpm:path={}", self.process.data_path().display());
        path.parse().unwrap()
    }

    fn run(&self, program: &str, args: &str) {
        let output = Command::new(program)
            .args(args.split_whitespace())
            .env("TPM2TOOLS_TCTI", self.place().as_str())
            .current_dir(self.folder.path())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error} (`./x setup` installs it)"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args}: {stderr}");
    }

    fn tool(&self, command: &str) {
        let (program, args) = command.split_once(' ').unwrap();
        self.run(program, args);
        self.run("tpm2_flushcontext", "-t");
    }

    /// A parent of the owner's, as tpm2-tools make it, kept where storage keys are.
    pub(crate) fn parent(&self, options: &str) {
        self.tool(&format!(
            "tpm2_createprimary -Q -C o -G ecc -c srk.ctx {options}"
        ));
        self.tool(&format!(
            "tpm2_evictcontrol -Q -C o -c srk.ctx 0x81000001 {options}"
        ));
    }

    /// A DevID key under it, and its certificate.
    pub(crate) fn devid(&self, alg: &str, attributes: &str, options: &str) {
        self.tool(&format!(
            "tpm2_create -Q -C 0x81000001 -G {alg} -a {attributes} -u devid.pub -r devid.priv {options}"
        ));
        self.certify("devid");
    }

    /// A certificate `name.crt` for the key of `name.pub`.
    fn certify(&self, name: &str) {
        self.tool(&format!(
            "tpm2_load -Q -C 0x81000001 -u {name}.pub -r {name}.priv -c {name}.ctx"
        ));
        self.tool(&format!(
            "tpm2_readpublic -Q -c {name}.ctx -f pem -o {name}.pem"
        ));
        self.run(
            "openssl",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out any.key",
        );
        self.run(
            "openssl",
            "req -new -key any.key -subj /CN=rack7 -out any.csr",
        );
        self.run(
            "openssl",
            &format!(
                "x509 -req -in any.csr -CA owner.crt -CAkey owner.key -set_serial 7 -days 36500 \
                 -extfile devid.ext -force_pubkey {name}.pem -out devid.crt"
            ),
        );
    }

    /// The agent's source, as its configuration makes it.
    ///
    /// Over a socket of our own, where an installed agent has the TSS (`agent_service::devid`): for each command that opens
    /// another to swtpm, which a program inherits that another test starts in that moment, and swtpm serves nobody else then.
    fn agent(&self, more: serde_json::Value) -> HostTpm<StreamTpm> {
        let mut config = json!({
            "devidCertPath": "devid.crt", "devidPubPath": "devid.pub", "devidPrivPath": "devid.priv",
        });
        for (name, value) in more.as_object().unwrap() {
            config[name] = value.clone();
        }
        let config: devid::Config = serde_json::from_value(config).unwrap();
        let data = self.process.data_path().to_owned();
        let connect = move || {
            StreamTpm::socket(&data).map_err(|why| MethodError::new(why.to_string(), "it runs"))
        };
        HostTpm::new(Box::new(connect)).with_devid(config, self.folder.path().to_owned())
    }

    fn attestor(&self) -> Arc<dyn Attestor> {
        let config = json!({
            "devidCAs": [self.path("owner.crt")],
            "endorsementCAs": [self.tpm.root_ca(), self.tpm.intermediate_ca()],
        });
        let config: tpm_devid::Config = serde_json::from_value(config).unwrap();
        config.build(Path::new("/")).unwrap()
    }
}

#[derive(Default)]
struct Sent(Blobs);

impl BlobSink for Sent {
    fn chunk(&mut self, blob: u8, offset: u32, bytes: &[u8]) -> Result<(), LinkError> {
        let chunk = assay_common::protocol::Chunk {
            blob,
            offset,
            bytes,
        };
        self.0.add(&chunk).map_err(|_| LinkError)
    }
}

/// One side's answer to a request.
fn prove(
    source: &mut dyn EvidenceSource,
    kind: AttestorKind,
    round: u8,
    payload: &[u8],
    transcript: &Transcript,
    sent: &mut Sent,
) -> Result<(Vec<u8>, Option<LoginKeys>), EvidenceError> {
    let mut buffer = vec![0; 16 * 1024];
    let mut out = MessageWriter::new(&mut buffer);
    let request = Request {
        kind,
        version: 3,
        round,
        payload,
        transcript,
    };
    let keys = source.prove(&request, sent, &mut out)?;
    Ok((out.finish().unwrap().to_vec(), keys))
}

const SECRET: [u8; 32] = [0x5a; 32];

/// A login up to its decision: what is proven, or the failed check.
fn login(host: &Host, source: &mut dyn TpmSource) -> Result<Claims, AttestError> {
    if let Err(error) = source.begin() {
        panic!("{error}: {:?}", source.take_troubles());
    }
    assert_eq!(source.take_troubles(), []);
    let claims = proven(&*host.attestor(), AttestorKind::TPM_DEVID, source);
    source.end();
    claims
}

fn proven(
    attestor: &dyn Attestor,
    kind: AttestorKind,
    source: &mut dyn EvidenceSource,
) -> Result<Claims, AttestError> {
    let transcript = Transcript::new().then(Direction::Verifier, b"a challenge");
    let mut sent = Sent::default();
    let (payload, _) = prove(source, kind, 0, &[], &transcript, &mut sent).unwrap();
    let (keys, facts) = (LoginKeys::new(SECRET), Facts::default());
    let context = |transcript| LoginContext {
        now: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60),
        transcript,
        request: &[],
        blobs: &sent.0,
        facts: &facts,
        last_boot: None,
        keys: &keys,
    };
    let Judged::Challenge(pending) = attestor.judge(&context(&transcript), &payload)? else {
        panic!("decided without a challenge");
    };
    let challenge = pending.challenge(&SECRET, &SystemRandom)?;
    let transcript = transcript.then(Direction::Verifier, &challenge);
    let mut none = Sent::default();
    let (response, opened) = prove(source, kind, 1, &challenge, &transcript, &mut none).unwrap();
    assert_eq!(
        opened.unwrap().proof(&transcript),
        keys.proof(&transcript),
        "the session is sealed under the secret"
    );
    pending.finish(&context(&transcript), &response)
}

#[test]
fn devid_keys_of_every_kind_are_proven_beside_eks_of_every_kind() {
    for (ek, alg) in [
        (EkKind::P256, "ecc256:ecdsa-sha256:null"),
        (EkKind::Rsa2048, "rsa2048:rsassa-sha256:null"),
        (EkKind::P384, "ecc384:ecdsa-sha384:null"),
        (EkKind::P256, "rsa2048:null:null"),
        (EkKind::Rsa2048, "rsa2048:rsapss-sha256:null"),
        (EkKind::Rsa2048, "ecc256:null:null"),
    ] {
        let host = Host::new(ek);
        host.parent("");
        host.devid(alg, SIGNER, "");
        let mut agent = host.agent(json!({}));
        let claims = login(&host, &mut agent).unwrap_or_else(|e| panic!("{ek:?} {alg}: {e}"));
        let names = claims.attributes.iter();
        let subject = names.clone().find(|a| a.name == "tpm_devid.subject.cn");
        assert_eq!(subject.unwrap().value, "rack7");
        // Again, over the same connection's successor.
        login(&host, &mut agent).unwrap();
    }
}

#[test]
fn a_key_under_the_tcgs_storage_keys_is_found_without_a_word() {
    let host = Host::new(EkKind::P256);
    let storage = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";
    // tpm2-tools take the TSS' own structs: a length in this machine's order, and room for the longest key.
    let coordinate = [&32_u16.to_ne_bytes()[..], &[0; 128]].concat();
    std::fs::write(host.path("ecc.unique"), coordinate.repeat(2)).unwrap();
    let modulus = [&256_u16.to_ne_bytes()[..], &[0; 256]].concat();
    std::fs::write(host.path("rsa.unique"), modulus).unwrap();
    for (alg, name) in [
        ("ecc256:null:aes128cfb", "ecc"),
        ("rsa2048:null:aes128cfb", "rsa"),
    ] {
        host.tool(&format!(
            "tpm2_createprimary -Q -C o -g sha256 -G {alg} -a {storage} -u {name}.unique -c {name}.ctx"
        ));
        host.tool(&format!(
            "tpm2_create -Q -C {name}.ctx -G ecc256 -a {SIGNER} -u devid.pub -r devid.priv -c devid.ctx"
        ));
        host.tool(&format!(
            "tpm2_load -Q -C {name}.ctx -u devid.pub -r devid.priv -c devid.ctx"
        ));
        host.tool("tpm2_readpublic -Q -c devid.ctx -f pem -o devid.pem");
        host.run(
            "openssl",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out any.key",
        );
        host.run(
            "openssl",
            "req -new -key any.key -subj /CN=rack7 -out any.csr",
        );
        host.run(
            "openssl",
            "x509 -req -in any.csr -CA owner.crt -CAkey owner.key -set_serial 7 -days 36500 \
             -extfile devid.ext -force_pubkey devid.pem -out devid.crt",
        );
        login(&host, &mut host.agent(json!({}))).unwrap();
        let named = json!({"devidParent": format!("srk-{name}")});
        login(&host, &mut host.agent(named)).unwrap();
    }
}

#[test]
fn passwords_of_key_and_hierarchies_are_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let host = Host::new(EkKind::P256);
    host.parent("");
    host.devid("ecc256", SIGNER, "-p devid-password");
    host.tool("tpm2_changeauth -Q -c o owner-password");
    host.tool("tpm2_changeauth -Q -c e endorsement-password");
    for name in ["devid", "owner", "endorsement", "wrong"] {
        let file = host.path(&format!("{name}.password"));
        std::fs::write(&file, format!("{name}-password\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    let files = |devid: &str, endorsement: &str| {
        json!({
            "devidPasswordFile": format!("{devid}.password"),
            "ownerPasswordFile": "owner.password",
            "endorsementPasswordFile": format!("{endorsement}.password"),
        })
    };
    login(&host, &mut host.agent(files("devid", "endorsement"))).unwrap();
    let mut agent = host.agent(files("wrong", "endorsement"));
    agent.begin().unwrap();
    let transcript = Transcript::new();
    let kind = AttestorKind::TPM_DEVID;
    prove(&mut agent, kind, 0, &[], &transcript, &mut Sent::default())
        .map(drop)
        .unwrap_err();
    // The EK, which the session is salted to, comes first.
    host.agent(files("devid", "wrong")).begin().unwrap_err();
}

#[test]
fn keys_that_are_not_only_in_this_tpm_are_refused() {
    let host = Host::new(EkKind::P256);
    host.parent("");
    // One that can be duplicated.
    host.devid("ecc256", "sensitivedataorigin|userwithauth|sign", "");
    let error = login(&host, &mut host.agent(json!({}))).unwrap_err();
    assert_eq!(error.check, "devid-attributes", "{error}");
    // One that was made by openssl.
    host.run(
        "openssl",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out soft.key",
    );
    host.tool("tpm2_import -Q -C 0x81000001 -G ecc -i soft.key -u devid.pub -r devid.priv");
    host.certify("devid");
    let error = login(&host, &mut host.agent(json!({}))).unwrap_err();
    assert_eq!(error.check, "devid-attributes", "{error}");
    // The certificate of one key beside the blobs of another.
    host.devid("ecc256", SIGNER, "");
    host.tool("tpm2_create -Q -C 0x81000001 -G ecc256 -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign -u devid.pub -r devid.priv");
    // The agent shows no such pair. What the verifier says to it is tested with it.
    let mut agent = host.agent(json!({}));
    agent.begin().unwrap();
    assert!(!agent.kinds().contains(AttestorKind::TPM_DEVID));
    let [trouble] = &agent.take_troubles()[..] else {
        panic!("one reason")
    };
    let told = trouble.to_string();
    assert!(told.contains("is not for the key in"), "{told}");
}

#[test]
fn what_is_true_of_one_tpm_is_not_taken_for_another() {
    let [one, other] = [Host::new(EkKind::P256), Host::alone(EkKind::P256)];
    for host in [&one, &other] {
        host.parent("");
        host.devid("ecc256", SIGNER, "");
    }
    let [mut first, mut second] = [one.agent(json!({})), other.agent(json!({}))];
    let transcript = Transcript::new();
    let kind = AttestorKind::TPM_DEVID;
    let mut payloads = Vec::new();
    for agent in [&mut first, &mut second] {
        agent.begin().unwrap();
        let mut sent = Sent::default();
        let (payload, _) = prove(agent, kind, 0, &[], &transcript, &mut sent).unwrap();
        payloads.push((payload, sent));
    }
    // The DevID and the AK of one, beside the EK and the EK certificate of the other: all that is signed is true.
    let (own, theirs) = (&payloads[0], &payloads[1]);
    let mut mixed: DevidPayload<'_> = decode(&own.0).unwrap();
    let foreign: DevidPayload<'_> = decode(&theirs.0).unwrap();
    mixed.endorsement.ek_public = foreign.endorsement.ek_public;
    mixed.endorsement.ek_certificate = foreign.endorsement.ek_certificate;
    mixed.endorsement.ek_chain.clear();
    let certificate = foreign.endorsement.ek_certificate.unwrap();
    let mut blobs = own.1.0.clone();
    let bytes = theirs.1.0.resolve(&certificate).unwrap();
    blobs.put(certificate.blob, bytes).unwrap();
    let mixed = encode(&mixed, &mut vec![0; 16 * 1024]).unwrap().to_vec();

    let config = json!({
        "devidCAs": [one.path("owner.crt")],
        "endorsementCAs": [other.tpm.root_ca(), other.tpm.intermediate_ca()],
    });
    let config: tpm_devid::Config = serde_json::from_value(config).unwrap();
    let attestor = config.build(Path::new("/")).unwrap();
    let (keys, facts) = (LoginKeys::new(SECRET), Facts::default());
    let context = LoginContext {
        now: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60),
        transcript: &transcript,
        request: &[],
        blobs: &blobs,
        facts: &facts,
        last_boot: None,
        keys: &keys,
    };
    let Judged::Challenge(pending) = attestor.judge(&context, &mixed).unwrap() else {
        panic!("decided without a challenge");
    };
    // Neither TPM opens the credential: one lacks the EK, the other the AK.
    let challenge = pending.challenge(&SECRET, &SystemRandom).unwrap();
    for agent in [&mut first, &mut second] {
        prove(
            agent,
            kind,
            1,
            &challenge,
            &transcript,
            &mut Sent::default(),
        )
        .map(drop)
        .unwrap_err();
    }
}

#[test]
fn one_login_has_a_devid_beside_the_ek_and_an_svid_key() {
    let host = Host::new(EkKind::P256);
    host.parent("");
    host.devid("ecc256", SIGNER, "");
    let mut agent = host.agent(json!({}));
    agent.begin().unwrap();
    let all = [
        AttestorKind::TPM_EK,
        AttestorKind::TPM_QUOTE,
        AttestorKind::TPM_DEVID,
        AttestorKind::SVID_KEY,
    ];
    assert!(all.iter().all(|kind| agent.kinds().contains(*kind)));
    let transcript = Transcript::new().then(Direction::Verifier, b"round 0");
    let mut sent = Sent::default();
    let mut ask = |kind, payload: &[u8]| {
        let (proof, _) = prove(&mut agent, kind, 0, payload, &transcript, &mut sent).unwrap();
        proof
    };
    let ek = ask(AttestorKind::TPM_EK, &[]);
    let devid = ask(AttestorKind::TPM_DEVID, &[]);
    // One algorithm, P-256.
    assert!(ask(AttestorKind::SVID_KEY, &[1, 1]).len() > 300);
    let ek_config = json!({"manufacturerCAs": [host.tpm.root_ca(), host.tpm.intermediate_ca()]});
    let ek_config: tpm_ek::Config = serde_json::from_value(ek_config).unwrap();
    let attestors = [
        (
            AttestorKind::TPM_EK,
            ek_config.build(Path::new("/")).unwrap(),
            ek,
        ),
        (AttestorKind::TPM_DEVID, host.attestor(), devid),
    ];
    let facts = Facts::default();
    let mut found = Vec::new();
    for (number, (kind, attestor, payload)) in attestors.into_iter().enumerate() {
        let secret = [number as u8; 32];
        let keys = LoginKeys::new(secret);
        let pending = {
            let context = LoginContext {
                now: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60),
                transcript: &transcript,
                request: &[],
                blobs: &sent.0,
                facts: &facts,
                last_boot: None,
                keys: &keys,
            };
            match attestor.judge(&context, &payload).unwrap() {
                Judged::Challenge(pending) => pending,
                other => panic!("{other:?}"),
            }
        };
        let challenge = pending.challenge(&secret, &SystemRandom).unwrap();
        let (_, opened) = prove(
            &mut agent,
            kind,
            1,
            &challenge,
            &transcript,
            &mut Sent::default(),
        )
        .unwrap();
        assert_eq!(opened.unwrap().proof(&transcript), keys.proof(&transcript));
        found.push(pending.if_answered().unwrap().facts);
    }
    assert_eq!(found[0], found[1], "the same TPM and the same AK");
    agent.end();
}
