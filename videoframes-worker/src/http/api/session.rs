//! Sessions of browsers: a cookie with the token, which scripts cannot read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use videoframes_core::access::{Scopes, TokenName};
use videoframes_core::clock::UnixMillis;

use super::Api;
use super::extract::JsonBody;
use crate::http::authenticate::cookie;
use crate::http::identity::{Identity, Mode, Peer};
use crate::http::problem::Problem;
use crate::objects::Objects;
use crate::service;

#[derive(Debug, Serialize)]
pub(crate) struct Session {
    mode: Mode,
    /// Name of the token.
    name: Option<TokenName>,
    scopes: Scopes,
    expires_at: Option<UnixMillis>,
    version: &'static str,
    max_upload_bytes: u64,
    presigned_uploads: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSession {
    token: String,
}

pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    peer: Peer,
    headers: HeaderMap,
) -> Result<Json<Session>, Problem> {
    let identity = api.authenticator.identify(&headers, peer).await?;
    Ok(Json(api.session(identity)))
}

pub(crate) async fn begin(
    State(api): State<Arc<Api>>,
    peer: Peer,
    JsonBody(new): JsonBody<NewSession>,
) -> Result<Response, Problem> {
    let identity = api.authenticator.verify(&new.token, peer).await?;
    let secret = new.token.parse().ok();
    let name = identity.name.as_ref().map(TokenName::as_str);
    tracing::info!(user.name = name, client.address = %peer.0, "session began");
    let mut response = Json(api.session(identity)).into_response();
    if let Some(cookie) = secret.and_then(|secret| cookie(Some(&secret), api.is_secure)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(crate) async fn end(State(api): State<Arc<Api>>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = cookie(None, api.is_secure) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

impl Api {
    fn session(&self, identity: Identity) -> Session {
        Session {
            mode: self.authenticator.mode(),
            name: identity.name,
            scopes: identity.scopes,
            expires_at: identity.expires_at,
            version: service::VERSION,
            max_upload_bytes: self.max_upload,
            presigned_uploads: matches!(self.objects, Objects::Bucket(_)),
        }
    }
}
