//! The DevID's chain: whose word counts, when, and for what.

use assay_host_verifier::attestor::ConfigError;

use super::*;

/// What is accepted but for the certificate.
fn with(certificates: Vec<Vec<u8>>) -> Sent {
    Sent {
        certificates,
        ..Sent::proper(&world().ec)
    }
}

fn issued(file: &str, issuer: &str, extensions: &str) -> Vec<u8> {
    let world = world();
    let public = world.ec.devid.pem();
    certify(&world.owner, file, "rack7", &public, issuer, extensions)
}

#[test]
fn an_intermediate_comes_along_or_is_configured() {
    let world = world();
    world
        .owner
        .issue_as("site", "site", "p256", "owner", OWNER, "-sha256");
    let leaf = issued("below", "site", LEAF);
    let site = world.owner.openssl("x509 -in site.crt -outform DER");
    refused(&with(vec![leaf.clone()]), "devid-unknown-issuer");
    let claims = answered(config(), &with(vec![leaf.clone(), site.clone()]), SECRET).unwrap();
    let issuers = claims.attributes.iter();
    let issuers = issuers
        .filter(|a| a.name == "tpm_devid.ca.fingerprint")
        .map(|a| a.value.clone())
        .collect::<Vec<_>>();
    let owner = world.owner.openssl("x509 -in owner.crt -outform DER");
    let wanted = [&site, &owner].map(|der| hex::encode(sha256(&[der])));
    assert_eq!(issuers, wanted, "each issuer, the anchor last");
    let site = String::from_utf8(world.owner.pem("site")).unwrap();
    let mut configured = config();
    configured["devidCAs"] = json!([world.owner_pem, site]);
    judge(configured, &with(vec![leaf])).unwrap();
}

#[test]
fn nobody_else_certifies_a_devid() {
    let world = world();
    let other = Pki::new();
    other.root("owner", "p256", OWNER);
    let public = world.ec.devid.pem();
    let forged = certify(&other, "forged", "rack7", &public, "owner", LEAF);
    refused(&with(vec![forged.clone()]), "devid-bad-signature");
    let root = other.openssl("x509 -in owner.crt -outform DER");
    refused(&with(vec![forged, root]), "devid-bad-signature");
    // A manufacturer that is trusted for EKs is none for DevIDs.
    let mut vendors = config();
    vendors["devidCAs"] = json!([world.vendor_pem]);
    refused_by(vendors, &Sent::proper(&world.ec), "devid-unknown-issuer");
}

#[test]
fn a_certificate_is_judged_at_the_time_of_the_login_and_for_its_use() {
    for (days, check) in [(40_000, "devid-expired"), (-1, "devid-not-yet-valid")] {
        let (payload, blobs) = Sent::proper(&world().ec).encode();
        let mut login = Login::new(blobs);
        login.now += jiff::SignedDuration::from_hours(24 * days);
        let error = attestor(config()).judge(&login.context(), &payload);
        assert_eq!(error.map(drop).unwrap_err().check, check);
    }
    for (file, from, to, check) in [
        ("ca", "CA:FALSE", "CA:TRUE", "devid-leaf-is-ca"),
        ("use", "digitalSignature", "keyAgreement", "devid-key-usage"),
    ] {
        let leaf = LEAF.replace(from, to);
        refused(&with(vec![issued(file, "owner", &leaf)]), check);
    }
    let unknown = format!("{LEAF}\n1.2.3.4=critical,ASN1:NULL");
    refused(
        &with(vec![issued("critical", "owner", &unknown)]),
        "devid-critical-extension",
    );
}

#[test]
fn settings_that_let_nobody_or_everybody_in_are_no_settings() {
    let world = world();
    let build = |config: serde_json::Value| -> ConfigError {
        let config: Config = serde_json::from_value(config).unwrap();
        config
            .build(Path::new("/nonexistent"))
            .map(drop)
            .unwrap_err()
    };
    let owner = &world.owner_pem;
    let error = build(json!({"devidCAs": [owner]}));
    assert!(error.message.contains("endorsementCAs"), "{error}");
    assert!(!error.to_string().contains("manufacturer"), "{error}");
    assert_eq!(
        build(json!({"devidCAs": [], "endorsementCAs": [owner]})).field,
        "devidCAs"
    );
    assert_eq!(
        build(json!({"devidCAs": [owner], "endorsementCAs": []})).field,
        "endorsementCAs"
    );
    let missing = build(json!({"devidCAs": ["missing.pem"], "endorsementCAs": [owner]}));
    assert_eq!(missing.field, "devidCAs[0]");
    let both = build(json!({"devidCAs": [owner], "endorsementCAs": [owner], "require": "both"}));
    assert_eq!(both.field, "allowedHashes");
    for config in [
        json!({"endorsementCAs": [owner]}),
        json!({"devidCAs": [owner], "manufacturerCAs": [owner]}),
        json!({"devidCAs": [owner], "endorsementCAs": [owner], "extra": 1}),
    ] {
        serde_json::from_value::<Config>(config).unwrap_err();
    }
}

/// The owner's revocation list, with this serial number on it.
fn list(name: &str, revoked: Option<&str>) -> String {
    let owner = &world().owner;
    let entry = revoked.map_or_else(String::new, |serial| {
        format!("R\t491231235959Z\t200101000000Z\t{serial}\tunknown\t/CN=rack7\n")
    });
    owner.write(&format!("{name}.index"), entry);
    owner.write(&format!("{name}.number"), "01\n");
    owner.write(
        &format!("{name}.cnf"),
        format!(
            "[ca]\ndefault_ca=own\n[own]\ndatabase={name}.index\ncrlnumber={name}.number\n\
             default_md=sha256\ndefault_crl_days=36000\n"
        ),
    );
    owner.openssl(&format!(
        "ca -config {name}.cnf -gencrl -keyfile owner.key -cert owner.crt -out {name}.crl"
    ));
    let pem = std::fs::read(owner.path(&format!("{name}.crl"))).unwrap();
    String::from_utf8(pem).unwrap()
}

#[test]
fn a_devid_that_was_taken_back_is_refused() {
    let sent = Sent::proper(&world().ec);
    let with_list = |crl: String| {
        let mut config = config();
        config["crls"] = json!([crl]);
        config
    };
    judge(with_list(list("none", None)), &sent).unwrap();
    judge(with_list(list("another", Some("0A1B2D"))), &sent).unwrap();
    let revoking = list("revoking", Some("0A1B2C"));
    refused_by(with_list(revoking), &sent, "devid-revoked");

    // A list of somebody else's covers nothing, and a list that is over covers nothing any more.
    let other = Pki::new();
    other.root("owner", "p256", OWNER);
    other.write("own.index", "");
    other.write("own.number", "01\n");
    other.write(
        "own.cnf",
        "[ca]\ndefault_ca=own\n[own]\ndatabase=own.index\ncrlnumber=own.number\n\
         default_md=sha256\ndefault_crl_days=36000\n",
    );
    other.openssl("ca -config own.cnf -gencrl -keyfile owner.key -cert owner.crt -out own.crl");
    let foreign = std::fs::read_to_string(other.path("own.crl")).unwrap();
    refused_by(with_list(foreign), &sent, "devid-crl-missing");
    let (payload, blobs) = sent.encode();
    let mut login = Login::new(blobs);
    login.now += jiff::SignedDuration::from_hours(24 * 36_200);
    let late = attestor(with_list(list("late", None))).judge(&login.context(), &payload);
    assert_eq!(late.map(drop).unwrap_err().check, "devid-crl-stale");
    let demand = json!({"requireCrl": "leaf"});
    let mut without = config();
    without["requireCrl"] = demand["requireCrl"].clone();
    let without: Config = serde_json::from_value(without).unwrap();
    let error = without.build(Path::new("/")).map(drop).unwrap_err();
    assert_eq!(error.field, "requireCrl");
}
