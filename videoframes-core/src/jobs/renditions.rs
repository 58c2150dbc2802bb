//! Compressed videos that a job makes in addition to its archive: requests and results.

use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::compress::{AudioMode, Codec, CompressOptions, Compressed, Container};
use crate::extract::Quality;

/// Maximum number of renditions of one job.
pub const MAX_RENDITIONS: usize = 8;

/// A request for a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RenditionRequest {
    /// Options of the rendition.
    pub options: CompressOptions,
    /// Whether the job completes without the rendition if the rendition cannot be made.
    pub optional: bool,
}

/// The result of a requested rendition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RenditionResult {
    /// The rendition is in the store.
    Made(RenditionObject),
    /// The rendition is optional and could not be made.
    Failed {
        /// Human-readable reason.
        message: String,
    },
}

/// A compressed video in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionObject {
    /// Key in the bucket of the archive.
    pub key: String,
    /// Properties of the video.
    #[serde(flatten)]
    pub video: RenditionVideo,
}

/// The properties of a compressed video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionVideo {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Media type.
    pub media_type: String,
    /// Video codec.
    pub codec: String,
    /// Width in pixels, after rotation.
    pub width: u32,
    /// Height in pixels, after rotation.
    pub height: u32,
    /// Number of presented frames.
    pub frames: u64,
    /// `encoded`, or `remuxed` if the source was already small enough and its streams were copied.
    pub origin: String,
    /// Whether the source is damaged, which the request allowed.
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

/// A request as JSON. Unknown fields are ignored, since newer clients may send them.
#[derive(Serialize, Deserialize, PartialEq)]
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
        Self::new(&RenditionRequest::default())
    }
}

impl RenditionForm {
    /// Returns the canonical form: without irrelevant fields, but with defaults.
    pub(super) fn new(request: &RenditionRequest) -> Self {
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
    /// Returns the name and the error of the invalid field.
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
            Some(other) => return Err(("container", format!("must be mp4 or webm, not '{other}'"))),
        };
        if let Some(container) = container.filter(|container| !container.holds(codec)) {
            let text = format!("{} does not support {codec}", container.extension());
            return Err(("container", text));
        }
        let heights = CompressOptions::MIN_HEIGHT..=65_535;
        if let Some(height) = self.max_height.filter(|height| !heights.contains(height)) {
            return Err(("max_height", format!("must be from 16 to 65535, not {height}")));
        }
        let quality = match self.quality {
            None => default.quality,
            Some(quality) => Quality::new(quality).ok_or(("quality", "must be from 1 to 100".to_owned()))?,
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
