//! The jobs page and the OpenAPI document, which are part of the program.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use videoframes_core::digest;

use super::openapi;
use super::problem::Problem;

/// The document of the page.
const INDEX: &str = include_str!("page/index.html");
/// The other files of the page, by name.
const ASSETS: &[(&str, &str)] = &[];

pub(super) async fn index(headers: HeaderMap) -> Response {
    file("index.html", INDEX, &headers)
}

pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|(known, _)| *known == name);
    let (name, content) = found.ok_or_else(|| Problem::not_found("the file does not exist"))?;
    Ok(file(name, content, &headers))
}

pub(super) async fn openapi(headers: HeaderMap) -> Response {
    file("openapi.json", openapi::document(), &headers)
}

/// Returns a file, or 304 if the client has it. The files change with the program only.
fn file(name: &str, content: &'static str, headers: &HeaderMap) -> Response {
    let media_type = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    let etag = format!("\"{}\"", &digest::sha256(content.as_bytes())[..16]);
    let is_known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => content.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
