//! What a policy may demand of an instance besides: its age, place, kind, network, groups and tags.

use assay_host_verifier::session::PathTemplate;
use serde_json::{Value, json};

use super::{ACCOUNT, Cloud, IMAGE, INSTANCE, honest, judge, judge_at, listed, refused};

#[test]
fn an_instance_that_was_started_too_long_ago_or_in_the_future() {
    let at = |now: &str, settings: Value| {
        let result = judge_at(settings, &honest(), &Cloud::honest(), now.parse().unwrap());
        result.map(drop).map_err(|error| error.check)
    };
    let day = json!({"awsAccountsAllowed": [ACCOUNT], "maxInstanceAge": "24h"});
    assert_eq!(at("2026-02-17T00:38:27Z", day.clone()), Ok(()));
    assert_eq!(
        at("2026-02-17T00:38:28Z", day.clone()),
        Err("instance-too-old")
    );
    assert_eq!(at("2126-02-17T00:38:28Z", listed()), Ok(()));
    assert_eq!(at("2026-02-16T00:37:27Z", day.clone()), Ok(()));
    assert_eq!(at("2026-02-16T00:37:26Z", day), Err("instance-in-future"));
    assert_eq!(
        at("2026-02-16T00:37:26Z", listed()),
        Err("instance-in-future")
    );
}

#[test]
fn a_region_that_is_not_let_in() {
    let settings = json!({"awsAccountsAllowed": [ACCOUNT], "allowedRegions": ["us-east-1"]});
    let cloud = Cloud::honest();
    assert_eq!(
        refused(judge(settings, &honest(), &cloud)),
        "region-not-allowed"
    );
    assert_eq!(cloud.asked(), [""; 0]);
}

/// One restriction, and whether the honest instance keeps it.
fn restricted(name: &str, value: Value, change: impl FnOnce(&mut Value)) -> Option<&'static str> {
    let mut settings = listed();
    settings[name] = value;
    let cloud = Cloud::honest().described(change);
    let result = judge(settings, &honest(), &cloud);
    result.err().map(|error| error.check)
}

#[test]
fn an_instance_of_another_type() {
    let same = |_: &mut Value| {};
    let types = "allowedInstanceTypes";
    assert_eq!(restricted(types, json!(["m5.large"]), same), None);
    let check = Some("instance-type-not-allowed");
    assert_eq!(restricted(types, json!(["t3.large"]), same), check);
    // The document lags behind: what it is now counts.
    let grown = |instance: &mut Value| instance["instanceType"] = "m5.xlarge".into();
    assert_eq!(restricted(types, json!(["m5.large"]), grown), check);
}

#[test]
fn an_instance_of_another_image() {
    let images = "allowedAmiIds";
    let good = json!([IMAGE]);
    assert_eq!(restricted(images, good.clone(), |_| {}), None);
    let check = Some("image-not-allowed");
    assert_eq!(
        restricted(images, json!(["ami-0fedcba9876543210"]), |_| {}),
        check
    );
    let replaced = |instance: &mut Value| instance["imageId"] = "ami-0fedcba9876543210".into();
    assert_eq!(restricted(images, good, replaced), check);
}

#[test]
fn an_instance_with_any_interface_in_another_network() {
    let second = |vpc: Value, subnet: Value| {
        move |instance: &mut Value| {
            let mut nic = instance["interfaces"][0].clone();
            nic["id"] = "eni-87654321".into();
            nic["deviceIndex"] = 1.into();
            nic["vpcId"] = vpc;
            nic["subnetId"] = subnet;
            instance["interfaces"].as_array_mut().unwrap().push(nic);
        }
    };
    let (vpcs, subnets) = ("allowedVpcIds", "allowedSubnetIds");
    let (vpc, subnet) = (json!(["vpc-12345678"]), json!(["subnet-12345678"]));
    let (no_vpc, no_subnet) = (Some("vpc-not-allowed"), Some("subnet-not-allowed"));
    assert_eq!(restricted(vpcs, vpc.clone(), |_| {}), None);
    assert_eq!(restricted(subnets, subnet.clone(), |_| {}), None);
    assert_eq!(restricted(vpcs, json!(["vpc-87654321"]), |_| {}), no_vpc);
    assert_eq!(
        restricted(subnets, json!(["subnet-87654321"]), |_| {}),
        no_subnet
    );
    let elsewhere = || second("vpc-87654321".into(), "subnet-87654321".into());
    assert_eq!(restricted(vpcs, vpc.clone(), elsewhere()), no_vpc);
    assert_eq!(restricted(subnets, subnet.clone(), elsewhere()), no_subnet);
    let nowhere = || second(Value::Null, Value::Null);
    assert_eq!(restricted(vpcs, vpc.clone(), nowhere()), no_vpc);
    assert_eq!(restricted(subnets, subnet, nowhere()), no_subnet);
    let none = |instance: &mut Value| instance["vpcId"] = Value::Null;
    assert_eq!(restricted(vpcs, vpc, none), no_vpc);
}

#[test]
fn an_instance_without_one_of_the_security_groups() {
    let groups = "requiredSecurityGroups";
    let same = |_: &mut Value| {};
    assert_eq!(
        restricted(groups, json!(["nodes", "sg-87654321"]), same),
        None
    );
    for missing in [
        json!(["nodes", "sg-00000000"]),
        json!(["node"]),
        json!(["Nodes"]),
    ] {
        let check = Some("security-group-missing");
        assert_eq!(restricted(groups, missing, same), check);
    }
}

#[test]
fn an_instance_without_one_of_the_tags() {
    let tags = "instanceTagRequirements";
    let same = |_: &mut Value| {};
    let good = json!({"Environment": ["staging", "production"], "Team": ["platform"]});
    assert_eq!(restricted(tags, good, same), None);
    for missing in [
        json!({"Environment": ["staging"]}),
        json!({"Environment": ["production"], "Team": ["security"]}),
        json!({"environment": ["production"]}),
        json!({"SPIREManaged": ["true"]}),
    ] {
        assert_eq!(restricted(tags, missing, same), Some("tag-not-allowed"));
    }
}

/// CVE-2021-27099 of SPIRE: a tag with a path in it became a part of an identity's path.
#[test]
fn a_tag_that_reaches_into_another_part_of_a_path() {
    let named = |value: &str| {
        let cloud = Cloud::honest().described(|instance| instance["tags"]["Team"] = value.into());
        let claims = judge(listed(), &honest(), &cloud).unwrap();
        let template = "/aws/{{aws_iid.ec2.instance.tag.Team}}/{{aws_iid.ec2.instance.id}}";
        let template = PathTemplate::parse(template).unwrap();
        template.render(&claims.attributes).ok()
    };
    assert_eq!(named("platform"), Some(format!("/aws/platform/{INSTANCE}")));
    for value in ["../admin", "a/b", "..", ".", "", "a%2fb", "a b"] {
        assert_eq!(named(value), None, "{value:?}");
    }
}
