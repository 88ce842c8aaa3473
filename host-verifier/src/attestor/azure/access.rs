//! How a policy's tenant is asked, as the operator of the service has it.

use crate::attestor::ConfigError;
use crate::attestor::issuer::config::error;
use crate::cloud::azure::{Access, Environment, Guid};
use crate::document::Files;

/// How the tenant is asked.
///
/// # Errors
///
/// [`ConfigError`]: the operator has the tenant in another Azure. Whoever sets a policy does not choose whom the tenant's
/// credentials are shown to.
pub fn access(
    tenant: &Guid,
    environment: Environment,
    files: Files<'_>,
) -> Result<Access, ConfigError> {
    let clouds = files.clouds();
    let access = clouds.azure.access(tenant, environment);
    access.map_err(|other| ConfigError {
        hint: Some(format!(
            "`azureEnvironment: {}`; or let the operator set `environment: {}` in `clouds.azure.tenants` of assayd.yaml",
            other.own, other.asked
        )),
        ..error("azureEnvironment", &other.to_string())
    })
}
