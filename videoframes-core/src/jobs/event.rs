//! Decides which of two events of an object is newer. Pure.

use super::{ErrorCode, JobError, NewJob, Outcome};

/// The position of an event among the events of the same object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventOrder {
    /// Bucket and key, separated by a slash, which a bucket name cannot contain.
    pub(crate) object: String,
    /// Sort key: its byte order is the order of the events.
    pub(crate) order: String,
}

impl EventOrder {
    /// Returns the position of a job's event; `None` without an event, or if the event cannot be ordered.
    pub(crate) fn from_job(job: &NewJob) -> Option<Self> {
        if job.rejection.is_some() {
            return None;
        }
        let order = order(job.sequencer.as_deref()?)?;
        let source = job.source.get().ok()?;
        let bucket = source.bucket.as_deref().unwrap_or_default();
        Some(Self {
            object: format!("{bucket}/{}", source.key),
            order,
        })
    }
}

/// Converts an S3 sequencer so that two of them compare by their bytes.
///
/// Sequencers are hexadecimal numbers of different lengths, compared as if zeros were appended to the shorter
/// number. Removing trailing zeros gives the same order.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
fn order(sequencer: &str) -> Option<String> {
    let hexadecimal = sequencer.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| sequencer.trim_end_matches('0').to_ascii_uppercase())
}

/// Returns the outcome of a job whose event is older than another event of the same object.
pub(crate) fn superseded() -> Outcome {
    Outcome::Cancelled(JobError::new(
        ErrorCode::Superseded,
        "a newer event of the same object superseded the job",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_sequencer_compares_as_if_zeros_were_appended() {
        for (older, newer) in [
            ("0055AED6DCD90281E5", "0055AED6DCD90281E6"),
            ("0055AED6DCD90281E5", "0055AED6DCD90281E501"),
            ("0055AED6DCD90281E5FF", "0055AED6DCD90281E6"),
            ("0055aed6dcd90281e5", "0055AED6DCD90281F0"),
            ("09", "0A"),
            ("00", "01"),
            ("1", "2"),
            ("1F", "2"),
        ] {
            assert!(order(older).unwrap() < order(newer).unwrap(), "{older} {newer}");
        }
        for (one, other) in [
            ("0055AED6DCD90281E5", "0055aed6dcd90281e500"),
            ("00", "0"),
            ("A", "A0"),
        ] {
            assert_eq!(order(one), order(other), "{one} {other}");
        }
    }

    #[test]
    fn a_sequencer_that_is_not_hexadecimal_has_no_order() {
        for sequencer in ["first", "0x1", "1-2", "\u{661}"] {
            assert_eq!(order(sequencer), None, "{sequencer}");
        }
    }
}
