//! Small pictures in memory.

/// A picture with `N` interleaved channels of 8 bits, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image<const N: usize> {
    width: usize,
    height: usize,
    pixels: Vec<[u8; N]>,
}

/// Red, green and blue.
pub(crate) type Rgb = Image<3>;
/// Luma in full range.
pub(crate) type Gray = Image<1>;

impl<const N: usize> Image<N> {
    /// Returns the picture with these bytes; `None` if their number does not fit the size.
    pub(crate) fn new(width: u32, height: u32, bytes: &[u8]) -> Option<Self> {
        let (width, height) = (width as usize, height as usize);
        let (pixels, rest) = bytes.as_chunks::<N>();
        let fits = width > 0 && width.checked_mul(height) == Some(pixels.len()) && rest.is_empty();
        fits.then(|| Self {
            width,
            height,
            pixels: pixels.to_vec(),
        })
        .filter(|image| !image.pixels.is_empty())
    }

    /// Returns the picture with `pixels`.
    pub(super) fn map<const M: usize>(&self, convert: impl Fn([u8; N]) -> [u8; M]) -> Image<M> {
        Image {
            width: self.width,
            height: self.height,
            pixels: self.pixels.iter().map(|&pixel| convert(pixel)).collect(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[[u8; N]]> {
        self.pixels.chunks_exact(self.width)
    }

    pub(super) fn pixels(&self) -> &[[u8; N]] {
        &self.pixels
    }

    /// Returns the picture, resized so that its longer side has at most `side` pixels. The aspect ratio stays, to the
    /// pixel.
    pub(crate) fn within(&self, side: usize) -> Self {
        let longer = self.width.max(self.height);
        if longer <= side {
            return self.clone();
        }
        let scaled = |length: usize| ((2 * length * side + longer) / (2 * longer)).max(1);
        self.resized(scaled(self.width), scaled(self.height))
    }

    /// Returns the picture with another size. Each pixel is the mean of the area that it covers.
    pub(super) fn resized(&self, width: usize, height: usize) -> Self {
        let columns = Area::all(self.width, width);
        let mut pixels = Vec::with_capacity(width * height);
        // A column has at most 65535 pixels, so that its sum fits.
        let mut sums = vec![[0u32; N]; self.width];
        for row in Area::all(self.height, height) {
            sums.fill([0; N]);
            for (y, weight) in row.parts() {
                let from = &self.pixels[y * self.width..(y + 1) * self.width];
                for (sum, pixel) in sums.iter_mut().zip(from) {
                    for (sum, &sample) in sum.iter_mut().zip(pixel) {
                        *sum += weight * u32::from(sample);
                    }
                }
            }
            for column in &columns {
                let mut total = [0u64; N];
                for (x, weight) in column.parts() {
                    for (total, sum) in total.iter_mut().zip(sums[x]) {
                        *total += u64::from(weight) * u64::from(sum);
                    }
                }
                let area = row.weight() * column.weight();
                // A mean of samples is a sample.
                pixels.push(total.map(|total| ((total + area / 2) / area) as u8));
            }
        }
        Self {
            width,
            height,
            pixels,
        }
    }
}

impl Rgb {
    /// Returns the luma of BT.601, as OpenCV and JPEG define gray.
    pub(crate) fn luma(&self) -> Gray {
        self.map(|[r, g, b]| {
            let luma = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b);
            // The weights add up to 65536, so that luma is at most 255.
            [((luma + 32768) >> 16) as u8]
        })
    }
}

/// The pixels of a side that one resized pixel covers: all weights are shares of the resized length.
struct Area {
    /// Start and end in pixels, multiplied by the resized length.
    start: usize,
    end: usize,
    length: usize,
}

impl Area {
    /// Returns the areas of all pixels when `from` pixels are resized to `to`.
    fn all(from: usize, to: usize) -> Vec<Self> {
        let area = |index| Self {
            start: index * from,
            end: (index + 1) * from,
            length: to,
        };
        (0..to).map(area).collect()
    }

    /// Returns the covered pixels with their weights.
    fn parts(&self) -> impl Iterator<Item = (usize, u32)> {
        let Self { start, end, length } = *self;
        (start / length..end.div_ceil(length)).map(move |pixel| {
            let covered = end.min((pixel + 1) * length) - start.max(pixel * length);
            (pixel, covered as u32)
        })
    }

    fn weight(&self) -> u64 {
        (self.end - self.start) as u64
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_must_fit_the_size() {
        assert!(Rgb::new(2, 1, &[0; 6]).is_some());
        for (width, height, bytes) in [
            (2, 1, 5),
            (2, 1, 7),
            (0, 0, 0),
            (0, 5, 0),
            (u32::MAX, u32::MAX, 6),
        ] {
            assert!(Rgb::new(width, height, &vec![0; bytes]).is_none());
        }
    }

    #[test]
    fn resized_pixels_are_means_of_areas() {
        let image = Gray::new(4, 2, &[0, 10, 20, 30, 40, 50, 60, 70]).unwrap();
        assert_eq!(image.resized(2, 1).pixels(), [[25], [45]]);
        // The second of three pixels covers half of each pixel in the middle.
        let row = Gray::new(2, 1, &[0, 90]).unwrap();
        assert_eq!(row.resized(3, 1).pixels(), [[0], [45], [90]]);
        assert_eq!(image.resized(4, 2), image);
    }

    #[test]
    fn pictures_keep_their_aspect_ratio_and_are_not_enlarged() {
        let size = |width, height, side| {
            let image = Gray::new(width, height, &vec![7; (width * height) as usize]).unwrap();
            let image = image.within(side);
            (image.width, image.height)
        };
        assert_eq!(size(512, 288, 256), (256, 144));
        assert_eq!(size(288, 512, 256), (144, 256));
        assert_eq!(size(100, 50, 256), (100, 50));
        assert_eq!(size(3000, 1, 256), (256, 1));
    }

    #[test]
    fn luma_spans_the_full_range() {
        let image = Rgb::new(3, 1, &[0, 0, 0, 255, 255, 255, 255, 0, 0]).unwrap();
        assert_eq!(image.luma().pixels(), [[0], [255], [76]]);
    }
}
