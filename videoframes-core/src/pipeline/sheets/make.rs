//! Makes sheets: an extraction whose pictures are tiles.

use super::request::Sheets;
use super::target::SheetTarget;
use crate::archive::Destination;
use crate::pipeline::error::Error;
use crate::pipeline::extract::{Extraction, Known};
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
    let mut extraction = match &known {
        Some(known) => Extraction::of_known(session, &tiles, &[], &target, (**known).clone())?,
        None => Extraction::open(session, &tiles, &[], &target).await?,
    };
    let completed = extraction.run().await?;
    if let Some(known) = known {
        known.learn(&extraction);
    }
    completed.writer.finish(completed.report, completed.work).await
}
