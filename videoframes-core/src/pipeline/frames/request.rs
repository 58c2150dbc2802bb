//! Requests for decoded frames.

use std::num::NonZeroUsize;

use crate::extract::{Crop, Deinterlace, PictureFormat, PixelFormat, Tonemap};
use crate::pipeline::{OnDamage, Request};
use crate::plan::Strategy;
use crate::select::{Filters, Range, Selection};
use crate::video::StreamChoice;

/// Request for decoded frames of one video.
///
/// A [`Request`] converts to a request for the same frames; its picture format and names do not apply.
#[derive(Debug, Clone)]
pub struct FramesRequest {
    request: Request,
}

impl From<Request> for FramesRequest {
    fn from(mut request: Request) -> Self {
        request.picture.format = PictureFormat::Raw;
        Self { request }
    }
}

impl FramesRequest {
    /// Creates a request for `selection` of the whole video, as [`PixelFormat::Rgb24`], by one decoder.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Request::new(selection).jobs(NonZeroUsize::MIN).into()
    }

    /// Selects the video stream.
    #[must_use]
    pub fn stream(mut self, stream: StreamChoice) -> Self {
        self.request.stream = Some(stream);
        self
    }

    /// Sets the part of the video that the selection applies to.
    #[must_use]
    pub fn range(mut self, range: Range) -> Self {
        self.request.range = range;
        self
    }

    /// Sets the filters that leave out selected frames by their content.
    #[must_use]
    pub fn filters(mut self, filters: Filters) -> Self {
        self.request.filters = filters;
        self
    }

    /// Sets the pixel format.
    #[must_use]
    pub fn pixels(mut self, pixels: PixelFormat) -> Self {
        self.request.picture.pixels = pixels;
        self
    }

    /// Sets the rectangle of the displayed frame to keep.
    #[must_use]
    pub fn crop(mut self, crop: Crop) -> Self {
        self.request.picture.crop = Some(crop);
        self
    }

    /// Sets the maximum width in pixels. Frames keep their aspect ratio and are never enlarged.
    #[must_use]
    pub fn max_width(mut self, max_width: u32) -> Self {
        self.request.picture.max_width = Some(max_width);
        self
    }

    /// Sets the maximum height in pixels.
    #[must_use]
    pub fn max_height(mut self, max_height: u32) -> Self {
        self.request.picture.max_height = Some(max_height);
        self
    }

    /// Sets whether the rotation of the stream is applied.
    #[must_use]
    pub fn rotate(mut self, rotate: bool) -> Self {
        self.request.picture.rotate = rotate;
        self
    }

    /// Sets which frames are deinterlaced.
    #[must_use]
    pub fn deinterlace(mut self, deinterlace: Deinterlace) -> Self {
        self.request.picture.deinterlace = deinterlace;
        self
    }

    /// Sets whether HDR is converted to SDR.
    #[must_use]
    pub fn tonemap(mut self, tonemap: Tonemap) -> Self {
        self.request.picture.tonemap = tonemap;
        self
    }

    /// Sets what to do with a damaged source.
    #[must_use]
    pub fn on_damage(mut self, on_damage: OnDamage) -> Self {
        self.request.on_damage = on_damage;
        self
    }

    /// Sets how the samples to decode are chosen. The frames do not depend on the strategy.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.request.strategy = strategy;
        self
    }

    /// Sets the number of concurrent decoders. More decoders are faster on many cores, and decode further ahead. The
    /// frames do not depend on the number.
    #[must_use]
    pub fn jobs(mut self, jobs: NonZeroUsize) -> Self {
        self.request.jobs = Some(jobs);
        self
    }

    /// Returns the request for uncompressed pictures.
    pub(super) fn request(&self) -> &Request {
        &self.request
    }
}
