//! Measures the peak memory of this process during uploads of objects of growing size. A flat result means that
//! memory does not grow with the objects.
//!
//! Run `cargo bench -p videoframes-benches --bench upload` on Linux, with `vf-worker` built in release mode,
//! `VF_TEST_S3` and `VF_TEST_SQS` set, and credentials in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
#![allow(clippy::unwrap_used)]

mod servers;

use std::time::Instant;

use bytes::Bytes;
use videoframes_core::storage::{ObjectKey, ObjectVersion, PutOptions, Storage};

use self::servers::Servers;

const MIB: usize = 1 << 20;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("jobs.sqlite").display());
    let Some(servers) = Servers::provision(&database) else {
        println!("skipped: VF_TEST_S3 and VF_TEST_SQS name no servers");
        return;
    };
    let storage = servers.storage().await;
    let picture = Bytes::from_iter((0..MIB).map(|at| ((at * at) >> 7) as u8));
    println!("| object, MiB | seconds | MiB/s | peak memory so far, MiB |");
    println!("|--:|--:|--:|--:|");
    for size in [64, 256, 1024] {
        let key: ObjectKey = format!("results/{size}.zip").parse().unwrap();
        let began = Instant::now();
        let mut sink = storage.create(&key, &PutOptions::default()).await.unwrap();
        for _ in 0..size {
            sink.write(picture.clone()).await.unwrap();
        }
        sink.finish().await.unwrap();
        let took = began.elapsed().as_secs_f64();
        let info = storage.head(&key, &ObjectVersion::CURRENT).await.unwrap();
        assert_eq!(info.size, (size * MIB) as u64);
        storage.delete(&key).await.unwrap();
        println!(
            "| {size} | {took:.1} | {:.0} | {:.0} |",
            size as f64 / took,
            most_memory()
        );
    }
}

/// Returns the peak resident memory in MiB.
fn most_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
