//! Which of two events of an object is the newer. Pure.

use super::{ErrorCode, JobError, NewJob, Outcome, SourceRef};

/// An event of an object, among others of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventOrder {
    /// Bucket and key; a bucket's name has no slash.
    pub(crate) object: String,
    /// Sorts by its bytes as the events came.
    pub(crate) order: String,
}

impl EventOrder {
    /// The event that a job is about; `None` for one that is about none, or about one that cannot be put in
    /// order with others.
    pub(crate) fn of(job: &NewJob) -> Option<Self> {
        if job.rejection.is_some() {
            return None;
        }
        let order = order(job.sequencer.as_deref()?)?;
        let source = SourceRef::from_json(&job.source).ok()?;
        let bucket = source.bucket.unwrap_or_default();
        Some(Self {
            object: format!("{bucket}/{}", source.key),
            order,
        })
    }
}

/// A sequencer of S3, so that two of them compare by their bytes. They are hexadecimal numbers of different
/// lengths, compared as if zeros were appended to the shorter one: without the zeros at their ends, the same
/// comparison needs none appended.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
fn order(sequencer: &str) -> Option<String> {
    let hexadecimal = sequencer.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| sequencer.trim_end_matches('0').to_ascii_uppercase())
}

/// How a job ends whose event is older than another of the same object.
pub(crate) fn superseded() -> Outcome {
    Outcome::Cancelled(JobError::new(
        ErrorCode::Superseded,
        "a newer event of the same object took its place",
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
    fn what_is_no_number_has_no_order() {
        for sequencer in ["first", "0x1", "1-2", "\u{661}"] {
            assert_eq!(order(sequencer), None, "{sequencer}");
        }
    }
}
