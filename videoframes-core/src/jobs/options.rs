//! Options of a job as JSON: read from messages, and stored in rows in one canonical form.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Number, Value};

use super::renditions::{MAX_RENDITIONS, RenditionForm, RenditionRequest};
use crate::archive::NameTemplate;
use crate::extract::{Deinterlace, PictureFormat, PictureOptions, PixelFormat, Quality, Tonemap};
use crate::limits::Limits;
use crate::pipeline::{OnDamage, Request};
use crate::select::{End, Filters, Position, Range, Selection};
use crate::units::{FrameRate, Rational, approximate_seconds, parse_time};
use crate::video::StreamChoice;

/// The options of a job.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct JobOptions {
    /// Video stream; by default the stream that a player shows.
    pub stream: Option<StreamChoice>,
    /// Selection of pictures.
    pub selection: Option<Selection>,
    /// Range of the video.
    pub range: Range,
    /// Filters that leave out selected frames by their content.
    pub filters: Filters,
    /// Options of the pictures.
    pub picture: PictureOptions,
    /// Names of the pictures in the archive.
    pub names: NameTemplate,
    /// Behaviour for a damaged source.
    pub on_damage: OnDamage,
    /// Limits that the client requests; the limits of the worker apply too.
    pub limits: RequestedLimits,
    /// Renditions to make in addition to the archive.
    pub renditions: Vec<RenditionRequest>,
}

/// Limits that a client sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RequestedLimits {
    /// Maximum size of the source in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<NonZeroU64>,
    /// Maximum size of a picture in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<NonZeroU64>,
    /// Maximum duration of the video in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<NonZeroU64>,
    /// Maximum number of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<NonZeroU64>,
    /// Maximum size of the archive in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<NonZeroU64>,
    /// Maximum time of one attempt in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_s: Option<NonZeroU64>,
    /// Maximum time from submission to result in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<NonZeroU64>,
}

impl RequestedLimits {
    /// Returns, for each limit, the stricter of the requested limit and `own`.
    #[must_use]
    pub fn within(&self, own: &Limits) -> Limits {
        let min = |requested: Option<NonZeroU64>, own: u64| {
            requested.map_or(own, |requested| requested.get().min(own))
        };
        let seconds = |requested: Option<NonZeroU64>, own: Duration| {
            requested.map_or(own, |requested| Duration::from_secs(requested.get()).min(own))
        };
        Limits {
            input_bytes: min(self.input_bytes, own.input_bytes),
            pixels: min(self.pixels, own.pixels),
            duration: seconds(self.duration_s, own.duration),
            frames: min(self.frames, own.frames),
            // A client that requests a maximum number of pictures accepts that many.
            grid_per_frame: self.frames.map_or(own.grid_per_frame, |_| u64::MAX),
            output_bytes: min(self.output_bytes, own.output_bytes),
            wall_time: seconds(self.attempt_s, own.wall_time),
            stall: own.stall,
            memory: own.memory,
        }
    }
}

/// Error for invalid options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOptions(String);

impl JobOptions {
    /// Reads the options from the fields of a message or a row. Ignores unknown fields, which newer clients
    /// may send.
    ///
    /// # Errors
    /// Fails for an invalid value, with the name of the field.
    pub fn from_json(value: &Value) -> Result<Self, InvalidOptions> {
        let form: Form =
            serde_path_to_error::deserialize(value).map_err(|e| InvalidOptions(e.to_string()))?;
        let selection = form.selection.map(SelectionForm::read).transpose()?;
        let range = form.range.read()?;
        if selection.as_ref().is_some_and(Selection::is_absolute) && range != Range::default() {
            let why = "an 'at' or 'frames' selection cannot have a range";
            return Err(InvalidOptions(why.to_owned()));
        }
        let filters = form.filters.read()?;
        if selection == Some(Selection::Thumbnail) && !filters.is_empty() {
            return Err(invalid("filters", "do not apply to a thumbnail"));
        }
        if form.renditions.len() > MAX_RENDITIONS {
            return Err(invalid(
                "renditions",
                format!("must have at most {MAX_RENDITIONS} entries"),
            ));
        }
        let renditions = form.renditions.iter().enumerate().map(|(index, form)| {
            form.read()
                .map_err(|(field, why)| invalid(&format!("renditions[{index}].{field}"), why))
        });
        Ok(Self {
            stream: form.stream.map(|stream| stream.read("stream")).transpose()?,
            selection,
            range,
            filters,
            picture: form.picture.read()?,
            names: match form.names {
                Some(names) => names.parse().map_err(|e| invalid("names", e))?,
                None => NameTemplate::default(),
            },
            on_damage: match form.on_damage {
                OnDamageForm::Fail => OnDamage::Fail,
                OnDamageForm::Partial => OnDamage::Partial,
            },
            limits: form.limits,
            renditions: renditions.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the canonical form: equal options give equal JSON.
    pub fn to_json(&self) -> Value {
        let form = Form {
            stream: self.stream.map(|stream| Text(stream.to_string())),
            selection: Some(SelectionForm::new(self.selection.as_ref())),
            range: RangeForm {
                start: self.range.start.map(|start| Text(start.to_string())),
                end: match self.range.end {
                    Some(End::At(end)) => Some(Text(end.to_string())),
                    _ => None,
                },
                duration: match self.range.end {
                    Some(End::After(length)) => Some(Text(length.to_string())),
                    _ => None,
                },
            },
            filters: FiltersForm::new(&self.filters),
            picture: PictureForm::new(&self.picture),
            names: Some(self.names.to_string()),
            on_damage: match self.on_damage {
                OnDamage::Fail => OnDamageForm::Fail,
                OnDamage::Partial => OnDamageForm::Partial,
            },
            limits: self.limits,
            renditions: self.renditions.iter().map(RenditionForm::new).collect(),
        };
        serde_json::to_value(form).unwrap_or_default()
    }

    /// Returns the part of the options that affects the result: the canonical form without limits.
    #[must_use]
    pub(crate) fn work_json(&self) -> Value {
        Self {
            limits: RequestedLimits::default(),
            ..self.clone()
        }
        .to_json()
    }

    /// Returns the request for the pipeline.
    #[must_use]
    pub fn request(&self) -> Request {
        let default = Request::default();
        Request {
            stream: self.stream,
            selection: self.selection.clone().unwrap_or(default.selection),
            range: self.range,
            filters: self.filters,
            picture: self.picture,
            names: self.names.clone(),
            layout: default.layout,
            manifests: default.manifests,
            on_damage: self.on_damage,
            strategy: default.strategy,
            jobs: default.jobs,
        }
    }
}

fn invalid(field: &str, error: impl std::fmt::Display) -> InvalidOptions {
    InvalidOptions(format!("{field}: {error}"))
}

#[derive(Serialize, Deserialize)]
struct Form {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<Text>,
    selection: Option<SelectionForm>,
    #[serde(default)]
    range: RangeForm,
    #[serde(default, skip_serializing_if = "FiltersForm::is_empty")]
    filters: FiltersForm,
    #[serde(default)]
    picture: PictureForm,
    names: Option<String>,
    #[serde(default)]
    on_damage: OnDamageForm,
    #[serde(default)]
    limits: RequestedLimits,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    renditions: Vec<RenditionForm>,
}

/// A number or a string, the two ways in which clients write times and rates.
#[derive(Serialize, Clone, PartialEq)]
#[serde(transparent)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a number, or a text such as \"30000/1001\" or \"1m30s\""
        )]
        enum Either {
            Number(Number),
            Text(String),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Text(text) => text,
        }))
    }
}

impl Text {
    fn read<T: FromStr<Err: std::fmt::Display>>(&self, field: &str) -> Result<T, InvalidOptions> {
        self.0.parse().map_err(|e| invalid(field, e))
    }

    fn length(&self, field: &str) -> Result<Rational, InvalidOptions> {
        let length = parse_time(&self.0).map_err(|e| invalid(field, e))?;
        if approximate_seconds(length) > 0.0 {
            Ok(length)
        } else {
            Err(invalid(field, "must be greater than zero"))
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SelectionForm {
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

#[derive(Serialize, Deserialize)]
struct RandomForm {
    count: NonZeroU64,
    #[serde(default)]
    seed: u64,
}

#[derive(Serialize, PartialEq)]
struct True(bool);

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            true => Ok(Self(true)),
            false => Err(de::Error::custom("the field must be true or absent")),
        }
    }
}

impl SelectionForm {
    fn read(self) -> Result<Selection, InvalidOptions> {
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

    fn new(selection: Option<&Selection>) -> Self {
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

#[derive(Serialize, Deserialize, Default)]
struct RangeForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<Text>,
}

impl RangeForm {
    fn read(&self) -> Result<Range, InvalidOptions> {
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
struct FiltersForm {
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
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn new(filters: &Filters) -> Self {
        Self {
            skip_black: filters.skip_black.then_some(True(true)),
            skip_blurred: filters.skip_blurred.map(|min| Text(min.to_string())),
            dedupe: filters.dedupe.map(|distance| Text(distance.to_string())),
        }
    }

    fn read(&self) -> Result<Filters, InvalidOptions> {
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

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct PictureForm {
    format: String,
    quality: u8,
    /// Pixel format of uncompressed formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pixels: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_height: Option<u32>,
    rotate: bool,
    deinterlace: DeinterlaceForm,
    tonemap: TonemapForm,
}

impl Default for PictureForm {
    fn default() -> Self {
        Self::new(&PictureOptions::default())
    }
}

impl PictureForm {
    fn new(options: &PictureOptions) -> Self {
        Self {
            format: options.format.extension().to_owned(),
            quality: options.quality.get(),
            pixels: options
                .format
                .is_uncompressed()
                .then(|| options.pixels.to_string()),
            max_width: options.max_width,
            max_height: options.max_height,
            rotate: options.rotate,
            deinterlace: match options.deinterlace {
                Deinterlace::Auto => DeinterlaceForm::Auto,
                Deinterlace::On => DeinterlaceForm::On,
                Deinterlace::Off => DeinterlaceForm::Off,
            },
            tonemap: match options.tonemap {
                Tonemap::Auto => TonemapForm::Auto,
                Tonemap::Off => TonemapForm::Off,
            },
        }
    }

    fn read(&self) -> Result<PictureOptions, InvalidOptions> {
        let side = |name, side: Option<u32>| match side {
            Some(side) if !(1..=65_535).contains(&side) => {
                Err(invalid(name, format!("must be from 1 to 65535, not {side}")))
            }
            side => Ok(side),
        };
        let format: PictureFormat = self.format.parse().map_err(|e| invalid("picture.format", e))?;
        let quality = Quality::new(self.quality);
        let pixels: Option<PixelFormat> = self
            .pixels
            .as_ref()
            .map(|pixels| pixels.parse())
            .transpose()
            .map_err(|e| invalid("picture.pixels", e))?;
        Ok(PictureOptions {
            format,
            quality: quality.ok_or_else(|| invalid("picture.quality", "must be from 1 to 100"))?,
            pixels: pixels.unwrap_or_default(),
            max_width: side("picture.max_width", self.max_width)?,
            max_height: side("picture.max_height", self.max_height)?,
            rotate: self.rotate,
            deinterlace: match self.deinterlace {
                DeinterlaceForm::Auto => Deinterlace::Auto,
                DeinterlaceForm::On => Deinterlace::On,
                DeinterlaceForm::Off => Deinterlace::Off,
            },
            tonemap: match self.tonemap {
                TonemapForm::Auto => Tonemap::Auto,
                TonemapForm::Off => Tonemap::Off,
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeinterlaceForm {
    Auto,
    On,
    Off,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TonemapForm {
    Auto,
    Off,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum OnDamageForm {
    #[default]
    Fail,
    Partial,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_round_trip_through_their_canonical_form() {
        for value in [
            json!({}),
            json!({"stream": 1}),
            json!({"stream": "0x101"}),
            json!({"selection": {"fps": 29.97}, "picture": {"format": "webp", "quality": 70, "max_width": 640}}),
            json!({"picture": {"format": "npy", "pixels": "gray16"}}),
            json!({"selection": {"every": "10s"}, "range": {"start": "25%", "duration": "1m"}}),
            json!({"selection": {"at": [1.5, "00:01:10.123", "50%"]}, "names": "{stem}_{index}"}),
            json!({"selection": {"count": 10}, "range": {"end": 9}, "on_damage": "partial"}),
            json!({"renditions": [{}, {"codec": "av1", "container": "webm", "quality": 50, "max_height": 720},
                {"max_bytes": 25_000_000, "audio": "none", "keep_metadata": true, "optional": true}]}),
            json!({"selection": {"all": true}, "limits": {"frames": 5, "deadline_s": 60}, "of_a_newer_version": 1}),
            json!({"selection": {"scene": 30.5}, "filters": {"skip_black": true, "skip_blurred": 80, "dedupe": 0}}),
            json!({"selection": {"best_of": "1m"}, "range": {"start": 5}, "filters": {"dedupe": "4"}}),
            json!({"selection": {"thumbnail": true}, "filters": {}}),
        ] {
            let options = JobOptions::from_json(&value).unwrap();
            let canonical = options.to_json();
            let again = JobOptions::from_json(&canonical).unwrap();
            assert_eq!(again.to_json(), canonical, "{value}");
            assert_eq!(
                format!("{:?}", again.request()),
                format!("{:?}", options.request()),
            );
        }
    }

    #[test]
    fn equivalent_options_have_the_same_canonical_form() {
        let canonical = |value| JobOptions::from_json(&value).unwrap().to_json();
        assert_eq!(
            canonical(json!({})),
            canonical(json!({"selection": {"fps": "1"}}))
        );
        assert_eq!(
            canonical(json!({"selection": {"every": "500ms"}})),
            canonical(json!({"selection": {"fps": 2}}))
        );
        assert_eq!(
            canonical(json!({"picture": {"format": "raw"}})),
            canonical(json!({"picture": {"format": "RAW", "pixels": "RGB24"}}))
        );
    }

    #[test]
    fn errors_name_the_invalid_field() {
        for (value, word) in [
            (json!({"selection": {"fps": "fast"}}), "selection.fps"),
            (json!({"selection": {"fps": 0}}), "selection.fps"),
            (json!({"selection": {"count": 0}}), "zero"),
            (json!({"selection": {"count": -3}}), "-3"),
            (json!({"selection": {"at": []}}), "selection.at"),
            (json!({"selection": {"all": false}}), "all"),
            (json!({"selection": {"best": 3}}), "best"),
            (json!({"selection": {"scene": 0}}), "selection.scene"),
            (json!({"selection": {"best_of": 0}}), "selection.best_of"),
            (json!({"filters": {"skip_black": false}}), "skip_black"),
            (json!({"filters": {"skip_blurred": -1}}), "filters.skip_blurred"),
            (json!({"filters": {"dedupe": 33}}), "filters.dedupe"),
            (
                json!({"selection": {"thumbnail": true}, "filters": {"dedupe": 3}}),
                "thumbnail",
            ),
            (json!({"selection": {"at": [1]}, "range": {"start": 1}}), "range"),
            (json!({"range": {"end": 1, "duration": 1}}), "range"),
            (json!({"picture": {"format": "bmp"}}), "picture.format"),
            (json!({"picture": {"quality": 0}}), "picture.quality"),
            (
                json!({"picture": {"format": "raw", "pixels": "rgba"}}),
                "picture.pixels",
            ),
            (json!({"picture": {"max_width": 0}}), "picture.max_width"),
            (json!({"picture": {"deinterlace": "maybe"}}), "maybe"),
            (json!({"names": "../{index}"}), "names"),
            (json!({"on_damage": "ignore"}), "ignore"),
            (json!({"limits": {"frames": 0}}), "limits.frames"),
            (json!({"limits": {"frames": 1e30}}), "1e+30"),
            (
                json!({"renditions": [{}, {"codec": "divx"}]}),
                "renditions[1].codec",
            ),
            (json!({"renditions": [{"quality": 0}]}), "renditions[0].quality"),
            (
                json!({"renditions": [{"max_height": 15}]}),
                "renditions[0].max_height",
            ),
            (
                json!({"renditions": [{"container": "webm"}]}),
                "renditions[0].container",
            ),
            (json!({"renditions": [{"audio": "mp3"}]}), "renditions[0].audio"),
            (json!({"renditions": [{"max_bytes": 0}]}), "renditions[0]"),
            (json!({"renditions": vec![json!({}); 9]}), "renditions"),
        ] {
            let message = JobOptions::from_json(&value).unwrap_err().to_string();
            assert!(message.contains(word), "{value}: {message}");
        }
    }

    #[test]
    fn the_stricter_limit_applies() {
        let requested = RequestedLimits {
            frames: NonZeroU64::new(10),
            pixels: NonZeroU64::new(u64::MAX),
            ..RequestedLimits::default()
        };
        let own = Limits::default();
        let both = requested.within(&own);
        assert_eq!((both.frames, both.pixels), (10, own.pixels));
    }
}
