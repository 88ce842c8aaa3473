//! AWS in memory: answers in the forms of its API, after a while, and counts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use assay_host_verifier::outside::{Error, Fetch, Request, Response};

/// See the module.
#[derive(Debug)]
pub(crate) struct Aws {
    takes: Duration,
    calls: AtomicUsize,
}

impl Aws {
    /// One that takes so long for each answer.
    pub(crate) const fn taking(takes: Duration) -> Self {
        Self {
            takes,
            calls: AtomicUsize::new(0),
        }
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Fetch for Aws {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        Ok(Response::new(200, answer(request).into_bytes()))
    }
}

fn answer(request: &Request) -> String {
    let form = core::str::from_utf8(&request.body).unwrap();
    let query = request.url.split_once('?').map_or("", |(_, query)| query);
    let parameter = |name: &str| {
        let mut pairs = form.split('&').chain(query.split('&'));
        let value = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name}: {form} {query}"))
    };
    match parameter("Action") {
        "AssumeRole" => {
            // arn:aws:iam::ACCOUNT:role/NAME, with its colons and slashes escaped.
            let account = parameter("RoleArn").split("%3A").nth(4).unwrap();
            format!(
                "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{account}</AccessKeyId>\
                 <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
                 <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
                 <AssumedRoleUser><Arn>arn:aws:sts::{account}:assumed-role/DefaktoServer/assayd</Arn>\
                 <AssumedRoleId>AROA:assayd</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
            )
        }
        "DescribeInstances" => instance(&account(request), parameter("InstanceId.1")),
        "GetInstanceProfile" => {
            let (account, name) = (account(request), parameter("InstanceProfileName"));
            format!(
                "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile>\
                 <Arn>arn:aws:iam::{account}:instance-profile/{name}</Arn>\
                 <Roles><member><Arn>arn:aws:iam::{account}:role/{name}</Arn></member></Roles>\
                 </InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>"
            )
        }
        other => panic!("nobody should ask for {other}"),
    }
}

/// Whose credentials the request is signed with.
fn account(request: &Request) -> String {
    let mut headers = request.headers.iter();
    let shown = headers.find(|header| header.name == "authorization");
    let key = shown
        .unwrap()
        .value
        .split_once("Credential=ASIA")
        .unwrap()
        .1;
    key.split('/').next().unwrap().to_owned()
}

fn instance(account: &str, id: &str) -> String {
    format!(
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet><item>\
         <ownerId>{account}</ownerId><instancesSet><item><instanceId>{id}</instanceId>\
         <imageId>ami-0123456789abcdef0</imageId><instanceState><code>16</code><name>running</name></instanceState>\
         <instanceType>m5.large</instanceType><launchTime>2026-11-01T10:00:00.000Z</launchTime>\
         <placement><availabilityZone>eu-west-1a</availabilityZone></placement>\
         <privateIpAddress>10.0.0.1</privateIpAddress><subnetId>subnet-12345678</subnetId><vpcId>vpc-12345678</vpcId>\
         <groupSet><item><groupId>sg-12345678</groupId><groupName>nodes</groupName></item></groupSet>\
         <rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>\
         <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-12345678</volumeId>\
         <attachTime>2026-11-01T10:00:01.000Z</attachTime></ebs></item></blockDeviceMapping>\
         <networkInterfaceSet><item><networkInterfaceId>eni-12345678</networkInterfaceId><subnetId>subnet-12345678</subnetId>\
         <vpcId>vpc-12345678</vpcId><groupSet><item><groupId>sg-12345678</groupId><groupName>nodes</groupName></item></groupSet>\
         <attachment><deviceIndex>0</deviceIndex><networkCardIndex>0</networkCardIndex>\
         <attachTime>2026-11-01T10:00:01.000Z</attachTime></attachment></item></networkInterfaceSet>\
         <iamInstanceProfile><arn>arn:aws:iam::{account}:instance-profile/nodes</arn><id>AIPA</id></iamInstanceProfile>\
         <tagSet><item><key>Environment</key><value>production</value></item></tagSet>\
         </item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
    )
}
