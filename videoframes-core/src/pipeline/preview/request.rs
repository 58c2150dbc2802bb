//! Requests for previews.

use crate::extract::{EmbeddedMetadata, PictureFormat, PixelFormat, Quality};
use crate::pipeline::request::Request;
use crate::preview::{PreviewFormat, Timing};
use crate::select::{End, Position, Range, Selection};
use crate::units::{FrameRate, Rational};

/// Width of a preview in pixels, as of the previews of most services.
const WIDTH: u32 = 320;
/// Quality of a preview. Its frames are small and displayed briefly.
const QUALITY: u8 = 75;
/// Frames per second of a preview without a selection.
const RATE: i128 = 10;
/// Start of a preview without a range, in percent of the duration. First frames are often black.
const START: i128 = 5;
/// Duration of a preview without an end, in seconds.
const SECONDS: i128 = 5;

/// Request for the preview of one video: an animated picture of its frames.
///
/// Each frame is displayed until the time of the next frame, unless [`PreviewRequest::delay`] sets a constant time. The last
/// frame is displayed until the end of the video, but not longer than the frame before it. Times are rounded to milliseconds
/// (WebP) or hundredths of a second (GIF) without drift, and are at least 11 ms (WebP) or 20 ms (GIF).
///
/// A [`Request`] converts to a preview of the same frames as WebP. The options of its pictures apply to the frames; its
/// format, names, layout, metadata and burned-in times do not apply.
#[derive(Debug, Clone)]
pub struct PreviewRequest {
    request: Request,
    format: PreviewFormat,
    delay: Option<Rational>,
    plays: u16,
    /// Whether the end of the range is a default, which a short video does not reach.
    has_default_end: bool,
}

impl From<Request> for PreviewRequest {
    fn from(mut request: Request) -> Self {
        let picture = &mut request.picture;
        picture.burn_in = None;
        picture.metadata = EmbeddedMetadata::None;
        if picture.max_width.is_none() && picture.max_height.is_none() {
            picture.max_width = Some(WIDTH);
        }
        Self {
            request,
            format: PreviewFormat::default(),
            delay: None,
            plays: 0,
            has_default_end: false,
        }
    }
}

impl Default for PreviewRequest {
    /// Returns a request for 5 seconds from 5 % of the duration on, with 10 frames per second.
    fn default() -> Self {
        Self::clip(None)
    }
}

impl PreviewRequest {
    /// Creates a request for a WebP of 320 pixels width and quality 75 that is repeated endlessly.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Request::new(selection)
            .picture(crate::extract::PictureOptions::default().quality(Self::default_quality()))
            .into()
    }

    /// Creates a request for 5 seconds with 10 frames per second, from `start` on, by default from 5 % of the duration on.
    #[must_use]
    pub fn clip(start: Option<Position>) -> Self {
        let mut request = Self::new(Self::default_selection());
        request.request.range = Range { start, end: None };
        request.with_default_range()
    }

    /// Returns the quality of [`PreviewRequest::new`].
    pub fn default_quality() -> Quality {
        Quality::new(QUALITY).unwrap_or_default()
    }

    /// Returns the selection of [`PreviewRequest::clip`].
    pub fn default_selection() -> Selection {
        let rate = FrameRate::new(Rational::from_integer(RATE));
        rate.map_or(Selection::All, Selection::Fps)
    }

    /// Adds to the range the start and the duration of [`PreviewRequest::clip`] where the range has none. A range with an end
    /// starts at the first frame.
    #[must_use]
    pub fn with_default_range(mut self) -> Self {
        let range = &mut self.request.range;
        if range.end.is_none() {
            range.end = Some(End::After(Rational::from_integer(SECONDS)));
            range.start = range
                .start
                .or(Some(Position::Percent(Rational::from_integer(START))));
            self.has_default_end = true;
        }
        self
    }

    /// Sets the format.
    #[must_use]
    pub fn format(mut self, format: PreviewFormat) -> Self {
        self.format = format;
        self
    }

    /// Displays every frame for this number of seconds, instead of until the time of the next frame.
    #[must_use]
    pub fn delay(mut self, seconds: Rational) -> Self {
        self.delay = Some(seconds);
        self
    }

    /// Sets how many times the preview is played; 0 for no end, which is the default.
    #[must_use]
    pub fn plays(mut self, plays: u16) -> Self {
        self.plays = plays;
        self
    }

    /// Returns the request for the frames.
    pub(super) fn frames(&self) -> Request {
        let mut request = self.request.clone();
        request.picture.format = match self.format {
            PreviewFormat::Webp => PictureFormat::Webp,
            PreviewFormat::Gif => PictureFormat::Raw,
        };
        request.picture.pixels = PixelFormat::Rgb24;
        request
    }

    /// Returns how long frames are displayed in a video that ends at this time.
    pub(super) fn timing(&self, end: Rational) -> Timing {
        match self.delay {
            Some(delay) => Timing::Constant(delay),
            None => Timing::RealTime { end },
        }
    }

    /// Returns the selection and the range that were given.
    pub(super) fn given(&self) -> (&Selection, Range) {
        let mut range = self.request.range;
        if self.has_default_end {
            range.end = None;
        }
        (&self.request.selection, range)
    }

    /// Returns the constant display time, if one was set.
    pub(super) fn constant_delay(&self) -> Option<Rational> {
        self.delay
    }

    /// Returns the format, and how many times the preview is played.
    pub(super) fn animation(&self) -> (PreviewFormat, u16) {
        (self.format, self.plays)
    }
}
