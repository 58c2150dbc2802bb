//! Answers that clients share for a short time, so that many pages cost no more than one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::problem::Problem;

/// Maximum number of remembered answers.
const ENTRIES: usize = 64;

/// The latest answers to requests, as JSON.
#[derive(Debug)]
pub(super) struct Answers {
    /// Time for which all clients get the same answer.
    fresh: Duration,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
}

/// An answer that is read again when it is no longer fresh.
#[derive(Debug, Default)]
struct Entry(tokio::sync::Mutex<Option<(Instant, Bytes)>>);

impl Entry {
    fn is_fresh(&self, fresh: Duration) -> bool {
        let answer = self.0.try_lock();
        answer.is_ok_and(|answer| answer.as_ref().is_some_and(|(at, _)| at.elapsed() < fresh))
    }
}

impl Answers {
    pub(super) fn new(fresh: Duration) -> Self {
        Self {
            fresh,
            entries: Mutex::default(),
        }
    }

    /// Returns the answer to a request. Clients that wait for the same answer share one call of `read`.
    pub(super) async fn get<T: Serialize>(
        &self,
        request: &str,
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Response, Problem> {
        let entry = self.entry(request);
        let mut answer = entry.0.lock().await;
        if let Some((at, text)) = &*answer
            && at.elapsed() < self.fresh
        {
            return Ok(response(text.clone()));
        }
        let text = serde_json::to_vec(&read.await?).map_err(|error| Problem::internal(&error))?;
        let (_, text) = answer.insert((Instant::now(), text.into()));
        Ok(response(text.clone()))
    }

    /// Forgets all answers, after a change that they may not have.
    pub(super) fn forget(&self) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn entry(&self, request: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Answers that are read right now are locked.
        entries.retain(|_, entry| entry.0.try_lock().is_err() || entry.is_fresh(self.fresh));
        if entries.len() >= ENTRIES && !entries.contains_key(request) {
            entries.clear();
        }
        Arc::clone(entries.entry(request.to_owned()).or_default())
    }
}

fn response(json: Bytes) -> Response {
    let media_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, media_type)], json).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clients_share_an_answer_until_a_change() {
        let answers = Answers::new(Duration::from_secs(3600));
        let body = async |request: &str, value: u32| {
            let answer = answers.get(request, async { Ok(value) }).await.unwrap();
            axum::body::to_bytes(answer.into_body(), 10).await.unwrap()
        };
        assert_eq!(body("a", 1).await, "1");
        assert_eq!(body("a", 2).await, "1");
        assert_eq!(body("b", 3).await, "3");
        answers.forget();
        assert_eq!(body("a", 4).await, "4");
        for request in 0..2 * ENTRIES {
            body(&request.to_string(), 5).await;
        }
        assert!(answers.entries.lock().unwrap().len() <= ENTRIES);
    }

    #[tokio::test]
    async fn errors_are_not_shared() {
        let answers = Answers::new(Duration::from_secs(3600));
        let failed = answers.get("a", async { Err::<u32, _>(Problem::bad_request("no")) });
        assert!(failed.await.is_err());
        assert!(answers.get("a", async { Ok(1) }).await.is_ok());
    }
}
