//! AWS' API, as far as a verifier asks it about one instance: STS, EC2 and IAM at one address, strict about signatures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use super::ec2::Instance;
use super::server::{Certified, Reply, Request, Server, form};
use super::sigv4;
use super::token::now;

/// The verifier's own key.
pub const KEY_ID: &str = "AKIDEXAMPLE00000000";
/// Its secret.
pub const SECRET: &str = "own/secret+EXAMPLE";
/// The key of the role that the verifier assumes, its secret and its session's token.
const ASSUMED: (&str, &str, &str) = (
    "ASIDEXAMPLE00000000",
    "assumed/secret+EXAMPLE",
    "assumed/token+EXAMPLE==",
);

/// What the account says of its instance.
#[derive(Debug, Clone)]
pub struct Known {
    /// The instance; its account is the verifier's own.
    pub instance: Instance,
    /// `running`, `stopped`, …; `None` when there is no such instance.
    pub state: Option<&'static str>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Whether the verifier may become its role in the account.
    pub trusts: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            instance: Instance::default(),
            state: Some("running"),
            tags: vec![("Environment".to_owned(), "production".to_owned())],
            trusts: true,
        }
    }
}

/// The API.
#[derive(Debug)]
pub struct Api {
    server: Server,
    authority: String,
    known: Arc<Mutex<Known>>,
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Api {
    /// The API that says this.
    ///
    /// # Errors
    ///
    /// No port, or no certificate.
    pub fn start(known: Known) -> Result<Self> {
        let certified = Certified::new()?;
        let known = Arc::new(Mutex::new(known));
        let serving = known.clone();
        let server =
            Server::start_tls(&certified, move |request| locked(&serving).answer(request))?;
        Ok(Self {
            server,
            authority: certified.authority,
            known,
        })
    }

    /// The web server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// The authority of its certificate, PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Changes what it says.
    pub fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut locked(&self.known));
    }

    /// How often an operation was called.
    #[must_use]
    pub fn calls(&self, operation: &str) -> usize {
        let action = format!("Action={operation}&");
        let seen = self.server.seen();
        let calls = seen
            .iter()
            .map(|one| String::from_utf8_lossy(&one.body).into_owned() + "&");
        calls.filter(|body| body.contains(&action)).count()
    }
}

fn xml(body: &str) -> Reply {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
    Reply::of(200, body).with("content-type", "text/xml;charset=UTF-8")
}

fn refused(status: u16, code: &str) -> Reply {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    );
    Reply::of(status, body).with("content-type", "text/xml")
}

fn refused_by_ec2(status: u16, code: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors><RequestID>r</RequestID></Response>"
    );
    Reply::of(status, body).with("content-type", "text/xml;charset=UTF-8")
}

impl Known {
    fn answer(&self, request: &Request) -> Reply {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let fields = form(&text);
        let field = |name: &str| {
            fields
                .iter()
                .find(|(one, _)| one == name)
                .map(|(_, v)| v.as_str())
        };
        let secret_of = |key: &str| match key {
            KEY_ID => Some((SECRET.to_owned(), None)),
            _ if key == ASSUMED.0 => Some((ASSUMED.1.to_owned(), Some(ASSUMED.2.to_owned()))),
            _ => None,
        };
        let operation = field("Action").unwrap_or_default();
        let by = match sigv4::verify(request, None, now(), secret_of) {
            Ok(by) => by,
            Err(code) => return refused(403, code),
        };
        let account = &self.instance.account;
        match operation {
            "GetCallerIdentity" => xml(&format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{account}:user/verifier</Arn><UserId>AIDA</UserId><Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            )),
            "AssumeRole" if self.trusts && by == KEY_ID => assumed(
                field("RoleArn").unwrap_or_default(),
                field("RoleSessionName").unwrap_or_default(),
            ),
            "DescribeInstances" if by == ASSUMED.0 => {
                self.described(field("InstanceId.1").unwrap_or_default())
            }
            "GetInstanceProfile" if by == ASSUMED.0 => {
                let name = field("InstanceProfileName").unwrap_or_default();
                xml(&format!(
                    "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile><Arn>arn:aws:iam::{account}:instance-profile/{name}</Arn><Roles><member><Arn>arn:aws:iam::{account}:role/{name}</Arn></member></Roles></InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>"
                ))
            }
            _ => refused(403, "AccessDenied"),
        }
    }

    fn described(&self, id: &str) -> Reply {
        let instance = &self.instance;
        let Some(state) = self.state.filter(|_| id == instance.id) else {
            return refused_by_ec2(400, "InvalidInstanceID.NotFound");
        };
        let (account, region, image) = (&instance.account, &instance.region, &instance.image);
        let tags = self.tags.iter();
        let tags: String = tags
            .map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>"))
            .collect();
        let groups = "<groupSet><item><groupId>sg-0123456789abcdef0</groupId><groupName>nodes</groupName></item></groupSet>";
        let attached = "<status>attached</status><attachTime>2026-01-02T03:04:05.000Z</attachTime>";
        xml(&format!(
            "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId><reservationSet><item><ownerId>{account}</ownerId><instancesSet><item><instanceId>{id}</instanceId><imageId>{image}</imageId><instanceState><code>16</code><name>{state}</name></instanceState><instanceType>m5.large</instanceType><launchTime>2026-01-02T03:04:05.000Z</launchTime><placement><availabilityZone>{region}a</availabilityZone></placement><subnetId>subnet-0123456789abcdef0</subnetId><vpcId>vpc-0123456789abcdef0</vpcId>{groups}<rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-0123456789abcdef0</volumeId>{attached}</ebs></item></blockDeviceMapping><tagSet>{tags}</tagSet><networkInterfaceSet><item><networkInterfaceId>eni-0123456789abcdef0</networkInterfaceId><subnetId>subnet-0123456789abcdef0</subnetId><vpcId>vpc-0123456789abcdef0</vpcId>{groups}<attachment><deviceIndex>0</deviceIndex>{attached}</attachment></item></networkInterfaceSet><iamInstanceProfile><arn>arn:aws:iam::{account}:instance-profile/node</arn></iamInstanceProfile></item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
        ))
    }
}

fn assumed(arn: &str, session: &str) -> Reply {
    let account = arn.split(':').nth(4).unwrap_or_default();
    let role = arn.rsplit('/').next().unwrap_or_default();
    let (id, secret, token) = ASSUMED;
    let ends = jiff::Timestamp::from_second(now() + 3600).unwrap_or_default();
    xml(&format!(
        "<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>AROA:{session}</AssumedRoleId><Arn>arn:aws:sts::{account}:assumed-role/{role}/{session}</Arn></AssumedRoleUser><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{ends}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    ))
}
