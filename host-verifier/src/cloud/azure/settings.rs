//! How the operator of the service set up Azure: `clouds.azure` of `assayd.yaml`.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Environment, Guid};
use crate::cloud::{Answer, TokenIssuers};
use crate::x509::files::CertificateSource;

/// `clouds.azure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Hosts in place of Azure's own.
    pub endpoints: Endpoints,
    /// The authorities (PEM) that the hosts' certificates must come from, in place of the system's.
    pub ca_certs: Option<Arc<str>>,
    /// Roots of attested documents' signers, besides those of Azure's that the system has: absolute paths, or PEM.
    pub roots: Vec<CertificateSource>,
    /// Certificates that may stand between a signer and a root.
    pub intermediates: Vec<CertificateSource>,
    /// Whether certificates between a signer and a root are fetched where the signer says that they are.
    pub fetch_intermediates: bool,
    /// Issuers of tokens that policies may name, besides Entra's own.
    pub token_issuers: TokenIssuers,
    /// With what each tenant's resource manager is asked.
    pub tenants: BTreeMap<Guid, Arc<Credentials>>,
    /// How long what the resource manager says is kept.
    pub kept: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoints: Endpoints::default(),
            ca_certs: None,
            roots: Vec::new(),
            intermediates: Vec::new(),
            fetch_intermediates: true,
            token_issuers: TokenIssuers::default(),
            tenants: BTreeMap::new(),
            kept: Answer::POSITIVE,
        }
    }
}

/// Hosts in place of Azure's own, each as `https://HOST[:PORT]`: of another Azure, or of a stand-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Who gives tokens.
    pub login: Option<String>,
    /// The resource manager.
    pub resource_manager: Option<String>,
    /// Who publishes Microsoft's intermediate certificates.
    pub certificates: Option<String>,
}

/// An application of the tenant that may read its virtual machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The Azure that the tenant is of. Nothing of the credentials is shown to the hosts of another, whatever a policy says.
    pub environment: Environment,
    /// The application (client) ID; always there but with [`Proof::ManagedIdentity`].
    pub client_id: Option<Guid>,
    /// How it shows that it is that.
    pub proof: Proof,
}

/// How an application shows who it is. The file is read whenever a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A file with its secret.
    Secret(PathBuf),
    /// A file with a token of another issuer whom the application trusts, e.g. a service account token of Kubernetes.
    Assertion(PathBuf),
    /// The metadata service of the machine in Azure that the service runs on.
    ManagedIdentity,
}

/// How one tenant is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The tenant.
    pub tenant: Guid,
    /// The Azure that it is of.
    pub environment: Environment,
    /// Who gives tokens, without a slash at the end.
    pub login: String,
    /// The resource manager, without a slash at the end.
    pub resource_manager: String,
    /// For whom tokens are: the resource manager's own name, wherever it is reached.
    pub audience: String,
    /// See [`Settings::ca_certs`].
    pub ca_certs: Option<Arc<str>>,
    /// `None`: the operator has given none.
    pub credentials: Option<Arc<Credentials>>,
    /// See [`Settings::kept`].
    pub kept: Duration,
}

/// A tenant that the operator's settings have in another Azure than the policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{asked}: `clouds.azure` of the service has tenant {tenant} in {own}")]
pub struct OtherEnvironment {
    /// The tenant.
    pub tenant: Guid,
    /// The policy's.
    pub asked: Environment,
    /// The operator's.
    pub own: Environment,
}

impl Settings {
    /// How this tenant is asked, in the Azure that a policy has it in.
    ///
    /// # Errors
    ///
    /// [`OtherEnvironment`]: the policy would have the tenant's credentials shown to the hosts of another Azure.
    pub fn access(
        &self,
        tenant: &Guid,
        environment: Environment,
    ) -> Result<Access, OtherEnvironment> {
        let credentials = self.tenants.get(tenant);
        if let Some(own) = credentials.map(|known| known.environment)
            && own != environment
        {
            return Err(OtherEnvironment {
                tenant: tenant.clone(),
                asked: environment,
                own,
            });
        }
        let host = |own: &Option<String>, usual: &str| {
            let host = own.as_deref().unwrap_or(usual);
            host.trim_end_matches('/').to_owned()
        };
        Ok(Access {
            tenant: tenant.clone(),
            environment,
            login: host(&self.endpoints.login, environment.login()),
            resource_manager: host(
                &self.endpoints.resource_manager,
                environment.resource_manager(),
            ),
            audience: environment.resource_manager().to_owned(),
            ca_certs: self.ca_certs.clone(),
            credentials: credentials.cloned(),
            kept: self.kept,
        })
    }
}
