//! An animated picture of either format.

use super::error::AnimationError;
use super::format::PreviewFormat;
use super::gif::Gif;
use super::webp::Webp;

/// An animated picture that is composed in memory.
#[derive(Debug)]
pub(crate) struct Animation {
    content: Content,
    format: PreviewFormat,
}

#[derive(Debug)]
enum Content {
    Webp(Webp),
    Gif(Gif),
}

impl Animation {
    /// Starts an animated picture of this width and height. `plays` is the number of times that it is played, 0 for no end.
    pub(crate) fn new(format: PreviewFormat, size: (u32, u32), plays: u16) -> Result<Self, AnimationError> {
        let content = match format {
            PreviewFormat::Webp => Content::Webp(Webp::new(size, plays)),
            PreviewFormat::Gif => Content::Gif(Gif::new(size, plays)?),
        };
        Ok(Self { content, format })
    }

    /// Returns the number of bytes so far.
    pub(crate) fn len(&self) -> usize {
        match &self.content {
            Content::Webp(webp) => webp.len(),
            Content::Gif(gif) => gif.len(),
        }
    }

    /// Appends a frame, which is displayed for this number of ticks of the format: a still picture for WebP, and the RGB
    /// pixels for GIF.
    pub(crate) fn add(&mut self, picture: &[u8], ticks: u32) -> Result<(), AnimationError> {
        match &mut self.content {
            Content::Webp(webp) => webp.add(picture, ticks * self.format.tick()),
            Content::Gif(gif) => gif.add(picture, ticks),
        }
    }

    /// Returns the complete file.
    pub(crate) fn finish(self) -> Result<Vec<u8>, AnimationError> {
        match self.content {
            Content::Webp(webp) => webp.finish(),
            Content::Gif(gif) => gif.finish(),
        }
    }
}
