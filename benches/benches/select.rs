//! Measures the selection: picks from a two-hour timeline with 60 frames per second.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use videoframes_core::select::{Range, Selection, select};
use videoframes_core::units::TimeBase;
use videoframes_core::video::Timeline;

fn picks(criterion: &mut Criterion) {
    let pts = (0..432_000).map(|i| i * 1501).collect();
    let timeline = Timeline::new(TimeBase::new(1, 90_000).unwrap(), pts, None).unwrap();
    let selections = [
        ("fps 1", Selection::Fps("1".parse().unwrap())),
        ("fps 60", Selection::Fps("60".parse().unwrap())),
        ("all", Selection::All),
    ];
    for (name, selection) in selections {
        criterion.bench_function(&format!("select/{name}"), |bencher| {
            bencher.iter(|| select(&timeline, &selection, &Range::default(), u64::MAX).unwrap());
        });
    }
}

criterion_group!(benches, picks);
criterion_main!(benches);
