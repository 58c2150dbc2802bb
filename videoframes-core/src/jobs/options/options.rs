//! Options of a job as JSON: read from messages, and stored in rows in one canonical form.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::RequestedLimits;
use super::outputs::{JobOutputs, OutputsForm};
use super::picture::PictureForm;
use super::selection::{FiltersForm, RangeForm, SelectionForm};
use super::value::{InvalidOptions, Text, invalid};
use crate::archive::NameTemplate;
use crate::extract::PictureOptions;
use crate::jobs::outputs::OutputKind;
use crate::jobs::renditions::{MAX_RENDITIONS, RenditionForm, RenditionRequest};
use crate::pipeline::{CompositionRequest, OnDamage, Request};
use crate::select::{Filters, Range, Selection};
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
    /// Pictures, and files that are composed of frames.
    pub outputs: JobOutputs,
}

impl JobOptions {
    /// Reads the options from the fields of a message or a row. Ignores unknown fields, which newer clients
    /// may send.
    ///
    /// # Errors
    /// Fails for an invalid value, with the name of the field.
    pub fn from_json(value: &Value) -> Result<Self, InvalidOptions> {
        let mut form: Form =
            serde_path_to_error::deserialize(value).map_err(|e| InvalidOptions(e.to_string()))?;
        let renditions = std::mem::take(&mut form.outputs.renditions);
        if !renditions.is_empty() {
            if !form.renditions.is_empty() {
                return Err(invalid(
                    "outputs.renditions",
                    "must be absent if 'renditions' is given",
                ));
            }
            form.renditions = renditions;
        }
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
        let renditions: Vec<RenditionRequest> = renditions.collect::<Result<_, _>>()?;
        let outputs = form.outputs.read()?;
        if !outputs.pictures && outputs.kinds().is_empty() && renditions.is_empty() {
            return Err(invalid("outputs", "must have an archive or another output"));
        }
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
            renditions,
            outputs,
        })
    }

    /// Returns the canonical form: equal options give equal JSON.
    pub fn to_json(&self) -> Value {
        let form = Form {
            stream: self.stream.map(|stream| Text(stream.to_string())),
            selection: Some(SelectionForm::new(self.selection.as_ref())),
            range: RangeForm::new(&self.range),
            filters: FiltersForm::new(&self.filters),
            picture: PictureForm::new(&self.picture),
            names: Some(self.names.to_string()),
            on_damage: match self.on_damage {
                OnDamage::Fail => OnDamageForm::Fail,
                OnDamage::Partial => OnDamageForm::Partial,
            },
            limits: self.limits,
            renditions: self.renditions.iter().map(RenditionForm::new).collect(),
            outputs: OutputsForm::new(&self.outputs),
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

    /// Returns the outputs that are composed of frames, with their requests.
    pub(crate) fn compositions(&self) -> Vec<(OutputKind, CompositionRequest)> {
        let outputs = &self.outputs;
        let request = |kind| Some((kind, outputs.request(kind, self.stream, self.on_damage)?));
        outputs.kinds().into_iter().filter_map(request).collect()
    }

    /// Returns the request for the pictures.
    #[must_use]
    pub fn request(&self) -> Request {
        let default = Request::default();
        let (selection, range, filters) = match self.outputs.pictures {
            true => (self.selection.clone(), self.range, self.filters),
            false => (
                Some(Selection::Frames(Vec::new())),
                default.range,
                default.filters,
            ),
        };
        Request {
            stream: self.stream,
            selection: selection.unwrap_or(default.selection),
            range,
            filters,
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
    #[serde(default, skip_serializing_if = "OutputsForm::is_default")]
    outputs: OutputsForm,
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
            json!({"picture": {"format": "npy", "pixels": "gray16", "crop": "640X360+1+20"}}),
            json!({"picture": {"crop": "16:9", "metadata": "GPS"}}),
            json!({"picture": {"metadata": "none"}}),
            json!({"selection": {"every": "10s"}, "range": {"start": "25%", "duration": "1m"}}),
            json!({"selection": {"at": [1.5, "00:01:10.123", "50%"]}, "names": "{stem}_{index}"}),
            json!({"selection": {"count": 10}, "range": {"end": 9}, "on_damage": "partial"}),
            json!({"renditions": [{}, {"codec": "av1", "container": "webm", "quality": 50, "max_height": 720},
                {"max_bytes": 25_000_000, "audio": "none", "keep_metadata": true, "optional": true}]}),
            json!({"selection": {"all": true}, "limits": {"frames": 5, "deadline_s": 60}, "of_a_newer_version": 1}),
            json!({"selection": {"scene": 30.5}, "filters": {"skip_black": true, "skip_blurred": 80, "dedupe": 0}}),
            json!({"selection": {"best_of": "1m"}, "range": {"start": 5}, "filters": {"dedupe": "4"}}),
            json!({"selection": {"thumbnail": true}, "filters": {}}),
            json!({"selection": {"every": "20000.123456789"}, "range": {"start": "-20000.123456789"}}),
            json!({"selection": {"at": ["5h33m20.123456789s", "-0.000000001%"]}}),
            json!({"outputs": {"storyboard": {}, "sheet": {"columns": 6, "background": "#fff", "header": false}}}),
            json!({"outputs": {"preview": {"selection": {"every": "2s"}, "delay": 0.5, "plays": 1, "format": "gif"}}}),
            json!({"outputs": {"archive": false, "storyboard": {"selection": {"count": 9}, "rows": 2,
                "range": {"end": "1m"}, "picture": {"format": "webp", "max_width": 320}}}}),
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
        assert_eq!(
            canonical(json!({"renditions": [{"max_height": 720}], "outputs": {"archive": true}})),
            canonical(json!({"outputs": {"renditions": [{"max_height": 720}]}}))
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
            (json!({"picture": {"crop": "0x9+1+1"}}), "picture.crop"),
            (json!({"picture": {"metadata": "all"}}), "picture.metadata"),
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
    fn errors_name_the_invalid_field_of_an_output() {
        for (value, word) in [
            (json!({"outputs": {"archive": false}}), "another output"),
            (
                json!({"outputs": {"sheet": {"columns": 0}}}),
                "outputs.sheet.columns",
            ),
            (
                json!({"outputs": {"sheet": {"background": "nice"}}}),
                "outputs.sheet.background",
            ),
            (
                json!({"outputs": {"storyboard": {"picture": {"format": "npy"}}}}),
                "outputs.storyboard.picture.format",
            ),
            (
                json!({"outputs": {"storyboard": {"selection": {"at": [1]}, "range": {"end": 2}}}}),
                "outputs.storyboard.range",
            ),
            (
                json!({"outputs": {"sheet": {"picture": {"metadata": "gps"}}}}),
                "outputs.sheet.picture.metadata",
            ),
            (json!({"outputs": {"storyboard": 5}}), "outputs.storyboard"),
            (
                json!({"outputs": {"preview": {"delay": 0}}}),
                "outputs.preview.delay",
            ),
            (
                json!({"outputs": {"preview": {"format": "png"}}}),
                "outputs.preview.format",
            ),
        ] {
            let message = JobOptions::from_json(&value).unwrap_err().to_string();
            assert!(message.contains(word), "{value}: {message}");
        }
    }
}
