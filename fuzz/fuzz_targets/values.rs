//! Hostile texts for all types that are parsed from a text: no panic, and the same value from its own text.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use videoframes_core::access::{Scopes, TokenName, TokenSecret};
use videoframes_core::archive::NameTemplate;
use videoframes_core::compress::{AudioMode, Codec};
use videoframes_core::extract::{BurnIn, Crop, EmbeddedMetadata, PictureFormat, PixelFormat, Quality};
use videoframes_core::ffmpeg::SandboxMode;
use videoframes_core::fleet::{Revision, Share};
use videoframes_core::fuzzing::content_range;
use videoframes_core::jobs::{JobId, JobIdPrefix, JobStatus, Stage};
use videoframes_core::select::{HashDistance, MinSharpness, Position, SceneThreshold};
use videoframes_core::sheet::Colour;
use videoframes_core::storage::ObjectKey;
use videoframes_core::tenant::{Priority, Tenant};
use videoframes_core::text::{is_unprintable, printable, printable_json};
use videoframes_core::trace::TraceContext;
use videoframes_core::units::{FrameRate, TimeBase, parse_size, parse_time};
use videoframes_core::video::StreamChoice;

#[path = "../../videoframes-core/src/source/http/url.rs"]
mod http_url;

use http_url::HttpUrl;

/// Checks that the text of a value is read as the same value.
fn read<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let again = value.to_string().parse::<T>().ok();
    assert_eq!(again.as_ref(), Some(&value), "{text:?}");
}

/// Checks that parsing does not panic, nor the description of an error.
fn parse<T: FromStr<Err: Display>>(text: &str) {
    let _ = text.parse::<T>().map_err(|error| error.to_string());
}

fuzz_target!(|text: &str| {
    read::<JobId>(text);
    read::<TraceContext>(text);
    read::<Scopes>(text);
    read::<TokenName>(text);
    read::<Priority>(text);
    read::<Revision>(text);
    read::<Share>(text);
    read::<ObjectKey>(text);
    read::<NameTemplate>(text);
    read::<TimeBase>(text);
    read::<FrameRate>(text);
    read::<Position>(text);
    read::<SceneThreshold>(text);
    read::<MinSharpness>(text);
    read::<HashDistance>(text);
    read::<StreamChoice>(text);
    read::<Crop>(text);
    read::<Colour>(text);
    read::<Codec>(text);
    read::<PixelFormat>(text);
    read::<JobStatus>(text);
    parse::<Stage>(text);
    parse::<JobIdPrefix>(text);
    parse::<TokenSecret>(text);
    parse::<PictureFormat>(text);
    parse::<Quality>(text);
    parse::<EmbeddedMetadata>(text);
    parse::<BurnIn>(text);
    parse::<AudioMode>(text);
    parse::<SandboxMode>(text);
    let _ = (parse_size(text), parse_time(text));
    if let Ok(key) = text.parse::<ObjectKey>() {
        let mut folders = key.as_str().split('/');
        assert!(
            !folders.any(|folder| matches!(folder, "" | "." | "..")),
            "{text:?}"
        );
    }
    if let Ok(tenant) = text.parse::<Tenant>() {
        assert!(!tenant.as_str().chars().any(is_unprintable));
    }
    urls(text);
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

/// Reads the URL of a video, and the location of a redirect in the second line.
fn urls(text: &str) {
    let (address, location) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(url) = address.parse::<HttpUrl>() else {
        return;
    };
    let name = url.name();
    let is_file = !name.contains(['/', '\\', '\0']) && !matches!(&*name, "" | "." | "..");
    assert!(is_file, "{address:?}: {name:?}");
    let shown = url.to_string();
    assert!(
        !shown.contains(['@', '?', '#']) || url.url().path().contains('@'),
        "{shown}"
    );
    let Ok(next) = url.join(location) else { return };
    let (url, next) = (url.url(), next.url());
    assert!(!(url.scheme() == "https" && next.scheme() == "http"), "{text:?}");
    let credentials = (next.username(), next.password());
    let expected = match next.origin() == url.origin() {
        true => (url.username(), url.password()),
        false => ("", None),
    };
    assert_eq!(credentials, expected, "{text:?}");
}
