//! Which images may have booted, by name, version and digest.

use assay_common::measurement::{BOOT_PCR, Event, IMAGE_PCR, Image};
use assay_host_verifier::store::MeasuredBoot as _;
use jiff::Timestamp;
use serde_json::json;

use super::{APP, Rig, app, attribute, boot, digest, run, sha256, wants};
use crate::quote_rules::attestor;

#[test]
fn an_image_is_accepted_by_name_and_version_and_named_by_its_digest() {
    for wanted in [
        json!(["rack-node"]),
        json!([digest(APP)]),
        json!([{"image": "rack-node"}]),
        json!([{"image": "rack-node", "version": ">=1.4, <2"}]),
    ] {
        let claims = Rig::good().judge(wants(wanted)).unwrap();
        assert_eq!(attribute(&claims, "tpm_quote.image.name"), ["rack-node"]);
        assert_eq!(attribute(&claims, "tpm_quote.image.version"), ["1.4.2"]);
        assert_eq!(attribute(&claims, "tpm_quote.image.digest"), [digest(APP)]);
        assert_eq!(attribute(&claims, "tpm_quote.measurements"), [digest(APP)]);
        assert_eq!(attribute(&claims, "tpm_quote.boot_counter"), ["7"]);
        assert_eq!(attribute(&claims, "tpm_quote.pcr.sha256.8").len(), 1);
    }
}

#[test]
fn every_attribute_that_is_given_is_among_those_that_are_announced() {
    let announced = attestor(wants(json!(["rack-node"]))).attributes();
    let claims = Rig::good().judge(wants(json!(["rack-node"]))).unwrap();
    for given in &claims.attributes {
        assert!(
            announced.iter().any(|name| *name == given.name),
            "{}",
            given.name
        );
    }
}

#[test]
fn reference_values_of_the_policys_own_need_no_register() {
    let own = |digest: String| {
        json!({
            "requiredMeasurements": ["rack-node"],
            "measurements": [{"name": "rack-node", "version": "1.4.2", "digest": digest}],
        })
    };
    let mut rig = Rig::empty()
        .with(IMAGE_PCR, app())
        .with(BOOT_PCR, Event::Boot(boot(None, 5, 1)));
    let claims = rig.judge(own(digest(APP))).unwrap();
    assert_eq!(attribute(&claims, "tpm_quote.image.version"), ["1.4.2"]);
    // What is registered is no matter then.
    let mut rig = Rig::good();
    let told = rig.refused(own(digest(b"another")), "image-digest");
    assert!(told.contains(&digest(b"another")), "{told}");
}

#[test]
fn an_image_of_the_same_name_and_version_with_other_content_is_named_with_both_digests() {
    let mut rig = Rig::empty()
        .with(
            IMAGE_PCR,
            Event::Image(Image::measure("rack-node", "1.4.2", b"tampered")),
        )
        .registered("rack-node", "1.4.2", APP);
    let told = rig.refused(wants(json!(["rack-node"])), "image-digest");
    assert_eq!(
        told,
        format!(
            "image rack-node 1.4.2: measured {}, registered is {}",
            digest(b"tampered"),
            digest(APP)
        )
    );
}

#[test]
fn an_image_that_nobody_registered_is_refused() {
    let mut rig = Rig::empty().with(IMAGE_PCR, app());
    let told = rig.refused(wants(json!(["rack-node"])), "image-unknown");
    let expected = format!("image rack-node 1.4.2 {} is not registered", digest(APP));
    assert_eq!(told, expected);
    // Also where another version of it is.
    let mut rig = rig.registered("rack-node", "1.4.1", b"older");
    rig.refused(wants(json!(["rack-node"])), "image-unknown");
}

#[test]
fn a_version_out_of_its_range_is_refused() {
    for range in [">=1.5", "<1.4.2", "=1.4.1", "^2"] {
        let wanted = wants(json!([{"image": "rack-node", "version": range}]));
        let told = Rig::good().refused(wanted, "image-version");
        assert!(
            told.contains("1.4.2") && told.contains("rack-node"),
            "{told}"
        );
    }
}

#[test]
fn an_image_that_was_revoked_is_refused_even_where_none_is_required() {
    let mut rig = Rig::good();
    assert!(
        run(rig.store.revoke_image(&sha256(APP), Timestamp::UNIX_EPOCH))
            .unwrap()
            .is_some()
    );
    for config in [
        wants(json!(["rack-node"])),
        wants(json!([digest(APP)])),
        json!({"eventLog": "require"}),
    ] {
        rig.refused(config, "image-revoked");
    }
}

#[test]
fn an_image_that_calls_itself_otherwise_than_it_is_registered_is_refused() {
    for (name, version) in [("rack-node", "1.4.3"), ("other-node", "1.4.2")] {
        let mut rig = Rig::empty()
            .with(IMAGE_PCR, app())
            .registered(name, version, APP);
        rig.refused(wants(json!([name])), "image-claims");
    }
}

#[test]
fn all_that_is_required_must_have_been_booted_and_nothing_else() {
    let loader = Event::Image(Image::measure("loader", "1.0.0", b"a loader"));
    let both = || {
        Rig::empty()
            .with(IMAGE_PCR, loader)
            .with(IMAGE_PCR, app())
            .registered("loader", "1.0.0", b"a loader")
            .registered("rack-node", "1.4.2", APP)
    };
    let claims = both().judge(wants(json!(["loader", "rack-node"]))).unwrap();
    assert_eq!(attribute(&claims, "tpm_quote.image.name"), ["rack-node"]);
    assert_eq!(attribute(&claims, "tpm_quote.measurements").len(), 2);
    both().refused(wants(json!(["rack-node"])), "image-unexpected");
    Rig::good().refused(wants(json!(["loader", "rack-node"])), "image-missing");
    Rig::good().refused(wants(json!([digest(b"another")])), "image-missing");
    let mut nothing = Rig::empty().with(BOOT_PCR, Event::Boot(boot(7, 5, 1)));
    let told = nothing.refused(wants(json!(["rack-node"])), "image-missing");
    assert_eq!(told, "rack-node was not booted; measured was nothing");
}
