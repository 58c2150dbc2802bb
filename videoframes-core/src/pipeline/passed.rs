//! A pass that delivered all pictures, and pictures that an examination delivered already.

use super::compress::Subject;
use super::error::Error;
use super::pass::Pass;
use super::perform::Performed;
use super::renditions::SharedDecode;
use super::target::{PictureTarget, PictureWriter, Selected};
use crate::extract::Picture;
use crate::video::VideoInfo;

/// A pass that delivered all pictures.
pub(super) struct Passed<'a, W> {
    pub(super) writer: W,
    pub(super) pass: Pass,
    pub(super) performed: Performed,
    /// Source of the renditions, if there are any.
    pub(super) subject: Option<Subject<'a>>,
    /// Renditions of the same decode.
    pub(super) combined: Option<SharedDecode>,
}

/// The frames to extract.
pub(super) enum Selection<'a> {
    /// The frames have to be decoded.
    Made(Selected),
    /// The examination decoded the only picture in the requested format.
    Ready(Box<Ready<'a>>),
}

/// A picture that an examination delivered.
pub(super) struct Ready<'a> {
    pub(super) selected: Selected,
    pub(super) picture: Picture,
    /// The pass of the examination.
    pub(super) passed: Passed<'a, ()>,
}

impl<'a> Ready<'a> {
    /// Writes the picture to `target`.
    pub(super) async fn deliver<P: PictureTarget>(
        self: Box<Self>,
        target: &P,
        video: &VideoInfo,
    ) -> Result<Passed<'a, P::Writer>, Error> {
        let mut writer = target.start(video, self.selected).await?;
        if let Err(error) = writer.add(self.picture).await {
            writer.abort().await;
            return Err(error);
        }
        Ok(self.passed.with_writer(writer))
    }
}

impl<'a, W> Passed<'a, W> {
    /// Replaces the writer.
    pub(super) fn with_writer<V>(self, writer: V) -> Passed<'a, V> {
        Passed {
            writer,
            pass: self.pass,
            performed: self.performed,
            subject: self.subject,
            combined: self.combined,
        }
    }
}
