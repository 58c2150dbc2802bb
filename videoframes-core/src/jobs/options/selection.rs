//! Selection, range and filters as JSON.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::value::{InvalidOptions, Text, True, invalid};
use crate::select::{End, Filters, Position, Range, Selection};
use crate::units::FrameRate;

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum SelectionForm {
    Fps(Text),
    Every(Text),
    At(Vec<Text>),
    Count(NonZeroU64),
    All(True),
    Keyframes(True),
    EveryNth(NonZeroU64),
    Frames(Vec<u64>),
    Random(RandomForm),
    Scene(Text),
    BestOf(Text),
    Thumbnail(True),
}

#[derive(Serialize, Deserialize, PartialEq)]
pub(super) struct RandomForm {
    count: NonZeroU64,
    #[serde(default)]
    seed: u64,
}

impl SelectionForm {
    pub(super) fn read(self) -> Result<Selection, InvalidOptions> {
        Ok(match self {
            Self::Fps(rate) => Selection::Fps(rate.read("selection.fps")?),
            Self::Every(length) => {
                let length = length.length("selection.every")?;
                let rate = FrameRate::every(length);
                Selection::Fps(rate.ok_or_else(|| invalid("selection.every", "is out of range"))?)
            }
            Self::At(positions) if positions.is_empty() => {
                return Err(invalid("selection.at", "must contain at least one time"));
            }
            Self::At(positions) => {
                let positions = positions.iter().map(|position| position.read("selection.at"));
                Selection::At(positions.collect::<Result<_, _>>()?)
            }
            Self::Count(count) => Selection::Count(count.get()),
            Self::All(_) => Selection::All,
            Self::Keyframes(_) => Selection::Keyframes,
            Self::EveryNth(step) => Selection::EveryNth(step),
            Self::Frames(numbers) if numbers.is_empty() => {
                return Err(invalid("selection.frames", "must contain at least one number"));
            }
            Self::Frames(numbers) => Selection::Frames(numbers),
            Self::Random(RandomForm { count, seed }) => Selection::Random { count, seed },
            Self::Scene(threshold) => Selection::Scenes(threshold.read("selection.scene")?),
            Self::BestOf(length) => {
                let rate = FrameRate::every(length.length("selection.best_of")?);
                Selection::BestOf(rate.ok_or_else(|| invalid("selection.best_of", "is out of range"))?)
            }
            Self::Thumbnail(_) => Selection::Thumbnail,
        })
    }

    pub(super) fn new(selection: Option<&Selection>) -> Self {
        match selection {
            None => Self::Fps(Text("1".to_owned())),
            Some(Selection::Fps(rate)) => Self::Fps(Text(rate.to_string())),
            Some(Selection::At(positions)) => {
                Self::At(positions.iter().map(|p| Text(p.to_string())).collect())
            }
            // Every video rejects a selection of zero pictures.
            Some(Selection::Count(count)) => Self::Count(NonZeroU64::new(*count).unwrap_or(NonZeroU64::MAX)),
            Some(Selection::All) => Self::All(True(true)),
            Some(Selection::Keyframes) => Self::Keyframes(True(true)),
            Some(Selection::EveryNth(step)) => Self::EveryNth(*step),
            Some(Selection::Frames(numbers)) => Self::Frames(numbers.clone()),
            Some(&Selection::Random { count, seed }) => Self::Random(RandomForm { count, seed }),
            Some(Selection::Scenes(threshold)) => Self::Scene(Text(threshold.to_string())),
            Some(Selection::BestOf(rate)) => Self::BestOf(Text(rate.interval().to_string())),
            Some(Selection::Thumbnail) => Self::Thumbnail(True(true)),
        }
    }
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
pub(super) struct RangeForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<Text>,
}

impl RangeForm {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn new(range: &Range) -> Self {
        Self {
            start: range.start.map(|start| Text(start.to_string())),
            end: match range.end {
                Some(End::At(end)) => Some(Text(end.to_string())),
                _ => None,
            },
            duration: match range.end {
                Some(End::After(length)) => Some(Text(length.to_string())),
                _ => None,
            },
        }
    }

    pub(super) fn read(&self) -> Result<Range, InvalidOptions> {
        let start = self.start.as_ref().map(|t| t.read::<Position>("range.start"));
        let end = match (&self.end, &self.duration) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "range",
                    "must have either an end or a duration, not both",
                ));
            }
            (Some(end), None) => Some(End::At(end.read("range.end")?)),
            (None, Some(length)) => Some(End::After(length.length("range.duration")?)),
            (None, None) => None,
        };
        Ok(Range {
            start: start.transpose()?,
            end,
        })
    }
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default)]
pub(super) struct FiltersForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    skip_black: Option<True>,
    /// Minimum sharpness.
    #[serde(skip_serializing_if = "Option::is_none")]
    skip_blurred: Option<Text>,
    /// Distance of duplicates.
    #[serde(skip_serializing_if = "Option::is_none")]
    dedupe: Option<Text>,
}

impl FiltersForm {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn new(filters: &Filters) -> Self {
        Self {
            skip_black: filters.skip_black.then_some(True(true)),
            skip_blurred: filters.skip_blurred.map(|min| Text(min.to_string())),
            dedupe: filters.dedupe.map(|distance| Text(distance.to_string())),
        }
    }

    pub(super) fn read(&self) -> Result<Filters, InvalidOptions> {
        let sharpness = self.skip_blurred.as_ref();
        let distance = self.dedupe.as_ref();
        Ok(Filters {
            skip_black: self.skip_black.is_some(),
            skip_blurred: sharpness
                .map(|min| min.read("filters.skip_blurred"))
                .transpose()?,
            dedupe: distance.map(|bits| bits.read("filters.dedupe")).transpose()?,
        })
    }
}
