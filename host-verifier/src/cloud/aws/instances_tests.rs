#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::{InstanceState, instance, roles};

const ACCOUNT: &str = "111122223333";
const ID: &str = "i-0123456789abcdef0";

/// An answer as EC2 sends it, with what a verifier looks at and some of what it does not.
fn answer() -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>a1</requestId>
  <reservationSet><item>
    <reservationId>r-1</reservationId><ownerId>{ACCOUNT}</ownerId><groupSet/>
    <instancesSet><item>
      <instanceId>{ID}</instanceId><imageId>ami-0123456789abcdef0</imageId>
      <instanceState><code>16</code><name>running</name></instanceState>
      <reason/><instanceType>m5.large</instanceType>
      <launchTime>2026-11-01T10:00:00.000Z</launchTime>
      <placement><availabilityZone>eu-west-1a</availabilityZone><tenancy>default</tenancy></placement>
      <subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>
      <privateIpAddress>10.0.0.5</privateIpAddress>
      <groupSet><item><groupId>sg-2</groupId><groupName>web</groupName></item></groupSet>
      <rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>
      <blockDeviceMapping>
        <item><deviceName>/dev/sdf</deviceName><ebs><volumeId>vol-2</volumeId><status>attached</status><attachTime>2026-11-02T10:00:00.000Z</attachTime></ebs></item>
        <item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId><status>attached</status><attachTime>2026-11-01T10:00:02.000Z</attachTime></ebs></item>
      </blockDeviceMapping>
      <tagSet>
        <item><key>Environment</key><value>production</value></item>
        <item><key>Empty</key><value/></item>
      </tagSet>
      <networkInterfaceSet>
        <item><networkInterfaceId>eni-2</networkInterfaceId><subnetId>subnet-2</subnetId><vpcId>vpc-1</vpcId>
          <groupSet><item><groupId>sg-1</groupId><groupName>back</groupName></item><item><groupId>sg-2</groupId><groupName>web</groupName></item></groupSet>
          <attachment><attachmentId>a</attachmentId><deviceIndex>1</deviceIndex><attachTime>2026-11-03T10:00:00.000Z</attachTime><networkCardIndex>0</networkCardIndex></attachment></item>
        <item><networkInterfaceId>eni-1</networkInterfaceId><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><groupSet/>
          <attachment><attachmentId>b</attachmentId><deviceIndex>0</deviceIndex><attachTime>2026-11-01T10:00:00.000Z</attachTime></attachment></item>
      </networkInterfaceSet>
      <iamInstanceProfile><arn>arn:aws:iam::{ACCOUNT}:instance-profile/web</arn><id>AIPA</id></iamInstanceProfile>
    </item></instancesSet>
  </item></reservationSet>
</DescribeInstancesResponse>"#
    )
}

#[test]
fn an_instance_is_read_whole() {
    let found = instance(answer().as_bytes(), ACCOUNT, ID).unwrap().unwrap();
    assert_eq!(
        (found.id.as_str(), found.state),
        (ID, InstanceState::Running)
    );
    assert_eq!(found.instance_type, "m5.large");
    assert_eq!(found.vpc_id.as_deref(), Some("vpc-1"));
    assert_eq!(found.public_ip, None);
    let groups: Vec<_> = found
        .security_groups
        .iter()
        .map(|g| (&*g.id, &*g.name))
        .collect();
    assert_eq!(
        groups,
        [("sg-1", "back"), ("sg-2", "web")],
        "of every interface"
    );
    let subnets: Vec<_> = found
        .interfaces
        .iter()
        .map(|nic| nic.subnet_id.as_deref())
        .collect();
    assert_eq!(subnets, [Some("subnet-2"), Some("subnet-1")]);
    let primary = found.primary_interface().unwrap();
    assert_eq!(primary.id, "eni-1");
    assert_eq!(
        primary.attached,
        Some("2026-11-01T10:00:00Z".parse().unwrap())
    );
    assert_eq!(
        found.root_attached,
        Some("2026-11-01T10:00:02Z".parse().unwrap()),
        "not the other device's"
    );
    assert_eq!(found.volumes, ["vol-2", "vol-1"]);
    assert_eq!(found.tags["Environment"], "production");
    assert_eq!(found.tags["Empty"], "");
    let profile = format!("arn:aws:iam::{ACCOUNT}:instance-profile/web");
    assert_eq!(found.instance_profile, Some(profile));
    let json = serde_json::to_vec(&found).unwrap();
    assert_eq!(
        super::super::answers::read::<super::Instance>(&json).unwrap(),
        found
    );
}

#[test]
fn no_instance_is_an_answer_and_another_is_none() {
    let none = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";
    assert_eq!(instance(none.as_bytes(), ACCOUNT, ID), Ok(None));
    let other = answer().replace(ID, "i-0fedcba9876543210");
    assert!(instance(other.as_bytes(), ACCOUNT, ID).is_err());
    assert!(instance(answer().as_bytes(), "999999999999", ID).is_err());
    let one = answer();
    let (from, to) = (
        one.find("<instancesSet>").unwrap() + 14,
        one.find("</instancesSet>").unwrap(),
    );
    let twice = one.replace(&one[from..to], &one[from..to].repeat(2));
    assert!(instance(twice.as_bytes(), ACCOUNT, ID).is_err());
}

#[test]
fn what_is_ambiguous_or_unknown_is_an_error() {
    for (from, to) in [
        (">running<", ">hibernating<"),
        ("<key>Empty</key>", "<key>Environment</key>"),
        ("/dev/sdf", "/dev/xvda"),
        ("<deviceIndex>0<", "<deviceIndex>zero<"),
        ("2026-11-01T10:00:02.000Z", "yesterday"),
        ("<instanceType>m5.large</instanceType>", ""),
        (
            "<subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>\n      <private",
            "<vpcId>a</vpcId><vpcId>b</vpcId><private",
        ),
        ("DescribeInstancesResponse", "DescribeImagesResponse"),
        ("<requestId>a1</requestId>", "<nextToken>t</nextToken>"),
    ] {
        let text = answer();
        assert!(text.contains(from), "{from}");
        let text = text.replace(from, to);
        assert!(
            instance(text.as_bytes(), ACCOUNT, ID).is_err(),
            "{from} {to}"
        );
    }
    let cut = answer();
    assert!(instance(&cut.as_bytes()[..cut.len() / 2], ACCOUNT, ID).is_err());
}

#[test]
fn a_profiles_roles_are_those_of_the_profile_that_was_asked_for() {
    let arn = format!("arn:aws:iam::{ACCOUNT}:instance-profile/a/web");
    let text = format!(
        "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile><Arn>{arn}</Arn><Roles><member><Arn>arn:aws:iam::{ACCOUNT}:role/web</Arn></member></Roles></InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>"
    );
    let found = roles(text.as_bytes(), &arn).unwrap();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [format!("arn:aws:iam::{ACCOUNT}:role/web")]
    );
    assert!(roles(text.as_bytes(), &arn.replace("a/web", "b/web")).is_err());
    let none = text.replace(
        &text[text.find("<member>").unwrap()..text.find("</Roles>").unwrap()],
        "",
    );
    assert!(roles(none.as_bytes(), &arn).unwrap().is_empty());
    let strange = text.replace(":role/web<", ":user/web<");
    assert!(roles(strange.as_bytes(), &arn).is_err());
}
