//! What is at each path: one file per noun. Handlers read the request, ask the store, and shape the answer; who may call
//! them is decided by the group that `all` puts them into.

pub mod audit;
pub mod bundle;
pub mod clusters;
pub mod identities;
pub mod join_tokens;
pub mod nodes;
pub mod policies;
pub mod sessions;
pub mod svids;
pub mod tokens;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Access, gated};
use super::{ApiState, login};
use crate::store::Role;

/// Every route, behind its gate.
pub(super) fn all(state: &ApiState) -> OpenApiRouter<ApiState> {
    let public = OpenApiRouter::new()
        .routes(routes!(bundle::show))
        .routes(routes!(bundle::spiffe))
        .routes(routes!(bundle::keys))
        .routes(routes!(bundle::discovery))
        .routes(routes!(login::login));
    let session = OpenApiRouter::new()
        .routes(routes!(svids::jwt))
        .routes(routes!(svids::x509));
    let viewer = OpenApiRouter::new()
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::show))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::show))
        .routes(routes!(nodes::bans))
        .routes(routes!(identities::show))
        .routes(routes!(nodes::eks))
        .routes(routes!(nodes::ek))
        .routes(routes!(policies::list))
        .routes(routes!(clusters::list))
        .routes(routes!(clusters::show))
        .routes(routes!(clusters::history));
    let operator = OpenApiRouter::new()
        .routes(routes!(sessions::revoke))
        .routes(routes!(nodes::evict))
        .routes(routes!(nodes::forget_boots))
        .routes(routes!(identities::unbind))
        .routes(routes!(nodes::ban, nodes::unban))
        .routes(routes!(join_tokens::list))
        .routes(routes!(join_tokens::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(audit::events))
        .routes(routes!(audit::show))
        .routes(routes!(audit::evidence));
    let admin = OpenApiRouter::new()
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(join_tokens::create))
        .routes(routes!(clusters::set, clusters::remove))
        .routes(routes!(clusters::rollback));
    gated(state, Access::Public, public)
        .merge(gated(state, Access::Session, session))
        .merge(gated(state, Access::Role(Role::Viewer), viewer))
        .merge(gated(state, Access::Role(Role::Operator), operator))
        .merge(gated(state, Access::Role(Role::Admin), admin))
}
