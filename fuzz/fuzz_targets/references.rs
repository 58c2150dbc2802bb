//! Hostile samples of HEVC and AV1: no panic, and references only to earlier samples or to none of the group.
#![no_main]

use libfuzzer_sys::fuzz_target;
use videoframes_core::video::Coding;
use videoframes_core::video::references::{closure, missing, references};

fuzz_target!(|data: &[u8]| {
    let Some((&[coding, configuration_bytes, wanted], mut rest)) = data.split_first_chunk() else {
        return;
    };
    let coding = match coding % 4 {
        0 => Coding::Opaque,
        length => Coding::Hevc {
            length_size: [4, 1, 2][usize::from(length) - 1],
            highest_layer: coding / 4 % 8,
        },
    };
    let Some((configuration, samples)) = rest.split_at_checked(configuration_bytes.into()) else {
        return;
    };
    rest = samples;
    let mut samples = Vec::new();
    while let Some((&[size], more)) = rest.split_first_chunk() {
        let (sample, more) = more.split_at(usize::from(size).min(more.len()));
        samples.push(sample);
        rest = more;
    }
    let Some(references) = references(coding, configuration, &samples) else {
        return;
    };
    assert_eq!(references.len(), samples.len());
    for (at, needed) in references.iter().enumerate() {
        assert!(
            needed
                .iter()
                .all(|&other| other < samples.len() || other == usize::MAX),
            "{at}: {needed:?}"
        );
    }
    let wanted: Vec<bool> = (0..samples.len())
        .map(|at| at % 8 == usize::from(wanted) % 8)
        .collect();
    let Some(needed) = closure(&references, &wanted) else {
        return;
    };
    assert!(
        wanted
            .iter()
            .zip(&needed)
            .all(|(wanted, needed)| !wanted || *needed)
    );
    let _ = missing(coding, configuration, &samples, &needed);
});
