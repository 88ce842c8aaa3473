//! Instances, and the roles behind their profiles: EC2 and IAM.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::answers::{
    Instance, InstanceAnswer, InstanceState, Interface, MAX_INSTANCE, ProfileAnswer, SecurityGroup,
};
use super::call::Call;
use super::identity::key;
use super::place::{self, Place, PlaceError, is_id};
use super::settings::Service;
use super::xml::{self, Element, Wrong};
use super::{Aws, kept, misnamed};
use crate::cloud::{Answer, Asking, CallError, CallErrorKind, Key, Question};
use crate::outside::Outside;

/// Most roles of a profile; IAM allows one.
const MAX_ROLES: usize = 16;

/// `ec2:DescribeInstances` for one id.
#[derive(Debug)]
pub(super) struct OfInstance {
    aws: Aws,
    place: Place,
    id: String,
}

impl OfInstance {
    pub(super) fn new(aws: &Aws, place: &Place, id: &str) -> Result<Self, CallError> {
        match is_id(id, "i") {
            true => Ok(Self {
                aws: aws.clone(),
                place: place.clone(),
                id: id.to_owned(),
            }),
            false => Err(misnamed("DescribeInstances", PlaceError::Id)),
        }
    }
}

impl Question for OfInstance {
    fn key(&self) -> Key {
        key(
            ec2_lane(&self.place),
            format!("DescribeInstances {}", self.id),
        )
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let (aws, region) = (&self.aws, self.place.region());
            let account = self.place.account();
            let keys = aws.keys_in(outside, region.partition(), account).await?;
            let parameters = vec![("InstanceId.1".to_owned(), self.id.clone())];
            let call = Call::query(Service::Ec2, "DescribeInstances", region, parameters);
            let answer = call
                .send(outside, aws.settings(), Some(&keys), aws.now())
                .await;
            let instance = match answer {
                Err(error) if is_missing(&error, "InvalidInstanceID.NotFound") => None,
                answer => answer?.read(|body| instance(body, account, &self.id))?,
            };
            let runs = instance
                .as_ref()
                .is_some_and(|instance| instance.state == InstanceState::Running);
            let ttl = if runs { aws.ttl() } else { aws.moment() };
            let answer: Answer = kept(&InstanceAnswer { instance }, ttl)?;
            match answer.body.len() <= MAX_INSTANCE {
                true => Ok(answer),
                false => {
                    let long = CallErrorKind::Content("the description is too long");
                    Err(CallError::new("aws", "DescribeInstances", long))
                }
            }
        })
    }
}

/// What shares a quota: an account's EC2 in a region.
pub(super) fn ec2_lane(place: &Place) -> String {
    format!("ec2/{}/{}", place.account(), place.region().name())
}

/// Whether the cloud says that there is no such thing.
pub(super) fn is_missing(error: &CallError, code: &str) -> bool {
    error.kind == CallErrorKind::Refused && error.code.as_str() == code
}

/// Reads the answer about one instance.
pub(super) fn instance(body: &[u8], account: &str, id: &str) -> Result<Option<Instance>, Wrong> {
    let root = xml::parse(body)?;
    let root = root.named("DescribeInstancesResponse")?;
    if root.text("nextToken")?.is_some() {
        return Err("there is more than was asked for");
    }
    let mut found = None;
    for reservation in root.list("reservationSet")? {
        for item in reservation.list("instancesSet")? {
            if found.is_some() {
                return Err("there are several instances");
            }
            if reservation.need_text("ownerId")? != account {
                return Err("the instance is another account's");
            }
            if item.need_text("instanceId")? != id {
                return Err("it is another instance");
            }
            found = Some(read(item)?);
        }
    }
    Ok(found)
}

fn read(item: &Element) -> Result<Instance, Wrong> {
    let own =
        |name: &str| -> Result<Option<String>, Wrong> { Ok(item.text(name)?.map(str::to_owned)) };
    let mut groups: BTreeSet<SecurityGroup> = groups(item)?;
    let mut interfaces = Vec::new();
    for nic in item.list("networkInterfaceSet")? {
        groups.extend(self::groups(nic)?);
        interfaces.push(interface(nic)?);
    }
    let mut tags = BTreeMap::new();
    for tag in item.list("tagSet")? {
        let value = tag.text("value")?.unwrap_or_default();
        let key = tag.need_text("key")?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err("a tag stands twice");
        }
    }
    let placement = item.child("placement")?;
    let zone = placement.map(|placement| placement.text("availabilityZone"));
    let profile = item.child("iamInstanceProfile")?;
    let profile = profile
        .map(|profile| profile.need_text("arn"))
        .transpose()?;
    let (root_attached, volumes) = devices(item)?;
    Ok(Instance {
        id: item.need_text("instanceId")?.to_owned(),
        state: state(item.need("instanceState")?.need_text("name")?)?,
        instance_type: item.need_text("instanceType")?.to_owned(),
        image_id: item.need_text("imageId")?.to_owned(),
        launched: time(item.text("launchTime")?)?,
        availability_zone: zone.transpose()?.flatten().map(str::to_owned),
        vpc_id: own("vpcId")?,
        subnet_id: own("subnetId")?,
        private_ip: own("privateIpAddress")?,
        public_ip: own("ipAddress")?,
        security_groups: groups.into_iter().collect(),
        interfaces,
        tags,
        instance_profile: profile.map(str::to_owned),
        root_device_type: own("rootDeviceType")?,
        root_attached,
        volumes,
    })
}

fn state(name: &str) -> Result<InstanceState, Wrong> {
    Ok(match name {
        "pending" => InstanceState::Pending,
        "running" => InstanceState::Running,
        "shutting-down" => InstanceState::ShuttingDown,
        "terminated" => InstanceState::Terminated,
        "stopping" => InstanceState::Stopping,
        "stopped" => InstanceState::Stopped,
        _ => return Err("the instance is in no known state"),
    })
}

/// When the root device was attached, and every volume.
fn devices(item: &Element) -> Result<(Option<Timestamp>, Vec<String>), Wrong> {
    let root = item.text("rootDeviceName")?;
    let (mut attached, mut volumes, mut names) = (None, Vec::new(), BTreeSet::new());
    for device in item.list("blockDeviceMapping")? {
        let name = device.need_text("deviceName")?;
        // Which of the two would be the root?
        if !names.insert(name) {
            return Err("a device stands twice");
        }
        let Some(ebs) = device.child("ebs")? else {
            continue;
        };
        volumes.push(ebs.need_text("volumeId")?.to_owned());
        if root == Some(name) {
            attached = time(ebs.text("attachTime")?)?;
        }
    }
    Ok((attached, volumes))
}

fn interface(nic: &Element) -> Result<Interface, Wrong> {
    let attachment = nic.need("attachment")?;
    let number = |text: &str| text.parse().map_err(|_| "a number cannot be read");
    let card = attachment.text("networkCardIndex")?.unwrap_or("0");
    Ok(Interface {
        id: nic.need_text("networkInterfaceId")?.to_owned(),
        device_index: number(attachment.need_text("deviceIndex")?)?,
        network_card_index: number(card)?,
        attached: time(attachment.text("attachTime")?)?,
        vpc_id: nic.text("vpcId")?.map(str::to_owned),
        subnet_id: nic.text("subnetId")?.map(str::to_owned),
    })
}

fn groups(of: &Element) -> Result<BTreeSet<SecurityGroup>, Wrong> {
    let read = |group: &Element| {
        Ok(SecurityGroup {
            id: group.need_text("groupId")?.to_owned(),
            name: group.text("groupName")?.unwrap_or_default().to_owned(),
        })
    };
    of.list("groupSet")?.iter().map(read).collect()
}

pub(super) fn time(text: Option<&str>) -> Result<Option<Timestamp>, Wrong> {
    text.map(|text| text.parse().map_err(|_| "a time cannot be read"))
        .transpose()
}

/// `iam:GetInstanceProfile`.
#[derive(Debug)]
pub(super) struct OfProfile {
    aws: Aws,
    place: Place,
    arn: String,
    name: String,
}

impl OfProfile {
    pub(super) fn new(aws: &Aws, place: &Place, arn: &str) -> Result<Self, CallError> {
        let wrong = |wrong| misnamed("GetInstanceProfile", wrong);
        let (partition, account, name) = place::profile(arn).map_err(wrong)?;
        if (partition, account) != (place.region().partition(), place.account()) {
            return Err(wrong(PlaceError::Profile));
        }
        Ok(Self {
            aws: aws.clone(),
            place: place.clone(),
            arn: arn.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl Question for OfProfile {
    /// IAM has no regions, so the place's region is not in it.
    fn key(&self) -> Key {
        let lane = format!("iam/{}", self.place.account());
        key(lane, format!("GetInstanceProfile {}", self.arn))
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let (aws, region) = (&self.aws, self.place.region());
            let account = self.place.account();
            let keys = aws.keys_in(outside, region.partition(), account).await?;
            let parameters = vec![("InstanceProfileName".to_owned(), self.name.clone())];
            let call = Call::query(Service::Iam, "GetInstanceProfile", region, parameters);
            let answer = call
                .send(outside, aws.settings(), Some(&keys), aws.now())
                .await;
            match answer {
                Err(error) if is_missing(&error, "NoSuchEntity") => {
                    kept(&ProfileAnswer { roles: None }, aws.moment())
                }
                answer => {
                    let roles = answer?.read(|body| roles(body, &self.arn))?;
                    kept(&ProfileAnswer { roles: Some(roles) }, aws.ttl())
                }
            }
        })
    }
}

/// The roles of a profile, which must be the one that was asked for: names are unique within an account, ARNs everywhere.
fn roles(body: &[u8], arn: &str) -> Result<BTreeSet<String>, Wrong> {
    let root = xml::parse(body)?;
    let result = root.named("GetInstanceProfileResponse")?;
    let profile = result
        .need("GetInstanceProfileResult")?
        .need("InstanceProfile")?;
    if profile.need_text("Arn")? != arn {
        return Err("it is another profile");
    }
    let roles = profile.list("Roles")?;
    if roles.len() > MAX_ROLES {
        return Err("there are too many roles");
    }
    let read = |role: &Element| {
        let arn = role.need_text("Arn")?;
        place::RoleArn::parse(arn).map_err(|_| "it is no role's ARN")?;
        Ok(arn.to_owned())
    };
    roles.iter().map(read).collect()
}

#[cfg(test)]
#[path = "instances_tests.rs"]
mod tests;
