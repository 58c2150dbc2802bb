//! Liveness and readiness of a worker. Pure.

use std::fmt::Write;
use std::time::Duration;

use videoframes_core::processor::{Phase, ProcessorStatus, RestoreCheck};

/// Interval at which a task on the runtime of the processor reports that the runtime is not blocked.
pub(crate) const PULSE: Duration = Duration::from_secs(1);

/// Maximum time without a report of the runtime task ([`PULSE`]).
pub(crate) const MAX_BLOCKED: Duration = Duration::from_secs(15);

/// The progress of the start, before the processor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Startup {
    /// Connects to the database, the queues and the stores.
    #[default]
    Connecting,
    /// All dependencies answered.
    Complete,
}

/// The inputs of the health checks.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) startup: Startup,
    pub(crate) processor: ProcessorStatus,
    /// Space of the scratch folder. `free` is the minimum of the remaining quota and the free space of the file system.
    pub(crate) scratch: Scratch,
    /// Whether ffmpeg and ffprobe exist.
    pub(crate) ffmpeg: bool,
}

/// Space for temporary files in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scratch {
    pub(crate) free: u64,
    pub(crate) quota: u64,
}

impl Scratch {
    /// Returns whether less than 5 % of the quota is free.
    fn is_full(self) -> bool {
        self.free < self.quota / 20
    }
}

/// The answer to a health request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// Reasons why the check fails; empty if healthy.
    pub(crate) reasons: Vec<String>,
}

impl Health {
    pub(crate) fn is_ok(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Returns `ok`, or one reason per line.
    pub(crate) fn text(&self) -> String {
        if self.is_ok() {
            return "ok\n".to_owned();
        }
        self.reasons.iter().fold(String::new(), |mut text, reason| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{reason}");
            text
        })
    }
}

/// Returns whether the loops of the worker run. Ignores dependencies: a restart would not end their outage.
pub(crate) fn liveness(facts: &Facts) -> Health {
    let stuck = facts.processor.loops.iter().filter(|pulse| pulse.is_stuck());
    let mut reasons: Vec<_> = stuck
        .map(|pulse| {
            let (age, limit) = (pulse.age.as_secs(), pulse.limit.as_secs());
            format!("loop:{} (no progress for {age} s, limit {limit} s)", pulse.name)
        })
        .collect();
    reasons.dedup();
    Health { reasons }
}

/// Returns whether the worker can start jobs.
pub(crate) fn readiness(facts: &Facts) -> Health {
    let mut reasons = Vec::new();
    let processor = &facts.processor;
    match (facts.startup, processor.phase) {
        (Startup::Connecting, _) | (_, Phase::Starting) => reasons.push("starting".to_owned()),
        (_, Phase::Stopping) => reasons.push("stopping".to_owned()),
        _ if processor.restore == RestoreCheck::Pending => reasons.push("starting".to_owned()),
        _ => {}
    }
    match processor.restore {
        RestoreCheck::Restored => reasons.push("restored".to_owned()),
        RestoreCheck::Unreadable => reasons.push("restore_mark".to_owned()),
        _ => {}
    }
    if processor.paused {
        reasons.push("paused".to_owned());
    }
    for (dependency, _) in &processor.outages {
        reasons.push(format!("circuit:{dependency}"));
    }
    if facts.scratch.is_full() {
        reasons.push("scratch".to_owned());
    }
    if !facts.ffmpeg {
        reasons.push("ffmpeg".to_owned());
    }
    reasons.extend(liveness(facts).reasons);
    Health { reasons }
}

#[cfg(test)]
mod tests {
    use videoframes_core::processor::{Dependency, Monitor};

    use super::*;

    const SCRATCH: Scratch = Scratch {
        free: 1000,
        quota: 1000,
    };

    fn facts(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = Facts {
            startup: Startup::Complete,
            processor: Monitor::default().status(),
            scratch: SCRATCH,
            ffmpeg: true,
        };
        facts.processor.phase = Phase::Running;
        facts.processor.restore = RestoreCheck::Current;
        change(&mut facts);
        facts
    }

    #[test]
    fn readiness_names_every_reason() {
        let outage = (Dependency::Queue, Duration::ZERO);
        let cases = [
            (facts(|_| {}), &[][..]),
            (facts(|f| f.startup = Startup::Connecting), &["starting"]),
            (facts(|f| f.processor.phase = Phase::Starting), &["starting"]),
            (facts(|f| f.processor.phase = Phase::Stopping), &["stopping"]),
            (
                facts(|f| f.processor.restore = RestoreCheck::Pending),
                &["starting"],
            ),
            (
                facts(|f| f.processor.restore = RestoreCheck::Restored),
                &["restored"],
            ),
            (
                facts(|f| f.processor.restore = RestoreCheck::Unreadable),
                &["restore_mark"],
            ),
            (facts(|f| f.processor.paused = true), &["paused"]),
            (facts(|f| f.processor.outages.push(outage)), &["circuit:queue"]),
            (facts(|f| f.scratch.free = 49), &["scratch"]),
            (facts(|f| f.scratch.free = 50), &[]),
            (facts(|f| f.ffmpeg = false), &["ffmpeg"]),
            (
                facts(|f| {
                    f.processor.paused = true;
                    f.processor.outages.push((Dependency::Store, Duration::ZERO));
                }),
                &["paused", "circuit:store"],
            ),
        ];
        for (facts, reasons) in cases {
            assert_eq!(readiness(&facts).reasons, reasons, "{facts:?}");
            assert!(liveness(&facts).is_ok(), "{facts:?}: a restart would not help");
        }
    }

    #[test]
    fn a_worker_that_is_not_live_is_not_ready() {
        let monitor = Monitor::default();
        let _relay = monitor.watch("relay", Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        let facts = facts(|facts| facts.processor.loops = monitor.status().loops);
        let reasons = liveness(&facts).reasons;
        assert!(
            reasons.len() == 1 && reasons[0].starts_with("loop:relay"),
            "{reasons:?}"
        );
        assert_eq!(readiness(&facts).reasons, reasons);
        assert!(liveness(&facts).text().ends_with(" s)\n"));
    }
}
