//! Candidates for a thumbnail: pictures that are measured and kept, so that the chosen one needs no further decode.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::error::Error;
use super::target::{PictureTarget, PictureWriter, Selected};
use crate::extract::{ExtractError, Picture, PictureFormat, PictureOptions};
use crate::measure::{Gray, Measured, SIDE};
use crate::select::MinSharpness;
use crate::video::VideoInfo;

/// Returns the options of the candidates: JPEG of the requested size, so that all formats choose the same frame.
pub(super) fn candidate_pictures(requested: &PictureOptions) -> PictureOptions {
    PictureOptions {
        format: PictureFormat::Jpg,
        burn_in: None,
        ..*requested
    }
}

/// Receives candidates, and keeps the best one.
pub(super) struct ThumbnailTarget;

/// The best candidate so far.
pub(super) struct Best {
    pub(super) picture: Picture,
    pub(super) measured: Measured,
}

impl Best {
    /// Returns whether the picture is neither black, white nor blurred.
    pub(super) fn is_suitable(&self) -> bool {
        self.rank() >= (true, MinSharpness::default().get())
    }

    /// Returns the better picture, or the first of equal ones.
    pub(super) fn better(self, other: Self) -> Self {
        match other.rank() > self.rank() {
            true => other,
            false => self,
        }
    }

    fn rank(&self) -> (bool, f64) {
        (!self.measured.is_unsuitable(), self.measured.sharpness.into())
    }
}

impl PictureTarget for ThumbnailTarget {
    type Writer = BestWriter;

    fn can_restart(&self) -> bool {
        true
    }

    fn is_immediate(&self) -> bool {
        false
    }

    async fn start(&self, _: &VideoInfo, _: Selected) -> Result<BestWriter, Error> {
        Ok(BestWriter { best: None })
    }
}

/// Keeps the best picture of one pass.
pub(super) struct BestWriter {
    pub(super) best: Option<Best>,
}

impl PictureWriter for BestWriter {
    fn is_untouched(&self) -> bool {
        true
    }

    async fn abort(self) {}

    async fn add(&mut self, picture: Picture) -> Result<(), Error> {
        let bytes = picture.bytes.clone();
        let measuring = tokio::task::spawn_blocking(move || Some(Measured::still(&luma(&bytes)?)));
        let measured = measuring.await.ok().flatten();
        let measured = measured.ok_or_else(|| {
            ExtractError::DecoderFailed("ffmpeg returned a picture that cannot be decoded".to_owned())
        })?;
        let found = Best { picture, measured };
        self.best = Some(match self.best.take() {
            Some(best) => best.better(found),
            None => found,
        });
        Ok(())
    }
}

/// Decodes the luma of a JPEG, reduced to the size of measured pictures.
fn luma(jpeg: &[u8]) -> Option<Gray> {
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    let pixels = decoder.decode().ok()?;
    let (width, height) = decoder.dimensions()?;
    let image = Gray::new(u32::try_from(width).ok()?, u32::try_from(height).ok()?, &pixels)?;
    Some(image.within(SIDE as usize))
}
