//! Pictures with the time of their frame: draws into decoded frames, and encodes them with one encoder.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::error::Error;
use super::session::Session;
use crate::extract::{
    BurnIn, EncodeStream, ExtractError, Picture, PictureFormat, PictureOptions, PixelFormat,
};
use crate::sheet::{Canvas, Font, Label};
use crate::video::Timeline;

/// Returns the options of decoded frames into which the time is drawn; of other pictures, their own options.
pub(super) fn decoded(picture: &PictureOptions) -> PictureOptions {
    let mut decoded = *picture;
    if drawn(picture).is_some() {
        decoded.format = PictureFormat::Raw;
        decoded.pixels = PixelFormat::Rgb24;
    }
    decoded.burn_in = None;
    decoded
}

/// Returns what is drawn into the pictures.
fn drawn(picture: &PictureOptions) -> Option<BurnIn> {
    picture.burn_in.filter(|_| !picture.format.is_uncompressed())
}

/// Draws the times of frames into their pictures.
pub(super) struct Burner {
    picture: PictureOptions,
    timeline: Arc<Timeline>,
    font: Font,
}

impl Burner {
    /// Returns `None` for pictures into which nothing is drawn.
    pub(super) fn new(picture: &PictureOptions, timeline: &Arc<Timeline>) -> Option<Self> {
        drawn(picture).map(|BurnIn::Time| Self {
            picture: *picture,
            timeline: Arc::clone(timeline),
            font: Font::default(),
        })
    }

    /// Draws into the `decoded` frames, and sends the encoded pictures in the same order.
    pub(super) async fn burn(
        &self,
        session: &Session<'_>,
        mut decoded: mpsc::Receiver<Picture>,
        encoded: mpsc::Sender<Picture>,
    ) -> Result<(), Error> {
        let Some(first) = decoded.recv().await else {
            return Ok(());
        };
        let size = (first.width, first.height);
        let mut request = EncodeStream::new(size.0, size.1);
        request.format = self.picture.format;
        request.quality = self.picture.quality;
        request.limits = *session.limits();
        let (pixels, feed) = mpsc::channel(1);
        let (pictures, mut made) = mpsc::channel::<Bytes>(1);
        // The encoder may return pictures late.
        let (frames, mut order) = mpsc::unbounded_channel();
        let encoding = session
            .encoder()?
            .encode_stream(request, feed, pictures, session.cancel());
        let feeding = async move {
            let mut next = Some(first);
            while let Some(picture) = next {
                let frame = picture.frame;
                let drawn = self.draw(picture, size)?;
                // The receiver is dropped only after the encoder.
                let _ = frames.send(frame);
                if pixels.send(drawn).await.is_err() {
                    break;
                }
                next = decoded.recv().await;
            }
            Ok::<_, Error>(())
        };
        let forwarding = async move {
            while let Some(bytes) = made.recv().await {
                let Some(frame) = order.recv().await else {
                    return Err(failed("the encoder returned too many pictures"));
                };
                let picture = Picture {
                    frame,
                    bytes,
                    width: size.0,
                    height: size.1,
                };
                if encoded.send(picture).await.is_err() {
                    return Ok(());
                }
            }
            match order.recv().await {
                Some(_) => Err(failed("the encoder returned too few pictures")),
                None => Ok(()),
            }
        };
        let (encoding, feeding, forwarding) = tokio::join!(encoding, feeding, forwarding);
        encoding?;
        feeding?;
        forwarding
    }

    fn draw(&self, picture: Picture, size: (u32, u32)) -> Result<Bytes, Error> {
        let canvas = Some((picture.width, picture.height)).filter(|found| *found == size);
        let canvas = canvas.and_then(|size| Canvas::of_pixels(size, picture.bytes));
        let mut canvas = canvas.ok_or_else(|| failed("the decoder returned frames of different sizes"))?;
        let time = self.timeline.time(picture.frame);
        Label::of_picture(&self.font, size).draw(&mut canvas, time);
        Ok(canvas.into_bytes())
    }
}

fn failed(why: &str) -> Error {
    ExtractError::DecoderFailed(why.to_owned()).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sheet::Colour;
    use crate::units::{Rational, TimeBase};

    #[test]
    fn the_time_is_that_of_the_frame_from_the_first_frame_on() {
        let size = (160, 90);
        let timeline = Timeline::new(TimeBase::new(1, 10).unwrap(), vec![7, 8, 19], Some(1)).unwrap();
        let options = PictureOptions::default().burn_in(BurnIn::Time);
        let burner = Burner::new(&options, &Arc::new(timeline)).unwrap();
        let black = || Canvas::new(size, Colour::BLACK);
        let frame = Picture::new(2, black().into_bytes(), size.0, size.1);
        let mut expected = black();
        let time = Rational::new(12, 10);
        Label::of_picture(&Font::default(), size).draw(&mut expected, time);
        assert!(expected != black());
        assert_eq!(burner.draw(frame, size).unwrap(), expected.into_bytes());
        let other = Picture::new(2, black().into_bytes(), size.0, size.1);
        assert!(burner.draw(other, (80, 180)).is_err(), "a frame of another size");
    }
}
