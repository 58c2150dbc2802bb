//! A bar code for frame numbers, a picture of 8 by 4 big blocks, and the reader of the code.
//!
//! Row 0 is the number, most significant bit first, white for 1. Row 1 is the complement, so that each bit is read
//! as a difference. Row 2 is a check byte, which is wrong in a rotated or mirrored picture. Row 3 is motion and
//! noise, for the encoder. Both fields of a frame are equal.

const COLUMNS: usize = 8;
const ROWS: usize = 4;
const BLACK: u8 = 16;
const WHITE: u8 = 235;

/// The maximum number in a picture.
pub const MAX_NUMBER: u32 = 255;

/// The clockwise rotation that a player applies to the stored picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

/// The chroma subsampling of the raw pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    Quartered,
    Full,
}

fn check_byte(number: u8) -> u8 {
    number.wrapping_mul(167).wrapping_add(91)
}

fn code_rows(number: u8) -> [u8; 3] {
    [number, !number, check_byte(number)]
}

/// Returns the luma of the displayed picture at (`x`, `y`) of `w` by `h`.
fn luma(number: u8, x: usize, y: usize, w: usize, h: usize) -> u8 {
    let (column, row) = (x * COLUMNS / w, y * ROWS / h);
    if let Some(bits) = code_rows(number).get(row) {
        return if bits >> (COLUMNS - 1 - column) & 1 == 1 {
            WHITE
        } else {
            BLACK
        };
    }
    let motion = (x * 2 + usize::from(number) * 5) % 160;
    // A hash of position and time, equal on every machine.
    let mut noise = (x * 73_856_093) ^ (y / 2 * 19_349_663) ^ (usize::from(number) * 83_492_791);
    noise ^= noise >> 7;
    (40 + motion + noise % 12).min(235) as u8
}

/// Returns the raw stored picture (planar YUV) of `w` by `h` stored pixels with `number`.
pub fn draw(number: u32, w: usize, h: usize, rotation: Rotation, chroma: Chroma) -> Vec<u8> {
    let number = u8::try_from(number).expect("a number that the bar code holds");
    let mut raw = Vec::with_capacity(w * h * 3);
    for y in 0..h {
        for x in 0..w {
            raw.push(match rotation {
                Rotation::None => luma(number, x, y, w, h),
                Rotation::Quarter => luma(number, h - 1 - y, x, h, w),
                Rotation::Half => luma(number, w - 1 - x, h - 1 - y, w, h),
                Rotation::ThreeQuarters => luma(number, y, w - 1 - x, h, w),
            });
        }
    }
    let plane = match chroma {
        Chroma::Quartered => w.div_ceil(2) * h.div_ceil(2),
        Chroma::Full => w * h,
    };
    raw.resize(raw.len() + plane, 120);
    raw.resize(raw.len() + plane, 134);
    raw
}

/// Reads the number from the luma of an upright picture.
pub fn read(luma: &[u8], w: usize, h: usize) -> Result<u32, String> {
    if luma.len() != w * h {
        return Err(format!("{} bytes are no {w}x{h} picture", luma.len()));
    }
    let mean = |column: usize, row: usize| -> i32 {
        // The middle fifth of the block in each direction avoids blurred edges.
        let span = |i: usize, n: usize, size: usize| {
            let (from, to) = (size * (10 * i + 4) / (10 * n), size * (10 * i + 6) / (10 * n));
            from..to.max(from + 1)
        };
        let (xs, ys) = (span(column, COLUMNS, w), span(row, ROWS, h));
        let count = xs.len() * ys.len();
        let sum: usize = ys
            .flat_map(|y| xs.clone().map(move |x| y * w + x))
            .map(|i| usize::from(luma[i]))
            .sum();
        (sum / count) as i32
    };
    let (mut number, mut check) = (0u8, 0u8);
    for column in 0..COLUMNS {
        let (bit, complement) = (mean(column, 0), mean(column, 1));
        if (bit - complement).abs() < 100 {
            return Err(format!("no bar code: block {column} is {bit} over {complement}"));
        }
        number = number << 1 | u8::from(bit > complement);
        check = check << 1 | u8::from(mean(column, 2) * 2 > bit + complement);
    }
    if check != check_byte(number) {
        return Err(format!(
            "the check byte of {number} is {check}: a damaged or rotated picture"
        ));
    }
    Ok(number.into())
}
