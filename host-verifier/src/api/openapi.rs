//! The OpenAPI 3.1 document, made from the handlers.

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::get;
use utoipa::PartialSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, ContactBuilder, ContentBuilder, Info, InfoBuilder, OpenApi, OpenApiBuilder, Ref,
    RefOr, ResponseBuilder,
};

use super::ApiState;
use super::auth::Access;
use super::problem::{MEDIA_TYPE, Problem};
use super::tagged::Tagged;

/// Where it is served.
pub const PATH: &str = "/openapi.json";
/// The scheme of bearer tokens.
pub const BEARER: &str = "bearer";
/// The scheme of client certificates.
pub const MTLS: &str = "mtls";

/// The scheme of sessions.
pub const SESSION: &str = "session";

/// What the document says besides paths.
pub(super) fn document() -> OpenApi {
    let mut components = Components::new();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description = Some("A token of `assay token create`.".to_owned());
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    components.add_security_scheme(
        SESSION,
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "Authorization",
            "`Assay ID.SECRET` of a live session: its id in hex and its secret in base64, as a login granted them.",
        ))),
    );
    components.add_security_scheme(
        MTLS,
        SecurityScheme::MutualTls {
            description: Some(
                "A client certificate of an authority of `listeners.api.tls.clientCAs` with a name of `api.clients`."
                    .to_owned(),
            ),
            deprecated: None,
            extensions: None,
        },
    );
    components
        .schemas
        .insert("Problem".to_owned(), Problem::schema());
    OpenApiBuilder::new()
        .info(info())
        .components(Some(components))
        .build()
}

fn info() -> Info {
    InfoBuilder::new()
        .title("Assay verifier")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Logins of agents, and what operators need: sessions, nodes, policies, evidence, the audit trail. Errors are \
             `application/problem+json` (RFC 9457).",
        ))
        .contact(Some(ContactBuilder::new().name(Some("Assay")).build()))
        .build()
}

/// Every operation of a document.
pub(super) fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|item| {
        [
            item.get.as_mut(),
            item.put.as_mut(),
            item.post.as_mut(),
            item.delete.as_mut(),
            item.options.as_mut(),
            item.head.as_mut(),
            item.patch.as_mut(),
            item.trace.as_mut(),
        ]
        .into_iter()
        .flatten()
    })
}

/// Adds the errors that every operation may answer with. Its own come before them.
pub(super) fn add_problems(operation: &mut Operation, access: Access) {
    let has_body = operation.request_body.is_some();
    let common = [
        ("400", "The request cannot be read.", true),
        (
            "401",
            "No credential, or one that does not hold.",
            access != Access::Public,
        ),
        (
            "403",
            "The role is too small.",
            matches!(access, Access::Role(_)),
        ),
        (
            "408",
            "The request took too long, most often its body.",
            true,
        ),
        ("413", "The body is too long.", has_body),
        ("415", "The body is of another media type.", has_body),
        ("500", "Something of ours; the log says what.", true),
        (
            "429",
            "Too many requests or refused credentials from this address; see `Retry-After`.",
            true,
        ),
        (
            "503",
            "Overloaded, or the store does not answer; see `Retry-After`.",
            true,
        ),
    ];
    for (status, description, _) in common.into_iter().filter(|(.., applies)| *applies) {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let responses = &mut operation.responses.responses;
        // Where an operation answers with this status itself, it may be either.
        if let Some(RefOr::T(own)) = responses.get_mut(status) {
            own.content
                .entry(MEDIA_TYPE.to_owned())
                .or_insert(RefOr::T(content));
            continue;
        }
        let response = ResponseBuilder::new()
            .description(description)
            .content(MEDIA_TYPE, content)
            .build();
        responses.insert(status.to_owned(), response.into());
    }
}

/// Adds the document to what it describes. It does not describe itself.
pub(super) fn serve(router: Router<ApiState>, document: OpenApi) -> Router<ApiState> {
    // The document is ours, of strings and maps: it always serializes.
    let text: Bytes = serde_json::to_vec(&document).unwrap_or_default().into();
    let tagged = Tagged::new("application/json", text);
    router.route(
        PATH,
        get(move |headers: HeaderMap| {
            let answer = tagged.answer(&headers);
            async move { answer }
        }),
    )
}
