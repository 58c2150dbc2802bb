//! Samples that wait until the needed ones among them are known.

use crate::ffmpeg::process::left_out::LeftOut;
use crate::limits::GROUP_BYTES;
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
        if self.bytes > GROUP_BYTES {
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
