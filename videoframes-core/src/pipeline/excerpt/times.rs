//! Requested times before the timeline is known.

use crate::error::ErrorKind;
use crate::limits::{EXCERPT_PICTURES, Limits};
use crate::pipeline::Request;
use crate::select::{Pick, select};
use crate::video::{NoIndex, Timeline};

/// Returns the requested times in ticks, in order, according to the frames at the beginning and the end. Without a time in the
/// video, the complete list of packets leads to the error.
pub(super) fn targets(timeline: &Timeline, request: &Request, limits: &Limits) -> Result<Vec<i64>, NoIndex> {
    let most = EXCERPT_PICTURES as u64;
    let picks = match select(
        timeline,
        &request.selection,
        &request.range,
        limits.frames.min(most),
    ) {
        Ok(picks) => picks,
        Err(error) if error.kind() == ErrorKind::SelectionOutOfRange => Vec::new(),
        Err(error) => return Err(NoIndex::new(error.to_string())),
    };
    let ticks = |pick: &Pick| {
        let ticks = timeline.time_base().whole_ticks(pick.target)?;
        i64::try_from(ticks).ok()?.checked_add(timeline.pts()[0])
    };
    Ok(picks.iter().filter_map(ticks).collect())
}
