//! The Azures: the public one, and those that governments keep to themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Guid;

/// One of the Azures. Each has hosts of its own, and none knows the other's tenants.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[schemars(rename = "azureEnvironment")]
pub enum Environment {
    /// Everybody's.
    #[default]
    #[serde(rename = "AzurePublicCloud")]
    Public,
    /// Of the government of the United States.
    #[serde(
        rename = "AzureGovernmentCloud",
        alias = "AzureUSGovernment",
        alias = "AzureUSGovernmentCloud"
    )]
    Government,
    /// In China, run by 21Vianet.
    #[serde(rename = "AzureChinaCloud")]
    China,
}

impl core::fmt::Display for Environment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Public => "AzurePublicCloud",
            Self::Government => "AzureGovernmentCloud",
            Self::China => "AzureChinaCloud",
        })
    }
}

impl Environment {
    /// Where Entra gives tokens and publishes its keys.
    #[must_use]
    pub const fn login(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::Government => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }

    /// The resource manager, whose own name is also the audience of its tokens.
    #[must_use]
    pub const fn resource_manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::Government => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }

    /// Whose name signs documents of the metadata service, with a region before it or without.
    #[must_use]
    pub const fn metadata_domain(self) -> &'static str {
        match self {
            Self::Public => "metadata.azure.com",
            Self::Government => "metadata.azure.us",
            Self::China => "metadata.azure.cn",
        }
    }

    /// The issuer of a tenant's tokens of this version (`ver`). Only [`Version::V1`] ends in a slash.
    #[must_use]
    pub fn issuer(self, tenant: &Guid, version: Version) -> String {
        let old = match self {
            Self::Public | Self::Government => "https://sts.windows.net",
            Self::China => "https://sts.chinacloudapi.cn",
        };
        match version {
            Version::V1 => format!("{old}/{tenant}/"),
            Version::V2 => format!("{}/{tenant}/v2.0", self.login()),
        }
    }

    /// Where the tenant's discovery document for tokens of this version is.
    #[must_use]
    pub fn discovery(self, tenant: &Guid, version: Version) -> String {
        let below = match version {
            Version::V1 => "",
            Version::V2 => "/v2.0",
        };
        let login = self.login();
        format!("{login}/{tenant}{below}/.well-known/openid-configuration")
    }
}

/// The form of Entra's tokens: which of them a resource gets, its application's registration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `"1.0"`: the audience is the application's URI.
    V1,
    /// `"2.0"`: the audience is the application's client ID, a GUID.
    V2,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Environment, Guid, Version};

    #[test]
    fn each_azure_has_its_own_hosts() {
        let tenant = Guid::parse("0c7d2b1a-0000-4abc-8def-0123456789ab").unwrap();
        let public = Environment::default();
        assert_eq!(
            public.issuer(&tenant, Version::V1),
            "https://sts.windows.net/0c7d2b1a-0000-4abc-8def-0123456789ab/"
        );
        assert_eq!(
            public.issuer(&tenant, Version::V2),
            "https://login.microsoftonline.com/0c7d2b1a-0000-4abc-8def-0123456789ab/v2.0"
        );
        for (name, environment, login) in [
            ("AzurePublicCloud", public, "login.microsoftonline.com"),
            (
                "AzureGovernmentCloud",
                Environment::Government,
                "login.microsoftonline.us",
            ),
            (
                "AzureUSGovernment",
                Environment::Government,
                "login.microsoftonline.us",
            ),
            (
                "AzureChinaCloud",
                Environment::China,
                "login.partner.microsoftonline.cn",
            ),
        ] {
            let read: Environment = serde_json::from_value(name.into()).unwrap();
            assert_eq!(read, environment);
            assert_eq!(serde_json::to_value(read).unwrap(), read.to_string());
            let discovery = read.discovery(&tenant, Version::V2);
            assert_eq!(
                discovery,
                format!("https://{login}/{tenant}/v2.0/.well-known/openid-configuration")
            );
            assert!(read.issuer(&tenant, Version::V2).contains(login));
        }
        let german: Result<Environment, _> = serde_json::from_value("AzureGermanCloud".into());
        assert!(german.is_err(), "it was switched off in 2021");
    }
}
