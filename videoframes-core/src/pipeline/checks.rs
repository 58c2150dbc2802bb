//! Checks of a request against limits. Pure.

use super::Request;
use super::error::Error;
use crate::extract::PictureOptions;
use crate::limits::{ANIMATION_SHARE, Limits, PICTURE_BYTES};
use crate::select::{Pick, check_grid, select};
use crate::units::{Rational, approximate_seconds};
use crate::video::{Timeline, VideoInfo};

/// Returns a warning about a video that does not begin with a keyframe.
pub(super) fn begins_late(video: &VideoInfo) -> Option<String> {
    let warning = "the video begins in the middle of a group of pictures: frames before its first keyframe cannot be \
                   decoded and are left out, and times count from that keyframe";
    video.first_keyframe.map(|_| warning.to_owned())
}

/// Fails if a rectangle does not lie inside the displayed picture, and if pictures would exceed the limit or the maximum
/// size of their format. A sample aspect ratio can make
/// pictures 16 times as wide as the stored frames.
pub(super) fn check_picture_size(
    video: &VideoInfo,
    picture: &PictureOptions,
    limits: &Limits,
) -> Result<(), Error> {
    let display = video.display_size(picture.rotate);
    if let Some(crop) = picture.crop
        && crop.region(display).is_none()
    {
        let (width, height) = display;
        return Err(Error::OutsidePicture { crop, width, height });
    }
    let (width, height) = picture.fit(display.0, display.1);
    // A rectangle may be cut out of a displayed picture of full size.
    let decoded = picture.crop.map_or((width, height), |_| display);
    if u64::from(decoded.0) * u64::from(decoded.1) > limits.pixels {
        return Err(Error::LimitExceeded(format!(
            "pictures would be {}×{}, the limit is {} pixels",
            decoded.0, decoded.1, limits.pixels
        )));
    }
    if picture.format.is_uncompressed() && picture.pixels.picture_bytes(width, height) > PICTURE_BYTES {
        return Err(Error::LimitExceeded(format!(
            "pictures of {width}×{height} in {} exceed {PICTURE_BYTES} bytes",
            picture.pixels
        )));
    }
    match picture.format.max_side() {
        Some(max) if width.max(height) > max => Err(Error::LimitExceeded(format!(
            "pictures of {width}×{height} are too large for {}, whose maximum is {max} pixels per side",
            picture.format.extension()
        ))),
        _ => Ok(()),
    }
}

/// Fails if pictures of the video are too large.
pub(super) fn check_pixels(video: &VideoInfo, limits: &Limits) -> Result<(), Error> {
    if u64::from(video.width) * u64::from(video.height) > limits.pixels {
        return Err(Error::LimitExceeded(format!(
            "frames of {}×{} exceed the limit of {} pixels",
            video.width, video.height, limits.pixels
        )));
    }
    if is_animation(&video.codec) {
        let (pixels, limit) = (
            u64::from(video.width) * u64::from(video.height),
            limits.pixels / ANIMATION_SHARE,
        );
        if pixels > limit {
            return Err(Error::LimitExceeded(format!(
                "a canvas of {}×{} is larger than {limit} pixels, 1/{ANIMATION_SHARE} of the maximum number of pixels of a video",
                video.width, video.height
            )));
        }
    }
    Ok(())
}

/// Returns whether frames of a codec are painted over a canvas. Few bytes describe a large canvas.
fn is_animation(codec: &str) -> bool {
    matches!(codec, "gif" | "apng" | "webp" | "webp_anim")
}

/// Fails if a video of this length exceeds the limit.
pub(super) fn check_length(seconds: Rational, limits: &Limits) -> Result<(), Error> {
    match approximate_seconds(seconds) > limits.duration.as_secs_f64() {
        true => Err(Error::LimitExceeded(format!(
            "the video is longer than {} s",
            limits.duration.as_secs()
        ))),
        false => Ok(()),
    }
}

/// Returns the picks. Fails if the video exceeds the maximum duration.
pub(super) fn choose(timeline: &Timeline, request: &Request, limits: &Limits) -> Result<Vec<Pick>, Error> {
    check_length(timeline.duration(), limits)?;
    let (selection, range) = (&request.selection, &request.range);
    check_grid(timeline, selection, range, limits.grid_per_frame)?;
    Ok(select(timeline, selection, range, limits.frames)?)
}

/// Returns the distinct frames of the picks, which are in order of time.
pub(super) fn distinct(picks: &[Pick]) -> Vec<usize> {
    let mut frames: Vec<usize> = picks.iter().map(|pick| pick.frame).collect();
    frames.dedup();
    frames
}
