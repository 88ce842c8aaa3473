//! How the operator of the service set up what is asked of AWS.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::place::{Partition, Region, RoleArn};
use crate::cloud::{Answer, TokenIssuers};

/// The role that is assumed in the account of a node unless the settings say otherwise.
pub const DEFAULT_ROLE: &str = "DefaktoServer";
/// What assumed roles' sessions are called, as CloudTrail shows them, unless the settings say otherwise.
pub const DEFAULT_SESSION_NAME: &str = "assayd";
/// Where an instance asks its own metadata service.
pub const DEFAULT_METADATA: &str = "http://169.254.169.254";

/// `clouds.aws` of `assayd.yaml`. Files are named here, never their content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Where STS is asked. `None`: `AWS_REGION` of the environment, else `us-east-1`.
    pub region: Option<Region>,
    /// Whom the service is to AWS.
    pub credentials: CredentialSource,
    /// Assumed with those credentials before anything else is done; the verifier is then who this role is.
    pub assume_role: Option<RoleArn>,
    /// The name of the role that is assumed in the account of a node.
    pub role: String,
    /// The external id that is shown when a role is assumed.
    pub external_id: Option<String>,
    /// What assumed roles' sessions are called.
    pub session_name: String,
    /// Whether `role` is assumed in the verifier's own account too; false: its own credentials are used there.
    pub assume_in_own_account: bool,
    /// Other endpoints than AWS's public ones: the origin, `https://HOST[:PORT]`, by service.
    pub endpoints: BTreeMap<Service, String>,
    /// The authorities (PEM) that the endpoints' certificates must come from; `None`: those of the system.
    pub roots: Option<Arc<str>>,
    /// The certificates of the regions that identity documents are signed with.
    pub certificates: Vec<PathBuf>,
    /// Issuers of tokens that policies may name, besides STS's own.
    pub token_issuers: TokenIssuers,
    /// The accounts of the organisation, in the place of the API: a JSON array of account ids.
    pub account_list_file: Option<PathBuf>,
    /// How long answers are kept.
    pub cache_ttl: Duration,
}

/// Where the service's own credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CredentialSource {
    /// The environment's keys, else its web identity, else the role of the instance.
    #[default]
    Chain,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and perhaps `AWS_SESSION_TOKEN`.
    Environment,
    /// A key that does not change, its secret in a file.
    Static {
        /// The key's id.
        access_key_id: String,
        /// The file with the secret; read whenever it is needed.
        secret_access_key_file: PathBuf,
    },
    /// The role of the EC2 instance that the service runs on, by IMDSv2 and by nothing else.
    Instance {
        /// The metadata service's origin.
        metadata: String,
    },
    /// A token of an identity provider that a role trusts (IRSA and the like).
    WebIdentity {
        /// The role.
        role: RoleArn,
        /// The file with the token; read whenever it is needed.
        token_file: PathBuf,
    },
}

/// A service of AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Security Token Service.
    Sts,
    /// Elastic Compute Cloud.
    Ec2,
    /// Identity and Access Management.
    Iam,
    /// Organizations.
    Organizations,
    /// Elastic Kubernetes Service.
    Eks,
    /// Auto Scaling.
    Autoscaling,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Sts,
        Self::Ec2,
        Self::Iam,
        Self::Organizations,
        Self::Eks,
        Self::Autoscaling,
    ];

    /// Its name in endpoints, signatures and settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Ec2 => "ec2",
            Self::Iam => "iam",
            Self::Organizations => "organizations",
            Self::Eks => "eks",
            Self::Autoscaling => "autoscaling",
        }
    }

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// AWS's own endpoint, and the region that requests to it are signed for.
    pub(super) fn public(self, region: &Region) -> (String, String) {
        let partition = region.partition();
        match self {
            Self::Iam => {
                let (host, signed_for) = partition.iam();
                (format!("https://{host}"), signed_for.to_owned())
            }
            Self::Organizations => {
                let region = partition.organizations();
                (self.regional(region, partition), region.to_owned())
            }
            _ => (
                self.regional(region.name(), partition),
                region.name().to_owned(),
            ),
        }
    }

    fn regional(self, region: &str, partition: Partition) -> String {
        format!("https://{}.{region}.{}", self.name(), partition.suffix())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: None,
            credentials: CredentialSource::Chain,
            assume_role: None,
            role: DEFAULT_ROLE.to_owned(),
            external_id: None,
            session_name: DEFAULT_SESSION_NAME.to_owned(),
            assume_in_own_account: true,
            endpoints: BTreeMap::new(),
            roots: None,
            certificates: Vec::new(),
            token_issuers: TokenIssuers::default(),
            account_list_file: None,
            cache_ttl: Answer::POSITIVE,
        }
    }
}

impl Settings {
    /// Where this service is asked for this region, without a slash at the end; and the region that is signed for.
    pub(super) fn endpoint(&self, service: Service, region: &Region) -> (String, String) {
        let (public, signed_for) = service.public(region);
        let own = self.endpoints.get(&service).map(String::as_str);
        // `{region}` of an override is the region: a private endpoint of each.
        let endpoint = own.map(|text| text.replace("{region}", region.name()));
        (endpoint.unwrap_or(public), signed_for)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Region, Service, Settings};

    #[test]
    fn every_service_is_asked_where_it_is() {
        let endpoint = |service, region| {
            let region = Region::parse(region).unwrap();
            let (url, signed_for) = Settings::default().endpoint(service, &region);
            format!("{url} {signed_for}")
        };
        for (service, region, expected) in [
            (
                Service::Ec2,
                "eu-west-1",
                "https://ec2.eu-west-1.amazonaws.com eu-west-1",
            ),
            (
                Service::Sts,
                "us-gov-west-1",
                "https://sts.us-gov-west-1.amazonaws.com us-gov-west-1",
            ),
            (
                Service::Eks,
                "cn-north-1",
                "https://eks.cn-north-1.amazonaws.com.cn cn-north-1",
            ),
            (
                Service::Iam,
                "ap-east-1",
                "https://iam.amazonaws.com us-east-1",
            ),
            (
                Service::Iam,
                "us-gov-east-1",
                "https://iam.us-gov.amazonaws.com us-gov-west-1",
            ),
            (
                Service::Iam,
                "cn-northwest-1",
                "https://iam.cn-north-1.amazonaws.com.cn cn-north-1",
            ),
            (
                Service::Organizations,
                "eu-west-1",
                "https://organizations.us-east-1.amazonaws.com us-east-1",
            ),
            (
                Service::Organizations,
                "cn-north-1",
                "https://organizations.cn-northwest-1.amazonaws.com.cn cn-northwest-1",
            ),
            (
                Service::Autoscaling,
                "eusc-de-east-1",
                "https://autoscaling.eusc-de-east-1.amazonaws.eu eusc-de-east-1",
            ),
        ] {
            assert_eq!(endpoint(service, region), expected);
        }
    }

    #[test]
    fn an_override_may_name_the_region() {
        let mut settings = Settings::default();
        let text = "https://ec2.{region}.vpce.example.org".to_owned();
        settings.endpoints.insert(Service::Ec2, text);
        let region = Region::parse("eu-west-1").unwrap();
        assert_eq!(
            settings.endpoint(Service::Ec2, &region),
            (
                "https://ec2.eu-west-1.vpce.example.org".to_owned(),
                "eu-west-1".to_owned()
            )
        );
    }
}
