//! Measures of one frame: brightness, sharpness and a perceptual hash.

use super::image::Gray;

/// Maximum luma of a black pixel: 10 % of the range, as in ffmpeg's `blackdetect`.
const BLACK: u8 = 25;
/// Minimum luma of a white pixel.
const WHITE: u8 = 255 - BLACK;

/// Returns the shares of black and of white pixels, 0 to 1.
pub(super) fn black_and_white(luma: &Gray) -> (f32, f32) {
    let share = |is: fn(u8) -> bool| {
        let pixels = luma.pixels();
        let count = pixels.iter().filter(|[luma]| is(*luma)).count();
        count as f32 / pixels.len() as f32
    };
    (share(|luma| luma <= BLACK), share(|luma| luma >= WHITE))
}

/// Returns the sharpness: the variance of the Laplacian with the kernel `0 1 0 / 1 −4 1 / 0 1 0`, without the border. 0 for
/// pictures with less than three rows or columns.
pub(super) fn sharpness(luma: &Gray) -> f32 {
    let rows: Vec<&[[u8; 1]]> = luma.rows().collect();
    let (mut sum, mut squares, mut count) = (0i64, 0i64, 0i64);
    for window in rows.windows(3) {
        let [above, row, below] = window else { continue };
        for x in 1..luma.width().max(1) - 1 {
            let at = |row: &[[u8; 1]], x: usize| i64::from(row[x][0]);
            let laplacian = at(above, x) + at(below, x) + at(row, x - 1) + at(row, x + 1) - 4 * at(row, x);
            sum += laplacian;
            squares += laplacian * laplacian;
            count += 1;
        }
    }
    if count == 0 {
        return 0.0;
    }
    let mean = sum as f64 / count as f64;
    (squares as f64 / count as f64 - mean * mean).max(0.0) as f32
}

/// Returns the difference hash: 8 rows of 9 means of areas, one bit per pair of neighbours, which is set if the right one is
/// brighter (Krawetz, dHash, 2013).
pub(super) fn hash(luma: &Gray) -> u64 {
    let small = luma.resized(9, 8);
    let pairs = small.rows().flat_map(|row| row.windows(2));
    pairs.fold(0, |hash, pair| hash << 1 | u64::from(pair[0] < pair[1]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn gray(width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Gray {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let bytes: Vec<u8> = pixels.map(|(x, y)| luma(x, y)).collect();
        Gray::new(width as u32, height as u32, &bytes).unwrap()
    }

    #[test]
    fn dark_and_bright_pixels_are_counted() {
        let ramp = gray(256, 1, |x, _| x as u8);
        assert_eq!(black_and_white(&ramp), (26.0 / 256.0, 26.0 / 256.0));
        assert_eq!(black_and_white(&gray(4, 4, |_, _| 16)), (1.0, 0.0));
        assert_eq!(black_and_white(&gray(4, 4, |_, _| 255)), (0.0, 1.0));
    }

    #[test]
    fn sharpness_is_the_variance_of_the_laplacian() {
        assert_eq!(sharpness(&gray(9, 9, |_, _| 200)), 0.0);
        assert_eq!(
            sharpness(&gray(9, 9, |x, y| (10 * x + 5 * y) as u8)),
            0.0,
            "a ramp"
        );
        // Every pixel of a chessboard has four neighbours of the other colour.
        let chessboard = gray(10, 10, |x, y| if (x + y) % 2 == 0 { 100 } else { 110 });
        assert_eq!(sharpness(&chessboard), 1600.0);
        for (width, height) in [(1, 1), (2, 9), (9, 2)] {
            assert_eq!(sharpness(&gray(width, height, |x, y| (x * y) as u8)), 0.0);
        }
    }

    #[test]
    fn a_bit_of_the_hash_tells_whether_luma_increases() {
        assert_eq!(hash(&gray(9, 8, |x, _| x as u8 * 10)), u64::MAX);
        assert_eq!(hash(&gray(9, 8, |x, _| 200 - x as u8 * 10)), 0);
        assert_eq!(hash(&gray(90, 80, |_, y| y as u8)), 0);
        let halves = hash(&gray(18, 16, |x, y| if y < 8 { x as u8 * 9 } else { 0 }));
        assert_eq!(halves, 0xffff_ffff_0000_0000);
    }
}
