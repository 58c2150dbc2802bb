//! Places where a test can make a worker die, hang or panic. Nothing at all in other builds.

/// Where a step of the protocol has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Received,
    Validated,
    Claimed,
    Heartbeat,
    Prepared,
    Extracting,
    /// The first rendition is made and not yet in its place.
    Compressed,
    /// The first rendition is in its place, and the next one is made.
    Beside,
    Uploaded,
    Committed,
    Deleted,
    RelayTaken,
    RelaySent,
    Swept,
}

/// Does what `VF_FAULT` says, `point=action`, once in the life of the process: `kill`, `stop` and `term`
/// are signals to itself, `panic` panics.
#[cfg(feature = "fault-points")]
pub(super) fn reached(point: Point) {
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::atomic::{AtomicBool, Ordering};

    static DONE: AtomicBool = AtomicBool::new(false);
    let Ok(fault) = std::env::var("VF_FAULT") else {
        return;
    };
    let name = format!("{point:?}").to_ascii_lowercase();
    let Some(action) = fault.strip_prefix(&name).and_then(|rest| rest.strip_prefix('=')) else {
        return;
    };
    if DONE.swap(true, Ordering::SeqCst) {
        return;
    }
    let signal = match action {
        "kill" => Signal::KILL,
        "stop" => Signal::STOP,
        "term" => Signal::TERM,
        _ => panic!("the fault that was asked for at {point:?}"),
    };
    tracing::warn!(?point, ?signal, "a fault that was asked for");
    // It can only fail for a process that is not there.
    let _ = kill_process(getpid(), signal);
}

#[cfg(not(feature = "fault-points"))]
pub(super) fn reached(_: Point) {}
