//! How the operator of the service set up what is asked of clouds.

/// `clouds` of `assayd.yaml`: credentials, trust anchors, endpoints. What a policy says cannot change any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clouds {
    /// Amazon Web Services.
    pub aws: super::aws::Settings,
    /// Google Cloud.
    pub gcp: super::gcp::Settings,
    /// Azure.
    pub azure: super::azure::Settings,
}

impl Clouds {
    /// Of no service: for a document that is checked by itself. It has no credentials and no trust of its own, and does not know
    /// which issuers of tokens an operator lists.
    #[must_use]
    pub fn unknown() -> Self {
        let mut clouds = Self::default();
        clouds.aws.token_issuers = super::TokenIssuers::Unknown;
        clouds.azure.token_issuers = super::TokenIssuers::Unknown;
        clouds
    }
}
