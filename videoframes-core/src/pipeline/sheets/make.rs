//! Makes sheets: an extraction whose pictures are tiles.

use super::request::Sheets;
use super::target::SheetTarget;
use crate::archive::Destination;
use crate::pipeline::error::Error;
use crate::pipeline::extract::{Known, deliver};
use crate::pipeline::session::Session;
use crate::pipeline::summary::{Progress, Summary};

/// Makes the sheets. Reads the container unless it is `known`, and adds the findings to `known`.
pub(in crate::pipeline) async fn make(
    session: &Session<'_>,
    sheets: Sheets<'_>,
    destination: &dyn Destination,
    known: Option<&mut Known>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Summary, Error> {
    destination.check()?;
    let format = sheets.request.picture.format;
    session.encoder()?.check(format, session.cancel()).await?;
    let target = SheetTarget {
        session,
        sheets,
        destination,
        progress,
    };
    let tiles = sheets.tiles();
    let completed = deliver(session, &tiles, &target, known).await?;
    completed.writer.finish(completed.report, completed.work).await
}
