//! Fault points, where a test can make a worker crash, hang or panic. Compiled out of other builds.

/// A step of the protocol that has just been completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Received,
    Validated,
    Claimed,
    Heartbeat,
    Prepared,
    Extracting,
    /// The first rendition is encoded and not yet stored.
    Compressed,
    /// The first rendition is stored, and the next one is encoded.
    Beside,
    Uploaded,
    Committed,
    Deleted,
    RelayTaken,
    RelaySent,
    Swept,
    /// The objects of a reconciliation are listed, and their rows rebuilt.
    ReconcileListed,
    /// A reconciliation rebuilt a row.
    ReconcileRebuilt,
    /// A reconciliation retried a job.
    ReconcileRetried,
    /// A reconciliation enqueued jobs.
    ReconcileEnqueued,
    /// A reconciliation accepted the restore in the database, and not yet in the store.
    ReconcileAccepted,
    /// A reconciliation accepted the restore in the store.
    ReconcileMarked,
}

#[cfg(feature = "fault-points")]
pub(super) fn reached(point: Point) {
    inject(&format!("{point:?}").to_ascii_lowercase());
}

/// Performs the fault in `VF_FAULT` (`point=action`) once per process, if `point` is the point with this name. `kill`,
/// `stop` and `term` send the process that signal; `panic` panics; `block` never returns.
#[cfg(feature = "fault-points")]
pub fn inject(point: &str) {
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::atomic::{AtomicBool, Ordering};

    static DONE: AtomicBool = AtomicBool::new(false);
    let Ok(fault) = std::env::var("VF_FAULT") else {
        return;
    };
    let Some(action) = fault.strip_prefix(point).and_then(|rest| rest.strip_prefix('=')) else {
        return;
    };
    if DONE.swap(true, Ordering::SeqCst) {
        return;
    }
    let signal = match action {
        "kill" => Signal::KILL,
        "stop" => Signal::STOP,
        "term" => Signal::TERM,
        "block" => loop {
            std::thread::park();
        },
        _ => panic!("the requested fault at {point}"),
    };
    tracing::warn!(point, ?signal, "injecting a fault");
    // Fails only for a process that does not exist.
    let _ = kill_process(getpid(), signal);
    // Another thread may receive the signal; until it stops the process, this thread must not continue.
    std::thread::sleep(std::time::Duration::from_millis(100));
}

#[cfg(not(feature = "fault-points"))]
pub(super) fn reached(_: Point) {}
