//! Compressed videos that a job makes beside its archive: as asked for, and as they were made.

use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::compress::{AudioMode, Codec, CompressOptions, Compressed, Container};
use crate::extract::Quality;

/// Most renditions of one job.
pub const MOST_RENDITIONS: usize = 8;

/// One that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RenditionRequest {
    /// What it is to be.
    pub options: CompressOptions,
    /// Whether the job is completed without it, where it cannot be made.
    pub optional: bool,
}

/// What became of one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RenditionResult {
    /// It is there.
    Made(RenditionObject),
    /// It is optional, and could not be made.
    Failed {
        /// Why, in words for a person.
        message: String,
    },
}

/// A compressed video in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionObject {
    /// Its name in the store, in the bucket of the archive.
    pub key: String,
    /// What is said of it.
    #[serde(flatten)]
    pub video: RenditionVideo,
}

/// What is said of a compressed video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionVideo {
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its media type.
    pub media_type: String,
    /// The codec of its pictures.
    pub codec: String,
    /// Width in samples, upright.
    pub width: u32,
    /// Height in samples.
    pub height: u32,
    /// Presented frames.
    pub frames: u64,
    /// `encoded`, or `remuxed` where the source was small already and its own streams were taken.
    pub origin: String,
    /// Whether its source is damaged, where that was allowed.
    #[serde(default)]
    pub partial: bool,
}

impl RenditionVideo {
    pub(crate) fn new(video: &Compressed, container: Container) -> Self {
        Self {
            size: video.bytes,
            sha256: video.sha256.clone(),
            media_type: container.media_type().to_owned(),
            codec: video.codec.clone(),
            width: video.width,
            height: video.height,
            frames: video.frames,
            origin: video.origin.as_str().to_owned(),
            partial: video.damage.is_some(),
        }
    }
}

/// A request as JSON. Unknown fields are left alone, for newer senders.
#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RenditionForm {
    codec: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<NonZeroU64>,
    audio: String,
    keep_metadata: bool,
    optional: bool,
}

impl Default for RenditionForm {
    fn default() -> Self {
        Self::of(&RenditionRequest::default())
    }
}

impl RenditionForm {
    /// The canonical form: what does not matter is not there, and what is the default is.
    pub(super) fn of(request: &RenditionRequest) -> Self {
        let options = &request.options;
        Self {
            codec: options.codec.to_string(),
            container: options
                .container
                .filter(|&container| container != options.codec.container())
                .map(|container| container.extension().to_owned()),
            quality: options.max_bytes.is_none().then(|| options.quality.get()),
            max_height: options.max_height,
            max_bytes: options.max_bytes,
            audio: options.audio.as_str().to_owned(),
            keep_metadata: options.keep_metadata,
            optional: request.optional,
        }
    }

    /// # Errors
    /// The field and what is wrong with it.
    pub(super) fn read(&self) -> Result<RenditionRequest, (&'static str, String)> {
        fn parse<T: FromStr<Err: std::fmt::Display>>(
            field: &'static str,
            text: &str,
        ) -> Result<T, (&'static str, String)> {
            text.parse().map_err(|e: T::Err| (field, e.to_string()))
        }
        let default = CompressOptions::default();
        let codec: Codec = parse("codec", &self.codec)?;
        let container = match self.container.as_deref() {
            None => None,
            Some("mp4") => Some(Container::Mp4),
            Some("webm") => Some(Container::WebM),
            Some(other) => return Err(("container", format!("'{other}' is not mp4 or webm"))),
        };
        if let Some(container) = container.filter(|container| !container.holds(codec)) {
            let text = format!("{} does not hold {codec}", container.extension());
            return Err(("container", text));
        }
        let heights = CompressOptions::LEAST_HEIGHT..=65_535;
        if let Some(height) = self.max_height.filter(|height| !heights.contains(height)) {
            return Err(("max_height", format!("{height} is not from 16 to 65535")));
        }
        let quality = match self.quality {
            None => default.quality,
            Some(quality) => Quality::new(quality).ok_or(("quality", "is not from 1 to 100".to_owned()))?,
        };
        Ok(RenditionRequest {
            options: CompressOptions {
                codec,
                container: container.filter(|&container| container != codec.container()),
                quality,
                max_height: self.max_height,
                max_bytes: self.max_bytes,
                audio: parse::<AudioMode>("audio", &self.audio)?,
                keep_metadata: self.keep_metadata,
            },
            optional: self.optional,
        })
    }
}
