//! Decision whether a copy of the source's streams satisfies the guarantees of a compressed video.

use super::{Codec, CompressOptions};
use crate::video::{Orientation, VideoInfo};

/// Fails with a reason if a remux of `video` would break a guarantee of [`CompressOptions`]: codec, height,
/// progressive frames, no rotation, SDR in H.264, and pixel formats that players support. `interlaced` is whether
/// interlaced frames are known.
pub(crate) fn may_remux(
    video: &VideoInfo,
    interlaced: bool,
    options: &CompressOptions,
) -> Result<(), &'static str> {
    let codec = options.codec;
    let (_, height) = video.display_size(true);
    let ten_bits = match codec {
        Codec::H264 => false,
        Codec::Hevc | Codec::Av1 => true,
        Codec::Vp9 => video.colour.is_hdr(),
    };
    let format = video.pixel_format.as_str();
    let format_kept = matches!(format, "yuv420p" | "yuvj420p") || ten_bits && format == "yuv420p10le";
    if video.codec != codec.as_str() {
        Err("the source has another codec")
    } else if options.max_height.is_some_and(|limit| height > limit) {
        Err("the source is higher than requested")
    } else if interlaced {
        Err("the source is interlaced")
    } else if video.orientation != Orientation::Upright {
        Err("the source has a rotation")
    } else if video.colour.is_hdr() && !codec.keeps_hdr() {
        Err("the source is HDR")
    } else if !format_kept {
        Err("many players do not support the pixel format of the source")
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::units::{Rational, TimeBase};
    use crate::video::Colour;

    fn video(codec: &str, pixel_format: &str) -> VideoInfo {
        VideoInfo {
            stream: 0,
            first_keyframe: None,
            recording: crate::video::Recording::default(),
            alpha: false,
            container: "mov,mp4".to_owned(),
            codec: codec.to_owned(),
            width: 1280,
            height: 720,
            sample_aspect: Rational::from_integer(1),
            orientation: Orientation::Upright,
            pixel_format: pixel_format.to_owned(),
            colour: Colour::default(),
            interlaced: false,
            frame_rate: None,
            duration: None,
            time_base: TimeBase::new(1, 1000).unwrap(),
        }
    }

    #[test]
    fn a_remux_keeps_the_guarantees_of_an_encoded_video() {
        let options = |codec| CompressOptions {
            codec,
            ..CompressOptions::default()
        };
        let h264 = options(Codec::H264);
        let plain = video("h264", "yuv420p");
        let pq = |video: VideoInfo| VideoInfo {
            colour: Colour {
                transfer: Some("smpte2084".to_owned()),
                ..Colour::default()
            },
            ..video
        };
        let low = CompressOptions {
            max_height: Some(480),
            ..h264
        };
        let rotated = VideoInfo {
            orientation: Orientation::Clockwise,
            ..plain.clone()
        };
        for (video, interlaced, options, allowed) in [
            (plain.clone(), false, h264, true),
            (video("h264", "yuvj420p"), false, h264, true),
            (plain.clone(), true, h264, false),
            (plain.clone(), false, low, false),
            (plain.clone(), false, options(Codec::Hevc), false),
            (rotated, false, h264, false),
            (pq(plain), false, h264, false),
            (video("h264", "yuv422p"), false, h264, false),
            (video("h264", "yuv444p"), false, h264, false),
            (video("h264", "yuv420p10le"), false, h264, false),
            (video("hevc", "yuv420p10le"), false, options(Codec::Hevc), true),
            (
                pq(video("hevc", "yuv420p10le")),
                false,
                options(Codec::Hevc),
                true,
            ),
            (video("hevc", "yuv420p12le"), false, options(Codec::Hevc), false),
            (video("vp9", "yuv420p10le"), false, options(Codec::Vp9), false),
            (pq(video("vp9", "yuv420p10le")), false, options(Codec::Vp9), true),
        ] {
            let verdict = may_remux(&video, interlaced, &options);
            assert_eq!(verdict.is_ok(), allowed, "{video:?} {interlaced} {verdict:?}");
        }
    }
}
