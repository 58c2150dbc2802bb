//! Errors and hints for frequent mistakes.

use crate::{Place, Run, vf};

#[test]
fn frequent_mistakes_get_a_hint() {
    let place = Place::new();
    for (args, words) in [
        (
            &["video.mp4"][..],
            &["'video.mp4' is not a command", "try 'vf extract VIDEO'"][..],
        ),
        (&["video.mp4", "other.mp4"], &["is not a command", "vf extract"]),
        (
            &["probe", "video.mp4", "other.mp4"],
            &[
                "unexpected argument 'other.mp4'",
                "takes one video: run the command once per video",
            ],
        ),
        (
            &["extract", "video.mp4", "--fsp", "2"],
            &["unexpected argument '--fsp'", "'--fps'"],
        ),
        (
            &["extract", "video.mp4", "--max-size", "640"],
            &["unexpected argument '--max-size'"],
        ),
        (
            &["extarct", "video.mp4"],
            &["similar subcommand exists: 'extract'"],
        ),
        (
            &["extract", "video.mp4", "--name", "{index:4}/{stem}.jpg"],
            &["since the picture format adds it"],
        ),
        (
            &["extract", "video.mp4", "-f", "png", "-q", "50"],
            &["no effect on png", "hint: omit --quality"],
        ),
        (
            &["extract", "video.mp4", "-q", "50", "-o", "x.png"],
            &["no effect on png"],
        ),
        (
            &["extract", "video.mp4", "-s", "3", "-e", "2"],
            &["range from 3 s to 2 s is empty", "--end must be after"],
        ),
        (
            &["extract", "video.mp4", "-s", "9", "-e", "7"],
            &["range from 9 s to 7 s is empty", "--end must be after"],
        ),
        (
            &["extract", "video.mp4", "--at", "9"],
            &["beyond the end of the video (5 s)", "vf probe"],
        ),
        (
            &["extract", "video.mp4", "--at", "-9"],
            &["-9 s is before the start of the video"],
        ),
        (
            &["plan", "video.mp4", "-o", "x.zip"],
            &["unexpected argument '-o'"],
        ),
    ] {
        let run = place.run(args);
        run.fails(2, words);
        assert_eq!(place.made(), Vec::<String>::new(), "{args:?}");
    }
}

#[test]
fn urls_with_secrets_are_not_printed() {
    for args in [
        &["https://user:secret@example.org/v.mp4?secret"][..],
        &["plan", "a.mp4", "https://user:secret@example.org/v.mp4?secret"],
        &["probe", "a.mp4", "ftp://user:secret@example.org/v"],
    ] {
        let run = Run::of(vf().args(args).output().unwrap());
        assert_eq!(run.code, Some(2), "{args:?}");
        assert!(!run.stderr.contains("secret"), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn errors_have_the_colours_of_parser_errors_only_on_terminals() {
    let run = |command: &mut std::process::Command| {
        let output = command.args(["probe", "/nonexistent.mp4"]).output().unwrap();
        Run::of(output).stderr
    };
    let plain = run(&mut vf());
    assert!(
        plain.starts_with("error: ") && !plain.contains('\u{1b}'),
        "{plain}"
    );
    let ours = run(vf().env("CLICOLOR_FORCE", "1"));
    let parsers = vf()
        .args(["probe", "--nonsense"])
        .env("CLICOLOR_FORCE", "1")
        .output()
        .unwrap();
    let parsers = String::from_utf8(parsers.stderr).unwrap();
    let mark = ours.split_once(' ').unwrap().0;
    assert!(
        mark.contains('\u{1b}') && parsers.starts_with(mark),
        "{ours:?} {parsers:?}"
    );
}

#[test]
fn verbosity_is_repeatable() {
    let place = Place::new();
    let lines = |flags: &[&str]| {
        let run = place.run(&[&["probe", "video.mp4"], flags].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stderr.lines().count()
    };
    assert_eq!(lines(&[]), 0);
    let (some, more) = (lines(&["-v"]), lines(&["-v", "-v"]));
    assert!(more >= some && lines(&["-vv"]) == more, "{some} {more}");
}
