//! Authorities below one that an operator keeps in files, made by openssl.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::store::{AuthorityStore, MemoryStore};
use assay_host_verifier::svid::authority::AuthorityError;
use assay_host_verifier::svid::keys::KeyType;
use assay_host_verifier::svid::upstream::{UpstreamDisk, UpstreamError};
use assay_host_verifier::svid::{RotateError, Settings};
use assay_host_verifier::x509::PathError;
use jiff::Timestamp;

use super::{DAY, Folder, HOUR, Office, memory_keys};

pub(crate) const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
    subjectKeyIdentifier=hash\n";

impl Folder {
    /// `name.key` and a root `name.pem`.
    pub(crate) fn root(&self, name: &str, kind: &str, extensions: &str, days: u32) {
        self.key(name, kind, "");
        self.write("ext.cnf", format!("[ext]\n{extensions}"));
        self.openssl(&format!(
            "req -new -key {name}.key -subj /CN={name} -out {name}.req"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.req -key {name}.key -days {days} -extfile ext.cnf -extensions ext -out {name}.pem"
        ));
        self.restrict(name);
    }

    /// `name.key` and `name.pem`, signed by `issuer`.
    fn below(&self, name: &str, issuer: &str, kind: &str, extensions: &str) {
        self.key(name, kind, "");
        self.write(
            "ext.cnf",
            format!("[ext]\nauthorityKeyIdentifier=keyid\n{extensions}"),
        );
        self.openssl(&format!(
            "req -new -key {name}.key -subj /CN={name} -out {name}.req"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.req -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days 300 \
             -extfile ext.cnf -extensions ext -out {name}.pem"
        ));
        self.restrict(name);
    }

    fn restrict(&self, name: &str) {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(&format!("{name}.key")), mode).unwrap();
    }

    pub(crate) fn upstream(
        &self,
        certificate: &str,
        key: &str,
        bundle: Option<&str>,
    ) -> UpstreamDisk {
        let bundle = bundle.map(|name| self.path(name));
        UpstreamDisk::new(self.path(certificate), self.path(key), bundle)
    }

    fn join(&self, out: &str, names: &[&str]) {
        let all: Vec<_> = names.iter().map(|name| self.read(name)).collect();
        self.write(out, all.concat());
    }
}

async fn office(upstream: UpstreamDisk) -> Office {
    Office::with(Settings::new("example.org"), Some(upstream)).await
}

async fn refused(upstream: UpstreamDisk) -> UpstreamError {
    let store = Arc::new(MemoryStore::new());
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    let settings = Settings::new("example.org");
    let office = Office::over(
        settings,
        memory_keys(),
        Some(upstream),
        store.clone(),
        clock,
    );
    let error = match office.rotate().await {
        Err(RotateError::Upstream(error)) => error,
        Err(RotateError::Authority(AuthorityError::Upstream(error))) => error,
        other => panic!("{other:?}"),
    };
    let all = store.authorities("example.org").await.unwrap();
    assert!(
        all.records.iter().all(|r| r.roots.is_empty()),
        "nothing half made"
    );
    assert!(office.issuer.bundle().pem().is_empty());
    error
}

#[tokio::test]
async fn svids_below_a_root_of_every_kind_verify_with_openssl_and_the_spiffe_crate() {
    let folder = Folder::new();
    for kind in ["p256", "p384", "rsa:2048", "rsa:4096"] {
        folder.root("root", kind, CA, 300);
        let office = office(folder.upstream("root.pem", "root.key", None)).await;
        let svid = office.issue(&folder.node("p256")).await;
        assert_eq!(
            svid.chain.len(),
            2,
            "the authority; the root is in the bundle"
        );
        folder.write_svid(&svid, office.issuer.bundle().pem());
        folder.verify(office.now()).unwrap();
        assert_eq!(folder.read("bundle.pem"), folder.read("root.pem"), "{kind}");
        folder.openssl("pkcs8 -topk8 -nocrypt -in node.key -outform DER -out node.p8");
        let (chain, key) = (svid.chain.concat(), folder.read("node.p8"));
        spiffe::X509Svid::parse_from_der(&chain, &key).unwrap();
        let text = folder.openssl("x509 -in chain.pem -noout -text");
        assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");
        assert!(text.contains("URI:spiffe://example.org\n"), "{text}");
        assert!(text.contains("Issuer: CN = root"), "{text}");
    }
}

#[tokio::test]
async fn intermediates_stand_in_the_chain_and_roots_in_the_bundle() {
    let folder = Folder::new();
    folder.root("root", "p256", CA, 300);
    folder.below("middle", "root", "p384", CA);
    folder.below("top", "middle", "rsa:2048", CA);
    let node = folder.node("p256");
    folder.join("two.pem", &["top.pem", "middle.pem"]);
    folder.join("all.pem", &["top.pem", "middle.pem", "root.pem"]);
    for (certificate, bundle) in [("two.pem", Some("root.pem")), ("all.pem", None)] {
        let office = office(folder.upstream(certificate, "top.key", bundle)).await;
        let svid = office.issue(&node).await;
        assert_eq!(svid.chain.len(), 4, "{certificate}");
        folder.write_svid(&svid, office.issuer.bundle().pem());
        folder.verify(office.now()).unwrap();
        assert_eq!(folder.read("bundle.pem"), folder.read("root.pem"));
    }
    // An intermediate that is named as a root is one.
    let office = office(folder.upstream("top.pem", "top.key", Some("top.pem"))).await;
    let svid = office.issue(&node).await;
    assert_eq!(svid.chain.len(), 2);
    assert_eq!(
        office.issuer.bundle().pem().as_bytes(),
        folder.read("top.pem")
    );
}

#[tokio::test]
async fn keys_in_every_form_that_openssl_writes_are_read() {
    let folder = Folder::new();
    for (kind, old) in [
        ("p256", "ec"),
        ("p384", "ec"),
        ("rsa:2048", "rsa -traditional"),
    ] {
        folder.root("root", kind, CA, 300);
        folder.openssl(&format!("{old} -in root.key -out old.key"));
        folder.restrict("old");
        let text = String::from_utf8(folder.read("old.key")).unwrap();
        assert!(!text.contains("BEGIN PRIVATE KEY"), "{text}");
        office(folder.upstream("root.pem", "old.key", None)).await;
    }
}

#[tokio::test]
async fn what_cannot_sign_is_refused_and_says_why() {
    let folder = Folder::new();
    folder.root("root", "p256", CA, 300);
    folder.root("other", "p256", CA, 300);
    folder.below("middle", "root", "p256", CA);
    let leaf = "basicConstraints=critical,CA:FALSE\n";
    folder.below("leaf", "root", "p256", leaf);
    folder.below(
        "mute",
        "root",
        "p256",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature\n",
    );
    folder.below(
        "last",
        "root",
        "p256",
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n",
    );

    let error = refused(folder.upstream("root.pem", "other.key", None)).await;
    assert!(matches!(error, UpstreamError::OtherKey(_)), "{error}");
    let error = refused(folder.upstream("middle.pem", "middle.key", None)).await;
    assert!(matches!(error, UpstreamError::NoRoot(_)), "{error}");
    let error = refused(folder.upstream("middle.pem", "middle.key", Some("other.pem"))).await;
    assert!(
        matches!(error, UpstreamError::Path(PathError::UnknownIssuer { .. })),
        "{error}"
    );
    let error = refused(folder.upstream("leaf.pem", "leaf.key", Some("root.pem"))).await;
    assert!(
        matches!(error, UpstreamError::Path(PathError::NotACa { .. })),
        "{error}"
    );
    let error = refused(folder.upstream("mute.pem", "mute.key", Some("root.pem"))).await;
    assert!(
        matches!(error, UpstreamError::Path(PathError::KeyUsage { .. })),
        "{error}"
    );
    let error = refused(folder.upstream("last.pem", "last.key", Some("root.pem"))).await;
    assert!(
        matches!(error, UpstreamError::Path(PathError::PathLength { .. })),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("pathLenConstraint"));

    // A constraint that the trust domain is outside of.
    folder.below(
        "narrow",
        "root",
        "p256",
        &format!("{CA}nameConstraints=critical,permitted;URI:example.com\n"),
    );
    let error = refused(folder.upstream("narrow.pem", "narrow.key", Some("root.pem"))).await;
    assert!(
        matches!(
            error,
            UpstreamError::Path(PathError::NameConstraints { .. })
        ),
        "{error}"
    );

    for (name, text) in [("none", "no key"), ("root", "")] {
        folder.write("bad.key", text);
        folder.restrict("bad");
        let error = refused(folder.upstream(&format!("{name}.pem"), "bad.key", None)).await;
        match name {
            "none" => assert!(matches!(error, UpstreamError::File { .. }), "{error}"),
            _ => assert!(matches!(error, UpstreamError::Key(_)), "{error}"),
        }
    }
    folder.openssl("pkey -in root.key -aes256 -passout pass:x -out locked.key");
    folder.restrict("locked");
    let error = refused(folder.upstream("root.pem", "locked.key", None)).await;
    assert!(matches!(error, UpstreamError::Encrypted(_)), "{error}");
    folder.key("curve", "ed25519", "");
    folder.restrict("curve");
    let error = refused(folder.upstream("root.pem", "curve.key", None)).await;
    assert!(matches!(error, UpstreamError::Key(_)), "{error}");
    folder.join("both.key", &["root.key", "other.key"]);
    folder.restrict("both");
    let error = refused(folder.upstream("root.pem", "both.key", None)).await;
    assert!(matches!(error, UpstreamError::Key(_)), "{error}");
}

#[tokio::test]
async fn a_key_that_everybody_can_read_is_refused_and_one_of_a_group_is_not() {
    let folder = Folder::new();
    folder.root("root", "p256", CA, 300);
    let set = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path("root.key"), mode).unwrap();
    };
    for mode in [0o644, 0o604, 0o620, 0o602] {
        set(mode);
        let error = refused(folder.upstream("root.pem", "root.key", None)).await;
        assert!(matches!(error, UpstreamError::Exposed { mode: m, .. } if m == mode));
    }
    for mode in [0o640, 0o440, 0o400] {
        set(mode);
        office(folder.upstream("root.pem", "root.key", None)).await;
    }
}

#[tokio::test]
async fn no_authority_outlives_the_one_above_it_and_near_its_end_none_is_made() {
    let folder = Folder::new();
    folder.root("root", "p256", CA, 1);
    let settings = Settings {
        ca_ttl: 30 * DAY,
        ..Settings::new("example.org")
    };
    let upstream = folder.upstream("root.pem", "root.key", None);
    let office = Office::with(settings.clone(), Some(upstream)).await;
    folder.write("bundle.pem", office.issuer.bundle().pem());
    let svid = office.issue(&folder.node("p256")).await;
    folder.write_svid(&svid, office.issuer.bundle().pem());
    let end = |name: &str| folder.openssl(&format!("x509 -in {name} -noout -enddate"));
    assert_eq!(end("chain.pem"), end("root.pem"));
    folder.verify(office.now()).unwrap();

    // Over the last day the lives become shorter; every SVID still ends in time, and then there are none.
    let node = folder.node("p256");
    let mut made = 0;
    for _ in 0..24 * 12 {
        let outcome = office.rotate().await;
        if let Err(error) = &outcome {
            assert!(
                matches!(
                    error,
                    RotateError::Upstream(_)
                        | RotateError::Authority(AuthorityError::Upstream(UpstreamError::Ending(
                            _
                        )))
                ),
                "{error}"
            );
        }
        let now = office.now();
        match office
            .issuer
            .issue_x509(&super::id(), &node, now, None)
            .await
        {
            Ok(svid) => {
                made += 1;
                if made % 24 == 0 {
                    folder.write_svid(&svid, office.issuer.bundle().pem());
                    folder.verify(now).unwrap();
                }
            }
            Err(_) => assert!(made > 280, "{made}"),
        }
        office.clock.advance(HOUR / 12);
    }
    office.clock.advance(HOUR / 12);
    assert!(matches!(
        office.rotate().await,
        Err(RotateError::Upstream(_))
    ));
    assert!(!office.issuer.ready(office.now()));
}

#[tokio::test]
async fn files_that_change_are_read_again_and_the_new_root_comes_into_the_bundle_first() {
    let folder = Folder::new();
    let node = folder.node("p256");
    folder.root("old", "p256", CA, 300);
    folder.root("new", "p384", CA, 300);
    for part in ["pem", "key"] {
        std::fs::copy(
            folder.path(&format!("old.{part}")),
            folder.path(&format!("ca.{part}")),
        )
        .unwrap();
    }
    let settings = Settings::new("example.org");
    let upstream = folder.upstream("ca.pem", "ca.key", None);
    let office = Office::with(settings, Some(upstream)).await;
    let first = office.issue(&node).await.authority;

    // The certificate is replaced, the key is not yet: what was made goes on.
    std::fs::copy(folder.path("new.pem"), folder.path("ca.pem")).unwrap();
    let half = office.rotate().await;
    assert!(
        matches!(half, Err(RotateError::Upstream(UpstreamError::OtherKey(_)))),
        "{half:?}"
    );
    assert_eq!(office.issue(&node).await.authority, first);

    std::fs::copy(folder.path("new.key"), folder.path("ca.key")).unwrap();
    office.rotate().await.unwrap();
    let bundle = office.issuer.bundle();
    for root in ["old.pem", "new.pem"] {
        let text = String::from_utf8(folder.read(root)).unwrap();
        assert!(bundle.pem().contains(&text), "{root}");
    }
    let svid = office.issue(&node).await;
    assert_eq!(svid.authority, first, "others do not know the new root yet");
    office.clock.advance(HOUR / 6);
    let svid = office.issue(&node).await;
    assert_ne!(svid.authority, first);
    folder.write_svid(&svid, &String::from_utf8(folder.read("new.pem")).unwrap());
    folder.verify(office.now()).unwrap();
}

#[tokio::test]
async fn verifiers_below_one_upstream_authority_share_one_entry_of_the_bundle() {
    let folder = Folder::new();
    folder.root("root", "p256", CA, 300);
    let store = Arc::new(MemoryStore::new());
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    let offices = [(); 3].map(|()| {
        let settings = Settings {
            x509_key: KeyType::EcP384,
            ..Settings::new("example.org")
        };
        let upstream = Some(folder.upstream("root.pem", "root.key", None));
        Office::over(
            settings,
            memory_keys(),
            upstream,
            store.clone(),
            clock.clone(),
        )
    });
    for office in &offices {
        office.rotate().await.unwrap();
    }
    let pem = offices[2].issuer.bundle().pem().to_owned();
    assert_eq!(pem.as_bytes(), folder.read("root.pem"));
    let node = folder.node("p256");
    for office in &offices {
        folder.write_svid(&office.issue(&node).await, &pem);
        folder.verify(office.now()).unwrap();
    }
}
