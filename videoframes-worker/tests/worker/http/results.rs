//! From an upload to its pictures, on all backends.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, open};
use crate::place::{EVERYWHERE, Kind, Place, runtime};
use crate::video;

/// Uploads a video; returns its source.
fn upload(client: &Client, name: &str) -> Value {
    let video = std::fs::read(video::short()).unwrap();
    let uploaded = client.send(Method::POST, &format!("/uploads?name={name}"), video.clone());
    assert_eq!(uploaded.status, StatusCode::CREATED, "{uploaded:?}");
    assert_eq!(uploaded.json()["size"], video.len());
    uploaded.json()["source"].clone()
}

#[test]
fn an_upload_becomes_pictures_a_rendition_and_a_storyboard() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let (mut worker, client) = open(&place, &[]);
        let request = json!({
            "source": upload(&client, "talk%20%3Cb%3E.mp4"),
            "selection": {"fps": 2},
            "renditions": [{"codec": "h264", "max_height": 48, "quality": 30}],
            "outputs": {"storyboard": {"width": 32}, "sheet": {"width": 32}},
        });
        let submitted = client.with("idempotency-key", "first").post("/jobs", &request);
        assert_eq!(submitted.status, StatusCode::CREATED, "{submitted:?}");
        let id = submitted.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(submitted.header("location"), format!("/api/v1/jobs/{id}"));
        let again = client.with("idempotency-key", "first").post("/jobs", &request);
        assert_eq!((again.status, &again.json()["id"]), (StatusCode::OK, &json!(id)));

        let events = client.events(&id);
        let last = &events[events.len() - 2..];
        assert_eq!(
            (last[0].0.as_str(), &last[0].1["status"]),
            ("job", &json!("completed"))
        );
        assert_eq!(last[1].0, "end");

        let job = client.get(&format!("/jobs/{id}")).json();
        let stored = place.get(job["result"]["key"].as_str().unwrap()).unwrap();
        check_archive(&client, &job, &stored);
        check_outputs(&client, &job);
        if kind == Kind::Deployed {
            redirects(&place, &client, &id, &stored);
        }
        worker.signal("TERM");
        assert!(worker.wait().success());
        place.check(if kind == Kind::Deployed { 2 } else { 1 });
    }
}

/// Results in a bucket are redirects to presigned URLs, and uploads may go to the bucket directly.
fn redirects(place: &Place, client: &Client, id: &str, stored: &[u8]) {
    let redirect = client.get(&format!("/jobs/{id}/result"));
    assert_eq!(redirect.status, StatusCode::TEMPORARY_REDIRECT, "{redirect:?}");
    let url = redirect.header("location").to_owned();
    let fetched = runtime().block_on(async { reqwest::get(url).await.unwrap().bytes().await.unwrap() });
    assert_eq!(fetched, stored);

    let video = std::fs::read(video::short()).unwrap();
    let presigned = client.post(
        "/uploads/presigned",
        &json!({"name": "direct.mp4", "size": video.len()}),
    );
    assert_eq!(presigned.status, StatusCode::CREATED, "{presigned:?}");
    let presigned = presigned.json();
    let put = |body: Vec<u8>| {
        runtime().block_on(async {
            let method = presigned["method"].as_str().unwrap().parse().unwrap();
            let mut request = reqwest::Client::new().request(method, presigned["url"].as_str().unwrap());
            for (name, value) in presigned["headers"].as_object().unwrap() {
                request = request.header(name, value.as_str().unwrap());
            }
            request.body(body).send().await.unwrap().status()
        })
    };
    assert!(put(video).is_success());
    let key = presigned["source"]["key"].as_str().unwrap();
    assert!(place.find_etag(key).is_some());
    let submitted = client.post("/jobs", &json!({"source": presigned["source"]}));
    let id = submitted.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(client.events(&id).pop().unwrap().0, "end");
}

/// Downloads the archive and a picture.
fn check_archive(client: &Client, job: &Value, stored: &[u8]) {
    let id = job["id"].as_str().unwrap();
    let archive = client.get(&format!("/jobs/{id}/result?stream=true"));
    assert_eq!(archive.body, stored);
    assert!(
        archive
            .header("content-disposition")
            .starts_with("attachment; filename=\"talk")
    );
    let part = client
        .with("range", "bytes=10-19")
        .get(&format!("/jobs/{id}/result?stream=true"));
    assert_eq!(
        (part.status, &part.body[..]),
        (StatusCode::PARTIAL_CONTENT, &stored[10..20])
    );
    let known = client.with("if-none-match", archive.header("etag"));
    assert_eq!(
        known.get(&format!("/jobs/{id}/result?stream=true")).status,
        StatusCode::NOT_MODIFIED
    );
    let beyond = client.with("range", "bytes=999999999-");
    let beyond = beyond.get(&format!("/jobs/{id}/result?stream=true"));
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);

    let manifest = client.get(&format!("/jobs/{id}/manifest")).json();
    let frames = manifest["frames"].as_array().unwrap();
    assert_eq!(job["result"]["frames"], frames.len());
    let file = frames[1]["file"].as_str().unwrap();
    let picture = client.get(&format!("/jobs/{id}/frames/{file}"));
    assert_eq!(
        (picture.header("content-type"), picture.body.len()),
        ("image/jpeg", frames[1]["bytes"].as_u64().unwrap() as usize)
    );
    assert_eq!(
        picture.header("content-security-policy"),
        "default-src 'none'; sandbox"
    );
}

/// Downloads the storyboard, the contact sheet and the rendition.
fn check_outputs(client: &Client, job: &Value) {
    let id = job["id"].as_str().unwrap();
    let storyboard = client.get(&format!("/jobs/{id}/outputs/storyboard?stream=true"));
    assert!(storyboard.body.starts_with(b"WEBVTT"), "{storyboard:?}");
    let tile = client.get(&format!("/jobs/{id}/outputs/storyboard/sheet-000.jpg"));
    assert_eq!(
        (tile.status, &tile.body[..2]),
        (StatusCode::OK, &[0xff, 0xd8][..])
    );
    let sheet = client.get(&format!("/jobs/{id}/outputs/sheet?stream=true"));
    assert_eq!(sheet.header("content-type"), "image/jpeg");
    let rendition = client.get(&format!("/jobs/{id}/renditions/1?stream=true"));
    assert_eq!(
        rendition.body.len(),
        job["result"]["renditions"][0]["size"].as_u64().unwrap() as usize
    );
    for missing in [
        "renditions/2",
        "outputs/preview",
        "frames/none.jpg",
        "outputs/storyboard/..%2F..%2F1.zip",
        "outputs/storyboard/manifest.json",
    ] {
        let missing = client.get(&format!("/jobs/{id}/{missing}"));
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{missing:?}");
    }
}
