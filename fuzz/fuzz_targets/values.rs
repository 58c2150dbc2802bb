//! Hostile texts for all types that are parsed from a text: no panic, and the same value from its own text.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use videoframes_core::access::{Scopes, TokenName, TokenSecret};
use videoframes_core::fuzzing::content_range;
use videoframes_core::jobs::{JobId, JobIdPrefix};
use videoframes_core::select::Position;
use videoframes_core::source::http::HttpUrl;
use videoframes_core::tenant::{Priority, Tenant};
use videoframes_core::text::{is_unprintable, printable, printable_json};
use videoframes_core::trace::TraceContext;
use videoframes_core::units::{FrameRate, TimeBase};

/// Checks that the text of a value is read as the same value.
fn read<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let again = value.to_string().parse::<T>().ok();
    assert_eq!(again.as_ref(), Some(&value), "{text:?}");
}

fuzz_target!(|text: &str| {
    read::<JobId>(text);
    read::<TraceContext>(text);
    let _ = (
        text.parse::<JobIdPrefix>(),
        text.parse::<Position>(),
        text.parse::<FrameRate>(),
    );
    let _ = (
        text.parse::<TimeBase>(),
        text.parse::<Scopes>(),
        text.parse::<TokenName>(),
    );
    let _ = (text.parse::<TokenSecret>(), text.parse::<Priority>());
    if let Ok(tenant) = text.parse::<Tenant>() {
        assert!(!tenant.as_str().chars().any(is_unprintable));
    }
    if let Ok(url) = text.parse::<HttpUrl>() {
        let name = url.name();
        assert!(
            !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "..",
            "{text:?}"
        );
    }
    if let Some((start, end, length)) = content_range(text) {
        assert!(start < end && end <= length);
    }
    assert!(!printable(text).chars().any(is_unprintable));
    // JSON itself escapes the controls of ASCII, except this one.
    let json = printable_json(text);
    assert!(
        !json
            .chars()
            .any(|c| is_unprintable(c) && (!c.is_ascii() || c == '\u{7f}'))
    );
});
