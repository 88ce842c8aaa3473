//! `azure_msi`: what a token must say. Each refused token is right but for one thing.

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{AttestError, Claims, Fault};
use serde_json::{Value, json};

use super::entra::{
    AUDIENCE, Entra, KEYS, KEYS_V2, KID, PRINCIPAL, SUBSCRIPTION, TENANT, but, claims, claims_v2,
    machine,
};
use super::world::AzureWorld;
use crate::issuers::{attestor, judge};
use crate::jwt::signer::{NOW, b64};

/// The settings, with these besides.
fn config(more: Value) -> Value {
    let mut config = json!({"tenants": [{"tenantID": TENANT, "principalID": PRINCIPAL}]});
    let more = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(more);
    config
}

fn world() -> AzureWorld {
    let jwk = Entra::own().jwk();
    AzureWorld::default().key(KEYS, &jwk).key(KEYS_V2, &jwk)
}

fn judged_in(world: &AzureWorld, config: Value, token: &str) -> Result<Claims, AttestError> {
    let attestor = attestor(AttestorKind::AZURE_MSI, config).unwrap();
    let payload = json!({"token": token}).to_string();
    judge(&*attestor, world, payload.as_bytes()).result
}

fn judged(config: Value, claims: &Value) -> Result<Claims, AttestError> {
    judged_in(&world(), config, &Entra::own().token(claims))
}

#[track_caller]
fn refused(config: Value, claims: &Value, check: &str) -> AttestError {
    let error = judged(config, claims).unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Refused, check),
        "{error}"
    );
    error
}

/// It is refused before anybody is asked.
#[track_caller]
fn refused_unasked(token: &str, check: &str) {
    let world = world();
    let error = judged_in(&world, config(json!({})), token).unwrap_err();
    assert_eq!(error.check, check, "{error}");
    assert_eq!(world.asked(), Vec::<String>::new());
}

fn attributes(claims: &Claims) -> Vec<(&str, &str)> {
    let all = claims.attributes.iter();
    all.map(|one| (&*one.name, one.value.as_str())).collect()
}

#[test]
fn a_machines_token_passes() {
    let world = world();
    let token = Entra::own().token(&claims());
    let claims = judged_in(&world, config(json!({})), &token).unwrap();
    assert_eq!(
        attributes(&claims),
        [
            ("azure_msi.tenant.id", TENANT),
            ("azure_msi.identity.principal_id", PRINCIPAL),
            ("azure_msi.subscription.id", SUBSCRIPTION),
            ("azure_msi.resource_group", "rg-spire-prod"),
            ("azure_msi.vm.name", "spire-agent-7"),
        ]
    );
    let identity = format!("{TENANT}/{PRINCIPAL}");
    assert_eq!(claims.facts.identity, Some(identity));
    assert_eq!(world.asked(), [KEYS]);
}

/// The audience of a token of version 2 is the application's ID, and its issuer another.
#[test]
fn a_token_of_version_2_passes_where_its_audience_is_configured() {
    let guid = "fb60f99c-7a34-4190-8149-302f77469936";
    let with = |audience: Value| {
        let mut config = config(json!({}));
        config["tenants"][0]["audience"] = audience;
        config
    };
    let both = with(json!([AUDIENCE, guid]));
    judged(both.clone(), &claims_v2()).unwrap();
    judged(both, &claims()).unwrap();
    refused(config(json!({})), &claims_v2(), "token-audience");
    refused(with(guid.into()), &claims(), "token-audience");
}

#[test]
fn an_issuer_that_is_named_is_the_only_one() {
    let v2 = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let mut only = config(json!({}));
    only["tenants"][0]["issuerURL"] = v2.into();
    only["tenants"][0]["audience"] = json!([AUDIENCE, "fb60f99c-7a34-4190-8149-302f77469936"]);
    judged(only.clone(), &claims_v2()).unwrap();
    refused(only, &claims(), "token-issuer");

    let mut other = config(json!({}));
    other["tenants"][0]["issuerURL"] = "https://entra.example.org/t".into();
    let world = AzureWorld::default().key("https://entra.example.org/t", &Entra::own().jwk());
    let token = |claims: &Value| Entra::own().token(claims);
    let theirs = token(&but("iss", "https://entra.example.org/t"));
    judged_in(&world, other.clone(), &theirs).unwrap();
    let error = judged_in(&world, other, &token(&claims())).unwrap_err();
    assert_eq!(error.check, "token-issuer");
}

#[test]
fn other_azures_have_other_issuers() {
    for (environment, issuer, keys) in [
        (
            "AzureGovernmentCloud",
            format!("https://login.microsoftonline.us/{TENANT}/v2.0"),
            format!(
                "https://login.microsoftonline.us/{TENANT}/v2.0/.well-known/openid-configuration"
            ),
        ),
        (
            "AzureChinaCloud",
            format!("https://login.partner.microsoftonline.cn/{TENANT}/v2.0"),
            format!(
                "https://login.partner.microsoftonline.cn/{TENANT}/v2.0/.well-known/openid-configuration"
            ),
        ),
    ] {
        let config = config(json!({"azureEnvironment": environment}));
        let world = AzureWorld::default().key(&keys, &Entra::own().jwk());
        let mut claims = claims();
        claims["ver"] = "2.0".into();
        claims["iss"] = issuer.into();
        let token = Entra::own().token(&claims);
        judged_in(&world, config.clone(), &token).unwrap();
        refused(config, &claims_v2(), "token-issuer");
    }
}

#[test]
fn each_claim_counts() {
    let plain = || config(json!({}));
    for (name, value, check) in [
        // Look-alikes of the issuer: without its slash, of another tenant, of another host.
        (
            "iss",
            json!(format!("https://sts.windows.net/{TENANT}")),
            "token-issuer",
        ),
        (
            "iss",
            json!("https://sts.windows.net/common/"),
            "token-issuer",
        ),
        (
            "iss",
            json!(format!("https://sts.windows.net/{SUBSCRIPTION}/")),
            "token-issuer",
        ),
        (
            "iss",
            json!(format!("https://sts.windows.net.evil.example/{TENANT}/")),
            "token-issuer",
        ),
        (
            "iss",
            json!(format!("http://sts.windows.net/{TENANT}/")),
            "token-issuer",
        ),
        ("iss", Value::Null, "token-claims"),
        // Audiences that only look like it, and ARM's, which every node can have.
        (
            "aud",
            json!("https://management.azure.com/"),
            "token-audience",
        ),
        ("aud", json!(format!("{AUDIENCE}/")), "token-audience"),
        ("aud", json!("api://0c7d2b1a"), "token-audience"),
        ("aud", json!(AUDIENCE.to_uppercase()), "token-audience"),
        ("aud", json!([]), "token-audience"),
        ("aud", Value::Null, "token-claims"),
        ("tid", Value::Null, "token-claims"),
        ("tid", json!(SUBSCRIPTION), "tenant-not-allowed"),
        ("tid", json!("common"), "tenant-not-allowed"),
        ("tid", json!("../../evil"), "tenant-not-allowed"),
        ("oid", Value::Null, "token-claims"),
        ("oid", json!(SUBSCRIPTION), "principal-not-allowed"),
        ("oid", json!(""), "principal-not-allowed"),
        ("ver", json!("2.0"), "token-version"),
        ("ver", json!(1.0), "token-version"),
        ("ver", Value::Null, "token-version"),
        ("idtyp", json!("user"), "token-not-application"),
        ("idtyp", json!(["app"]), "token-not-application"),
        ("exp", Value::Null, "token-claims"),
        ("xms_mirid", json!("all"), "token-resource"),
        ("xms_mirid", json!(["x"]), "token-resource"),
        ("xms_az_rid", json!("/subscriptions/x"), "token-resource"),
    ] {
        let error = refused(plain(), &but(name, value.clone()), check);
        let text = error.to_string();
        assert!(text.len() < 600, "{name} {value}: {text}");
    }
    // What says nothing of these is let in by them.
    for name in ["idtyp", "xms_mirid", "nbf", "iat", "sub", "appid"] {
        judged(plain(), &but(name, Value::Null)).unwrap();
    }
    judged(plain(), &but("aud", json!(["other", AUDIENCE]))).unwrap();
    judged(plain(), &but("tid", TENANT.to_uppercase())).unwrap();
}

#[test]
fn a_token_of_another_tenant_principal_or_issuer_asks_nobody() {
    let token = |claims: &Value| Entra::own().token(claims);
    refused_unasked(&token(&but("tid", SUBSCRIPTION)), "tenant-not-allowed");
    refused_unasked(&token(&but("oid", SUBSCRIPTION)), "principal-not-allowed");
    let elsewhere = but("iss", "https://evil.example/");
    refused_unasked(&token(&elsewhere), "token-issuer");
}

#[test]
fn times_have_five_minutes_and_no_more() {
    let at = |name: &str, time: i64| judged(config(json!({})), &but(name, time));
    for (name, last, over, check) in [
        ("exp", NOW - 299, NOW - 300, "token-expired"),
        ("nbf", NOW + 300, NOW + 301, "token-not-yet"),
        ("iat", NOW + 300, NOW + 301, "token-not-yet"),
    ] {
        at(name, last).unwrap();
        assert_eq!(at(name, over).unwrap_err().check, check);
    }
}

#[test]
fn a_token_has_an_age_where_one_is_set() {
    let limited = || config(json!({"maxTokenAge": "10m"}));
    judged(limited(), &but("iat", NOW - 600)).unwrap();
    refused(limited(), &but("iat", NOW - 601), "token-age");
    refused(limited(), &but("iat", Value::Null), "token-claims");
}

#[test]
fn only_rs256_counts_and_a_key_must_be_named() {
    let entra = Entra::own();
    let header = |alg: &str| json!({"alg": alg, "kid": KID}).to_string();
    let body = claims().to_string();
    for alg in [
        "none", "HS256", "HS384", "RS512", "PS256", "ES256", "EdDSA", "rs256",
    ] {
        refused_unasked(&entra.sign(&header(alg), &body), "token-algorithm");
    }
    // The public key as a secret.
    let signed = format!("{}.{}", b64(header("HS256")), b64(&body));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &entra.public_der());
    let mac = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    refused_unasked(
        &format!("{signed}.{}", b64(mac.as_ref())),
        "token-algorithm",
    );
    refused_unasked(
        &entra.sign(r#"{"alg":"RS256"}"#, &body),
        "token-key-unknown",
    );
    let unknown = entra.sign(r#"{"alg":"RS256","kid":"other"}"#, &body);
    let error = judged_in(&world(), config(json!({})), &unknown).unwrap_err();
    assert_eq!(error.check, "token-key-unknown");
}

#[test]
fn only_the_issuers_signature_counts() {
    let token = Entra::somebody_elses().token(&claims());
    let error = judged_in(&world(), config(json!({})), &token).unwrap_err();
    assert_eq!(error.check, "token-signature");
    // With a key of its own in the header, and a place where one is.
    let own = json!({
        "alg": "RS256", "kid": KID, "jwk": Entra::somebody_elses().jwk(),
        "jku": "https://evil.example/keys", "x5u": "https://evil.example/cert",
    });
    let token = Entra::somebody_elses().sign(&own.to_string(), &claims().to_string());
    let world = world();
    let error = judged_in(&world, config(json!({})), &token).unwrap_err();
    assert_eq!(error.check, "token-signature");
    assert_eq!(world.asked(), [KEYS]);
}

#[test]
fn claims_that_are_there_twice_are_refused() {
    let body = claims().to_string();
    let twice = body.replacen('{', &format!("{{\"oid\":\"{SUBSCRIPTION}\","), 1);
    let header = json!({"alg": "RS256", "kid": KID}).to_string();
    refused_unasked(&Entra::own().sign(&header, &twice), "token-form");
    let long = but("pad", "x".repeat(11_600));
    refused_unasked(&Entra::own().token(&long), "token-size");
}

/// A user-assigned identity is no machine, though its name is in the same claim.
#[test]
fn the_identity_of_many_is_not_taken_for_a_machine() {
    let identity = format!(
        "/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-spire-prod/providers/Microsoft.ManagedIdentity/userAssignedIdentities/spire-agent-7"
    );
    let shared = but("xms_mirid", identity.clone());
    let passed = judged(config(json!({})), &shared).unwrap();
    assert_eq!(attributes(&passed).len(), 2, "{passed:?}");
    for list in [
        json!({"subscriptionIds": [SUBSCRIPTION]}),
        json!({"resourceGroups": ["rg-spire-prod"]}),
        json!({"vmNamePatterns": ["spire-agent-*"]}),
        json!({"vmSizes": ["Standard_D2s_v3"]}),
    ] {
        refused(config(list), &shared, "token-resource");
    }
    // Where Entra says who asked, it is that machine.
    let mut asked = shared;
    asked["xms_az_rid"] = machine("spire-agent-8").into();
    let passed = judged(config(json!({"vmNamePatterns": ["spire-agent-?"]})), &asked).unwrap();
    assert!(attributes(&passed).contains(&("azure_msi.vm.name", "spire-agent-8")));
    let identity = format!(
        "{TENANT}/{PRINCIPAL}#{}",
        machine("spire-agent-8").to_lowercase()
    );
    assert_eq!(passed.facts.identity, Some(identity));
}

#[test]
fn resources_are_restricted_in_whatever_case_they_are_written() {
    let lists = || {
        config(json!({
            "subscriptionIds": [TENANT, SUBSCRIPTION],
            "resourceGroups": ["RG-spire-Prod"],
            "vmNamePatterns": ["k8s-node-*", "Spire-Agent-*"],
        }))
    };
    judged(lists(), &claims()).unwrap();
    let shouted = machine("spire-agent-7").to_uppercase();
    judged(lists(), &but("xms_mirid", shouted)).unwrap();
    let set = machine("x").replace(
        "virtualMachines/x",
        "virtualMachineScaleSets/spire-agent-set",
    );
    let claims = judged(lists(), &but("xms_mirid", set)).unwrap();
    assert!(attributes(&claims).contains(&("azure_msi.vmss.name", "spire-agent-set")));
    for (id, check) in [
        (
            machine("spire-agent-7").replace(SUBSCRIPTION, PRINCIPAL),
            "subscription-not-allowed",
        ),
        (
            machine("spire-agent-7").replace("rg-spire-prod", "rg-spire-prod2"),
            "resource-group-not-allowed",
        ),
        (machine("xspire-agent-7"), "vm-name-not-allowed"),
        (
            machine("spire-agent-7").replace("Compute/virtualMachines", "Web/sites"),
            "vm-name-not-allowed",
        ),
    ] {
        refused(lists(), &but("xms_mirid", id), check);
    }
    refused(lists(), &but("xms_mirid", Value::Null), "token-resource");
}

#[test]
fn other_applications_are_refused_where_only_managed_identities_are_let_in() {
    let managed = || config(json!({"requireManagedIdentity": true}));
    judged(managed(), &claims()).unwrap();
    refused(
        managed(),
        &but("xms_mirid", Value::Null),
        "token-not-managed",
    );
}

#[test]
fn each_tenants_principals_are_its_own() {
    const OTHER: &str = "11111111-2222-4333-8444-555555555555";
    let several = json!({"tenants": [
        {"tenantID": OTHER, "principalID": SUBSCRIPTION},
        {"tenantID": TENANT, "principalID": OTHER},
        {"tenantID": TENANT, "principalID": PRINCIPAL},
    ]});
    judged(several.clone(), &claims()).unwrap();
    // A principal of the other tenant.
    refused(several, &but("oid", SUBSCRIPTION), "principal-not-allowed");
    // Anybody whose machine is in the subscription.
    let anybody = json!({
        "tenants": [{"tenantID": TENANT}], "subscriptionIds": [SUBSCRIPTION],
    });
    let claims = judged(anybody.clone(), &but("oid", OTHER)).unwrap();
    assert!(attributes(&claims).contains(&("azure_msi.identity.principal_id", OTHER)));
    refused(anybody, &but("xms_mirid", Value::Null), "token-resource");
}

#[test]
fn each_tenants_subscriptions_are_its_own() {
    const OTHER: &str = "11111111-2222-4333-8444-555555555555";
    let entries = |own: Value, others: Value| {
        json!({"tenants": [
            {"tenantID": OTHER, "subscriptionIDs": others},
            {"tenantID": TENANT, "subscriptionIDs": own},
        ]})
    };
    let right = || entries(json!([SUBSCRIPTION]), json!([OTHER]));
    judged(right(), &claims()).unwrap();
    refused(right(), &but("xms_mirid", Value::Null), "token-resource");
    // The subscription is listed, but for the other tenant.
    let swapped = entries(json!([OTHER]), json!([SUBSCRIPTION]));
    let error = refused(swapped, &claims(), "subscription-not-allowed");
    assert!(
        error.detail.contains("tenants[1].subscriptionIDs"),
        "{error}"
    );
    // A list of all tenants is a condition of its own.
    let mut both = right();
    both["subscriptionIds"] = json!([OTHER]);
    refused(both, &claims(), "subscription-not-allowed");
    // With a principal it restricts all the same.
    let named = json!({"tenants": [
        {"tenantID": TENANT, "principalID": PRINCIPAL, "subscriptionIDs": [OTHER]},
    ]});
    refused(named, &claims(), "subscription-not-allowed");
}

#[test]
fn settings_that_would_let_in_all_or_nobody_are_refused() {
    let tenants = |tenants: Value| json!({"tenants": tenants});
    let tenant = || json!({"tenantID": TENANT, "principalID": PRINCIPAL});
    for (settings, field) in [
        (tenants(json!([])), "tenants"),
        (
            tenants(json!([{"tenantID": TENANT}])),
            "tenants[0].principalID",
        ),
        (tenants(json!([tenant(), tenant()])), "tenants[1].tenantID"),
        (
            tenants(json!([{
                "tenantID": TENANT, "principalID": PRINCIPAL, "issuerURL": "http://a.example/",
            }])),
            "tenants[0].issuerURL",
        ),
        (config(json!({"subscriptionIds": []})), "subscriptionIds"),
        (
            tenants(json!([{"tenantID": TENANT, "subscriptionIDs": []}])),
            "tenants[0].subscriptionIDs",
        ),
        (config(json!({"resourceGroups": [""]})), "resourceGroups[0]"),
        (
            config(json!({"vmNamePatterns": ["*"]})),
            "vmNamePatterns[0]",
        ),
        (
            config(json!({"vmNamePatterns": ["a b"]})),
            "vmNamePatterns[0]",
        ),
        (config(json!({"vmSizes": []})), "vmSizes"),
        (config(json!({"locations": ["East US\n"]})), "locations[0]"),
        (config(json!({"maxTokenAge": "2d"})), "maxTokenAge"),
    ] {
        let error = attestor(AttestorKind::AZURE_MSI, settings).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
}
