//! What a login needs of its cluster.

use std::sync::Arc;

use assay_common::policy::AttestorKind;

use crate::attestor::Attribute;
use crate::attestor::join_token::SPIFFE_ID;
use crate::policy::{Issuance, PolicySet};
use crate::session::NamingError;

/// A cluster as it is served.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Who may join.
    pub policies: Arc<PolicySet>,
    /// Which SPIFFE ID a node gets; `None` leaves it to the service's own template.
    pub issuance: Option<Arc<Issuance>>,
    /// The version of its configuration; 0 when all of it is from the service's own.
    pub version: u64,
}

impl From<PolicySet> for Cluster {
    /// Policies alone, from the service's own configuration.
    fn from(policies: PolicySet) -> Self {
        Self {
            policies: Arc::new(policies),
            issuance: None,
            version: 0,
        }
    }
}

impl super::Verifier {
    /// The SPIFFE ID of a node of `cluster` with these attributes, by the cluster's own template, or else the service's.
    ///
    /// # Errors
    ///
    /// [`NamingError`].
    pub fn spiffe_id(
        &self,
        cluster: &str,
        attributes: &[Attribute],
    ) -> Result<String, NamingError> {
        // An operator who made a token for one node has said more than a template for all; that it is one of ours was judged
        // with the token.
        let named = |a: &&Attribute| a.origin == AttestorKind::JOIN_TOKEN && a.name == SPIFFE_ID;
        if let Some(attribute) = attributes.iter().find(named) {
            return Ok(attribute.value.clone());
        }
        let issuance = self.clusters.get(cluster).and_then(|c| c.issuance.as_ref());
        let template = issuance.map_or(&self.path_template, |issuance| {
            &issuance.template(attributes).path
        });
        template.spiffe_id(&self.trust_domain, attributes)
    }
}
