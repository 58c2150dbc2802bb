//! Makes previews: an extraction whose pictures are frames of an animated picture.

use super::request::PreviewRequest;
use super::target::PreviewTarget;
use crate::archive::Destination;
use crate::pipeline::error::Error;
use crate::pipeline::extract::{Known, deliver};
use crate::pipeline::session::Session;
use crate::pipeline::summary::{Progress, Summary};

/// Makes a preview. Reads the container unless the video is `known`, and adds the findings to `known`.
pub(in crate::pipeline) async fn make(
    session: &Session<'_>,
    request: &PreviewRequest,
    destination: &dyn Destination,
    known: Option<&mut Known>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Summary, Error> {
    destination.check()?;
    let target = PreviewTarget {
        session,
        request,
        destination,
        progress,
    };
    let frames = request.frames();
    let completed = deliver(session, &frames, &target, known).await?;
    completed.writer.finish(completed.report, completed.work).await
}
