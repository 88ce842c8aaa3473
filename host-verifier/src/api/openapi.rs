//! The OpenAPI 3.1 document, made from the handlers.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, ContactBuilder, Info, InfoBuilder, OpenApi, OpenApiBuilder};

use super::ApiState;

/// Where it is served.
pub const PATH: &str = "/openapi.json";
/// The scheme of bearer tokens.
pub const BEARER: &str = "bearer";
/// The scheme of client certificates.
pub const MTLS: &str = "mtls";

/// What the document says besides paths.
pub(super) fn document() -> OpenApi {
    let mut components = Components::new();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description = Some("A token of `assay token create`.".to_owned());
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
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

/// Adds the document to what it describes. It does not describe itself.
pub(super) fn serve(router: Router<ApiState>, document: OpenApi) -> Router<ApiState> {
    // The document is ours, of strings and maps: it always serializes.
    let text: axum::body::Bytes = serde_json::to_vec(&document).unwrap_or_default().into();
    router.route(
        PATH,
        get(move || {
            let text = text.clone();
            async move { ([(CONTENT_TYPE, "application/json")], text) }
        }),
    )
}
