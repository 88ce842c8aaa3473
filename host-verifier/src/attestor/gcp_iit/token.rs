//! What an identity token says of an instance and its service account.

use crate::attestor::{AttestError, Fault};
use crate::cloud::gcp::Place;
use crate::jwt;
use crate::jwt::json::{Json, Object};

/// Longest text of a claim, bytes.
const MAX_TEXT: usize = 512;

/// A token's claims, each of its type. That the token is Google's, and for this verifier, is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The service account's number: `sub`, and `azp` too.
    pub account_id: String,
    /// The service account's address, which Google has verified.
    pub email: Option<String>,
    /// The instance, where it is one of Compute Engine's.
    pub instance: Option<InstanceClaims>,
}

/// `google.compute_engine`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceClaims {
    /// `project_id`, `zone` and `instance_name`.
    pub place: Place,
    /// `project_number`.
    pub project_number: u64,
    /// `instance_id`, decimal digits.
    pub id: String,
    /// `instance_creation_timestamp`, seconds since 1970.
    pub created: Option<u64>,
}

impl Identity {
    /// Reads the claims.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`]: no token of a service account, or claims of another shape than Google's.
    pub fn read(token: &jwt::Claims<'_>) -> Result<Self, AttestError> {
        let account_id = token.subject.as_deref().filter(|sub| is_number(sub, 32));
        let account_id = account_id.ok_or_else(|| wrong("sub", "not the number of an account"))?;
        // A person's token is for an application that asked for it, and names that here.
        if token.all.get("azp").and_then(Json::text) != Some(account_id) {
            return Err(wrong("azp", "not that of a service account, its sub"));
        }
        let email = text(&token.all, "email")?;
        let verified = match token.all.get("email_verified") {
            None => false,
            Some(Json::Bool(verified)) => *verified,
            Some(other) => return Err(wrong("email_verified", other.kind())),
        };
        Ok(Self {
            account_id: account_id.to_owned(),
            email: email.filter(|_| verified).map(ToOwned::to_owned),
            instance: InstanceClaims::read(&token.all)?,
        })
    }

    /// Where the instance is.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`]: it is no instance's token.
    pub fn place(&self) -> Result<Place, AttestError> {
        match &self.instance {
            Some(instance) => Ok(instance.place.clone()),
            None => Err(no_instance()),
        }
    }
}

/// A token without `google.compute_engine`.
pub(super) fn no_instance() -> AttestError {
    AttestError::new(
        Fault::Refused,
        "token-compute-engine",
        "the token names no instance (google.compute_engine): it is of another service, of a person, or not of format=full",
    )
}

impl InstanceClaims {
    fn read(claims: &Object<'_>) -> Result<Option<Self>, AttestError> {
        let Some(google) = object(claims, "google")? else {
            return Ok(None);
        };
        let Some(claims) = object(google, "compute_engine")? else {
            return Ok(None);
        };
        let required =
            |name: &'static str| text(claims, name)?.ok_or_else(|| wrong(name, "absent"));
        let (project, zone) = (required("project_id")?, required("zone")?);
        let place = Place::new(project, zone, required("instance_name")?);
        let place = place.map_err(|why| wrong("compute_engine", &why.to_string()))?;
        let id = required("instance_id")?;
        if !is_number(id, 20) {
            return Err(wrong("instance_id", "no number in a text"));
        }
        let number = |name: &'static str| match claims.get(name) {
            None => Ok(None),
            Some(Json::Number(number)) => match number.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(wrong(name, "no whole number")),
            },
            Some(other) => Err(wrong(name, other.kind())),
        };
        let project_number = number("project_number")?;
        Ok(Some(Self {
            place,
            project_number: project_number.ok_or_else(|| wrong("project_number", "absent"))?,
            id: id.to_owned(),
            created: number("instance_creation_timestamp")?,
        }))
    }
}

fn is_number(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn object<'c, 't>(
    claims: &'c Object<'t>,
    name: &'static str,
) -> Result<Option<&'c Object<'t>>, AttestError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Object(object)) => Ok(Some(object)),
        Some(other) => Err(wrong(name, other.kind())),
    }
}

fn text<'a>(claims: &'a Object<'_>, name: &'static str) -> Result<Option<&'a str>, AttestError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) if text.len() <= MAX_TEXT => Ok(Some(text)),
        Some(Json::Text(_)) => Err(wrong(name, "too long")),
        Some(other) => Err(wrong(name, other.kind())),
    }
}

/// A claim that is not what Google makes.
fn wrong(name: &str, found: &str) -> AttestError {
    let detail = format!("JWT verification failed: claim {name} is {found}");
    AttestError::new(Fault::Refused, "token-google", detail)
}
