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
