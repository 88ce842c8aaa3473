//! X.509-SVIDs as openssl and the `spiffe` crate read them.

use std::time::Duration;

use assay_common::identity::SpiffeId;
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::svid::keys::KeyType;
use assay_host_verifier::svid::{IssueError, Issuer, Settings};
use spiffe::{TrustDomain, X509Bundle};

use super::{Folder, HOUR, ID, Office, id, memory_keys};
use assay_host_verifier::store::MemoryStore;
use std::sync::Arc;

#[tokio::test]
async fn svids_verify_with_openssl_for_every_kind_of_authority_and_of_node() {
    let folder = Folder::new();
    for authority in KeyType::ALL {
        let settings = Settings {
            x509_key: authority,
            ..Settings::new("example.org")
        };
        let office = Office::with(settings, None).await;
        for node in ["p256", "p384", "rsa:2048"] {
            let svid = office.issue(&folder.node(node)).await;
            folder.write_svid(&svid, office.issuer.bundle().pem());
            folder.verify(office.now()).unwrap();
            assert_eq!(svid.chain.len(), 1, "the root is in the bundle");
            let key = folder.openssl("x509 -in svid.pem -noout -pubkey");
            assert_eq!(key, folder.openssl("pkey -in node.key -pubout"));
            assert!(folder.verify(svid.not_after + HOUR).is_err(), "it ends");
        }
    }
}

#[tokio::test]
async fn openssl_reads_in_an_svid_what_the_standard_asks_for() {
    let folder = Folder::new();
    let office = Office::new().await;
    let svid = office.issue(&folder.node("p256")).await;
    folder.write_svid(&svid, office.issuer.bundle().pem());
    let text = folder.openssl("x509 -in svid.pem -noout -text");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let after = |head: &str| {
        let at = lines.iter().position(|line| *line == head);
        lines[at.unwrap_or_else(|| panic!("no `{head}` in {text}")) + 1]
    };
    assert!(lines.contains(&"Version: 3 (0x2)"), "{text}");
    assert!(lines.contains(&"Subject:"), "empty: {text}");
    assert_eq!(after("X509v3 Key Usage: critical"), "Digital Signature");
    assert_eq!(
        after("X509v3 Extended Key Usage:"),
        "TLS Web Server Authentication, TLS Web Client Authentication"
    );
    assert_eq!(after("X509v3 Basic Constraints: critical"), "CA:FALSE");
    // One name, and critical because there is no subject.
    assert_eq!(
        after("X509v3 Subject Alternative Name: critical"),
        format!("URI:{ID}")
    );
    let serial = folder.openssl("x509 -in svid.pem -noout -serial");
    assert_eq!(
        serial.trim().to_lowercase(),
        format!("serial={}", hex::encode(svid.serial))
    );
    assert!(svid.serial[0] < 0x80, "positive in 20 bytes");
    assert_ne!(svid.serial, office.issue(&folder.node("p256")).await.serial);
    // Identifiers of leaf and authority fit together.
    let authority_key = after("X509v3 Authority Key Identifier:").replace(':', "");
    assert_eq!(authority_key.to_lowercase(), svid.authority);

    let text = folder.openssl("x509 -in bundle.pem -noout -text");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let after = |head: &str| lines[lines.iter().position(|line| *line == head).unwrap() + 1];
    assert_eq!(
        after("X509v3 Key Usage: critical"),
        "Certificate Sign, CRL Sign"
    );
    assert_eq!(
        after("X509v3 Basic Constraints: critical"),
        "CA:TRUE, pathlen:0"
    );
    assert_eq!(
        after("X509v3 Subject Alternative Name:"),
        "URI:spiffe://example.org"
    );
    let subject_key = after("X509v3 Subject Key Identifier:").replace(':', "");
    assert_eq!(subject_key.to_lowercase(), svid.authority);
    let subject = format!("O = SPIFFE, CN = Assay, serialNumber = {}", svid.authority);
    assert!(text.contains(&format!("Subject: {subject}")), "{text}");
}

#[tokio::test]
async fn the_spiffe_crate_reads_the_svid_and_its_authority() {
    let folder = Folder::new();
    let office = Office::new().await;
    for kind in ["p256", "p384", "rsa:2048"] {
        let svid = office.issue(&folder.node(kind)).await;
        folder.openssl("pkcs8 -topk8 -nocrypt -in node.key -outform DER -out node.p8");
        let read = spiffe::X509Svid::parse_from_der(&svid.chain.concat(), &folder.read("node.p8"));
        assert_eq!(read.unwrap().spiffe_id().to_string(), ID, "{kind}");
    }
    folder.write("bundle.pem", office.issuer.bundle().pem());
    folder.openssl("x509 -in bundle.pem -outform DER -out root.der");
    let domain = TrustDomain::new("example.org").unwrap();
    let bundle = X509Bundle::parse_from_der(domain, &folder.read("root.der")).unwrap();
    let [authority] = bundle.authorities() else {
        panic!("{bundle:?}")
    };
    assert_eq!(authority.as_bytes(), folder.read("root.der"));
}

#[tokio::test]
async fn an_svid_of_one_trust_domain_does_not_verify_in_another() {
    let folder = Folder::new();
    let (office, other) = (Office::new().await, Office::new().await);
    let svid = office.issue(&folder.node("p256")).await;
    folder.write_svid(&svid, other.issuer.bundle().pem());
    assert!(folder.verify(office.now()).is_err());
}

#[tokio::test]
async fn an_identity_of_another_trust_domain_is_never_issued() {
    let folder = Folder::new();
    let office = Office::new().await;
    let key = folder.node("p256");
    for text in [
        "spiffe://example.com/node/a",
        "spiffe://sub.example.org/node/a",
    ] {
        let other = SpiffeId::parse(text).unwrap();
        let now = office.now();
        let refused = office.issuer.issue_x509(&other, &key, now, None).await;
        assert!(matches!(refused, Err(IssueError::TrustDomain(id)) if id == text));
        let refused = office.issuer.issue_jwt(&other, &["x"], now, None).await;
        assert!(matches!(refused, Err(IssueError::TrustDomain(id)) if id == text));
    }
}

#[tokio::test]
async fn lifetimes_are_what_is_asked_for_within_what_is_configured() {
    let folder = Folder::new();
    let office = Office::new().await;
    let (key, now) = (folder.node("p256"), office.now());
    let seconds = |asked: Option<Duration>| {
        let (issuer, key) = (&office.issuer, &key);
        async move {
            let svid = issuer.issue_x509(&id(), key, now, asked).await.unwrap();
            let begins = now.as_second() - svid.not_before.as_second();
            assert_eq!(begins, 60, "backdated");
            svid.not_after.as_second() - now.as_second()
        }
    };
    assert_eq!(seconds(None).await, 3600);
    assert_eq!(seconds(Some(Duration::from_secs(90))).await, 90);
    assert_eq!(
        seconds(Some(HOUR * 48)).await,
        3600,
        "no more than configured"
    );
    for nothing in [Duration::ZERO, Duration::from_millis(1)] {
        let refused = office
            .issuer
            .issue_x509(&id(), &key, now, Some(nothing))
            .await;
        assert!(
            matches!(refused, Err(IssueError::Lifetime(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn without_an_authority_nothing_is_issued() {
    let folder = Folder::new();
    let store = Arc::new(MemoryStore::new());
    let settings = Settings::new("example.org");
    let issuer = Issuer::new(settings, memory_keys(), None, store, Arc::new(SystemRandom));
    let now = jiff::Timestamp::now();
    assert!(!issuer.ready(now));
    let key = folder.node("p256");
    let refused = issuer.issue_x509(&id(), &key, now, None).await;
    assert!(matches!(refused, Err(IssueError::NoAuthority)));
    let refused = issuer.issue_jwt(&id(), &["x"], now, None).await;
    assert!(matches!(refused, Err(IssueError::NoAuthority)));
}
