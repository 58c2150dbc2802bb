//! Hostile queries, headers and bodies of requests to the HTTP port: no panic, and no value outside its limits.
#![no_main]

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use videoframes_core::jobs::JobStatus;

#[allow(dead_code, unused_imports)]
#[path = "../../videoframes-worker/src/http/request/mod.rs"]
mod request;

use request::{
    ChangeMany, InvalidRequest, MAX_CHANGES, Position, PresignRequest, Selected, content_digest, forwarded,
    idempotency_key, is_json, is_known, list_filter, parent, presented_secret, select, upload_key,
};

/// Headers that clients send.
const HEADERS: [&str; 10] = [
    "authorization",
    "content-digest",
    "content-type",
    "cookie",
    "idempotency-key",
    "if-none-match",
    "range",
    "traceparent",
    "tracestate",
    "x-forwarded-for",
];

fuzz_target!(|text: &str| {
    query(text);
    change(text);
    upload(text);
    // Each line is a value, so that a header may have several.
    let mut headers = HeaderMap::new();
    for value in text.lines().take(3) {
        let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else {
            continue;
        };
        for name in HEADERS {
            headers.append(HeaderName::from_static(name), value.clone());
        }
    }
    content(&headers);
    sender(&headers);
});

fn query(text: &str) {
    let Ok(uri) = format!("/api/v1/jobs?{text}").parse::<Uri>() else {
        return;
    };
    match list_filter(&uri) {
        Ok(filter) => {
            assert!(filter.limit.is_some_and(|limit| (1..=200).contains(&limit)));
            if let Some(cursor) = filter.after {
                let again = Position(cursor).to_string().parse::<Position>();
                assert_eq!(again, Ok(Position(cursor)));
            }
        }
        Err(InvalidRequest(detail)) => assert!(!detail.is_empty()),
    }
}

fn change(text: &str) {
    let applicable = [JobStatus::Failed, JobStatus::Cancelled];
    let Ok(request) = serde_json::from_str::<ChangeMany>(text) else {
        return;
    };
    let Ok(filter) = request.filter(&applicable) else {
        return;
    };
    assert!(filter.ids.len() <= MAX_CHANGES);
    let others = filter.statuses.iter().any(|status| !applicable.contains(status));
    assert!(!others, "{filter:?}");
}

fn upload(text: &str) {
    let name = serde_json::from_str::<PresignRequest>(text).map(|request| request.name);
    for name in [name.as_deref().unwrap_or_default(), text] {
        if let Ok(key) = upload_key(name) {
            let parts: Vec<&str> = key.as_str().split('/').collect();
            assert!(
                parts.len() == 3 && parts[0] == "uploads" && parts[2] == name,
                "{key}"
            );
        }
    }
}

fn content(headers: &HeaderMap) {
    for length in [0, 1, 100, u64::MAX] {
        if let Selected::Part(first, last) = select(headers, length, "\"etag\"") {
            assert!(first <= last && last < length, "{first}-{last}/{length}");
        }
    }
    let _ = (is_known(headers, "\"etag\""), is_json(headers));
    if let Ok(Some(digest)) = content_digest(headers) {
        assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

fn sender(headers: &HeaderMap) {
    if let Ok(Some(key)) = idempotency_key(headers) {
        assert!(key.is_ascii() && (1..=256).contains(&key.len()));
    }
    let _ = (
        parent(headers),
        presented_secret(headers, "vf_session"),
        forwarded(headers),
    );
    let mut cookies = headers.clone();
    cookies.remove("authorization");
    let _ = presented_secret(&cookies, "vf_session");
}
