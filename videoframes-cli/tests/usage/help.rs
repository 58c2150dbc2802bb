//! Help with examples and exit codes, and completions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use videoframes_console::exit::{CODES, Program, help};

use crate::{Place, Run, vf};

const COMMANDS: [&str; 7] = [
    "extract",
    "compress",
    "plan",
    "probe",
    "doctor",
    "completions",
    "man",
];

fn help_of(args: &[&str], columns: &str) -> String {
    let output = vf().args(args).env("COLUMNS", columns).output().unwrap();
    String::from_utf8(Run::of(output).stdout).unwrap()
}

#[test]
fn help_fits_narrow_and_wide_terminals_without_broken_words() {
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    for command in [""].iter().chain(&COMMANDS) {
        for flag in ["-h", "--help"] {
            let args: Vec<&str> = [*command, flag]
                .into_iter()
                .filter(|arg| !arg.is_empty())
                .collect();
            let unwrapped = words(&help_of(&args, "1000"));
            for columns in [40, 80, 120] {
                let text = help_of(&args, &columns.to_string());
                let long = text.lines().find(|line| line.chars().count() > columns);
                assert_eq!(long, None, "{args:?} at {columns}");
                assert_eq!(words(&text), unwrapped, "{args:?} at {columns}");
            }
        }
    }
}

#[test]
fn every_example_in_help_runs() {
    let place = Place::new();
    let mut examples = Vec::new();
    for command in ["extract", "compress"] {
        let text = help_of(&[command, "--help"], "1000");
        let lines = text.lines().map(str::trim).filter(|line| line.starts_with("vf "));
        examples.extend(lines.map(str::to_owned));
    }
    assert!(examples.len() >= 10, "{examples:?}");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_vf")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    for example in examples {
        // Other tests cover HTTP.
        let line = example.replace("https://example.org/", "");
        let mut shell = Command::new("sh");
        let shell = shell.arg("-c").arg(&line).env("PATH", &path);
        let run = Run::of(shell.current_dir(place.folder.path()).output().unwrap());
        assert_eq!(run.code, Some(0), "{line}: {}", run.stderr);
    }
    assert_eq!(
        crate::picture(&place.path("thumb.jpg")).0,
        image::ImageFormat::Jpeg
    );
    assert_eq!(
        crate::picture(&place.path("middle.png")).0,
        image::ImageFormat::Png
    );
    let at = zip::ZipArchive::new(std::fs::File::open(place.path("at.zip")).unwrap()).unwrap();
    assert_eq!(at.len(), 4);
}

#[test]
fn exit_codes_are_the_same_in_help_and_documentation() {
    let shown = help_of(&["--help"], "100");
    assert!(shown.contains(&help(Program::Vf)), "{shown}");
    let documented = include_str!("../../../docs/cli.md");
    let rows = documented.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number: u8 = cells.get(1)?.parse().ok()?;
        Some((number, cells[2].to_owned(), cells[3].to_owned()))
    });
    let table = CODES.iter().map(|code| {
        let ends = match code.programs {
            [Program::Vf] => "`vf`",
            [Program::Worker] => "`vf-worker`",
            _ => "both",
        };
        (code.number, code.meaning.to_owned(), ends.to_owned())
    });
    assert_eq!(rows.collect::<Vec<_>>(), table.collect::<Vec<_>>());
}

#[test]
fn options_appear_under_their_headings() {
    let probe = help_of(&["probe", "-h"], "100");
    let (options, limits) = probe.split_once("Limits").unwrap();
    assert!(
        options.contains("--json") && !limits.contains("--json"),
        "{probe}"
    );
    let plan = help_of(&["plan", "-h"], "100");
    for unused in [
        "--output",
        "--max-output",
        "--yes",
        "--name",
        "--progress",
        "--dry-run",
        "--quality",
        "--jobs",
    ] {
        assert!(!plan.contains(unused), "{unused}: {plan}");
    }
    for (command, pixels, bytes) in [("extract", true, false), ("compress", false, true)] {
        let text = help_of(&[command, "-h"], "100");
        assert_eq!(text.contains("--max-dimension <PX>"), pixels, "{command}");
        assert_eq!(text.contains("--max-size <SIZE>"), bytes, "{command}");
    }
}

#[test]
fn help_mentions_s3_uris_only_in_builds_with_s3() {
    for command in ["extract", "compress"] {
        let offered = help_of(&[command, "-h"], "200").contains("s3://");
        assert_eq!(offered, cfg!(feature = "s3"), "{command}");
    }
}

#[test]
fn the_version_names_the_build() {
    let (short, long) = (help_of(&["-V"], "80"), help_of(&["--version"], "80"));
    let version = concat!("vf ", env!("CARGO_PKG_VERSION"), " (");
    assert!(
        short.starts_with(version) && short.lines().count() == 1,
        "{short}"
    );
    assert!(long.starts_with(short.trim_end()), "{long}");
    for name in ["target: ", "compiler: rustc "] {
        assert!(long.contains(&format!("\n{name}")), "{long}");
    }
}

#[test]
fn completions_offer_the_values_of_an_option() {
    let script = help_of(&["completions", "bash"], "80");
    for (option, values) in [
        ("--format", "jpg png webp"),
        ("--codec", "h264 hevc av1 vp9"),
        ("--audio", "aac copy none"),
        ("--on-error", "fail partial"),
        ("--strategy", "auto plain planned"),
        ("--deinterlace", "auto on off"),
        ("--progress", "bar json none"),
    ] {
        let case = format!("                {option})");
        let (_, then) = script
            .split_once(&case)
            .unwrap_or_else(|| panic!("no case for {option}"));
        let (then, _) = then.split_once(";;").unwrap();
        assert!(then.contains(values), "{option}: {then}");
    }
}

#[test]
fn doctor_reports_as_text_and_as_json() {
    let report = Run::of(vf().args(["doctor", "--json"]).output().unwrap()).json();
    assert_eq!(report["usable"], true);
    let checks = report["checks"].as_array().unwrap();
    let ffmpeg = checks.iter().find(|check| check["name"] == "ffmpeg").unwrap();
    assert_eq!(ffmpeg["status"], "ok", "{ffmpeg}");
    assert!(ffmpeg["detail"].as_str().unwrap().contains("ffmpeg"), "{ffmpeg}");
    let text = help_of(&["doctor"], "80");
    for check in checks {
        assert!(text.contains(check["name"].as_str().unwrap()), "{check}: {text}");
    }
    let missing = vf()
        .args(["doctor", "--json", "--ffmpeg", "/nonexistent/ffmpeg"])
        .output()
        .unwrap();
    let missing = Run::of(missing);
    assert_eq!(missing.code, Some(10));
    let report: serde_json::Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert_eq!(
        (&report["usable"], &report["checks"][0]["status"]),
        (&false.into(), &"missing".into())
    );
    assert!(
        report["checks"][0]["hint"].as_str().unwrap().contains("install"),
        "{report}"
    );
}

#[test]
fn doctor_reports_a_slow_start_of_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("ffmpeg");
    fs::write(&slow, "#!/bin/sh\nsleep 0.2\nexec ffmpeg \"$@\"\n").unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let report = Run::of(
        vf().args(["doctor", "--json", "--ffmpeg"])
            .arg(&slow)
            .output()
            .unwrap(),
    )
    .json();
    let checks = report["checks"].as_array().unwrap();
    let starts = checks
        .iter()
        .find(|check| check["name"] == "ffmpeg starts")
        .unwrap();
    let milliseconds = starts["detail"].as_str().unwrap().split(' ').next().unwrap();
    assert!(milliseconds.parse::<u32>().unwrap() >= 200, "{starts}");
    assert!(
        starts["hint"].as_str().unwrap().contains("static build"),
        "{starts}"
    );
}

#[test]
fn man_pages_describe_every_command_and_are_read_by_man() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::of(vf().arg("man").arg(folder.path()).output().unwrap());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for command in COMMANDS {
        let page = fs::read_to_string(folder.path().join(format!("vf-{command}.1"))).unwrap();
        assert!(
            page.starts_with(".ie ") || page.starts_with(".TH"),
            "{command}: {page}"
        );
    }
    let page = fs::read_to_string(folder.path().join("vf-extract.1")).unwrap();
    for word in [r"every\-nth", "one frame", "Examples:"] {
        assert!(
            page.to_lowercase().contains(&word.to_lowercase()),
            "{word}: {page}"
        );
    }
}
