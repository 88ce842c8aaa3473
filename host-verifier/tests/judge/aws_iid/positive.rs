//! What lets an instance in, and what is known of it then.

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::aws_iid::{AwsIid, Certificates, Config};
use assay_host_verifier::attestor::source::SourceRule;
use assay_host_verifier::attestor::{
    AttestError, Attestor as _, Claims, Facts, Judged, LoginContext, registry,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::x509::Oid;
use serde_json::{Value, json};

use super::{
    ACCOUNT, Cloud, IMAGE, INSTANCE, ORGANIZATION, OWN, PROFILE, ROLE, aws, describe, document,
    enveloped, honest, judge, listed, member, node, profile, sign, signed_by,
};
use crate::cms::build::{Message, NULL, algorithm};

/// Judges a payload over a kept answer.
pub(super) fn over(
    attestor: &AwsIid,
    payload: &Value,
    kept: &Value,
) -> Result<Claims, AttestError> {
    let cx = LoginContext {
        now: super::now(),
        transcript: &Transcript::new(),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &LoginKeys::new([0; 32]),
    };
    match attestor.judge(&cx, payload.to_string().as_bytes())? {
        Judged::Errand(errand) => errand.judge(&cx, kept.to_string().as_bytes()),
        other => panic!("{other:?}"),
    }
}

/// Judges the honest payload, and what is kept of AWS's answers.
fn kept(config: Value, cloud: &Cloud) -> (Result<Claims, AttestError>, Value) {
    let attestor = super::attestor(config);
    let answer = super::answered(&attestor, &honest(), cloud);
    let claims = over(&attestor, &honest(), &answer);
    (claims, answer)
}

fn shown(claims: &Claims) -> Vec<(&str, &str)> {
    let attributes = claims.attributes.iter();
    attributes
        .map(|attribute| (&*attribute.name, attribute.value.as_str()))
        .collect()
}

#[test]
fn everything_that_is_known_of_an_instance_becomes_an_attribute_to_the_letter() {
    let cloud = Cloud::honest();
    let claims = judge(listed(), &honest(), &cloud).unwrap();
    assert_eq!(
        shown(&claims),
        [
            ("aws_iid.account.id", ACCOUNT),
            ("aws_iid.ec2.instance.id", INSTANCE),
            ("aws_iid.ec2.instance.region", "eu-west-1"),
            ("aws_iid.ec2.instance.availability_zone", "eu-west-1a"),
            ("aws_iid.ec2.instance.image_id", IMAGE),
            ("aws_iid.ec2.instance.type", "m5.large"),
            ("aws_iid.ec2.security_group.id", "sg-12345678"),
            ("aws_iid.ec2.security_group.name", "nodes"),
            ("aws_iid.ec2.security_group.id", "sg-87654321"),
            ("aws_iid.ec2.security_group.name", "ssh"),
            ("aws_iid.ec2.vpc.id", "vpc-12345678"),
            ("aws_iid.ec2.subnet.id", "subnet-12345678"),
            ("aws_iid.ec2.instance.tag.Environment", "production"),
            ("aws_iid.ec2.instance.tag.Team", "platform"),
            (
                "aws_iid.ec2.instance.tag.aws:autoscaling:groupName",
                "nodes"
            ),
            ("aws_iid.iam.role", ROLE),
        ]
    );
    assert_eq!(
        claims.attributes[0].to_string(),
        format!("aws_iid:aws_iid.account.id={ACCOUNT:?}")
    );
    // Neither the verifier's own account nor anything else is asked for.
    assert_eq!(cloud.asked(), [describe(), profile()]);
    for (name, _) in shown(&claims) {
        assert_eq!(registry::may_give(AttestorKind::AWS_IID, name), Some(true));
    }
}

#[test]
fn an_instance_of_the_verifiers_own_account_needs_no_settings() {
    let own = document(|document| document["accountId"] = OWN.into());
    let mut instance = super::described();
    instance["instanceProfile"] = Value::Null;
    let asked = format!("ec2/{OWN}/eu-west-1 DescribeInstances {INSTANCE}");
    let cloud = Cloud::honest().with(&asked, json!({"instance": instance}));
    let claims = judge(json!({}), &signed_by("ireland", &own), &cloud).unwrap();
    assert_eq!(claims.attributes[0].value, OWN);
    let roles = shown(&claims)
        .into_iter()
        .filter(|(name, _)| *name == "aws_iid.iam.role");
    assert_eq!(roles.count(), 0, "no profile, no role");
}

#[test]
fn one_organization_that_cannot_be_asked_does_not_keep_out_another_ones_account() {
    let other = "arn:aws:iam::777766665555:role/List";
    let settings = json!({"assumeOrgRoleArns": [other, ORGANIZATION], "allowOwnAccount": false});
    let cloud = Cloud::honest().with(&member(ORGANIZATION), json!({"member": true}));
    judge(settings, &honest(), &cloud).unwrap();
    assert_eq!(
        cloud.asked(),
        [member(other), member(ORGANIZATION), describe(), profile()]
    );
}

#[test]
fn an_account_of_the_operators_list_is_let_in_where_a_policy_says_so() {
    let cloud = || Cloud::honest().with(&member("the file"), json!({"member": true}));
    judge(json!({"useAccountList": true}), &honest(), &cloud()).unwrap();
    assert!(judge(json!({}), &honest(), &cloud()).is_err());
}

#[test]
fn one_of_several_clusters_is_enough() {
    let settings = json!({"awsAccountsAllowed": [ACCOUNT], "eksClusterNames": ["web", "prod"]});
    let cloud = Cloud::honest()
        .with(&node(ACCOUNT, "web"), json!({"member": false}))
        .with(&node(ACCOUNT, "prod"), json!({"member": true}));
    judge(settings, &honest(), &cloud).unwrap();
}

#[test]
fn checks_are_left_out_where_the_settings_say_so() {
    let with = |name: &str| {
        let mut settings = listed();
        settings[name] = true.into();
        settings
    };
    let pending = Cloud::honest().described(|instance| instance["state"] = "pending".into());
    judge(with("allowPending"), &honest(), &pending).unwrap();
    let moved = Cloud::honest().described(|instance| instance["rootAttached"] = Value::Null);
    judge(with("skipBlockDevice"), &honest(), &moved).unwrap();
    let stored = Cloud::honest().described(|instance| {
        instance["rootAttached"] = Value::Null;
        instance["rootDeviceType"] = "instance-store".into();
    });
    judge(listed(), &honest(), &stored).unwrap();
    let cloud = Cloud::honest();
    let claims = judge(with("disableInstanceProfileSelectors"), &honest(), &cloud).unwrap();
    assert_eq!(cloud.asked(), [describe()]);
    assert!(
        shown(&claims)
            .iter()
            .all(|(name, _)| *name != "aws_iid.iam.role")
    );
}

#[test]
fn a_profile_that_is_gone_has_no_roles() {
    let cloud = Cloud::honest().with(&profile(), json!({}));
    let claims = judge(listed(), &honest(), &cloud).unwrap();
    assert!(
        shown(&claims)
            .iter()
            .all(|(name, _)| *name != "aws_iid.iam.role")
    );
    // The answer is that of this very profile.
    let kept = json!({
        "account": ACCOUNT, "region": "eu-west-1", "instanceId": INSTANCE, "asked": true,
        "instance": super::described(),
        "profile": {"arn": format!("{PROFILE}2"), "roles": ["arn:aws:iam::111122223333:role/admin"]},
    });
    let error = over(&super::attestor(listed()), &honest(), &kept).unwrap_err();
    assert_eq!(error.check, "answer-kept");
}

#[test]
fn volumes_and_the_image_are_asked_for_where_a_policy_needs_them() {
    let settings =
        json!({"awsAccountsAllowed": [ACCOUNT], "describeVolumes": true, "describeImage": true});
    let cloud = |encrypted: Value, created: Value| {
        Cloud::honest()
            .with(
                &format!("ec2/{ACCOUNT}/eu-west-1 DescribeVolumes vol-12345678 vol-87654321"),
                json!({"encrypted": encrypted}),
            )
            .with(
                &format!("ec2/{ACCOUNT}/eu-west-1 DescribeImages {IMAGE}"),
                json!({"created": created}),
            )
    };
    let both = json!({"vol-12345678": true, "vol-87654321": true});
    let known = |cloud: Cloud, name: &str| {
        let claims = judge(settings.clone(), &honest(), &cloud).unwrap();
        let found = claims.attributes.into_iter().find(|a| a.name == name);
        found.map(|attribute| attribute.value)
    };
    let (encrypted, created) = (
        "aws_iid.ec2.instance.storage_encrypted",
        "aws_iid.ec2.image.created_time",
    );
    let at = json!("2026-01-01T00:00:00Z");
    let good = || cloud(both.clone(), at.clone());
    assert_eq!(known(good(), encrypted).as_deref(), Some("true"));
    assert_eq!(
        known(good(), created).as_deref(),
        Some("2026-01-01T00:00:00Z")
    );
    for some in [
        json!({"vol-12345678": true, "vol-87654321": false}),
        json!({"vol-12345678": true}),
        json!({}),
    ] {
        assert_eq!(
            known(cloud(some, at.clone()), encrypted).as_deref(),
            Some("false")
        );
    }
    assert_eq!(known(cloud(both.clone(), Value::Null), created), None);
}

/// An instance store is no volume: there is nothing to ask for, and an empty list would be for all of the account's.
#[test]
fn an_instance_without_volumes_is_let_in_and_nothing_vouches_for_any() {
    let settings = json!({"awsAccountsAllowed": [ACCOUNT], "describeVolumes": true});
    let cloud = Cloud::honest().described(|instance| {
        instance["rootDeviceType"] = "instance-store".into();
        instance["rootAttached"] = Value::Null;
        instance["volumes"] = json!([]);
    });
    let claims = judge(settings, &honest(), &cloud).unwrap();
    let told = shown(&claims);
    assert!(
        !told
            .iter()
            .any(|(name, _)| name.ends_with("storage_encrypted"))
    );
    assert_eq!(cloud.asked(), [describe(), profile()]);
}

fn tags(claims: &Claims) -> Vec<&str> {
    let all = claims.attributes.iter();
    all.filter_map(|one| one.name.strip_prefix("aws_iid.ec2.instance.tag."))
        .collect()
}

#[test]
fn tags_that_nobody_wants_are_neither_attributes_nor_kept() {
    let settings = json!({
        "awsAccountsAllowed": [ACCOUNT], "attributeTagKeys": ["Team"],
        "instanceTagRequirements": {"Environment": ["production"]},
    });
    let (claims, kept) = kept(settings.clone(), &Cloud::honest());
    assert_eq!(tags(&claims.unwrap()), ["Team"]);
    assert_eq!(
        kept["instance"]["tags"],
        json!({"Environment": "production", "Team": "platform"})
    );
    let (claims, kept) = self::kept(listed(), &Cloud::honest());
    assert_eq!(tags(&claims.unwrap()).len(), 3, "by default all of them");
    assert_eq!(kept["instance"]["tags"].as_object().unwrap().len(), 3);
    // Who is refused has no attributes: what is kept is what it was refused for.
    let refusing = json!({
        "awsAccountsAllowed": [ACCOUNT], "instanceTagRequirements": {"Environment": ["test"]},
    });
    let (claims, kept) = self::kept(refusing, &Cloud::honest());
    assert_eq!(claims.unwrap_err().check, "tag-not-allowed");
    assert_eq!(
        kept["instance"]["tags"],
        json!({"Environment": "production"})
    );
}

#[test]
fn the_addresses_of_document_and_description_are_where_the_instance_is() {
    let cloud = Cloud::honest().described(|instance| {
        instance["privateIp"] = "10.0.0.8".into();
        instance["publicIp"] = "203.0.113.9".into();
    });
    let inside = document(|document| document["privateIp"] = "10.0.0.7".into());
    let claims = judge(listed(), &signed_by("ireland", &inside), &cloud).unwrap();
    let all: Vec<_> = claims
        .facts
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(all, ["10.0.0.7", "10.0.0.8", "203.0.113.9"]);
}

#[test]
fn what_a_policy_wants_of_the_source_is_what_its_attestor_says() {
    for (text, rule) in [
        ("ignore", SourceRule::Ignore),
        ("warn", SourceRule::Warn),
        ("require", SourceRule::Require),
    ] {
        let mut config = listed();
        config["sourceAddress"] = text.into();
        assert_eq!(super::attestor(config).source_rule(), rule);
    }
    assert_eq!(super::attestor(listed()).source_rule(), SourceRule::Ignore);
}

#[test]
fn what_is_weak_is_told_and_ends_with_its_setting() {
    let count = |config: Value| super::attestor(config).weaknesses().len();
    assert_eq!(count(listed()), 0);
    let local = json!({"awsAccountsAllowed": [ACCOUNT], "accountIdsForLocalValidation": [ACCOUNT]});
    assert_eq!(count(local.clone()), 1);
    let mut young = local;
    young["maxInstanceAge"] = "720h".into();
    assert_eq!(count(young), 0);
    let mut alone = listed();
    alone["localOnly"] = true.into();
    alone["legacySignatures"] = true.into();
    assert_eq!(count(alone), 2);
    // Without certificates nobody is let in.
    let config: Config = serde_json::from_value(listed()).unwrap();
    let nobody = config.attestor_with(Certificates::default()).unwrap();
    let [(wrong, _)] = nobody.weaknesses()[..] else {
        panic!("one")
    };
    assert!(wrong.contains("clouds.aws.certificates"), "{wrong}");
    assert_eq!(nobody.trust_ends(), None);
    assert!(super::attestor(listed()).trust_ends().is_some());
}

#[test]
fn without_aws_the_signature_alone_counts_and_says_what_it_says() {
    for settings in [
        json!({"awsAccountsAllowed": [ACCOUNT], "localOnly": true, "allowedAmiIds": [IMAGE]}),
        json!({"awsAccountsAllowed": [ACCOUNT], "accountIdsForLocalValidation": [ACCOUNT]}),
    ] {
        let cloud = Cloud::default();
        let claims = judge(settings, &honest(), &cloud).unwrap();
        assert_eq!(cloud.asked(), [""; 0]);
        assert_eq!(claims.attributes.len(), 6);
    }
    let others = json!({"awsAccountsAllowed": [ACCOUNT], "localOnly": true, "allowedAmiIds": ["ami-00000000"]});
    let error = judge(others, &honest(), &Cloud::default()).unwrap_err();
    assert_eq!(error.check, "image-not-allowed");
}

#[test]
fn a_document_of_any_year_is_accepted() {
    let text = document(|_| {});
    let newest = Message::aws(text.as_bytes());
    let mut of_2020 = newest.clone();
    of_2020.algorithm = algorithm(Oid::RSA_ENCRYPTION, NULL);
    of_2020.attributes = of_2020.attributes.map(|mut all| {
        all.remove(2);
        all
    });
    for message in [newest, of_2020] {
        let blob = sign(&message, "ireland");
        judge(listed(), &enveloped(&blob), &Cloud::honest()).unwrap();
        // As openssl sees it, with the same certificate.
        aws().write("blob.der", &blob);
        let said = aws().openssl(
            "cms -verify -binary -inform DER -in blob.der -certfile ireland.crt -nointern -noverify",
        );
        assert_eq!(said, text.as_bytes());
    }
}
