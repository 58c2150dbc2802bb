//! Hostile archives, as a worker reads before it adopts a result: no panic, and no entry above its limit.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use videoframes_core::archive::ArchiveReader;
use videoframes_core::source::MemorySource;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| {
    let source = Arc::new(MemorySource::new("archive.zip", data.to_vec()));
    RUNTIME.block_on(async {
        let Ok(archive) = ArchiveReader::open(source).await else {
            return;
        };
        let names = match archive.manifest().await {
            Ok(manifest) => serde_json::to_value(&manifest).ok(),
            Err(_) => None,
        };
        let frames = names.as_ref().and_then(|manifest| manifest["frames"].as_array());
        for frame in frames.into_iter().flatten() {
            let Some(name) = frame["name"].as_str() else {
                continue;
            };
            if let Ok(Some(entry)) = archive.entry(name, 1000).await {
                assert!(entry.len() <= 1000);
            }
        }
    });
});
