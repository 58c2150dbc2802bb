//! Limits of a job that a client sets.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// Limits that a client sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RequestedLimits {
    /// Maximum size of the source in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<NonZeroU64>,
    /// Maximum size of a picture in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<NonZeroU64>,
    /// Maximum duration of the video in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<NonZeroU64>,
    /// Maximum number of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<NonZeroU64>,
    /// Maximum size of the archive in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<NonZeroU64>,
    /// Maximum time of one attempt in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_s: Option<NonZeroU64>,
    /// Maximum time from submission to result in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<NonZeroU64>,
}

impl RequestedLimits {
    /// Returns, for each limit, the stricter of the requested limit and `own`.
    #[must_use]
    pub fn within(&self, own: &Limits) -> Limits {
        let min = |requested: Option<NonZeroU64>, own: u64| {
            requested.map_or(own, |requested| requested.get().min(own))
        };
        let seconds = |requested: Option<NonZeroU64>, own: Duration| {
            requested.map_or(own, |requested| Duration::from_secs(requested.get()).min(own))
        };
        Limits {
            input_bytes: min(self.input_bytes, own.input_bytes),
            pixels: min(self.pixels, own.pixels),
            duration: seconds(self.duration_s, own.duration),
            frames: min(self.frames, own.frames),
            // A client that requests a maximum number of pictures accepts that many.
            grid_per_frame: self.frames.map_or(own.grid_per_frame, |_| u64::MAX),
            output_bytes: min(self.output_bytes, own.output_bytes),
            wall_time: seconds(self.attempt_s, own.wall_time),
            stall: own.stall,
            memory: own.memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_limit_applies() {
        let requested = RequestedLimits {
            frames: NonZeroU64::new(10),
            pixels: NonZeroU64::new(u64::MAX),
            ..RequestedLimits::default()
        };
        let own = Limits::default();
        let both = requested.within(&own);
        assert_eq!((both.frames, both.pixels), (10, own.pixels));
    }
}
