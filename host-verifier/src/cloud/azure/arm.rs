//! The resource manager: one call, and lists that go on over several pages.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Access;
use super::token::TokenQuestion;
use crate::cloud::{CallError, CallErrorKind, Known};
use crate::outside::{Header, Outside, Reach, Request, Target};

/// Longest answer, bytes: a page of a scale set's instances.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Most pages of one list.
const MOST_PAGES: usize = 1000;

/// A resource manager with a token for it.
pub(super) struct Arm<'a> {
    outside: &'a dyn Outside,
    access: &'a Access,
    token: Known,
}

/// `{"error": {"code": "…"}}`.
#[derive(Deserialize)]
struct Failure {
    error: FailureCode,
}

#[derive(Deserialize)]
struct FailureCode {
    code: String,
}

/// One page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    value: Vec<T>,
    next_link: Option<String>,
}

impl<'a> Arm<'a> {
    /// Gets a token first, unless one is known.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub(super) async fn new(
        outside: &'a dyn Outside,
        access: &'a Access,
    ) -> Result<Self, CallError> {
        let question = TokenQuestion {
            access: access.clone(),
        };
        let token = outside.answer(Arc::new(question)).await?;
        Ok(Self {
            outside,
            access,
            token,
        })
    }

    pub(super) fn error(&self, operation: &'static str, kind: CallErrorKind) -> CallError {
        CallError::new(&self.access.resource_manager, operation, kind)
    }

    /// What is there; `None`: nothing. `path` begins with a slash and has the API's version.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<Option<T>, CallError> {
        let url = format!("{}{path}", self.access.resource_manager);
        let request = Request::get(url, Reach::OPERATORS);
        self.send(operation, request).await
    }

    /// What is answered to a body; `None`: there is nobody to ask.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Option<T>, CallError> {
        let url = format!("{}{path}", self.access.resource_manager);
        let request = Request::post_json(url, Reach::OPERATORS, body);
        self.send(operation, request).await
    }

    /// Every entry of a list, page after page, or as many as `enough` wants: it is asked after each page. `None`: there is
    /// no such list. The next page's address is the server's to say; only itself it may name.
    ///
    /// # Errors
    ///
    /// [`CallError`], also for a list that goes on and on, or round and round.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        most: usize,
    ) -> Result<Option<Vec<T>>, CallError> {
        let content = |why| self.error(operation, CallErrorKind::Content(why));
        let own = Target::parse(&self.access.resource_manager)
            .map_err(|_| content("no resource manager"))?
            .origin();
        let mut url = format!("{}{path}", self.access.resource_manager);
        let mut asked = std::collections::BTreeSet::new();
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            if !asked.insert(url.clone()) {
                return Err(content("its pages go round in a circle"));
            }
            let request = Request::get(url, Reach::OPERATORS);
            let page: Option<Page<T>> = self.send(operation, request).await?;
            let Some(page) = page else {
                return match all.is_empty() {
                    true => Ok(None),
                    false => Err(content("a page of it is not there")),
                };
            };
            all.extend(page.value);
            if all.len() > most {
                return Err(content("the list is too long"));
            }
            let Some(next) = page.next_link.filter(|next| !next.is_empty()) else {
                return Ok(Some(all));
            };
            // The token goes along.
            match Target::parse(&next) {
                Ok(target) if target.origin() == own => url = next,
                _ => return Err(content("its next page is somebody else's")),
            }
        }
        Err(content("it has too many pages"))
    }

    async fn send<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        mut request: Request,
    ) -> Result<Option<T>, CallError> {
        let token = core::str::from_utf8(&self.token);
        let token = token.map_err(|_| self.error(operation, CallErrorKind::Lost))?;
        let bearer = Zeroizing::new(format!("Bearer {token}"));
        let accepts = request.headers.iter().any(|header| header.name == "accept");
        if !accepts {
            request
                .headers
                .push(Header::new("accept", "application/json"));
        }
        let header = Header {
            name: "authorization",
            value: bearer,
        };
        request.headers.push(header);
        request.max_body = MAX_BODY;
        request.roots = self.access.ca_certs.clone();
        request.any_status = true;
        request.content_types = &["application/json"];
        let response = self.outside.fetch(&request).await;
        let response = response.map_err(|error| CallError::outside(operation, error))?;
        let kind = match response.status {
            200 => {
                let read = serde_json::from_slice(&response.body);
                return read.map(Some).map_err(|_| {
                    let why = "it is not of the form that this operation has";
                    self.error(operation, CallErrorKind::Content(why))
                });
            }
            404 => return Ok(None),
            401 | 403 => CallErrorKind::Denied,
            429 => CallErrorKind::Throttled {
                retry_after: response.retry_after,
            },
            503 if response.retry_after.is_some() => CallErrorKind::Throttled {
                retry_after: response.retry_after,
            },
            408 | 500.. => CallErrorKind::Failed,
            _ => CallErrorKind::Refused,
        };
        let failure: Option<Failure> = serde_json::from_slice(&response.body).ok();
        let code = failure.map(|failure| failure.error.code);
        Err(self.error(operation, kind).coded(&code.unwrap_or_default()))
    }
}
