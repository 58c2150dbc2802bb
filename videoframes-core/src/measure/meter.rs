//! Measures of frames, taken one by one as their pictures arrive.

use super::candidates::Candidate;
use super::content::Content;
use super::image::{Gray, Rgb};
use super::still;
use super::transition::Transitions;
use crate::select::{Filters, Selection};

/// Minimum share of black or of white pixels in a black or white frame, as in ffmpeg's `blackdetect`.
const UNIFORM: f32 = 0.98;

/// The measures that a choice needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measures {
    difference: bool,
    brightness: bool,
    sharpness: bool,
    hash: bool,
    transitions: bool,
}

impl Measures {
    /// Returns the measures that a selection and its filters need.
    pub(crate) fn new(selection: &Selection, filters: &Filters) -> Self {
        let best = matches!(selection, Selection::BestOf(_));
        Self {
            difference: matches!(selection, Selection::Scenes(_)),
            brightness: best || filters.skip_black,
            sharpness: best || filters.skip_blurred.is_some(),
            hash: filters.dedupe.is_some(),
            transitions: best,
        }
    }
}

/// The measures of a frame. Measures that are not needed are 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Measured {
    /// Difference from the previous frame, 0 to 255.
    pub(crate) difference: f64,
    pub(crate) hash: u64,
    pub(crate) sharpness: f32,
    /// Share of black pixels, 0 to 1.
    pub(crate) black: f32,
    /// Share of white pixels, 0 to 1.
    pub(crate) white: f32,
    pub(crate) transition: bool,
}

impl Measured {
    /// Returns brightness and sharpness of a frame.
    pub(crate) fn still(luma: &Gray) -> Self {
        let (black, white) = still::black_and_white(luma);
        Self {
            black,
            white,
            sharpness: still::sharpness(luma),
            ..Self::default()
        }
    }

    /// Returns whether the frame is black.
    pub(crate) fn is_black(&self) -> bool {
        self.black >= UNIFORM
    }

    /// Returns whether the frame is black, white, or in a transition.
    pub(crate) fn is_unsuitable(&self) -> bool {
        self.is_black() || self.white >= UNIFORM || self.transition
    }
}

/// Measures frames in order.
#[derive(Debug)]
pub(crate) struct Meter {
    measures: Measures,
    candidates: Vec<Candidate>,
    measured: Vec<Measured>,
    previous: Option<Content>,
    transitions: Transitions,
}

impl Meter {
    pub(crate) fn new(measures: Measures, candidates: Vec<Candidate>) -> Self {
        Self {
            measures,
            candidates,
            measured: Vec::new(),
            previous: None,
            transitions: Transitions::new(),
        }
    }

    /// Returns the frames that have to be added: the candidates and their neighbours, in order.
    pub(crate) fn frames(&self) -> Vec<usize> {
        let mut frames: Vec<usize> = self.candidates.iter().map(Candidate::frame).collect();
        if self.measures.transitions {
            let neighbours = self
                .candidates
                .iter()
                .flat_map(|c| [c.before as usize, c.after as usize]);
            frames.extend(neighbours);
            frames.sort_unstable();
            frames.dedup();
        }
        frames
    }

    /// Adds the picture of the next frame.
    pub(crate) fn add(&mut self, frame: usize, image: &Rgb) {
        let needs = self.measures;
        let luma = match needs.brightness || needs.sharpness || needs.hash {
            true => Some(image.luma()),
            false => None,
        };
        let next = self.candidates.get(self.measured.len());
        if next.is_some_and(|next| next.frame() == frame) {
            let measured = self.measure(image, luma.as_ref());
            self.measured.push(measured);
        }
        if let Some(luma) = luma.filter(|_| needs.transitions) {
            let Self {
                candidates, measured, ..
            } = self;
            self.transitions.add(frame, &luma, candidates, |index| {
                if let Some(measured) = measured.get_mut(index) {
                    measured.transition = true;
                }
            });
        }
    }

    fn measure(&mut self, image: &Rgb, luma: Option<&Gray>) -> Measured {
        let needs = self.measures;
        let mut measured = Measured::default();
        if needs.difference {
            let content = Content::new(image);
            let previous = self.previous.as_ref();
            measured.difference = previous
                .and_then(|previous| content.difference(previous))
                .unwrap_or(0.0);
            self.previous = Some(content);
        }
        if let Some(luma) = luma {
            if needs.brightness {
                (measured.black, measured.white) = still::black_and_white(luma);
            }
            if needs.sharpness {
                measured.sharpness = still::sharpness(luma);
            }
            if needs.hash {
                measured.hash = still::hash(luma);
            }
        }
        measured
    }

    /// Returns the candidates and their measures.
    pub(crate) fn finish(self) -> (Vec<Candidate>, Vec<Measured>) {
        (self.candidates, self.measured)
    }
}
