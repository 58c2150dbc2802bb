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
const ASSETS: &[(&str, &str)] = &[
    ("api.js", include_str!("page/api.js")),
    ("app.css", include_str!("page/app.css")),
    ("app.js", include_str!("page/app.js")),
    ("attempts.js", include_str!("page/attempts.js")),
    ("bulk.js", include_str!("page/bulk.js")),
    ("dead-letters.js", include_str!("page/dead-letters.js")),
    ("dom.js", include_str!("page/dom.js")),
    ("facts.js", include_str!("page/facts.js")),
    ("favicon.svg", include_str!("page/favicon.svg")),
    ("filters.js", include_str!("page/filters.js")),
    ("format.js", include_str!("page/format.js")),
    ("frames.js", include_str!("page/frames.js")),
    ("job.js", include_str!("page/job.js")),
    ("jobs.js", include_str!("page/jobs.js")),
    ("listing.js", include_str!("page/listing.js")),
    ("notice.js", include_str!("page/notice.js")),
    ("overview.js", include_str!("page/overview.js")),
    ("poll.js", include_str!("page/poll.js")),
    ("progress.js", include_str!("page/progress.js")),
    ("request.js", include_str!("page/request.js")),
    ("results.js", include_str!("page/results.js")),
    ("router.js", include_str!("page/router.js")),
    ("session.js", include_str!("page/session.js")),
    ("storyboard.js", include_str!("page/storyboard.js")),
    ("submit.js", include_str!("page/submit.js")),
    ("terms.js", include_str!("page/terms.js")),
    ("theme.js", include_str!("page/theme.js")),
];

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
        _ => "application/json",
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "index.html")
            .collect();
        files.sort();
        let served: Vec<&str> = ASSETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, served);
        for (name, content) in ASSETS {
            assert!(
                !content.contains("innerHTML") && !content.contains("eval("),
                "{name}"
            );
        }
        assert!(!INDEX.contains("<script>") && !INDEX.contains("style="));
    }
}
