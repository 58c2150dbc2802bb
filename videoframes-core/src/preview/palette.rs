//! Palettes of a frame with up to 255 colours, and the pixels as indices into the palette.

use std::collections::{BTreeMap, HashMap};

/// A colour.
pub(super) type Rgb = [u8; 3];

/// Maximum number of colours. One of the 256 indices is transparent.
const MAX_COLOURS: usize = 255;
/// Bits of a sample that are ignored while similar colours are collected.
const IGNORED_BITS: u32 = 3;

/// A palette that fits some pixels.
pub(super) struct Palette {
    colours: Vec<Rgb>,
    /// Known indices.
    indices: HashMap<Rgb, u8>,
}

impl Palette {
    /// Returns a palette for these pixels: all their colours, or colours near them.
    pub(super) fn new(pixels: impl Iterator<Item = Rgb> + Clone) -> Self {
        let (mut colours, mut indices) = (Vec::new(), HashMap::new());
        for pixel in pixels.clone() {
            if indices.contains_key(&pixel) {
                continue;
            }
            if colours.len() == MAX_COLOURS {
                return Self {
                    colours: reduced(pixels),
                    indices: HashMap::new(),
                };
            }
            indices.insert(pixel, index_at(colours.len()));
            colours.push(pixel);
        }
        Self { colours, indices }
    }

    /// Returns the colours.
    pub(super) fn colours(&self) -> &[Rgb] {
        &self.colours
    }

    /// Returns the colour of an index.
    pub(super) fn colour(&self, index: u8) -> Rgb {
        self.colours[usize::from(index)]
    }

    /// Returns the index after the last colour, which transparent pixels have.
    pub(super) fn transparent(&self) -> u8 {
        index_at(self.colours.len())
    }

    /// Returns the index of the colour nearest to `pixel`.
    pub(super) fn index(&mut self, pixel: Rgb) -> u8 {
        let colours = &self.colours;
        *self.indices.entry(pixel).or_insert_with(|| {
            let distance = |colour: &Rgb| -> u32 {
                let samples = colour.iter().zip(pixel);
                samples.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
            };
            let nearest = colours
                .iter()
                .enumerate()
                .min_by_key(|(_, colour)| distance(colour));
            nearest.map_or(0, |(index, _)| index_at(index))
        })
    }
}

/// Returns a position in a palette as an index. Palettes have at most [`MAX_COLOURS`] colours.
fn index_at(position: usize) -> u8 {
    u8::try_from(position).unwrap_or(u8::MAX)
}

/// Sums over pixels.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: f64,
    /// Sum of each sample.
    samples: [f64; 3],
    /// Sum of the squares of all samples.
    squares: f64,
}

impl Sums {
    fn add(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            samples: std::array::from_fn(|s| self.samples[s] + other.samples[s]),
            squares: self.squares + other.squares,
        }
    }

    fn without(self, other: Self) -> Self {
        Self {
            count: self.count - other.count,
            samples: std::array::from_fn(|s| self.samples[s] - other.samples[s]),
            squares: self.squares - other.squares,
        }
    }

    fn mean(self) -> Rgb {
        // The cast saturates.
        self.samples.map(|sum| (sum / self.count).round() as u8)
    }

    /// Returns the squared error if the mean replaces every pixel.
    fn error(self) -> f64 {
        self.squares - self.samples.iter().map(|sum| sum * sum / self.count).sum::<f64>()
    }
}

/// Similar colours: their common upper bits, and the sums over their pixels.
type Cell = (Rgb, Sums);

/// Cells that share a colour of the palette.
struct Group<'a> {
    cells: &'a mut [Cell],
    sums: Sums,
}

impl<'a> Group<'a> {
    fn new(cells: &'a mut [Cell]) -> Self {
        let sums = cells
            .iter()
            .map(|(_, sums)| *sums)
            .fold(Sums::default(), Sums::add);
        Self { cells, sums }
    }

    /// Divides the cells where the error becomes the smallest.
    fn divide(self) -> (Self, Self) {
        let mut best = (f64::INFINITY, 0, 1);
        for sample in 0..3 {
            self.cells
                .sort_unstable_by_key(|(colour, _)| (colour[sample], *colour));
            let mut before = Sums::default();
            for (position, pair) in self.cells.windows(2).enumerate() {
                before = before.add(pair[0].1);
                let error = before.error() + self.sums.without(before).error();
                if pair[0].0[sample] != pair[1].0[sample] && error < best.0 {
                    best = (error, sample, position + 1);
                }
            }
        }
        let (_, sample, position) = best;
        self.cells
            .sort_unstable_by_key(|(colour, _)| (colour[sample], *colour));
        let (low, high) = self.cells.split_at_mut(position);
        (Self::new(low), Self::new(high))
    }
}

/// Returns [`MAX_COLOURS`] colours for pixels with more colours: divides the group with the largest error until there are
/// enough groups, after Wu, *Efficient statistical computations for optimal color quantization*, 1991.
fn reduced(pixels: impl Iterator<Item = Rgb>) -> Vec<Rgb> {
    let mut cells: BTreeMap<Rgb, Sums> = BTreeMap::new();
    for pixel in pixels {
        let samples = pixel.map(f64::from);
        let sums = cells
            .entry(pixel.map(|sample| sample >> IGNORED_BITS))
            .or_default();
        *sums = sums.add(Sums {
            count: 1.0,
            samples,
            squares: samples.iter().map(|sample| sample * sample).sum(),
        });
    }
    let mut cells: Vec<Cell> = cells.into_iter().collect();
    let mut groups = vec![Group::new(&mut cells)];
    while groups.len() < MAX_COLOURS {
        let divisible = groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.cells.len() > 1);
        let worst = divisible.max_by(|(_, a), (_, b)| a.sums.error().total_cmp(&b.sums.error()));
        let Some((worst, _)) = worst else { break };
        let (low, high) = groups.swap_remove(worst).divide();
        groups.extend([low, high]);
    }
    groups.iter().map(|group| group.sums.mean()).collect()
}
