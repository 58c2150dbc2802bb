//! The progress bar on a terminal.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Place;

/// Returns the screen of a terminal that received `bytes`, without empty lines.
fn screen(bytes: &str, columns: usize) -> Vec<String> {
    // A recording in progress may end inside an escape sequence.
    let bytes = match bytes.rfind('\u{1b}') {
        Some(escape) if !bytes[escape..].contains(char::is_alphabetic) => &bytes[..escape],
        _ => bytes,
    };
    let mut lines = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut chars = bytes.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['), "an unknown escape");
                let mut number = String::new();
                let end = loop {
                    match chars.next().unwrap() {
                        digit if digit.is_ascii_digit() => number.push(digit),
                        end => break end,
                    }
                };
                match end {
                    'A' => row = usize::saturating_sub(row, number.parse().unwrap()),
                    'B' => row += number.parse::<usize>().unwrap(),
                    'K' => lines[row].clear(),
                    other => panic!("an unknown escape: {other}"),
                }
            }
            c => {
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
                lines.resize(lines.len().max(row + 1), Vec::new());
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let lines = lines
        .iter()
        .map(|line| line.iter().collect::<String>().trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_bar_never_wraps_and_is_removed_after_an_interrupt() {
    let place = Place::new();
    for columns in [40, 80, 120] {
        let left = interrupted(&place, columns);
        assert_eq!(left, ["error: cancelled, nothing was written"], "{columns}");
        assert_eq!(place.made(), Vec::<String>::new());
    }
}

/// Interrupts an extraction on a terminal once the bar is shown, and returns the lines that are left.
fn interrupted(place: &Place, columns: usize) -> Vec<String> {
    let record = place.path("record");
    let vf = env!("CARGO_BIN_EXE_vf");
    let extract = "extract video.mp4 --fps 2000 -f png -o out.zip";
    // By default, a terminal prints ^C into a line that is being drawn, and discards pending output.
    let line = format!("stty cols {columns} -echo noflsh; exec '{vf}' {extract}");
    let mut terminal = Command::new("script")
        .args(["-qefc", &line])
        .arg(&record)
        .current_dir(place.folder.path())
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let recorded = || {
        let text = String::from_utf8_lossy(&fs::read(&record).unwrap_or_default()).into_owned();
        // Messages of `script` itself are not on the terminal.
        let (_, text) = text.split_once('\n').unwrap_or_default();
        let end = text.rfind("\nScript done").map_or(text.len(), |end| end + 1);
        text[..end].to_owned()
    };
    let since = Instant::now();
    let bar = loop {
        let shown = screen(&recorded(), columns);
        if shown.last().is_some_and(|line| line.contains("ETA")) {
            break shown;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "no bar: {shown:?}");
        std::thread::yield_now();
    };
    assert!(bar.len() == 1 && bar[0].contains(" %  "), "{columns}: {bar:?}");
    // Ctrl-C from the keyboard.
    terminal.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(130));
    let left = screen(&recorded(), columns);
    fs::remove_file(&record).unwrap();
    left
}
