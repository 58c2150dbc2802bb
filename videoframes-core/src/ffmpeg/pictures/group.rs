//! Samples that wait until the needed ones among them are known.

use crate::ffmpeg::process::left_out::LeftOut;
use crate::limits::{GROUP_BYTES, GROUP_SAMPLES};
use crate::video::write::FragmentSample;
use crate::video::{Coding, Track, nal, references};

/// The samples of a group of pictures. Decoding starts at the first one, and no picture of an earlier group is needed.
#[derive(Debug)]
pub(super) struct Group<'a> {
    coding: Coding,
    /// Configuration of the codec. `None` if samples are passed on without a look at their references.
    configuration: Option<&'a [u8]>,
    /// Whether the decoder has received earlier samples of the same run.
    continues: bool,
    samples: Vec<FragmentSample>,
    /// Whether the frame of each sample is picked.
    wanted: Vec<bool>,
    bytes: usize,
    left_out: &'a LeftOut,
}

/// The needed samples are not certain, and not all of them can be fed any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uncertain;

impl<'a> Group<'a> {
    pub(super) fn new(track: &'a Track, left_out: &'a LeftOut) -> Self {
        Self {
            coding: track.coding,
            configuration: references::configuration(track),
            continues: false,
            samples: Vec::new(),
            wanted: Vec::new(),
            bytes: 0,
            left_out,
        }
    }

    /// Returns whether samples wait for the end of their group.
    pub(super) fn waits(&self) -> bool {
        self.configuration.is_some()
    }

    /// Adds the next sample. Returns the samples that need not wait any longer.
    pub(super) fn push(&mut self, sample: FragmentSample, wanted: bool) -> Vec<FragmentSample> {
        self.bytes = self.bytes.saturating_add(sample.bytes.len());
        self.samples.push(sample);
        self.wanted.push(wanted);
        if self.bytes > GROUP_BYTES || self.samples.len() > GROUP_SAMPLES {
            // A parameter set in these samples would change the references of later groups.
            self.configuration = None;
        }
        if self.waits() { Vec::new() } else { self.pass() }
    }

    /// Ends the group, and returns its needed samples. The next group continues the run if `continues` is set.
    pub(super) fn end(&mut self, continues: bool) -> Result<Vec<FragmentSample>, Uncertain> {
        let continued = std::mem::replace(&mut self.continues, continues);
        let Some(configuration) = self.configuration else {
            return Ok(self.pass());
        };
        let samples: Vec<&[u8]> = self.samples.iter().map(|sample| &*sample.bytes).collect();
        let Some(references) = references::references(self.coding, configuration, &samples) else {
            tracing::debug!(samples = samples.len(), "the references of a group are unusual");
            // Samples may refer to samples of the preceding group that were left out.
            self.configuration = None;
            return if continued {
                Err(Uncertain)
            } else {
                Ok(self.pass())
            };
        };
        let needed = references::closure(&references, &self.wanted).ok_or(Uncertain)?;
        let missing = references::missing(self.coding, configuration, &samples, &needed).ok_or(Uncertain)?;
        self.left_out.add(&missing);
        let samples = self.clear().into_iter().zip(needed);
        Ok(samples
            .filter(|(_, needed)| *needed)
            .map(|((sample, _), _)| sample)
            .collect())
    }

    /// Returns all samples except those to which no sample refers according to their own type.
    fn pass(&mut self) -> Vec<FragmentSample> {
        let coding = self.coding;
        self.clear()
            .into_iter()
            .filter(|(sample, wanted)| *wanted || !nal::is_droppable(coding, &sample.bytes))
            .map(|(sample, _)| sample)
            .collect()
    }

    fn clear(&mut self) -> Vec<(FragmentSample, bool)> {
        self.bytes = 0;
        self.samples.drain(..).zip(self.wanted.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::video::Packaging;

    /// A track without a configuration of its codec, so that all references are unusual.
    fn track(coding: Coding) -> Track {
        Track {
            coding,
            sample_description: Bytes::new(),
            size: (16, 16),
            packaging: Packaging::Bare,
        }
    }

    fn sample(bytes: impl Into<Bytes>, time: u64) -> FragmentSample {
        FragmentSample {
            bytes: bytes.into(),
            decode_time: time,
            presentation_time: time,
            sync: false,
        }
    }

    fn times(samples: &[FragmentSample]) -> Vec<u64> {
        samples.iter().map(|sample| sample.decode_time).collect()
    }

    const HEVC: Coding = Coding::Hevc {
        length_size: 1,
        highest_layer: 0,
    };
    /// A picture to which no other refers according to its type.
    const UNUSED: &[u8] = &[3, 0, 1, 0x80];

    fn group<'a>(track: &'a Track, left_out: &'a LeftOut, configuration: &'a [u8]) -> Group<'a> {
        Group {
            configuration: Some(configuration),
            ..Group::new(track, left_out)
        }
    }

    #[test]
    fn passes_samples_on_without_inspected_references() {
        let (track, left_out) = (track(HEVC), LeftOut::default());
        let mut group = Group::new(&track, &left_out);
        assert!(!group.waits());
        let pushed = [(&[1, 2][..], false), (UNUSED, false), (UNUSED, true)];
        for (at, (bytes, wanted)) in pushed.into_iter().enumerate() {
            let passed = group.push(sample(bytes, at as u64), wanted);
            assert_eq!(passed.is_empty(), at == 1, "{at}");
        }
        assert!(group.end(true).unwrap().is_empty());
    }

    #[test]
    fn keeps_all_samples_of_an_unusual_group() {
        let (track, left_out) = (track(HEVC), LeftOut::default());
        let mut group = group(&track, &left_out, &[1]);
        for (at, bytes) in [&[1, 2][..], UNUSED, &[1, 3]].into_iter().enumerate() {
            assert!(group.push(sample(bytes, at as u64), false).is_empty());
        }
        assert_eq!(times(&group.end(false).unwrap()), [0, 2]);
        assert!(!group.waits(), "later groups may depend on this one");
        assert!(left_out.explains(7), "nothing is known");
    }

    #[test]
    fn an_unusual_group_in_a_run_is_uncertain() {
        let (track, left_out) = (track(HEVC), LeftOut::default());
        let mut group = group(&track, &left_out, &[1]);
        group.continues = true;
        group.push(sample(&[1, 2][..], 0), false);
        assert!(matches!(group.end(false), Err(Uncertain)));
    }

    #[test]
    fn large_groups_are_passed_on() {
        let (track, left_out) = (track(HEVC), LeftOut::default());
        let mut large = group(&track, &left_out, &[1]);
        assert!(large.push(sample(vec![1; GROUP_BYTES], 0), false).is_empty());
        assert_eq!(times(&large.push(sample(vec![1; 1], 1), false)), [0, 1]);
        assert_eq!(times(&large.push(sample(vec![1; 1], 2), false)), [2]);
        let mut many = group(&track, &left_out, &[1]);
        let passed = |at| many.push(sample(vec![1; 1], at as u64), false).len();
        let passed: Vec<usize> = (0..GROUP_SAMPLES + 2).map(passed).collect();
        assert_eq!(passed[GROUP_SAMPLES - 1..], [0, GROUP_SAMPLES + 1, 1]);
    }
}
