//! The routes, each with the scope that it requires, and the checks before every handler.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use videoframes_core::access::Scope;

use super::api::{
    Api, changes, dead_letters, events, jobs, results, session, statistics, submission, uploads,
};
use super::identity::Peer;
use super::page;
use super::problem::Problem;
use super::request::forwarded;

/// Maximum size of a JSON body in bytes.
const MAX_JSON: usize = 256 << 10;

/// The headers of every response. No page may frame, script or embed this one.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Returns the router of the port.
pub(super) fn router(api: &Arc<Api>) -> Router {
    let allow = |scope: Scope| from_fn_with_state((Arc::clone(api), scope), allow);
    let read = Router::new()
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}", get(jobs::show))
        .route("/jobs/{id}/events", get(events::follow))
        .route("/jobs/{id}/result", get(results::archive))
        .route("/jobs/{id}/manifest", get(results::manifest))
        .route("/jobs/{id}/frames/{file}", get(results::frame))
        .route("/jobs/{id}/renditions/{number}", get(results::rendition))
        .route("/jobs/{id}/outputs/{kind}", get(results::output))
        .route("/jobs/{id}/outputs/{kind}/{file}", get(results::file))
        .route("/stats", get(statistics::stats))
        .route("/workers", get(statistics::workers))
        .route_layer(allow(Scope::Read));
    let submit = Router::new()
        .route("/jobs", post(submission::submit))
        .route(
            "/uploads",
            post(uploads::upload).layer(DefaultBodyLimit::disable()),
        )
        .route("/uploads/presigned", post(uploads::presign))
        .route_layer(allow(Scope::Submit));
    let operate = Router::new()
        .route("/jobs/cancel", post(changes::cancel_all))
        .route("/jobs/retry", post(changes::retry_all))
        .route("/jobs/{id}/cancel", post(changes::cancel))
        .route("/jobs/{id}/retry", post(changes::retry))
        .route("/jobs/{id}/keep", post(changes::keep))
        .route("/jobs/{id}/release", post(changes::release))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/redrive", post(dead_letters::redrive))
        .route_layer(allow(Scope::Operate));
    // Needs no scope: the session says which scopes the sender has.
    let session = Router::new()
        .route(
            "/session",
            get(session::show).post(session::begin).delete(session::end),
        )
        .route("/openapi.json", get(page::openapi));
    let api_routes = read
        .merge(submit)
        .merge(operate)
        .merge(session)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(no_resource)
        .layer(from_fn(never_cached));
    Router::new()
        .nest("/api/v1", api_routes)
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(no_resource)
        .layer(DefaultBodyLimit::max(MAX_JSON))
        .layer(from_fn_with_state(Arc::clone(api), check))
        .layer(from_fn(add_headers))
        .with_state(Arc::clone(api))
}

async fn method_not_allowed(method: Method) -> Problem {
    let detail = format!("the resource does not support {method}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

async fn no_resource() -> Problem {
    Problem::not_found("the resource does not exist")
}

/// Adds headers that a handler did not set itself.
async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn never_cached(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(no_store);
    response
}

/// Checks the site and the rate of every request.
async fn check(
    State(api): State<Arc<Api>>,
    peer: Peer,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    api.guard
        .check(request.method(), request.uri(), request.headers())?;
    let forwarded = match api.behind_proxy {
        true => forwarded(request.headers()).map(Peer),
        false => None,
    };
    let client = forwarded.unwrap_or(peer);
    api.rate.check(client)?;
    request.extensions_mut().insert(client);
    Ok(next.run(request).await)
}

/// Authenticates the sender, and requires the scope.
async fn allow(
    State((api, scope)): State<(Arc<Api>, Scope)>,
    peer: Peer,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let identity = api.authenticator.identify(request.headers(), peer).await?;
    identity.require(scope)?;
    request.extensions_mut().insert(identity);
    Ok(next.run(request).await)
}
