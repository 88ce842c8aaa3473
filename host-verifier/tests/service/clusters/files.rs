//! Files that documents name, renewed while the service runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assay_common::login::proof_nonce;
use assay_common::login::session_key::session_keys;
use assay_common::policy::AttestorKind;
use assay_host_verifier::server::Clusters;
use assay_host_verifier::server::clusters::Base;
use assay_host_verifier::store::ClusterConfigStore as _;
use assay_host_verifier::telemetry::health::State;
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::json;

use super::{A, attestation};
use crate::agent::Answer;
use crate::config_versions::change;
use crate::desk::{Desk, asked_of, ek_only, granted, tell};
use crate::fake_tpm::FakeTpm;

const POP: AttestorKind = AttestorKind::X509POP;
const ENTRIES: &str = "- name: hosts\n  requiredAttestors:\n  - type: x509pop\n    config: {caBundle: [ca.pem], crls: [ca.crl]}\n";

/// An authority whose certificate and list lie below `configFiles`, and a host with a certificate of it.
struct Site {
    dir: tempfile::TempDir,
    authority: Issuer<'static, KeyPair>,
    key: KeyPair,
    certificate: Vec<u8>,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let year = |params: &mut CertificateParams| {
            params.not_before = date_time_ymd(2025, 1, 1);
            params.not_after = date_time_ymd(2027, 1, 1);
        };
        let mut params = CertificateParams::default();
        year(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "ca");
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), own.pem()).unwrap();
        let authority = Issuer::new(params, key);

        let mut params = CertificateParams::default();
        year(&mut params);
        params.serial_number = Some(SerialNumber::from(7u64));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "host");
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap().der().to_vec();
        Self {
            dir,
            authority,
            key,
            certificate,
        }
    }

    fn list(&self) -> PathBuf {
        self.dir.path().join("ca.crl")
    }

    /// Puts a list in place, as whoever fetches them does.
    fn publish(&self, number: u64, revoked: &[u64], until: (i32, u8, u8)) {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2025, 12, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 12, 1),
            next_update: date_time_ymd(until.0, until.1, until.2),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.authority).unwrap().pem().unwrap();
        let new = self.dir.path().join("new");
        std::fs::write(&new, list).unwrap();
        std::fs::rename(new, self.list()).unwrap();
    }

    async fn login(&self, desk: &Desk) -> Answer {
        let share = PrivateKey::generate(&ECDH_P256).unwrap();
        let mut agent = desk.agent();
        agent.methods = vec![POP.0];
        agent.share = share.compute_public_key().unwrap().as_ref().to_vec();
        let mut link = desk.link();
        let hello = agent.hello();
        let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
        let mut items = Vec::new();
        for (kind, request) in &asked.items {
            let payload = match *kind {
                AttestorKind::SESSION_KEY => {
                    let peer = UnparsedPublicKey::new(&ECDH_P256, request);
                    let keys = agree(&share, peer, (), |x| {
                        let x = <[u8; 32]>::try_from(x).unwrap();
                        Ok(session_keys(&x, &agent.share, request))
                    });
                    let keys = keys.unwrap();
                    let proof = keys.proof(&agent.transcript).to_vec();
                    agent.keys = Some(keys);
                    proof
                }
                POP => {
                    let own = [3; 32];
                    let nonce = proof_nonce(POP, &agent.transcript);
                    let signed = digest(&SHA256, &[nonce, own].concat());
                    let pair = Ed25519KeyPair::from_pkcs8(&self.key.serialize_der()).unwrap();
                    json!({
                        "certificates": [STANDARD.encode(&self.certificate)],
                        "response": {"ed25519_signature": {
                            "nonce": STANDARD.encode(own),
                            "signature": STANDARD.encode(pair.sign(signed.as_ref())),
                        }},
                    })
                    .to_string()
                    .into_bytes()
                }
                other => panic!("asked for {other}"),
            };
            items.push((*kind, payload));
        }
        let proofs = agent.proofs(&asked, &items);
        tell(&mut link, &mut agent, &proofs).await
    }
}

/// A desk whose cluster is set in the store, and what keeps it in step.
async fn served(files: &Path) -> (Desk, Clusters) {
    let entries = ek_only("base", &[&FakeTpm::new()]);
    let desk = Desk::with_template(&entries, "/node/{{x509_pop.subject.common_name}}");
    let base = Base::new(BTreeMap::new(), Some(files.to_owned()));
    let clusters = Clusters::new(base, desk.store.clone());
    let change = change(&[(A, Some(&attestation(ENTRIES)))]);
    desk.store.change_config(&change).await.unwrap();
    clusters
        .refresh(&desk.server.verifier, false)
        .await
        .unwrap();
    (desk, clusters)
}

/// Why the last login was refused.
async fn refused(desk: &mut Desk, site: &Site, why: &str) {
    let answer = site.login(desk).await;
    assert!(matches!(answer, Answer::Denied(..)), "{answer:?}");
    let told = desk.last_denial();
    assert!(told.contains(why), "{told}");
}

#[tokio::test]
async fn a_revocation_and_a_fresh_list_take_effect_without_a_restart() {
    let site = Site::new();
    site.publish(1, &[], (2026, 1, 3));
    let (mut desk, clusters) = served(site.dir.path()).await;
    let live = desk.server.verifier.clone();
    let session = granted(site.login(&desk).await);
    assert!(session.spiffe_id.ends_with("/node/host"), "{session:?}");
    let configuration = live.current().configuration_of("lab");

    // Past its nextUpdate nobody gets in, until there is a fresh one.
    desk.clock.advance(Duration::from_secs(3 * 24 * 3600));
    refused(&mut desk, &site, "crl-stale").await;
    site.publish(2, &[], (2026, 2, 1));
    clusters.refresh(&live, false).await.unwrap();
    granted(site.login(&desk).await);
    // Sessions under it go on: the policy is the same.
    assert_eq!(live.current().configuration_of("lab"), configuration);

    site.publish(3, &[7], (2026, 2, 1));
    clusters.refresh(&live, false).await.unwrap();
    refused(&mut desk, &site, "revoked").await;
    assert_eq!(live.current().configuration_of("lab"), configuration);
    assert_eq!(live.status().health(), State::Ok);
    assert_eq!(live.current().clusters["lab"].version, 1);

    // Nothing has changed: nothing is built.
    let policies = || live.current().clusters["lab"].policies.clone();
    let before = policies();
    clusters.refresh(&live, false).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&before, &policies()));
}

#[tokio::test]
async fn a_list_that_cannot_be_used_leaves_the_one_before_in_force_and_is_told() {
    let site = Site::new();
    site.publish(1, &[7], (2026, 2, 1));
    let (mut desk, clusters) = served(site.dir.path()).await;
    let live = desk.server.verifier.clone();
    refused(&mut desk, &site, "revoked").await;
    for broken in [Some("half a li"), None] {
        match broken {
            Some(text) => std::fs::write(site.list(), text).unwrap(),
            None => std::fs::remove_file(site.list()).unwrap(),
        }
        clusters.refresh(&live, true).await.unwrap();
        let State::Degraded(why) = live.status().health() else {
            panic!("{:?}", live.status())
        };
        assert!(
            why.contains("ca.crl") && why.contains("serving what it was"),
            "{why}"
        );
        refused(&mut desk, &site, "revoked").await;
    }
    site.publish(2, &[], (2026, 2, 1));
    clusters.refresh(&live, false).await.unwrap();
    assert_eq!(live.status().problems.len(), 1, "not at every question");
    clusters.refresh(&live, true).await.unwrap();
    assert_eq!(live.status().health(), State::Ok);
    granted(site.login(&desk).await);
}

/// The same for a cluster that stands in `assayd.yaml` and of which the store knows nothing.
#[tokio::test]
async fn the_services_own_clusters_are_built_anew_as_well() {
    let site = Site::new();
    site.publish(1, &[], (2026, 2, 1));
    let policy = site.dir.path().join("lab.yaml");
    std::fs::write(&policy, attestation(ENTRIES)).unwrap();
    let file = site.dir.path().join("assayd.yaml");
    std::fs::write(
        &file,
        "trustDomain: example.org\ndataDir: data\nclusters: {lab: lab.yaml}\n\
         session: {pathTemplate: \"/node/{{x509_pop.subject.common_name}}\"}\n\
         listeners: {unix: [{path: agents.sock}]}\n",
    )
    .unwrap();
    let config = assay_host_verifier::config::Config::load(&file).unwrap();
    let entries = ek_only("base", &[&FakeTpm::new()]);
    let mut desk = Desk::with_template(&entries, "/node/{{x509_pop.subject.common_name}}");
    let live = desk.server.verifier.clone();
    // What was read at the start is old by the time that the store is read.
    site.publish(2, &[7], (2026, 2, 1));
    let clusters = Clusters::new(Base::from(&config), desk.store.clone());
    clusters.refresh(&live, false).await.unwrap();
    refused(&mut desk, &site, "revoked").await;
    site.publish(3, &[], (2026, 2, 1));
    clusters.refresh(&live, false).await.unwrap();
    granted(site.login(&desk).await);
    assert_eq!(live.current().clusters["lab"].version, 0);
}
