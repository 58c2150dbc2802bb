//! Change of content between two frames, as the `ContentDetector` of PySceneDetect 0.7.2 measures the change.

use std::sync::LazyLock;

use super::image::{Image, Rgb};

/// Longer side of the pictures that are compared: PySceneDetect reduces frames to 256 pixels.
const SIDE: usize = 256;

/// Hue (0–179), saturation and value of a frame.
#[derive(Debug, Clone)]
pub(super) struct Content(Image<3>);

impl Content {
    pub(super) fn new(image: &Rgb) -> Self {
        Self(image.within(SIDE).map(hsv))
    }

    /// Returns the mean absolute difference of hue, saturation and value, 0 to 255. `None` for frames of different sizes.
    pub(super) fn difference(&self, other: &Self) -> Option<f64> {
        let (a, b) = (self.0.pixels(), other.0.pixels());
        if a.len() != b.len() {
            return None;
        }
        let of_pixel = |(a, b): (&[u8; 3], &[u8; 3])| {
            let of_sample = |index: usize| u64::from(a[index].abs_diff(b[index]));
            of_sample(0) + of_sample(1) + of_sample(2)
        };
        let sum: u64 = a.iter().zip(b).map(of_pixel).sum();
        Some(sum as f64 / (3 * a.len()) as f64)
    }
}

/// Number of binary digits after the point in the tables.
const SHIFT: u32 = 12;

/// Factors for saturation and hue: `255 / i` and `30 / i` in fixed point.
static FACTORS: LazyLock<[[i32; 2]; 256]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let divided = |by: i32| match i {
            0 => 0,
            // No quotient is a tie, so that the rounding mode does not matter.
            i => (f64::from(by << SHIFT) / i as f64).round() as i32,
        };
        [divided(255), divided(30)]
    })
});

/// Converts a colour as `cvtColor` of OpenCV does with 8 bits per sample.
fn hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (value, min) = (r.max(g).max(b), r.min(g).min(b));
    let range = i32::from(value - min);
    let (red, green, blue) = (i32::from(r), i32::from(g), i32::from(b));
    let rounded = |product: i32| (product + (1 << (SHIFT - 1))) >> SHIFT;
    let saturation = rounded(range * FACTORS[usize::from(value)][0]);
    let sextant = if value == r {
        green - blue
    } else if value == g {
        blue - red + 2 * range
    } else {
        red - green + 4 * range
    };
    let hue = rounded(sextant * FACTORS[usize::from(value - min)][1]);
    // Both are at most 255.
    let sample = |number: i32| number.clamp(0, 255) as u8;
    [
        sample(if hue < 0 { hue + 180 } else { hue }),
        sample(saturation),
        value,
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The values are those of `cv2.cvtColor(…, cv2.COLOR_BGR2HSV)` in OpenCV 5.0.
    #[test]
    fn colours_are_converted_as_by_opencv() {
        for (rgb, expected) in [
            ([0, 0, 0], [0, 0, 0]),
            ([255, 255, 255], [0, 0, 255]),
            ([255, 0, 0], [0, 255, 255]),
            ([0, 255, 0], [60, 255, 255]),
            ([0, 0, 255], [120, 255, 255]),
            ([255, 0, 128], [165, 255, 255]),
            ([200, 50, 50], [0, 191, 200]),
            ([12, 34, 56], [105, 200, 56]),
        ] {
            assert_eq!(hsv(rgb), expected, "{rgb:?}");
        }
    }

    #[test]
    fn the_difference_is_the_mean_over_three_channels() {
        let image = |rgb: [u8; 3]| Content::new(&Rgb::new(2, 2, &rgb.repeat(4)).unwrap());
        let (black, white, red) = (image([0; 3]), image([255; 3]), image([255, 0, 0]));
        assert_eq!(black.difference(&black), Some(0.0));
        assert_eq!(black.difference(&white), Some(85.0));
        assert_eq!(black.difference(&red), Some(170.0));
        let other = Content::new(&Rgb::new(1, 1, &[0; 3]).unwrap());
        assert_eq!(black.difference(&other), None);
    }
}
