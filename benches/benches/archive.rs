//! Measures the ZIP writer: a thousand pictures of 100 KiB, written to memory.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use videoframes_core::archive::{Destination, ZipObject};
use videoframes_core::storage::{IfExists, MemoryStorage};

const PICTURES: usize = 1000;
const SIZE: usize = 100 << 10;

fn zip(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let picture = Bytes::from(vec![0x5a; SIZE]);
    let mut group = criterion.benchmark_group("archive");
    group
        .throughput(Throughput::Bytes((PICTURES * SIZE) as u64))
        .sample_size(10);
    group.bench_function("zip", |bencher| {
        bencher.iter(|| {
            let storage = Arc::new(MemoryStorage::default());
            let destination = ZipObject::new(storage, "a.zip".parse().unwrap(), IfExists::Replace);
            runtime.block_on(async {
                let mut archive = destination.start().await.unwrap();
                for index in 0..PICTURES {
                    archive
                        .add(&format!("frame_{index:06}.jpg"), picture.clone())
                        .await
                        .unwrap();
                }
                archive.finish().await.unwrap()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, zip);
criterion_main!(benches);
