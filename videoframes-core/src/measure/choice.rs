//! The choice among measured frames.

use super::candidates::Candidate;
use super::dedupe::Kept;
use super::meter::Measured;
use super::scenes::cuts;
use crate::select::{Filters, HashDistance, Pick, Selection};

/// Why a frame was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The selection names its time or number, and no filter left it out.
    Selected,
    /// The first frame begins the first scene.
    FirstFrame,
    /// A scene begins.
    SceneChange,
    /// The sharpest suitable frame of its interval.
    Sharpest,
    /// The first suitable candidate for a thumbnail, or the best one.
    Thumbnail,
}

impl Reason {
    /// Returns the name in manifests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::FirstFrame => "first_frame",
            Self::SceneChange => "scene_change",
            Self::Sharpest => "sharpest",
            Self::Thumbnail => "thumbnail",
        }
    }
}

/// A pick with its reason.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) pick: Pick,
    pub(crate) reason: Reason,
    /// Difference from the previous frame, or sharpness, by the reason.
    pub(crate) score: Option<f64>,
    pub(crate) measured: Measured,
    /// Distance to the hash of the nearest earlier picture.
    pub(crate) distance: Option<u32>,
}

/// The picks, and what was left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Chosen {
    pub(crate) choices: Vec<Choice>,
    /// Notes for a person.
    pub(crate) notes: Vec<String>,
}

/// Chooses among the measured `candidates`. `picks` are those of the selection. Returns `None` if `is_cancelled` becomes true.
pub(crate) fn choose(
    (selection, filters): (&Selection, &Filters),
    picks: &[Pick],
    (candidates, measured): (&[Candidate], &[Measured]),
    is_cancelled: &dyn Fn() -> bool,
) -> Option<Chosen> {
    let mut notes = Vec::new();
    let chosen = match selection {
        Selection::Scenes(threshold) => scenes(picks, measured, threshold.get()),
        Selection::BestOf(_) => sharpest(picks, (candidates, measured), &mut notes),
        _ => selected(picks, candidates, measured),
    };
    let choices = filtered(chosen, filters, &mut notes, is_cancelled)?;
    Some(Chosen { choices, notes })
}

/// Returns the first frame of each scene.
fn scenes(picks: &[Pick], measured: &[Measured], threshold: f64) -> Vec<Choice> {
    let cuts = cuts(measured.iter().map(|measured| measured.difference), threshold);
    let frames = (!measured.is_empty()).then_some(0).into_iter().chain(cuts);
    let choice = |frame: usize| {
        Some(Choice {
            pick: *picks.get(frame)?,
            reason: if frame == 0 {
                Reason::FirstFrame
            } else {
                Reason::SceneChange
            },
            score: (frame > 0).then_some(measured[frame].difference),
            measured: measured[frame],
            distance: None,
        })
    };
    frames.filter_map(choice).collect()
}

/// Returns the sharpest suitable frame of each interval, the first of equally sharp frames.
fn sharpest(
    picks: &[Pick],
    (candidates, measured): (&[Candidate], &[Measured]),
    notes: &mut Vec<String>,
) -> Vec<Choice> {
    let mut chosen: Vec<Choice> = Vec::new();
    let (mut intervals, mut empty) = (0, 0);
    let pairs: Vec<(&Candidate, &Measured)> = candidates.iter().zip(measured).collect();
    for interval in pairs.chunk_by(|(a, _), (b, _)| a.same_interval(b)) {
        let suitable = interval
            .iter()
            .rev()
            .filter(|(_, measured)| !measured.is_unsuitable());
        let best = suitable.max_by(|(_, a), (_, b)| a.sharpness.total_cmp(&b.sharpness));
        let pick = best.and_then(|(candidate, measured)| {
            let index = picks.binary_search_by_key(&candidate.frame(), |pick| pick.frame);
            Some((*picks.get(index.ok()?)?, **measured))
        });
        intervals += 1;
        match pick {
            None => empty += 1,
            Some((pick, measured)) => chosen.push(Choice {
                pick,
                reason: Reason::Sharpest,
                score: Some(measured.sharpness.into()),
                measured,
                distance: None,
            }),
        }
    }
    if empty > 0 {
        notes.push(format!(
            "{empty} of {intervals} intervals have no picture: all their frames are black, white or in a transition"
        ));
    }
    chosen
}

/// Returns the picks whose frames were measured.
fn selected(picks: &[Pick], candidates: &[Candidate], measured: &[Measured]) -> Vec<Choice> {
    let choice = |pick: &Pick| {
        let index = candidates.binary_search_by_key(&pick.frame, Candidate::frame);
        Some(Choice {
            pick: *pick,
            reason: Reason::Selected,
            score: None,
            measured: *measured.get(index.ok()?)?,
            distance: None,
        })
    };
    picks.iter().filter_map(choice).collect()
}

/// Applies the filters.
fn filtered(
    chosen: Vec<Choice>,
    filters: &Filters,
    notes: &mut Vec<String>,
    is_cancelled: &dyn Fn() -> bool,
) -> Option<Vec<Choice>> {
    let all = chosen.len();
    let mut kept = Vec::with_capacity(all);
    let (mut black, mut blurred, mut duplicate) = (0, 0, 0);
    let mut hashes = filters.dedupe.map(HashDistance::get).map(Kept::new);
    for mut choice in chosen {
        let measured = &choice.measured;
        if filters.skip_black && measured.is_black() {
            black += 1;
            continue;
        }
        let is_blurred = |min: f64| f64::from(measured.sharpness) < min;
        if filters.skip_blurred.is_some_and(|min| is_blurred(min.get())) {
            blurred += 1;
            continue;
        }
        if let Some(hashes) = &mut hashes {
            if is_cancelled() {
                return None;
            }
            match hashes.keep(measured.hash) {
                Ok(distance) => choice.distance = distance,
                Err(()) => {
                    duplicate += 1;
                    continue;
                }
            }
        }
        kept.push(choice);
    }
    let left_out = [(black, "black"), (blurred, "blurred"), (duplicate, "duplicate")];
    let left_out: Vec<String> = left_out
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !left_out.is_empty() {
        notes.push(format!(
            "{} of {all} pictures are left out: {}",
            all - kept.len(),
            left_out.join(", ")
        ));
    }
    Some(kept)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use num_rational::Ratio;

    use super::*;
    use crate::units::FrameRate;

    fn picks(count: usize) -> Vec<Pick> {
        let pick = |frame| Pick {
            target: Ratio::new(frame as i128, 25),
            frame,
        };
        (0..count).map(pick).collect()
    }

    /// Returns candidates in intervals of three.
    fn candidates(count: usize) -> Vec<Candidate> {
        let candidate = |frame: u32| Candidate {
            frame,
            before: frame,
            after: frame,
            interval: frame / 3,
        };
        (0..count as u32).map(candidate).collect()
    }

    fn chosen(selection: &Selection, filters: Filters, measured: &[Measured]) -> (Vec<usize>, Vec<String>) {
        let (picks, candidates) = (picks(measured.len()), candidates(measured.len()));
        let chosen = choose((selection, &filters), &picks, (&candidates, measured), &|| false).unwrap();
        let frames = chosen.choices.iter().map(|choice| choice.pick.frame).collect();
        (frames, chosen.notes)
    }

    fn sharp(sharpness: f32) -> Measured {
        Measured {
            sharpness,
            ..Measured::default()
        }
    }

    #[test]
    fn the_sharpest_suitable_frame_of_each_interval_is_picked() {
        let black = Measured {
            black: 0.98,
            ..sharp(900.0)
        };
        let white = Measured {
            white: 1.0,
            ..sharp(900.0)
        };
        let blend = Measured {
            transition: true,
            ..sharp(900.0)
        };
        let dark = Measured {
            black: 0.97,
            ..sharp(5.0)
        };
        let measured = [
            sharp(10.0),
            sharp(30.0),
            sharp(20.0),
            black,
            sharp(7.0),
            sharp(7.0),
            black,
            white,
            blend,
            dark,
            blend,
            sharp(4.0),
        ];
        let every = FrameRate::every(Ratio::from_integer(1)).unwrap();
        let (frames, notes) = chosen(&Selection::BestOf(every), Filters::default(), &measured);
        assert_eq!(frames, [1, 4, 9]);
        assert!(notes[0].starts_with("1 of 4 intervals"), "{notes:?}");
    }

    #[test]
    fn filters_leave_out_pictures_in_order() {
        let hashed = |hash| Measured { hash, ..sharp(200.0) };
        let black = Measured {
            black: 1.0,
            ..hashed(1 << 40)
        };
        let measured = [
            black,
            hashed(0),
            hashed(1),
            sharp(99.0),
            hashed(u64::MAX),
            hashed(0),
        ];
        let filters = Filters::default().skip_black().skip_blurred(Default::default());
        assert_eq!(chosen(&Selection::All, filters, &measured).0, [1, 2, 4, 5]);
        let filters = filters.dedupe(HashDistance::default());
        let (frames, notes) = chosen(&Selection::All, filters, &measured);
        assert_eq!(frames, [1, 4]);
        assert_eq!(
            notes,
            ["4 of 6 pictures are left out: 1 black, 1 blurred, 2 duplicate"]
        );
        let cancelled = choose(
            (&Selection::All, &filters),
            &picks(6),
            (&candidates(6), &measured),
            &|| true,
        );
        assert_eq!(cancelled, None);
    }

    #[test]
    fn the_first_frame_of_each_scene_is_picked() {
        let mut measured = vec![Measured::default(); 60];
        measured[20].difference = 27.0;
        measured[40].difference = 26.0;
        let selection = Selection::Scenes(Default::default());
        assert_eq!(chosen(&selection, Filters::default(), &measured).0, [0, 20]);
        assert!(chosen(&selection, Filters::default(), &[]).0.is_empty());
    }
}
