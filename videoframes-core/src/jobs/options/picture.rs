//! Options of pictures as JSON.

use serde::{Deserialize, Serialize};

use super::value::{InvalidOptions, invalid, side};
use crate::extract::{
    BurnIn, Crop, Deinterlace, EmbeddedMetadata, PictureFormat, PictureOptions, PixelFormat, Quality, Tonemap,
};

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct PictureForm {
    format: String,
    quality: u8,
    /// Pixel format of uncompressed formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pixels: Option<String>,
    /// Rectangle of the displayed picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    crop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burn_in: Option<String>,
    rotate: bool,
    deinterlace: DeinterlaceForm,
    tonemap: TonemapForm,
    /// Metadata inside of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

impl Default for PictureForm {
    fn default() -> Self {
        Self::new(&PictureOptions::default())
    }
}

impl PictureForm {
    pub(super) fn new(options: &PictureOptions) -> Self {
        Self {
            format: options.format.extension().to_owned(),
            quality: options.quality.get(),
            pixels: options
                .format
                .is_uncompressed()
                .then(|| options.pixels.to_string()),
            crop: options.crop.map(|crop| crop.to_string()),
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
            burn_in: options.burn_in.map(|burn_in| burn_in.to_string()),
            metadata: (options.metadata != EmbeddedMetadata::None).then(|| options.metadata.to_string()),
        }
    }

    pub(super) fn read(&self) -> Result<PictureOptions, InvalidOptions> {
        let format: PictureFormat = self.format.parse().map_err(|e| invalid("picture.format", e))?;
        let quality = Quality::new(self.quality);
        let pixels: Option<PixelFormat> = self
            .pixels
            .as_ref()
            .map(|pixels| pixels.parse())
            .transpose()
            .map_err(|e| invalid("picture.pixels", e))?;
        let crop: Option<Crop> = self
            .crop
            .as_ref()
            .map(|crop| crop.parse())
            .transpose()
            .map_err(|e| invalid("picture.crop", e))?;
        let burn_in: Option<BurnIn> = self
            .burn_in
            .as_ref()
            .map(|burn_in| burn_in.parse())
            .transpose()
            .map_err(|e| invalid("picture.burn_in", e))?;
        if burn_in.is_some() && format.is_uncompressed() {
            return Err(invalid("picture.burn_in", "does not apply to raw and npy"));
        }
        let metadata: Option<EmbeddedMetadata> = self
            .metadata
            .as_ref()
            .map(|metadata| metadata.parse())
            .transpose()
            .map_err(|e| invalid("picture.metadata", e))?;
        if metadata.is_some_and(|metadata| metadata != EmbeddedMetadata::None) && !format.holds_metadata() {
            return Err(invalid("picture.metadata", "applies to jpg, png and webp only"));
        }
        Ok(PictureOptions {
            format,
            quality: quality.ok_or_else(|| invalid("picture.quality", "must be from 1 to 100"))?,
            pixels: pixels.unwrap_or_default(),
            crop,
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
            metadata: metadata.unwrap_or_default(),
            burn_in,
        })
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeinterlaceForm {
    Auto,
    On,
    Off,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum TonemapForm {
    Auto,
    Off,
}
