//! Configurations that must not be taken.

use super::*;

#[test]
fn settings_that_let_nothing_or_anything_in_are_errors() {
    let (pki, _, _) = manufactured();
    pki.write("empty.pem", "no certificate in here\n");
    pki.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n",
    );
    let leaf = String::from_utf8(pki.pem("ek")).unwrap();
    for (config, field) in [
        (json!({}), "allowedHashes"),
        (json!({"allowedHashes": []}), "allowedHashes"),
        (json!({"allowedHashes": ["abcd"]}), "allowedHashes[0]"),
        (
            json!({"allowedHashes": ["00".repeat(32), "zz".repeat(32)]}),
            "allowedHashes[1]",
        ),
        (json!({"manufacturerCAs": []}), "manufacturerCAs"),
        (
            json!({"manufacturerCAs": ["missing.pem"]}),
            "manufacturerCAs[0]",
        ),
        (json!({"manufacturerCAs": ["."]}), "manufacturerCAs[0]"),
        (
            json!({"manufacturerCAs": ["empty.pem"]}),
            "manufacturerCAs[0]",
        ),
        (
            json!({"manufacturerCAs": ["vendor.crt", "broken.pem"]}),
            "manufacturerCAs[1]",
        ),
        (json!({"manufacturerCAs": [leaf]}), "manufacturerCAs"),
        (
            json!({"manufacturerCAs": {"anchors": []}}),
            "manufacturerCAs.anchors",
        ),
        (
            json!({"manufacturerCAs": {"anchors": ["vendor.crt"], "intermediates": ["x"]}}),
            "manufacturerCAs.intermediates[0]",
        ),
        (
            json!({"require": "hash", "manufacturerCAs": ["vendor.crt"]}),
            "allowedHashes",
        ),
        (
            json!({"require": "certificate", "allowedHashes": ["00".repeat(32)]}),
            "manufacturerCAs",
        ),
        (
            json!({"require": "both", "allowedHashes": ["00".repeat(32)]}),
            "manufacturerCAs",
        ),
        (
            json!({"require": "both", "manufacturerCAs": ["vendor.crt"]}),
            "allowedHashes",
        ),
    ] {
        let parsed: Config = serde_json::from_value(config.clone()).unwrap();
        let error = parsed.build(&pki.path(".")).map(drop).unwrap_err();
        assert_eq!(error.field, field, "{config}: {error}");
    }
    for config in [
        json!({"allowedHashes": ["00".repeat(32)], "unknown": 1}),
        json!({"require": "neither"}),
        json!({"manufacturerCAs": {"anchor": []}}),
        json!({"allowedHashes": "00"}),
    ] {
        assert!(
            serde_json::from_value::<Config>(config.clone()).is_err(),
            "{config}"
        );
    }
    let good =
        json!({"manufacturerCAs": {"anchors": ["vendor.crt"]}, "allowedHashes": ["00".repeat(32)]});
    let good: Config = serde_json::from_value(good).unwrap();
    assert!(good.build(&pki.path(".")).is_ok());
}
