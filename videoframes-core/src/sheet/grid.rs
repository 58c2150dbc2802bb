//! Positions of tiles on sheets.

/// Tiles of one size, row by row, on one sheet or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Width and height of a tile.
    pub(crate) tile: (u32, u32),
    /// Number of tiles on all sheets.
    pub(crate) tiles: usize,
    pub(crate) columns: u32,
    /// Maximum number of rows of a sheet.
    pub(crate) rows: u32,
    /// Width of the margin around the tiles of a sheet.
    pub(crate) margin: u32,
    /// Distance between two tiles.
    pub(crate) gap: u32,
    /// Height of the header.
    pub(crate) header: u32,
    /// Minimum width of a sheet; the tiles are in its middle.
    pub(crate) min_width: u32,
}

/// Position of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the sheet.
    pub(crate) sheet: usize,
    pub(crate) x: u32,
    pub(crate) y: u32,
}

impl Grid {
    /// Returns a grid without margins and with at most this number of columns and rows per sheet, so that no
    /// sheet exceeds `max_side` and `max_pixels`. Returns `None` if one tile exceeds these.
    pub(crate) fn packed(
        tile: (u32, u32),
        tiles: usize,
        (columns, rows): (u32, u32),
        (max_side, max_pixels): (u32, u64),
    ) -> Option<Self> {
        let pixels = u64::from(tile.0.max(1)) * u64::from(tile.1.max(1));
        let by_pixels = u32::try_from(max_pixels / pixels).unwrap_or(u32::MAX);
        let needed = u32::try_from(tiles.max(1)).unwrap_or(u32::MAX);
        let columns = columns.min(needed).min(max_side / tile.0.max(1)).min(by_pixels);
        let rows = rows.min(max_side / tile.1.max(1));
        let rows = rows.min(by_pixels.checked_div(columns)?);
        (rows > 0).then_some(Self {
            tile,
            tiles,
            columns,
            rows,
            margin: 0,
            gap: 0,
            header: 0,
            min_width: 0,
        })
    }

    /// Returns the number of tiles on a full sheet.
    fn per_sheet(&self) -> usize {
        (self.columns as usize).saturating_mul(self.rows as usize).max(1)
    }

    /// Returns the number of sheets.
    pub(crate) fn sheets(&self) -> usize {
        self.tiles.div_ceil(self.per_sheet())
    }

    /// Returns the tiles on a sheet.
    pub(crate) fn tiles_of(&self, sheet: usize) -> std::ops::Range<usize> {
        let first = sheet.saturating_mul(self.per_sheet()).min(self.tiles);
        first..first.saturating_add(self.per_sheet()).min(self.tiles)
    }

    /// Returns width and height of a sheet. The last sheet may have fewer rows.
    pub(crate) fn size(&self, sheet: usize) -> (u64, u64) {
        let rows = self.tiles_of(sheet).len().div_ceil(self.columns.max(1) as usize) as u64;
        let height = u64::from(self.header) + self.extent(rows, self.tile.1) + 2 * u64::from(self.margin);
        (self.width(), height)
    }

    /// Returns the width of the sheets.
    pub(crate) fn width(&self) -> u64 {
        let tiles = self.extent(u64::from(self.columns), self.tile.0);
        (tiles + 2 * u64::from(self.margin)).max(u64::from(self.min_width))
    }

    /// Returns the place of a tile. The sheet must not be larger than a picture can be.
    pub(crate) fn place(&self, tile: usize) -> Place {
        let within = tile % self.per_sheet();
        let columns = self.columns.max(1) as usize;
        let (column, row) = (within % columns, within / columns);
        let left = (self.width() - self.extent(u64::from(self.columns), self.tile.0)) / 2;
        let top = u64::from(self.header) + u64::from(self.margin);
        let at = |start: u64, index: usize, side: u32| {
            let step = u64::from(side) + u64::from(self.gap);
            u32::try_from(start + index as u64 * step).unwrap_or(u32::MAX)
        };
        Place {
            sheet: tile / self.per_sheet(),
            x: at(left, column, self.tile.0),
            y: at(top, row, self.tile.1),
        }
    }

    /// Returns the length of `count` tiles with gaps.
    fn extent(&self, count: u64, side: u32) -> u64 {
        count.saturating_mul(u64::from(side) + u64::from(self.gap))
            - u64::from(self.gap) * u64::from(count > 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LARGE: u64 = 1 << 40;

    #[test]
    fn sheets_are_full_except_the_last_and_never_exceed_the_limits() {
        let webp = (16_383, LARGE);
        // Tile, tiles, requested columns and rows, limits; columns, rows, number of sheets, first and last size.
        for (tile, tiles, requested, limits, columns, rows, sheets, first, last) in [
            (
                (160, 90),
                250,
                (10, 10),
                webp,
                10,
                10,
                3,
                (1600, 900),
                (1600, 450),
            ),
            ((160, 90), 3, (10, 10), webp, 3, 10, 1, (480, 90), (480, 90)),
            ((160, 90), 11, (10, 10), webp, 10, 10, 1, (1600, 180), (1600, 180)),
            (
                (160, 90),
                5000,
                (1000, 1000),
                webp,
                102,
                182,
                1,
                (16_320, 4500),
                (16_320, 4500),
            ),
            (
                (160, 90),
                50_000,
                (100, 1000),
                webp,
                100,
                182,
                3,
                (16_000, 16_380),
                (16_000, 12_240),
            ),
            (
                (100, 100),
                100,
                (10, 10),
                (65_500, 250_000),
                10,
                2,
                5,
                (1000, 200),
                (1000, 200),
            ),
            (
                (100, 100),
                100,
                (10, 10),
                (65_500, 50_000),
                5,
                1,
                20,
                (500, 100),
                (500, 100),
            ),
        ] {
            let grid = Grid::packed(tile, tiles, requested, limits).unwrap();
            assert_eq!(
                (grid.columns, grid.rows, grid.sheets()),
                (columns, rows, sheets),
                "{grid:?}"
            );
            assert_eq!((grid.size(0), grid.size(sheets - 1)), (first, last), "{grid:?}");
            let end = grid.place(tiles - 1);
            assert_eq!(end.sheet, sheets - 1);
            assert_eq!(u64::from(end.y + tile.1), last.1);
            assert_eq!((0..sheets).map(|s| grid.tiles_of(s).len()).sum::<usize>(), tiles);
        }
        assert_eq!(Grid::packed((16_384, 16), 1, (1, 1), webp), None);
        assert_eq!(Grid::packed((100, 100), 1, (1, 1), (1000, 9999)), None);
        assert_eq!(Grid::packed((100, 100), 1, (0, 1), webp), None);
    }

    #[test]
    fn margins_gaps_and_a_header_surround_the_tiles() {
        let grid = Grid {
            tile: (100, 50),
            tiles: 5,
            columns: 2,
            rows: 9,
            margin: 10,
            gap: 4,
            header: 30,
            min_width: 0,
        };
        assert_eq!(grid.size(0), (224, 30 + 10 + 3 * 50 + 2 * 4 + 10));
        let place = |x, y| Place { sheet: 0, x, y };
        assert_eq!((grid.place(0), grid.place(3)), (place(10, 40), place(114, 94)));
        let wide = Grid {
            min_width: 324,
            ..grid
        };
        assert_eq!((wide.width(), wide.place(0)), (324, place(60, 40)));
    }
}
