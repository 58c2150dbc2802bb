//! Makes sheets: an extraction whose pictures are tiles.

use super::request::Sheets;
use super::target::SheetTarget;
use crate::archive::Destination;
use crate::limits::SHEET_TILES;
use crate::pipeline::context::Context;
use crate::pipeline::error::Error;
use crate::pipeline::extract::Extraction;
use crate::pipeline::session::Session;
use crate::pipeline::summary::Summary;

/// Returns the context with a limit on the number of tiles.
pub(in crate::pipeline) fn bounded(context: &Context) -> Context {
    let mut context = context.clone();
    context.limits.frames = context.limits.frames.min(SHEET_TILES);
    context
}

/// Makes the sheets.
pub(in crate::pipeline) async fn make(
    session: &Session<'_>,
    sheets: Sheets<'_>,
    destination: &dyn Destination,
) -> Result<Summary, Error> {
    destination.check()?;
    let format = sheets.request.picture.format;
    session.encoder()?.check(format, session.cancel()).await?;
    let target = SheetTarget {
        session,
        sheets,
        destination,
    };
    let tiles = sheets.tiles();
    let mut extraction = Extraction::open(session, &tiles, &[], &target).await?;
    let completed = extraction.run().await?;
    completed.writer.finish(completed.report, completed.work).await
}
