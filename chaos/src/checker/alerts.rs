//! Alerts fire for what a run injects, and for nothing else.

use std::collections::BTreeSet;

use super::observed::Violation;

/// Alerts that every run fires: malformed messages, and reads that the store denies.
const EXPECTED: &[&str] = &["VideoframesDeadLetters", "VideoframesRefused"];
/// Alerts that a run may fire, depending on the duration of its outages, on its load and on its length.
const EXPLAINED: &[&str] = &[
    "VideoframesDependencyDown",
    // Deadlines are failures of the system.
    "VideoframesJobsFailFast",
    "VideoframesJobsFailSlow",
    "VideoframesHostileInput",
    "VideoframesLeasesLost",
    // A worker whose clock is an hour behind reports an old time of its last poll.
    "VideoframesNotPolling",
    "VideoframesScratchFull",
    // The only worker of a short time may be frozen.
    "VideoframesWorkersGone",
];

/// Returns the alerts that should have fired, and those that should not.
pub(crate) fn violations(fired: &BTreeSet<String>) -> Vec<Violation> {
    let missing = EXPECTED.iter().filter(|name| !fired.contains(**name));
    let missing = missing.map(|name| Violation::new(*name, "did not fire"));
    let is_explained = |name: &&String| {
        EXPECTED
            .iter()
            .chain(EXPLAINED)
            .any(|explained| explained == name)
    };
    let strange = fired.iter().filter(|name| !is_explained(name));
    let strange = strange.map(|name| Violation::new(name, "fired, but no injection explains this alert"));
    missing.chain(strange).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_fire_for_injected_faults_only() {
        let found = |fired: &[&str]| -> Vec<String> {
            let fired = fired.iter().map(|name| (*name).to_owned()).collect();
            violations(&fired)
                .into_iter()
                .map(|found| found.subject)
                .collect()
        };
        let expected = ["VideoframesDeadLetters", "VideoframesRefused"];
        assert_eq!(found(&expected), [""; 0]);
        assert_eq!(
            found(&[&expected[..], &["VideoframesDependencyDown"]].concat()),
            [""; 0]
        );
        assert_eq!(found(&expected[..1]), ["VideoframesRefused"]);
        let strange = "VideoframesDatabaseRestored";
        assert_eq!(found(&[&expected[..], &[strange]].concat()), [strange]);
    }
}
