//! Untrusted text is printed on one line, without control characters.

use crate::Place;

/// A forged field, an escape, a C1 control, a line separator, and a right-to-left override.
const NAME: &str = "a\nframes     7\u{1b}[2J\u{9b}31m\u{2028}\u{202e}4pm.mp4";

fn is_clean(text: &str) -> bool {
    !text.contains(|c: char| videoframes_core::text::is_unprintable(c) && c != '\n')
}

#[test]
fn file_names_are_escaped_in_every_output() {
    let place = Place::new();
    std::fs::copy(place.path("video.mp4"), place.path(NAME)).unwrap();
    let probe = place.run(&["probe", NAME]);
    let shown = String::from_utf8(probe.stdout).unwrap();
    assert!(is_clean(&shown), "{shown:?}");
    let frames: Vec<&str> = shown.lines().filter(|line| line.starts_with("frames")).collect();
    assert_eq!(frames, ["frames     125, about 25.000 a second"]);
    assert!(
        shown.contains("a\\nframes     7\\u{1b}[2J\\u{9b}31m\\u{2028}\\u{202e}4pm.mp4"),
        "{shown}"
    );

    let json = place.run(&["probe", "--json", NAME]);
    assert!(is_clean(std::str::from_utf8(&json.stdout).unwrap()));
    assert_eq!(json.json()["file"], NAME);

    let out = format!("{NAME}.zip");
    let extract = place.run(&["extract", NAME, "-n", "1", "-o", &out]);
    assert_eq!(extract.code, Some(0));
    assert!(
        is_clean(&extract.stderr) && extract.stderr.lines().count() == 1,
        "{:?}",
        extract.stderr
    );
    let again = place.run(&["extract", NAME, "-n", "1", "-o", &out]);
    again.fails(9, &["\\u{202e}"]);
    let logged = place.run(&[
        "extract",
        NAME,
        "-n",
        "1",
        "-y",
        "-v",
        "--strategy",
        "plain",
        "-o",
        &out,
    ]);
    for printed in [
        again.stderr,
        place.run(&["probe", "b\u{1b}\u{202e}.mp4"]).stderr,
        logged.stderr,
    ] {
        assert!(is_clean(&printed), "{printed:?}");
    }
}

#[test]
fn entries_of_an_archive_hold_no_hidden_characters() {
    let place = Place::new();
    std::fs::copy(place.path("video.mp4"), place.path(NAME)).unwrap();
    let run = place.run(&[
        "extract",
        NAME,
        "-n",
        "1",
        "--name",
        "{stem}_{index}",
        "-o",
        "out.zip",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let archive = zip::ZipArchive::new(std::fs::File::open(place.path("out.zip")).unwrap()).unwrap();
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    assert!(names.iter().all(|name| is_clean(name)), "{names:?}");
}
