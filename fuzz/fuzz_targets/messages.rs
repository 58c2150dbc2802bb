//! Hostile messages and bodies of requests: no panic, and a request that was read is read again from its copy.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use videoframes_core::jobs::{JobMessage, JobRecord};

const DAY: Duration = Duration::from_secs(86_400);

fuzz_target!(|text: &str| {
    if let Some(record) = JobRecord::from_json(text)
        && let Some(ascii) = record.to_ascii(usize::MAX)
    {
        assert!(ascii.is_ascii());
        assert_eq!(JobRecord::from_json(&ascii).as_ref(), Some(&record), "{ascii}");
    }
    let asked = match JobMessage::parse(text) {
        Ok(JobMessage::Asked(request)) => *request,
        _ => match JobMessage::parse_request(text) {
            Ok(request) => request,
            Err(_) => return,
        },
    };
    let (once, again) = (asked.clone().into_job(None, DAY), asked.into_job(None, DAY));
    assert_eq!(once.payload_hash, again.payload_hash);
});
