//! Rules that decide which job a new object gets.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::events::ObjectEvent;
use super::request::{JobRequest, is_job_folder};
use crate::jobs::SourceRef;
use crate::storage::ObjectKey;

/// Fields that the request of a rule may have: those of the message format that are not specific to one
/// video.
const FIELDS: [&str; 13] = [
    "selection",
    "filters",
    "range",
    "picture",
    "names",
    "on_damage",
    "limits",
    "output",
    "client_metadata",
    "renditions",
    "outputs",
    "tenant",
    "priority",
];
/// Placeholder for the key of the source in an output key.
const KEY: &str = "{key}";
/// Placeholder for the version of the source: its version id in a versioned bucket, else its ETag and the
/// event's sequencer.
const VERSION: &str = "{version}";

/// Rules that decide which job a new object gets.
///
/// The first matching rule applies; an object that matches no rule gets no job.
///
/// In JSON, the rules are a list of `{"bucket", "prefix", "suffix", "request"}`. `bucket`, `prefix` and
/// `suffix` are optional. `request` may have all fields of the message format except `version`, `source`,
/// `idempotency_key` and `sequencer`. In `output.key`, `{key}` stands for the key of the source and
/// `{version}` for its version. Both are required: the result of a new version of an object must not collide
/// with the result of an earlier version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    bucket: Option<String>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    suffix: String,
    #[serde(default)]
    request: Map<String, Value>,
}

impl Rules {
    /// Parses rules.
    ///
    /// # Errors
    /// Returns the index of the invalid rule, counted from 0, and the reason: an unknown field, or a request
    /// that no video can satisfy.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let rules: Result<Vec<Rule>, _> = serde_path_to_error::deserialize(&mut deserializer);
        let rules = rules.map_err(|error| match error.path().to_string().as_str() {
            "." => format!("rules: {}", error.inner()),
            path => format!("rules{path}: {}", error.inner()),
        })?;
        deserializer.end().map_err(|error| format!("rules: {error}"))?;
        for (n, rule) in rules.iter().enumerate() {
            rule.check()
                .map_err(|wrong| format!("rules[{n}].request: {wrong}"))?;
        }
        Ok(Self { rules })
    }

    /// Returns whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns the request for a new object, if any rule matches.
    ///
    /// Never matches objects where workers keep results and submitted videos, since a result could otherwise
    /// request the next one.
    #[must_use]
    pub fn request(&self, event: &ObjectEvent) -> Option<JobRequest> {
        // At any depth: the results may be under a prefix of their bucket.
        let parts: Vec<&str> = event.key.split('/').collect();
        if parts.windows(2).any(|pair| is_job_folder(pair[0], pair[1])) {
            return None;
        }
        let rule = self.rules.iter().find(|rule| rule.matches(event))?;
        Some(rule.request(event))
    }
}

/// Returns a text that identifies the version of an event's object. An ETag alone repeats with the same
/// content.
fn version(event: &ObjectEvent) -> String {
    if let Some(id) = &event.version.id {
        return id.clone();
    }
    let names = [&event.version.etag, &event.sequencer].into_iter().flatten();
    names.map(String::as_str).collect::<Vec<_>>().join("-")
}

impl Rule {
    fn matches(&self, event: &ObjectEvent) -> bool {
        self.bucket.as_ref().is_none_or(|bucket| *bucket == event.bucket)
            && event.key.starts_with(&self.prefix)
            && event.key.ends_with(&self.suffix)
            // Prefix and suffix must not overlap.
            && event.key.len() >= self.prefix.len() + self.suffix.len()
    }

    fn request(&self, event: &ObjectEvent) -> JobRequest {
        let mut source = json!({"bucket": event.bucket, "key": event.key});
        for (name, text) in [("etag", &event.version.etag), ("version", &event.version.id)] {
            if let Some(text) = text {
                source[name] = json!(text);
            }
        }
        let mut fields = self.fields(&event.key, &version(event));
        if let Some(sequencer) = &event.sequencer {
            fields.insert("sequencer".to_owned(), json!(sequencer));
        }
        JobRequest::read(source, fields)
    }

    /// Returns the message fields for this key.
    fn fields(&self, key: &str, version: &str) -> Map<String, Value> {
        let mut fields = self.request.clone();
        if let Some(Value::String(output)) = fields.get_mut("output").and_then(|output| output.get_mut("key"))
        {
            *output = output.replace(VERSION, version).replace(KEY, key);
        }
        fields
    }

    fn check(&self) -> Result<(), String> {
        if let Some(unknown) = self.request.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            let known = FIELDS.join(", ");
            return Err(format!("unknown field '{unknown}', expected one of {known}"));
        }
        let output = self.request.get("output").unwrap_or(&Value::Null);
        if let Some(key) = output["key"].as_str() {
            if !key.contains(KEY) {
                return Err(format!(
                    "output.key: must contain {KEY}, or all results would have the same key"
                ));
            }
            if !key.contains(VERSION) {
                return Err(format!(
                    "output.key: must contain {VERSION}, or a new version of an object would have the result key of an earlier one"
                ));
            }
        }
        let video: ObjectKey = "video".parse().map_err(|error| format!("{error}"))?;
        let request = JobRequest::new(
            &SourceRef::current(video.clone()),
            self.fields(video.as_str(), "v1"),
        );
        request.rejection().map_or(Ok(()), |wrong| Err(wrong.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jobs::NewJob;
    use crate::storage::ObjectVersion;

    fn event(bucket: &str, key: &str) -> ObjectEvent {
        ObjectEvent {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: ObjectVersion {
                id: Some("v1".to_owned()),
                etag: Some("e1".to_owned()),
            },
            size: Some(1),
            sequencer: Some("0A".to_owned()),
        }
    }

    fn job(rules: &Rules, event: &ObjectEvent) -> Option<NewJob> {
        rules
            .request(event)
            .map(|request| request.into_job(None, Duration::MAX))
    }

    #[test]
    fn the_first_matching_rule_applies() {
        let rules = json!([
            {"bucket": "b", "prefix": "uploads/", "suffix": ".mp4", "request": {"selection": {"fps": 2}}},
            {"prefix": "uploads/", "request": {"selection": {"fps": 3}}},
            {"prefix": "a.mp", "suffix": "mp4"},
        ]);
        let rules = Rules::from_json(&rules.to_string()).unwrap();
        let requested = |bucket: &str, key: &str| {
            let job = job(&rules, &event(bucket, key))?;
            Some(
                job.options.json()["selection"]["fps"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            )
        };
        assert_eq!(requested("b", "uploads/a.mp4").as_deref(), Some("2"));
        assert_eq!(requested("c", "uploads/a.mp4").as_deref(), Some("3"));
        assert_eq!(
            requested("b", "uploads/a.MP4").as_deref(),
            Some("3"),
            "names are case-sensitive"
        );
        assert_eq!(
            requested("b", "a.mp4"),
            None,
            "prefix and suffix must not overlap"
        );
        assert_eq!(requested("b", "a.mpmp4").as_deref(), Some("1"));
        assert_eq!(requested("b", "other/a.mp4"), None);
        assert!(job(&Rules::default(), &event("b", "uploads/a.mp4")).is_none());
    }

    #[test]
    fn objects_of_the_workers_request_no_jobs() {
        let rules = Rules::from_json("[{}]").unwrap();
        let hash = "0".repeat(64);
        for own in [
            "results/0192d5f2-7c1e-7cc2-8f5e-000000000000/1.zip".to_owned(),
            format!("sources/{hash}/v.mp4"),
            "uploads/0192d5f2-7c1e-7cc2-8f5e-000000000000/v.mp4".to_owned(),
            format!("below/a/prefix/sources/{hash}/v.mp4"),
        ] {
            assert_eq!(rules.request(&event("b", &own)), None, "{own}");
        }
        assert!(rules.request(&event("b", "results/mine.mp4")).is_some());
    }

    #[test]
    fn a_request_is_about_the_version_in_the_event() {
        let rules =
            json!([{"request": {"output": {"key": "frames/{key}/{version}.zip"}, "client_metadata": [1]}}]);
        let rules = Rules::from_json(&rules.to_string()).unwrap();
        let first = job(&rules, &event("b", "a/ü +.mp4")).unwrap();
        let source = json!({"bucket": "b", "key": "a/ü +.mp4", "version": "v1", "etag": "e1"});
        assert_eq!(first.source.json(), &source);
        assert_eq!(
            first.output_key.as_ref().unwrap().as_str(),
            "frames/a/ü +.mp4/v1.zip"
        );
        assert_eq!(first.sequencer.as_deref(), Some("0A"));
        assert_eq!(first.client_metadata, Some(json!([1])));
        let same = job(&rules, &event("b", "a/ü +.mp4")).unwrap();
        assert_eq!(first.idempotency_key, same.idempotency_key);
        type Change = fn(&mut ObjectEvent);
        let changes: [Change; 4] = [
            |event| event.bucket.push('2'),
            |event| event.version.id = Some("v2".to_owned()),
            |event| event.version.etag = Some("e2".to_owned()),
            |event| event.sequencer = Some("0B".to_owned()),
        ];
        for change in changes {
            let mut other = event("b", "a/ü +.mp4");
            change(&mut other);
            let key = job(&rules, &other).unwrap().idempotency_key;
            assert_ne!(first.idempotency_key, key, "{other:?}");
        }
    }

    #[test]
    fn every_version_of_an_object_has_a_separate_result() {
        let rules = json!([{"request": {"output": {"key": "{key}/{version}.zip"}}}]);
        let rules = Rules::from_json(&rules.to_string()).unwrap();
        let output = |id: Option<&str>, etag: &str, sequencer: &str| {
            let mut event = event("b", "a.mp4");
            event.version.id = id.map(str::to_owned);
            event.version.etag = Some(etag.to_owned());
            event.sequencer = Some(sequencer.to_owned());
            job(&rules, &event).unwrap().output_key.unwrap().to_string()
        };
        assert_eq!(output(Some("v1"), "e1", "01"), "a.mp4/v1.zip");
        assert_eq!(output(Some("v2"), "e1", "02"), "a.mp4/v2.zip");
        assert_eq!(output(None, "e1", "01"), "a.mp4/e1-01.zip");
        // The same content again is a new version too.
        assert_eq!(output(None, "e1", "02"), "a.mp4/e1-02.zip");
    }

    #[test]
    fn an_invalid_key_creates_a_job_that_fails_at_once() {
        let rules = Rules::from_json("[{}]").unwrap();
        for key in ["a//b.mp4", "../a.mp4", "/a.mp4", &"x".repeat(5000)] {
            let job = job(&rules, &event("b", key)).unwrap();
            assert_eq!(job.rejection.unwrap().code, "INVALID_REQUEST", "{key}");
        }
    }

    #[test]
    fn invalid_rules_are_rejected_with_their_index() {
        for (rules, words) in [
            ("{}", ["rules", "sequence"]),
            ("[", ["rules", "EOF"]),
            ("[] []", ["rules", "trailing"]),
            ("[{}, {\"sufix\": \".mp4\"}]", ["rules[1]", "sufix"]),
            ("[{\"prefix\": 7}]", ["rules[0].prefix", "7"]),
            (
                "[{}, {\"request\": {\"selction\": {}}}]",
                ["rules[1].request", "selction"],
            ),
            (
                "[{\"request\": {\"picture\": {\"format\": \"bmp\"}}}]",
                ["rules[0].request: picture.format", "bmp"],
            ),
            (
                "[{\"request\": {\"idempotency_key\": \"k\"}}]",
                ["rules[0].request", "idempotency_key"],
            ),
            (
                "[{\"request\": {\"output\": {\"key\": \"out.zip\"}}}]",
                ["rules[0].request: output.key", "{key}"],
            ),
            (
                "[{\"request\": {\"output\": {\"key\": \"{key}.zip\"}}}]",
                ["rules[0].request: output.key", "{version}"],
            ),
            (
                "[{\"request\": {\"output\": {\"key\": \"/{key}{version}\"}}}]",
                ["rules[0].request: output.key", "valid"],
            ),
        ] {
            let wrong = Rules::from_json(rules).unwrap_err();
            assert!(words.iter().all(|word| wrong.contains(word)), "{rules}: {wrong}");
        }
    }
}
