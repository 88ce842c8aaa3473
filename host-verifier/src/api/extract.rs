//! What requests say, strictly: unknown parameters and members are errors, and every error is a [`Problem`].

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::object;
use super::problem::Problem;

/// Most entries of a page.
pub const MAX_PAGE: u32 = 1000;
/// Entries of a page unless the request says otherwise.
pub const DEFAULT_PAGE: u32 = 100;

/// Parameters of the query; `T` denies unknown fields.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// Parameters of the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// A JSON body; `T` denies unknown fields.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Query(value) =
            axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(value) =
            axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "the body is not said to be application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(body_problem(status, detail.to_owned()));
        }
        let Raw(body) = Raw::from_request(request, state).await?;
        let value = object::from_slice(&body);
        let value = value.map_err(|error| {
            body_problem(
                StatusCode::BAD_REQUEST,
                format!("the body is none of its kind: {error}"),
            )
        })?;
        Ok(Self(value))
    }
}

/// A body as it came.
#[derive(Debug)]
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self(body)),
            Err(rejection) => Err(body_problem(rejection.status(), rejection.body_text())),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request("bad-query", rejection.body_text())
            .hint("/openapi.json lists the parameters")
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request("bad-path", rejection.body_text())
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

pub(super) fn body_problem(status: StatusCode, detail: String) -> Problem {
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "body-too-long",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "bad-content-type",
        _ => "bad-body",
    };
    Problem::new(status, code, detail).hint("/openapi.json describes the body")
}

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Most entries, 1 to 1000; default 100.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u32>,
    /// `next` of the page before; leave it out for the first.
    cursor: Option<String>,
}

impl PageQuery {
    /// As a query with more parameters than these has it.
    #[must_use]
    pub const fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// How many entries.
    ///
    /// # Errors
    ///
    /// A [`Problem`] when it is out of range: a caller that asked for more than it gets would miss some.
    pub fn limit(&self) -> Result<u32, Problem> {
        match self.limit {
            None => Ok(DEFAULT_PAGE),
            Some(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
            Some(limit) => Err(
                Problem::bad_request("bad-limit", format!("limit is {limit}"))
                    .hint(format!("choose 1 to {MAX_PAGE}, and follow `next`")),
            ),
        }
    }

    /// The key behind which the page begins; `kind` is the list's.
    ///
    /// # Errors
    ///
    /// A [`Problem`] when it was not made by `Page::of` for this list.
    pub fn after(&self, kind: u8) -> Result<Option<Vec<u8>>, Problem> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let key = bytes.as_deref().and_then(<[u8]>::split_first);
        match key {
            Some((found, key)) if *found == kind => Ok(Some(key.to_vec())),
            _ => Err(bad_cursor()),
        }
    }
}

/// A cursor that no list made.
pub(super) fn bad_cursor() -> Problem {
    Problem::bad_request("bad-cursor", "the cursor is none of this list")
        .hint("take `next` of the page before as it is, or leave the cursor out")
}

/// In which order a list comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By name, page by page.
    #[default]
    Id,
    /// The newest first, one page of them.
    Newest,
}

/// Which page of a list, and in which order.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrderedQuery {
    /// Most entries, 1 to 1000; default 100.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u32>,
    /// `next` of the page before; leave it out for the first.
    cursor: Option<String>,
    /// `newest` has no further pages.
    #[serde(default)]
    #[param(inline)]
    order: Order,
}

impl OrderedQuery {
    /// For lists with further parameters.
    #[must_use]
    pub const fn new(limit: Option<u32>, cursor: Option<String>, order: Order) -> Self {
        Self {
            limit,
            cursor,
            order,
        }
    }

    /// The page, and whether it is of the newest.
    ///
    /// # Errors
    ///
    /// A [`Problem`] for a cursor in a list that has none.
    pub fn read(self) -> Result<(PageQuery, Order), Problem> {
        if self.order == Order::Newest && self.cursor.is_some() {
            return Err(bad_cursor());
        }
        Ok((PageQuery::new(self.limit, self.cursor), self.order))
    }
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The entries.
    items: Vec<T>,
    /// The cursor of the next page; not there on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<T> Page<T> {
    /// The page with what comes of its entries.
    pub(super) fn filter_map<U>(self, view: impl Fn(T) -> Option<U>) -> Page<U> {
        Page {
            items: self.items.into_iter().filter_map(view).collect(),
            next: self.next,
        }
    }

    /// A list that is one page.
    pub(super) fn whole<R>(records: Vec<R>) -> Self
    where
        T: From<R>,
    {
        Self {
            items: records.into_iter().map(T::from).collect(),
            next: None,
        }
    }

    /// Leaves entries out; the next page is what it was.
    pub(super) fn retain(&mut self, wanted: impl FnMut(&T) -> bool) {
        self.items.retain(wanted);
    }

    /// A page of `limit` entries, from a list that was asked for one more than that. `key` is that of an entry.
    pub(super) fn of<R>(
        mut records: Vec<R>,
        limit: u32,
        kind: u8,
        key: impl Fn(&R) -> Vec<u8>,
    ) -> Self
    where
        T: From<R>,
    {
        let more = records.len() > limit as usize;
        records.truncate(limit as usize);
        let last = records.last().filter(|_| more);
        let next = last.map(|last| {
            let mut bytes = vec![kind];
            bytes.extend(key(last));
            URL_SAFE_NO_PAD.encode(bytes)
        });
        Self {
            items: records.into_iter().map(T::from).collect(),
            next,
        }
    }
}
