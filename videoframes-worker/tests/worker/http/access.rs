//! Access tokens, sessions, and requests of other sites.

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, document, open, token, with_tokens};
use crate::place::{Place, wait};

/// Operation, path with values for its parameters, and scope of each operation of the document.
fn operations() -> Vec<(Method, String, String)> {
    let id = "0192d5f2-7c1e-7cc2-8f5e-000000000000";
    let mut operations = Vec::new();
    for (path, methods) in document()["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", id)
            .replace("{file}", "a.jpg")
            .replace("{number}", "1")
            .replace("{kind}", "sheet");
        for (method, operation) in methods.as_object().unwrap() {
            let Some(security) = operation["security"].as_array().and_then(|all| all.first()) else {
                continue;
            };
            if let Some(scope) = security["token"][0].as_str() {
                operations.push((
                    method.to_uppercase().parse().unwrap(),
                    path.clone(),
                    scope.to_owned(),
                ));
            }
        }
    }
    operations
}

fn send(client: &Client, method: &Method, path: &str) -> StatusCode {
    client
        .with("content-type", "application/json")
        .send(method.clone(), path, b"{}".to_vec())
        .status
}

#[test]
fn every_operation_requires_its_scope() {
    let place = Place::sqlite();
    let (_worker, client) = with_tokens(&place, &[]);
    let operations = operations();
    let scopes: BTreeSet<&str> = operations.iter().map(|(_, _, scope)| scope.as_str()).collect();
    assert_eq!(scopes, BTreeSet::from(["operate", "read", "submit"]));
    assert!(operations.len() > 20, "{operations:?}");
    let all = ["operate", "read", "submit"];
    for scope in all {
        let others: Vec<&str> = all.into_iter().filter(|other| *other != scope).collect();
        let with = client.with_token(&token(&place, scope, scope));
        let without = client.with_token(&token(&place, &format!("not-{scope}"), &others.join(",")));
        for (method, path, _) in operations.iter().filter(|(_, _, required)| required == scope) {
            assert_eq!(
                send(&client, method, path),
                StatusCode::UNAUTHORIZED,
                "{method} {path}"
            );
            assert_eq!(
                send(&without, method, path),
                StatusCode::FORBIDDEN,
                "{method} {path}"
            );
            let allowed = send(&with, method, path);
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
            assert!(!refused.contains(&allowed), "{method} {path}: {allowed}");
        }
    }
}

#[test]
fn tokens_end_by_revocation_and_expiry() {
    let place = Place::sqlite();
    let (_worker, client) = with_tokens(&place, &[]);
    let secret = token(&place, "ci", "read,submit");
    let expiring = place.stdout(&["token", "create", "--name", "short", "--expires", "1s"]);
    let (bearer, expiring) = (client.with_token(&secret), client.with_token(expiring.trim()));
    let session = bearer.get("/session").json();
    assert_eq!(
        (&session["name"], &session["scopes"]),
        (&json!("ci"), &json!(["read", "submit"]))
    );
    let answers = std::thread::scope(|scope| {
        let requests: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| bearer.get("/session").status))
            .collect();
        requests
            .into_iter()
            .map(|request| request.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(
        answers.iter().all(|status| *status == StatusCode::OK),
        "{answers:?}"
    );
    wait("the token expires", || {
        expiring.get("/session").status == StatusCode::UNAUTHORIZED
    });

    let listed: Value = serde_json::from_str(&place.stdout(&["token", "list", "--json"])).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[1]["name"]),
        (&json!("ci"), &json!("short"))
    );
    assert!(!listed.to_string().contains(&secret[8..]), "{listed}");
    let table = place.stdout(&["token", "list"]);
    assert!(
        table.contains("read,submit") && !table.contains(&secret[8..]),
        "{table}"
    );
    let taken = place.output(&["token", "create", "--name", "ci"]);
    assert_eq!(taken.status.code(), Some(23), "{taken:?}");
    place.stdout(&["token", "revoke", "ci"]);
    wait("the token is revoked", || {
        bearer.get("/session").status == StatusCode::UNAUTHORIZED
    });
    assert_eq!(place.output(&["token", "revoke", "ci"]).status.code(), Some(3));
    // Without the database, a reader of a backup has only hashes.
    let file = std::fs::read(place.folder.path().join("videoframes.sqlite")).unwrap();
    assert!(
        !file
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    );
}

#[test]
fn a_token_of_a_tenant_submits_jobs_of_this_tenant_only() {
    let place = Place::sqlite();
    place.put("bad.mp4", b"not a video");
    let (_worker, client) = with_tokens(&place, &[]);
    let secret = place.stdout(&[
        "token",
        "create",
        "--name",
        "acme",
        "--scope",
        "read,submit",
        "--tenant",
        "acme",
    ]);
    let listed: Value = serde_json::from_str(&place.stdout(&["token", "list", "--json"])).unwrap();
    assert_eq!(listed[0]["tenant"], "acme", "{listed}");
    let acme = client.with_token(secret.trim());
    let of = |tenant: Value| json!({"source": {"key": "bad.mp4"}, "tenant": tenant, "priority": "low"});
    for tenant in [Value::Null, json!("acme")] {
        let submitted = acme.post("/jobs", &of(tenant));
        assert_eq!(submitted.status, StatusCode::CREATED, "{submitted:?}");
        assert_eq!(submitted.json()["tenant"], "acme");
    }
    let refused = acme.post("/jobs", &of(json!("other")));
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert_eq!(refused.json()["code"], "other_tenant");
    let any = client.with_token(&token(&place, "any", "read,submit"));
    assert_eq!(any.post("/jobs", &of(json!("other"))).json()["tenant"], "other");
    assert_eq!(any.get("/jobs").json()["jobs"].as_array().unwrap().len(), 3);
}

#[test]
fn a_session_is_a_cookie_that_other_sites_cannot_use() {
    let place = Place::sqlite();
    let (_worker, client) = with_tokens(&place, &[]);
    let secret = token(&place, "browser", "read,operate");
    assert_eq!(client.get("/session").status, StatusCode::UNAUTHORIZED);
    let refused = client.post("/session", &json!({"token": "vft_wrong"}));
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let begun = client.post("/session", &json!({"token": secret}));
    let cookie = begun.header("set-cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let session = client.with("cookie", cookie.split(';').next().unwrap());
    assert_eq!(session.get("/session").json()["name"], "browser");
    let retry = json!({"filter": {}});
    assert_eq!(session.post("/jobs/retry", &retry).status, StatusCode::OK);
    for other in [
        session.with("origin", "https://attacker.example"),
        session.with("sec-fetch-site", "cross-site"),
        session.with("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(other.post("/jobs/retry", &retry).status, StatusCode::FORBIDDEN);
    }
    let ended = session.send(Method::DELETE, "/session", Vec::new());
    assert!(ended.header("set-cookie").contains("Max-Age=0"), "{ended:?}");
}

#[test]
fn an_open_port_serves_this_machine_only() {
    let place = Place::sqlite();
    let (worker, client) = open(&place, &[]);
    assert_eq!(client.get("/session").json()["mode"], "open");
    for (name, value, status) in [
        ("host", "attacker.example", StatusCode::MISDIRECTED_REQUEST),
        ("x-forwarded-for", "192.0.2.1", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(client.with(name, value).get("/jobs").status, status, "{name}");
    }
    // A form of another site cannot send JSON.
    let form = client.with("content-type", "text/plain").send(
        Method::POST,
        "/jobs/retry",
        br#"{"filter": {}}"#.to_vec(),
    );
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let page = client.raw(Method::GET, "/", Vec::new());
    assert_eq!(
        (page.status, page.header("x-frame-options")),
        (StatusCode::OK, "DENY")
    );
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    drop(worker);
    for (name, value, message) in [
        ("VF_HTTP_LISTEN", "0.0.0.0:0", "allows every client"),
        ("VF_HTTP_LISTEN", "nonsense", "IP:PORT"),
    ] {
        let output = place.command(&["run"]).env(name, value).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && stderr.contains(message),
            "{stderr}"
        );
    }
}

#[test]
fn tls_protects_requests() {
    let place = Place::sqlite();
    let file = |name: &str| place.folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "1",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let secret = token(&place, "tls", "read");
    let worker = place.worker(
        &[
            ("VF_HTTP_LISTEN", "0.0.0.0:0"),
            ("VF_HTTP_AUTH", "tokens"),
            ("VF_HTTP_TLS_CERT_FILE", &certificate),
            ("VF_HTTP_TLS_KEY_FILE", &key),
        ],
        &[],
    );
    let mut url = None;
    wait("the HTTP port opens", || {
        let log = worker.log();
        url = log
            .split_once("\"url\":\"https://0.0.0.0:")
            .map(|(_, rest)| rest.split('/').next().unwrap().to_owned());
        url.is_some()
    });
    let url = format!("https://localhost:{}/api/v1/session", url.unwrap());
    let curl = |ca: &str| {
        let output = Command::new("curl")
            .args([
                "-s",
                "--cacert",
                ca,
                "-H",
                &format!("Authorization: Bearer {secret}"),
                &url,
            ])
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let session: Value = serde_json::from_str(&curl(&certificate)).unwrap();
    assert_eq!(session["name"], "tls");
    assert_eq!(curl("/dev/null"), "", "an unknown certificate is refused");
}
