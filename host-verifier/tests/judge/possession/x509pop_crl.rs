//! Revocation lists under `x509pop`, made by `openssl ca`.

use assay_host_verifier::x509::{
    Policy, TrustStore,
    revocation::{RequireCrl, Revocation, StaleCrl, crls},
    validate_unrevoked,
};

use super::{
    server,
    x509pop::{LEAF, judge, judge_bytes, payload},
};
use crate::pki::{Pki, days_from_now, now};

/// An authority that signs lists.
const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";
const CONFIG: &str = "caBundle: [root.crt]\ncrls: [root.crl]\n";

/// Writes `issuer.crl` for 30 days with these revoked. `options` are openssl's.
pub(super) fn list(pki: &Pki, issuer: &str, revoked: &[&str], extensions: &str, options: &str) {
    let entries: String = revoked
        .iter()
        .map(|name| {
            let serial = hex::encode_upper(pki.read(name).serial());
            format!(
                "R\t20991231235959Z\t200101000000Z,keyCompromise\t{serial}\tunknown\t/CN={name}\n"
            )
        })
        .collect();
    pki.write("index.txt", entries);
    pki.write("index.txt.attr", "unique_subject = no\n");
    pki.write("number", "01\n");
    pki.write(
        "ca.cnf",
        format!(
            "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\n\
             certificate={issuer}.crt\nprivate_key={issuer}.key\n[e]\n{extensions}\n"
        ),
    );
    pki.openssl(&format!(
        "ca -config ca.cnf -gencrl -crldays 30 -crlexts e -out {issuer}.crl {options}"
    ));
}

fn world() -> Pki {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.issue("leaf", "root", LEAF);
    pki.issue("gone", "root", LEAF);
    pki
}

const KEY_ID: &str = "authorityKeyIdentifier=keyid";

#[test]
fn a_listed_certificate_is_refused_and_another_is_not() {
    let pki = world();
    list(&pki, "root", &["gone"], KEY_ID, "");
    assert!(judge(&pki, CONFIG, &payload(&pki, &["leaf"], "p256")).is_ok());
    let gone = judge(&pki, CONFIG, &payload(&pki, &["gone"], "p256"));
    assert_eq!(gone.unwrap_err(), "revoked");
    // Whatever is demanded besides.
    for more in ["requireCrl: none", "staleCrl: accept"] {
        let gone = judge(
            &pki,
            &format!("{CONFIG}{more}"),
            &payload(&pki, &["gone"], "p256"),
        );
        assert_eq!(gone.unwrap_err(), "revoked", "{more}");
    }
}

#[test]
fn a_list_past_its_time_refuses_unless_it_is_accepted() {
    let pki = world();
    list(&pki, "root", &["gone"], KEY_ID, "");
    let at = |config: &str, name: &str, days| {
        let payload = payload(&pki, &[name], "p256").to_string();
        judge_bytes(
            &pki,
            config,
            payload.as_bytes(),
            &server(),
            days_from_now(days),
        )
        .map(drop)
    };
    assert_eq!(at(CONFIG, "leaf", 29), Ok(()));
    assert_eq!(at(CONFIG, "leaf", 31), Err("crl-stale".to_owned()));
    let accept = format!("{CONFIG}staleCrl: accept");
    assert_eq!(at(&accept, "leaf", 31), Ok(()));
    assert_eq!(at(&accept, "gone", 31), Err("revoked".to_owned()));
}

#[test]
fn a_list_that_is_not_there_refuses_as_far_as_it_is_demanded() {
    let pki = world();
    pki.issue("middle", "root", CA);
    pki.issue("below", "middle", LEAF);
    list(&pki, "root", &[], KEY_ID, "");
    list(&pki, "middle", &[], KEY_ID, "");
    let below = payload(&pki, &["below", "middle"], "p256");
    let check = |config: &str| judge(&pki, config, &below).map(drop);
    assert_eq!(
        check("caBundle: [root.crt]\ncrls: [root.crl, middle.crl]"),
        Ok(())
    );
    assert_eq!(check(CONFIG), Err("crl-missing".to_owned()));
    let middle = "caBundle: [root.crt]\ncrls: [middle.crl]\n";
    assert_eq!(check(middle), Err("crl-missing".to_owned()));
    assert_eq!(check(&format!("{middle}requireCrl: leaf")), Ok(()));
    assert_eq!(
        check(&format!("{CONFIG}requireCrl: leaf")),
        Err("crl-missing".to_owned())
    );
    assert_eq!(check(&format!("{CONFIG}requireCrl: none")), Ok(()));
    // An intermediate that is revoked takes what is below it along.
    list(&pki, "root", &["middle"], KEY_ID, "");
    assert_eq!(
        check("caBundle: [root.crt]\ncrls: [root.crl, middle.crl]"),
        Err("revoked".to_owned())
    );
}

#[test]
fn a_list_counts_only_by_its_issuers_signature() {
    let pki = world();
    list(&pki, "root", &["gone"], KEY_ID, "");
    std::fs::rename(pki.path("root.crl"), pki.path("true.crl")).unwrap();
    // Another authority of the same name.
    let other = Pki::new();
    other.root("root", "p256", CA);
    list(&other, "root", &[], KEY_ID, "");
    std::fs::copy(other.path("root.crl"), pki.path("root.crl")).unwrap();
    let leaf = payload(&pki, &["leaf"], "p256");
    assert_eq!(judge(&pki, CONFIG, &leaf).unwrap_err(), "crl-missing");
    let both = "caBundle: [root.crt]\ncrls: [root.crl, true.crl]\n";
    assert!(judge(&pki, both, &leaf).is_ok());
    let gone = payload(&pki, &["gone"], "p256");
    assert_eq!(judge(&pki, both, &gone).unwrap_err(), "revoked");
}

#[test]
fn an_issuer_that_may_not_sign_lists_has_none() {
    let pki = Pki::new();
    pki.root("root", "p256", crate::pki::CA);
    pki.issue("leaf", "root", LEAF);
    list(&pki, "root", &[], KEY_ID, "");
    let leaf = payload(&pki, &["leaf"], "p256");
    assert_eq!(judge(&pki, CONFIG, &leaf).unwrap_err(), "crl-issuer");
}

#[test]
fn the_newest_list_counts() {
    let pki = world();
    let leaf = payload(&pki, &["leaf"], "p256");
    list(
        &pki,
        "root",
        &["leaf"],
        KEY_ID,
        "-crl_lastupdate 20200101000000Z -crl_nextupdate 20990101000000Z",
    );
    std::fs::rename(pki.path("root.crl"), pki.path("old.crl")).unwrap();
    list(&pki, "root", &[], KEY_ID, "");
    let both = "caBundle: [root.crt]\ncrls: [old.crl, root.crl]\n";
    assert!(judge(&pki, both, &leaf).is_ok());
    assert_eq!(
        judge(&pki, "caBundle: [root.crt]\ncrls: [old.crl]", &leaf).unwrap_err(),
        "revoked"
    );
}

#[test]
fn lists_that_are_not_complete_are_configuration_errors() {
    use assay_host_verifier::x509::revocation::crls;
    let pki = world();
    let read = |extensions: &str| {
        list(&pki, "root", &[], extensions, "");
        crls(&std::fs::read(pki.path("root.crl")).unwrap()).map(drop)
    };
    assert_eq!(read(KEY_ID), Ok(()));
    let part = "issuingDistributionPoint=critical,@idp\n[idp]\nonlyuser=TRUE";
    assert!(read(part).unwrap_err().contains("2.5.29.28"));
    let delta = "2.5.29.27=critical,DER:020101";
    assert!(read(delta).unwrap_err().contains("2.5.29.27"));
    let unknown = "1.2.3.4=critical,DER:0500";
    assert!(read(unknown).unwrap_err().contains("1.2.3.4"));
    let mut whole = {
        list(&pki, "root", &["gone"], KEY_ID, "");
        let pem = std::fs::read_to_string(pki.path("root.crl")).unwrap();
        assay_host_verifier::x509::decode::pem_blocks(&pem).unwrap()[0]
            .contents
            .clone()
    };
    for n in 0..whole.len() {
        assert!(crls(&whole[..n]).is_err(), "{n}");
    }
    whole.push(0);
    assert!(crls(&whole).is_err());
}

/// Whoever may send certificates can name the issuer of a list in one that he made up. Hashing the list's megabytes for his key
/// would be work that nobody has to prove anything for.
#[test]
fn a_list_is_not_held_against_a_key_that_no_anchor_vouches_for() {
    let pki = world();
    list(&pki, "root", &["gone"], KEY_ID, "");
    let read = crls(&std::fs::read(pki.path("root.crl")).unwrap()).unwrap();
    let revocation = Revocation::new(read, RequireCrl::Chain, StaleCrl::Refuse);
    let store = TrustStore::new([pki.read("root")], []);
    let policy = Policy::proof_of_possession(8192, 4);
    let forged: Vec<_> = ["fake", "fake2"]
        .iter()
        .map(|name| {
            pki.key(name, "p256");
            pki.self_sign(name, "root", CA, "-sha256")
        })
        .collect();
    let leaf = pki.issue("forged", "fake", LEAF);
    let judged = |leaf, hints: &[_]| {
        validate_unrevoked(leaf, hints, &store, &policy, Some(&revocation), now())
    };
    assert!(judged(&leaf, &forged).is_err());
    assert_eq!(revocation.consulted(), 0);
    // The same hints do not keep an honest leaf out.
    assert!(judged(&pki.read("leaf"), &forged).is_ok());
    assert_eq!(revocation.consulted(), 1);
}
