//! Cues of a storyboard: which tile shows which part of the video.

use std::fmt::Write;

use serde::Serialize;

use super::Grid;
use super::clock::Milliseconds;
use crate::units::{Rational, approximate_seconds};

/// The part of a video that a tile shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cue {
    start: Rational,
    end: Rational,
    sheet: usize,
    x: u32,
    y: u32,
}

/// Returns a cue per tile, from the requested time of the tile to that of the next tile. The last cue ends at the end of
/// the video.
pub(crate) fn cues(grid: &Grid, targets: &[Rational], duration: Rational) -> Vec<Cue> {
    let ends = targets.iter().skip(1).chain([&duration]);
    let places = (0..targets.len()).map(|tile| grid.place(tile));
    let cues = targets.iter().zip(ends).zip(places);
    cues.map(|((&start, &end), place)| Cue {
        start,
        end,
        sheet: place.sheet,
        x: place.x,
        y: place.y,
    })
    .collect()
}

/// Returns the WebVTT file of a storyboard. `sheet` returns the address of a sheet, relative to the file.
///
/// Starts are rounded down to milliseconds, so that the tile is active at its requested time. Cues of less than a
/// millisecond are left out, since WebVTT requires an end after the start.
pub(crate) fn webvtt(cues: &[Cue], (width, height): (u32, u32), sheet: impl Fn(usize) -> String) -> String {
    let mut text = "WEBVTT\n".to_owned();
    for (index, cue) in cues.iter().enumerate() {
        let start = Milliseconds::floor(cue.start);
        let end = match index + 1 == cues.len() {
            true => Milliseconds::ceil(cue.end),
            false => Milliseconds::floor(cue.end),
        };
        if end > start {
            let (start, end, sheet, x, y) = (start.hours(), end.hours(), sheet(cue.sheet), cue.x, cue.y);
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n{start} --> {end}\n{sheet}#xywh={x},{y},{width},{height}\n"
            );
        }
    }
    text
}

/// The tiles of one sheet, in the JSON format of Mux and imgix.
#[derive(Debug, Serialize)]
pub(crate) struct TileList {
    /// Address of the sheet, relative to the file.
    url: String,
    tile_width: u32,
    tile_height: u32,
    /// Duration of the video in seconds.
    duration: f64,
    tiles: Vec<Tile>,
}

#[derive(Debug, Serialize)]
struct Tile {
    /// Seconds from the first frame.
    start: f64,
    x: u32,
    y: u32,
}

impl TileList {
    /// Returns the tiles with these cues.
    pub(crate) fn new(
        url: String,
        (tile_width, tile_height): (u32, u32),
        cues: &[Cue],
        duration: Rational,
    ) -> Self {
        let tiles = cues.iter().map(|cue| Tile {
            start: approximate_seconds(cue.start),
            x: cue.x,
            y: cue.y,
        });
        Self {
            url,
            tile_width,
            tile_height,
            duration: approximate_seconds(duration),
            tiles: tiles.collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn thirds(count: i128) -> Vec<Rational> {
        (0..count).map(|k| Rational::new(k, 3)).collect()
    }

    #[test]
    fn cues_follow_each_other_without_gaps_until_the_end_of_the_video() {
        let grid = Grid::packed((160, 90), 5, (2, 2), (65_500, 1 << 30)).unwrap();
        let cues = cues(&grid, &thirds(5), Rational::new(3001, 2000));
        let text = webvtt(&cues, grid.tile, |sheet| format!("sheet-{sheet:03}.jpg"));
        let expected = "WEBVTT\n\n\
             00:00:00.000 --> 00:00:00.333\nsheet-000.jpg#xywh=0,0,160,90\n\n\
             00:00:00.333 --> 00:00:00.666\nsheet-000.jpg#xywh=160,0,160,90\n\n\
             00:00:00.666 --> 00:00:01.000\nsheet-000.jpg#xywh=0,90,160,90\n\n\
             00:00:01.000 --> 00:00:01.333\nsheet-000.jpg#xywh=160,90,160,90\n\n\
             00:00:01.333 --> 00:00:01.501\nsheet-001.jpg#xywh=0,0,160,90\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn cues_without_a_duration_are_left_out_of_webvtt() {
        let grid = Grid::packed((16, 9), 3, (3, 1), (65_500, 1 << 30)).unwrap();
        let targets = [0, 3, 12].map(|k| Rational::new(k, 10_000));
        let cues = cues(&grid, &targets, Rational::new(13, 10_000));
        let text = webvtt(&cues, grid.tile, |_| "s.jpg".to_owned());
        let expected = "WEBVTT\n\n\
             00:00:00.000 --> 00:00:00.001\ns.jpg#xywh=16,0,16,9\n\n\
             00:00:00.001 --> 00:00:00.002\ns.jpg#xywh=32,0,16,9\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn tile_lists_have_the_format_of_mux() {
        let grid = Grid::packed((256, 160), 3, (2, 1), (65_500, 1 << 30)).unwrap();
        let cues = cues(&grid, &thirds(3), Rational::from_integer(1));
        let list = TileList::new(
            "sheet-000.jpg".to_owned(),
            grid.tile,
            &cues[..2],
            Rational::from_integer(1),
        );
        let expected = serde_json::json!({
            "url": "sheet-000.jpg",
            "tile_width": 256,
            "tile_height": 160,
            "duration": 1.0,
            "tiles": [{"start": 0.0, "x": 0, "y": 0}, {"start": 1.0 / 3.0, "x": 256, "y": 0}],
        });
        assert_eq!(serde_json::to_value(list).unwrap(), expected);
    }
}
