//! The published schema of messages agrees with the parser.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "jobs")]

use serde_json::{Value, json};
use videoframes_core::jobs::{JobMessage, MESSAGE_SCHEMA};

/// Returns whether the parser accepts a message.
fn is_accepted(message: &Value) -> bool {
    match JobMessage::parse(&message.to_string()) {
        Ok(JobMessage::Asked(request)) => request.rejection().is_none(),
        _ => false,
    }
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(MESSAGE_SCHEMA).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn with(field: &str, value: Value) -> Value {
    let mut message = json!({"version": 1, "source": {"key": "v.mp4"}});
    message[field] = value;
    message
}

#[test]
fn schema_and_parser_accept_the_same_messages() {
    let schema = schema();
    let good = [
        with("selection", json!({"fps": 1})),
        with("selection", json!({"fps": "30000/1001"})),
        with("selection", json!({"every": "10s"})),
        with("selection", json!({"at": [1.5, "20%"]})),
        with("selection", json!({"count": 3})),
        with("selection", json!({"all": true})),
        with("selection", json!({"keyframes": true})),
        with("selection", json!({"every_nth": 25})),
        with("selection", json!({"frames": [200, 0]})),
        with("selection", json!({"random": {"count": 32}})),
        with("selection", json!({"random": {"count": 1, "seed": 7}})),
        with("selection", Value::Null),
        with("range", json!({"start": 1, "duration": "5s"})),
        with("selection", json!({"at": [-1, "-2.5s", "-10%"]})),
        with("range", json!({"start": "-10s", "end": -2})),
        with(
            "picture",
            json!({"format": "JPEG", "quality": 1, "max_width": 65535, "rotate": false, "crop": "16:9"}),
        ),
        with("picture", json!({"format": "Raw", "pixels": "RGB48"})),
        with("picture", json!({"format": "npy", "pixels": null})),
        with("picture", json!({"burn_in": "time"})),
        with(
            "picture",
            json!({"deinterlace": "on", "tonemap": "off", "crop": "64x36+0+2", "metadata": "basic"}),
        ),
        with("names", json!("{stem}_{index:06}")),
        with("on_damage", json!("partial")),
        with("limits", json!({"frames": 1, "deadline_s": 60, "pixels": null})),
        with("output", json!({"key": "out.zip"})),
        with("output", Value::Null),
        with("idempotency_key", json!("k")),
        with("tenant", json!("Acme-2.eu_west")),
        with("tenant", Value::Null),
        with("priority", json!("high")),
        with("priority", Value::Null),
        with("client_metadata", json!([1, {"a": null}])),
        with("renditions", json!([])),
        with(
            "renditions",
            json!([{}, {"codec": "HEVC", "quality": 1, "max_height": 16, "of_a_newer_sender": 1}]),
        ),
        with(
            "renditions",
            json!([{"codec": "av1", "container": "webm", "audio": "none", "max_bytes": 1, "keep_metadata": true}]),
        ),
        with(
            "renditions",
            json!([{"codec": "h.264", "quality": null, "max_bytes": null, "optional": true}]),
        ),
        with(
            "source",
            json!({"key": "v.mp4", "etag": "e", "bucket": "of a newer sender"}),
        ),
        with("of_a_newer_sender", json!(1)),
        with("selection", json!({"scene": 27.5})),
        with("selection", json!({"best_of": "10s"})),
        with("selection", json!({"thumbnail": true})),
        with(
            "filters",
            json!({"skip_black": true, "skip_blurred": "80", "dedupe": 4}),
        ),
    ];
    for message in good {
        assert!(is_accepted(&message), "the parser refuses {message}");
        assert!(schema.is_valid(&message), "the schema refuses {message}");
    }
}

#[test]
fn schema_and_parser_refuse_the_same_messages() {
    let schema = schema();
    let bad = [
        json!({"source": {"key": "v.mp4"}}),
        json!({"version": 1}),
        with("version", json!(2)),
        with("source", json!({"key": 7})),
        with("selection", json!({"fps": true})),
        with("selection", json!({"at": []})),
        with("selection", json!({"count": 0})),
        with("selection", json!({"all": false})),
        with("selection", json!({"best": 3})),
        with("range", json!({"end": 1, "duration": 1})),
        with("picture", json!({"format": "bmp"})),
        with("picture", json!({"burn_in": "date"})),
        with("picture", json!({"format": "raw", "burn_in": "time"})),
        with("picture", json!({"format": "avif", "metadata": "gps"})),
        with("picture", json!({"format": "raw", "pixels": "rgba"})),
        with("picture", json!({"quality": 101})),
        with("picture", json!({"max_width": 0})),
        with("picture", json!({"crop": "0x5+1+1"})),
        with("picture", json!({"crop": "left"})),
        with("picture", json!({"metadata": true})),
        with("picture", json!({"deinterlace": "maybe"})),
        with("on_damage", json!("ignore")),
        with("limits", json!({"frames": 0})),
        with("limits", json!({"frames": -1})),
        with("limits", json!({"frames": "many"})),
        with("output", json!({})),
        with("output", json!({"key": "a\u{1b}[2J.zip"})),
        with("output", json!({"key": "a\u{9b}.zip"})),
        with("source", json!({"key": "a\nb.mp4"})),
        with("idempotency_key", json!("")),
        with("tenant", json!("")),
        with("tenant", json!("a b")),
        with("tenant", json!("x".repeat(65))),
        with("priority", json!("HIGH")),
        with("priority", json!(1)),
        with("idempotency_key", json!(7)),
        with("renditions", json!([{"codec": "divx"}])),
        with("renditions", json!([{"container": "mkv"}])),
        with("renditions", json!([{"container": "webm"}])),
        with("renditions", json!([{"container": "webm", "codec": "hevc"}])),
        with("renditions", json!([{"quality": 0}])),
        with("renditions", json!([{"quality": 101}])),
        with("renditions", json!([{"max_height": 15}])),
        with("renditions", json!([{"max_bytes": 0}])),
        with("renditions", json!([{"audio": "mp3"}])),
        with("renditions", json!([{"optional": "yes"}])),
        with("renditions", json!(["h264"])),
        with("renditions", json!([{}, {}, {}, {}, {}, {}, {}, {}, {}])),
        with("filters", json!({"skip_black": false})),
        with("filters", json!({"dedupe": 33})),
    ];
    for message in bad {
        assert!(!is_accepted(&message), "the parser takes {message}");
        assert!(!schema.is_valid(&message), "the schema takes {message}");
    }
}

#[test]
fn schema_and_parser_agree_about_outputs() {
    let schema = schema();
    let good = [
        with("outputs", json!({"storyboard": {}, "sheet": null})),
        with("outputs", json!({"preview": {}})),
        with(
            "outputs",
            json!({"preview": {"selection": {"count": 5}, "format": "GIF", "quality": 1, "max_width": 200, "delay": "500ms",
                "plays": 3}}),
        ),
        with(
            "outputs",
            json!({"archive": false, "renditions": [{"codec": "hevc"}]}),
        ),
        with(
            "outputs",
            json!({"storyboard": {"selection": {"every": "10s"}, "range": {"end": "50%"}, "columns": 5, "rows": 10_000,
                "picture": {"format": "webp", "max_width": 320}}}),
        ),
        with(
            "outputs",
            json!({"sheet": {"columns": 1, "margin": 0, "gap": 1000, "background": "#FFF", "header": false,
                "timestamps": false, "of_a_newer_sender": 1}}),
        ),
    ];
    let bad = [
        with("outputs", json!({"archive": "no"})),
        with("outputs", json!({"storyboard": true})),
        with("outputs", json!({"storyboard": {"rows": 0}})),
        with("outputs", json!({"storyboard": {"selection": {"fps": true}}})),
        with("outputs", json!({"storyboard": {"picture": {"format": "raw"}}})),
        with("outputs", json!({"sheet": {"columns": 10_001}})),
        with("outputs", json!({"preview": {"format": "jpg"}})),
        with("outputs", json!({"sheet": {"picture": {"burn_in": "time"}}})),
        with("outputs", json!({"sheet": {"picture": {"metadata": "basic"}}})),
        with("outputs", json!({"preview": {"quality": 0}})),
        with("outputs", json!({"preview": {"plays": 65_536}})),
        with("outputs", json!({"sheet": {"margin": -1}})),
        with("outputs", json!({"sheet": {"background": "red"}})),
    ];
    let all = good.iter().map(|message| (message, true));
    for (message, is_valid) in all.chain(bad.iter().map(|message| (message, false))) {
        assert_eq!(is_accepted(message), is_valid, "parser: {message}");
        assert_eq!(schema.is_valid(message), is_valid, "schema: {message}");
    }
}
