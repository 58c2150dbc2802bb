//! Hostile values of environment variables and options: no panic, no password in an error, and no open port to others.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../videoframes-worker/src/config/address.rs"]
mod address;
#[allow(dead_code)]
#[path = "../../videoframes-worker/src/config/http.rs"]
mod http;
#[allow(dead_code)]
#[path = "../../videoframes-worker/src/config/inputs.rs"]
mod inputs;
#[path = "../../videoframes-console/src/options/values.rs"]
mod options;
#[path = "../../videoframes-console/src/s3_uri.rs"]
mod s3_uri;
#[allow(dead_code)]
#[path = "../../videoframes-worker/src/config/values.rs"]
mod values;
#[allow(dead_code)]
#[path = "../../videoframes-worker/src/config/variables.rs"]
mod variables;

use address::{BucketPlace, QueueAddress, bucket_names};
use http::{HttpAuth, HttpSettings};
use inputs::InputPlaces;
use s3_uri::{S3Uri, has_scheme};
use values::Reader;

fuzz_target!(|text: &str| {
    uri(text);
    address(text);
    let _ = (
        options::wall_time(text),
        options::positive_size(text),
        values::on_off(text),
    );
    let _ = (
        values::time(text),
        values::positive_time(text),
        values::size(text),
    );
    let _ = (values::count::<u32>(text), values::count::<usize>(text));
    environment(text);
});

fn uri(text: &str) {
    if let Ok(uri) = text.parse::<S3Uri>() {
        assert!(has_scheme(text) && S3Uri::has_s3_scheme(text));
        assert_eq!(uri.to_string().parse(), Ok(uri));
    }
}

fn address(text: &str) {
    let _ = address::storage(text);
    if let Ok(inputs) = InputPlaces::parse(text) {
        assert!(inputs.iter().any(|input| input.queue == *inputs.main()), "{inputs:?}");
    }
    if let Ok(queue) = text.parse::<QueueAddress>() {
        let stem = queue.name().strip_suffix(".fifo").unwrap_or(queue.name());
        assert!(!stem.is_empty() && queue.name().len() <= 80, "{queue}");
    }
    if let Ok(place) = BucketPlace::parse(text) {
        assert!(
            place.prefix.is_empty() || place.prefix.ends_with('/'),
            "{place:?}"
        );
    }
    for name in bucket_names(text).unwrap_or_default() {
        assert!(text.contains(&name) && (3..=63).contains(&name.len()));
    }
}

/// Reads variables, one `NAME=VALUE` a line.
fn environment(text: &str) {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let values = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let values: BTreeMap<String, String> = values.collect();
    let mut read = Reader::new(values.clone());
    let _: Option<()> = read.optional("DATABASE_URL", |_| Err("a URL".to_owned()));
    let secret = values.get("DATABASE_URL").filter(|url| !url.is_empty());
    let expected = secret.map(|_| "DATABASE_URL: '[redacted]' is not a URL".to_owned());
    assert_eq!(read.into_errors(), Vec::from_iter(expected));
    for is_local in [false, true] {
        let mut read = Reader::new(values.clone());
        let settings = HttpSettings::read(is_local, &mut read);
        let Some(settings) = settings.filter(|_| read.is_fine()) else {
            continue;
        };
        let is_private = settings.listen.ip().is_loopback();
        assert!(settings.auth == HttpAuth::Tokens || is_private && !settings.behind_proxy);
        assert!(is_private || settings.tls.is_some() || settings.behind_proxy);
    }
}
