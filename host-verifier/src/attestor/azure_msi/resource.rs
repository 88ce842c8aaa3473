//! What a token says of the resource that it was given to.

use crate::attestor::{AttestError, Fault};
use crate::cloud::azure::ResourceId;
use crate::jwt::json::{Json, Object};
use crate::jwt::shown;

/// The resource that asked for the token. Entra adds it where a user-assigned identity was used.
const ASKED_BY: &str = "xms_az_rid";
/// The managed identity: the resource itself, whose system-assigned identity it is, or a user-assigned identity.
const IDENTITY: &str = "xms_mirid";
/// Of a user-assigned identity, which is no place where anything runs.
const USER_ASSIGNED: &str = "microsoft.managedidentity/userassignedidentities";

/// What the claims say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenTo {
    /// Whether it is a managed identity's token at all.
    pub(super) managed: bool,
    /// The resource; `None`: the token does not say, or only which identity it is.
    pub(super) resource: Option<ResourceId>,
    /// Whether several resources may have the identity.
    pub(super) shared: bool,
}

/// Reads the claims. They were verified.
///
/// # Errors
///
/// [`Fault::Refused`]: one is no name of a resource.
pub(super) fn given_to(claims: &Object<'_>) -> Result<GivenTo, AttestError> {
    let identity = read(claims, IDENTITY)?;
    let asked_by = read(claims, ASKED_BY)?;
    let runs = |id: &ResourceId| id.kind() != USER_ASSIGNED;
    let shared = asked_by.is_some() || identity.as_ref().is_some_and(|id| !runs(id));
    Ok(GivenTo {
        managed: identity.is_some(),
        resource: asked_by.or(identity).filter(runs),
        shared,
    })
}

fn read(claims: &Object<'_>, name: &str) -> Result<Option<ResourceId>, AttestError> {
    let refused = |what: String| {
        let detail = format!("{name} is {what}");
        Err(AttestError::new(Fault::Refused, "token-resource", detail))
    };
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) => match ResourceId::parse(text) {
            Some(id) => Ok(Some(id)),
            None => refused(format!("{}, which names no resource", shown(text))),
        },
        Some(other) => refused(format!("{}, not a string", other.kind())),
    }
}
