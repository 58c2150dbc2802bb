//! Hostile configuration: rules for new objects, and tenants. No panic, and no job for a result.
#![no_main]

use libfuzzer_sys::fuzz_target;
use videoframes_core::jobs::{JobMessage, Rules};
use videoframes_core::tenant::Tenants;

fuzz_target!(|data: (&str, &str)| {
    let (text, event) = data;
    let _ = Tenants::from_json(text);
    let rules = Rules::from_json(text).unwrap_or_else(|_| Rules::from_json(r#"[{}]"#).expect("a rule"));
    let Ok(JobMessage::Events(events)) = JobMessage::parse(event) else {
        return;
    };
    for object in &events.created {
        let request = rules.request(object);
        let is_result = object
            .key
            .starts_with("results/01234567-89ab-7def-8123-456789abcdef/");
        assert!(request.is_none() || !is_result, "{object:?}");
    }
});
