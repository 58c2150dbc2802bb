//! A client that checks every response against the OpenAPI document.

use std::sync::LazyLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::place::{Place, runtime, wait};
use crate::process::Worker;

/// The document, as the first worker of this process served it.
static DOCUMENT: std::sync::OnceLock<Value> = std::sync::OnceLock::new();

static SCHEMAS: LazyLock<Value> = LazyLock::new(|| DOCUMENT.get().unwrap()["components"].clone());

/// A client of one worker.
#[derive(Clone)]
pub(crate) struct Client {
    /// URL of the port, without a path.
    pub(crate) url: String,
    headers: HeaderMap,
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    /// Waits until the port of a worker opens.
    pub(crate) fn of(worker: &Worker) -> Self {
        let mut url = None;
        wait("the HTTP port opens", || {
            let log = worker.log();
            let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let opened = lines
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .find(|line| line["message"] == "jobs page opened");
            url = opened.map(|line| line["url"].as_str().unwrap().trim_end_matches('/').to_owned());
            url.is_some()
        });
        let client = Self {
            url: url.unwrap(),
            headers: HeaderMap::new(),
        };
        DOCUMENT.get_or_init(|| client.raw(Method::GET, "/api/v1/openapi.json", Vec::new()).json());
        client
    }

    pub(crate) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
        client
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// Sends a request to a path of the API, and checks the response against the document.
    pub(crate) fn send(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Response {
        let response = self.raw(method.clone(), &format!("/api/v1{path}"), body.into());
        check(&method, path, &response);
        response
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, Vec::new())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        let body = body.to_string();
        self.with("content-type", "application/json")
            .send(Method::POST, path, body)
    }

    pub(crate) fn raw(&self, method: Method, path: &str, body: Vec<u8>) -> Response {
        let url = format!("{}{path}", self.url);
        runtime().block_on(async {
            let client = reqwest::Client::builder()
                .redirect(Policy::none())
                .build()
                .unwrap();
            let request = client
                .request(method, url)
                .headers(self.headers.clone())
                .body(body);
            let response = request.send().await.unwrap();
            Response {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.bytes().await.unwrap().to_vec(),
            }
        })
    }

    /// Returns the job of the first event.
    pub(crate) fn first_event(&self, id: &str) -> Value {
        let url = format!("{}/api/v1/jobs/{id}/events", self.url);
        let text = runtime().block_on(async {
            let request = reqwest::Client::new().get(url).headers(self.headers.clone());
            let mut response = request.send().await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"\n\n") {
                text.extend(response.chunk().await.unwrap().unwrap());
            }
            String::from_utf8(text).unwrap()
        });
        let data = text.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
        serde_json::from_str(data).unwrap()
    }

    /// Follows a job until the end of its events; returns the names and data of the events.
    pub(crate) fn events(&self, id: &str) -> Vec<(String, Value)> {
        let url = format!("{}/api/v1/jobs/{id}/events", self.url);
        let text = runtime().block_on(async {
            let request = reqwest::Client::new().get(url).headers(self.headers.clone());
            request.send().await.unwrap().text().await.unwrap()
        });
        let field = |event: &str, name: &str| {
            let mut lines = event.lines();
            lines.find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
        };
        let events = text.split("\n\n").filter(|event| event.contains("event:"));
        events
            .map(|event| {
                let data = field(event, "data:").unwrap_or_default();
                (
                    field(event, "event:").unwrap(),
                    serde_json::from_str(&data).unwrap_or_default(),
                )
            })
            .collect()
    }
}

/// Returns the documented path template for a path.
fn template<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let segments = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let wanted = segments(path.split('?').next().unwrap());
    let fits = |template: &str| {
        let parts = segments(template);
        parts.len() == wanted.len()
            && parts
                .iter()
                .zip(&wanted)
                .all(|(part, wanted)| part.starts_with('{') || part == wanted)
    };
    let paths = document["paths"].as_object().unwrap();
    // A template without parameters has precedence.
    let found = paths
        .keys()
        .filter(|template| fits(template))
        .min_by_key(|template| template.matches('{').count());
    found.map(|template| &paths[template])
}

/// Asserts that a response is documented.
fn check(method: &Method, path: &str, response: &Response) {
    let document = DOCUMENT.get().unwrap();
    let Some(operations) = template(document, path) else {
        return assert_eq!(response.status, StatusCode::NOT_FOUND, "{path}");
    };
    let operation = &operations[method.as_str().to_lowercase()];
    let mut documented = &operation["responses"][response.status.as_str()];
    if let Some(reference) = documented["$ref"].as_str() {
        documented = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
    }
    assert!(
        documented.is_object(),
        "{method} {path}: {response:?} is not documented"
    );
    let media_type = response.header("content-type");
    let schema = &documented["content"][media_type]["schema"];
    if schema.is_object() {
        let whole = json!({"allOf": [schema], "components": *SCHEMAS});
        let validator = jsonschema::validator_for(&whole).unwrap();
        let body = response.json();
        let errors: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{method} {path}: {errors:?} in {body}");
    } else if let Some(content) = documented["content"].as_object() {
        assert!(
            content.contains_key("*/*"),
            "{method} {path}: {media_type} is not documented"
        );
    }
}

/// Returns the document.
pub(crate) fn document() -> &'static Value {
    DOCUMENT.get().unwrap()
}

/// Starts a worker with an open port.
pub(crate) fn open(place: &Place, env: &[(&str, &str)]) -> (Worker, Client) {
    serve(place, "open", env)
}

/// Starts a worker with a port that requires tokens.
pub(crate) fn with_tokens(place: &Place, env: &[(&str, &str)]) -> (Worker, Client) {
    serve(place, "tokens", env)
}

fn serve(place: &Place, auth: &str, env: &[(&str, &str)]) -> (Worker, Client) {
    let own = [
        ("VF_HTTP_LISTEN", "127.0.0.1:0"),
        ("VF_HTTP_AUTH", auth),
        ("VF_HTTP_RATE", "10000"),
    ];
    let worker = place.worker(&[&own[..], env].concat(), &[]);
    let client = Client::of(&worker);
    (worker, client)
}

/// Creates a token.
pub(crate) fn token(place: &Place, name: &str, scopes: &str) -> String {
    let created = place.stdout(&["token", "create", "--name", name, "--scope", scopes]);
    created.trim().to_owned()
}
