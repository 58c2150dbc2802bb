//! Hostile indexes: no panic, no read outside the source, and a plan that stays inside the index.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use videoframes_core::plan::DecodePlan;
use videoframes_core::video::{IndexReader, nal};

fuzz_target!(|data: &[u8]| {
    let file = Bytes::copy_from_slice(data);
    let length = file.len() as u64;
    let mut reader = IndexReader::new(length);
    let mut reads = 0;
    while let Some(range) = reader.wanted() {
        assert!(range.start <= range.end && range.end <= length);
        reads += 1;
        assert!(reads <= data.len() + 2, "it reads on and on");
        reader.supply(range.start, file.slice(range.start as usize..range.end as usize));
    }
    let Ok(index) = reader.finish() else { return };
    for sample in &index.samples {
        let end = sample.offset.checked_add(sample.size.into());
        assert!(end.is_some_and(|end| end <= length) && sample.size > 0);
        let bytes = &data[sample.offset as usize..][..sample.size as usize];
        let _ = nal::start(index.track.coding, bytes);
        let _ = nal::is_droppable(index.track.coding, bytes);
        nal::break_link(index.track.coding, &mut bytes.to_vec());
    }
    let frames = index.timeline.pts().len();
    let wanted: Vec<usize> = [0, frames / 3, frames / 2, frames - 1]
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    if let Ok(plan) = DecodePlan::new(&index, &wanted) {
        for run in &plan.runs {
            assert!(run.samples.end <= index.samples.len() && run.frames.end <= wanted.len());
        }
    }
});
