//! Usability of the command line: options shared with `vf`, untrusted text, rejected arguments.

use std::process::Output;

use videoframes_console::exit::{Program, help};
use videoframes_core::text::is_unprintable;

use super::place::Place;
use super::video;

fn refused(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

fn is_clean(text: &str) -> bool {
    !text.contains(|c: char| is_unprintable(c) && c != '\n')
}

#[test]
fn completions_offer_the_values_of_an_option() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vf-worker"))
        .args(["completions", "bash"])
        .output()
        .unwrap();
    let script = String::from_utf8(output.stdout).unwrap();
    let (_, then) = script.split_once("                --format)").expect("--format");
    assert!(
        then.split(";;").next().unwrap().contains("jpg png webp"),
        "{script}"
    );
}

#[test]
fn help_lists_the_shared_exit_codes_and_options() {
    let place = Place::sqlite();
    let codes = help(Program::Worker);
    let main = place.stdout(&["--help"]);
    for line in codes.lines() {
        assert!(main.contains(line.trim()), "{line}: {main}");
    }
    let submit = place.stdout(&["submit", "-h"]);
    for option in [
        "--max-dimension <PX>",
        "--max-frames <N>",
        "--name <TEMPLATE>",
        "--on-error <ACTION>",
    ] {
        assert!(submit.contains(option), "{option}: {submit}");
    }
    for (command, option) in [
        ("result", "-y, --yes"),
        ("dlq purge", "-y, --yes"),
        ("jobs", "--json"),
    ] {
        let args: Vec<&str> = command.split(' ').chain(["-h"]).collect();
        assert!(place.stdout(&args).contains(option), "{command}");
    }
}

#[test]
fn submit_takes_the_arguments_of_extract() {
    let place = Place::sqlite();
    let args = [
        "-s",
        "-2s",
        "-e",
        "-1",
        "--max-dimension",
        "64",
        "-f",
        "webp",
        "--deadline",
        "1h",
        "--crop",
        "16:9",
        "--metadata",
        "gps",
    ];
    let id = place.submit(video::short(), &[&args[..], &["-v", "-v"]].concat());
    let options = &place.job(&id)["options"];
    assert_eq!(options["range"], serde_json::json!({"start": "-2", "end": "-1"}));
    let picture = &options["picture"];
    assert_eq!(
        (&picture["max_width"], &picture["max_height"]),
        (&64.into(), &64.into())
    );
    assert_eq!(
        (&picture["crop"], &picture["metadata"]),
        (&"16:9".into(), &"gps".into())
    );
    assert_eq!(
        (&picture["format"], &options["limits"]["deadline_s"]),
        (&"webp".into(), &3600.into())
    );
    place.finish();
    assert_eq!(place.job(&id)["result"]["frames"], 1);
    let times = place.submit(video::short(), &["--at", "-1, -20%, 0.5"]);
    assert_eq!(
        place.job(&times)["options"]["selection"]["at"],
        serde_json::json!(["-1", "80%", "1/2"])
    );
}

#[test]
fn mistakes_get_a_hint_and_create_nothing() {
    let place = Place::sqlite();
    let video = video::short().to_str().unwrap();
    for (args, words) in [
        (
            &["submit", video, "-f", "png", "-q", "50"][..],
            "no effect on png",
        ),
        (&["submit", video, "--fsp", "2"], "'--fps'"),
        (&["submit", video, "other.mp4"], "takes one video"),
        (&[video], "vf-worker submit VIDEO"),
        (&["submit", video, "--output-key", "a\u{1b}[2J.zip"], "output.key"),
        (&["submit", video, "--name", "{index}.jpg"], "extension"),
    ] {
        let stderr = refused(&place.output(args), 2);
        assert!(
            stderr.contains(words) && is_clean(&stderr),
            "{args:?}: {stderr:?}"
        );
    }
    for address in [
        "https://user:secret@example.org/v.mp4?secret",
        "ftp://user:secret@example.org/v",
    ] {
        let stderr = refused(&place.output(&["submit", address]), 2);
        assert!(
            !stderr.contains("secret") && stderr.contains("s3://BUCKET/KEY"),
            "{stderr}"
        );
    }
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_result_is_not_written_through_a_link() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &["-n", "1"]);
    place.finish();
    let (precious, link) = (
        place.folder.path().join("precious"),
        place.folder.path().join("link"),
    );
    std::fs::write(&precious, "mine").unwrap();
    std::os::unix::fs::symlink(&precious, &link).unwrap();
    let output = place.output(&["result", &id, "-y", "-o", link.to_str().unwrap()]);
    assert!(refused(&output, 11).contains("symbolic link"));
    assert_eq!(std::fs::read(&precious).unwrap(), b"mine");
}

#[test]
fn a_key_with_control_characters_is_an_invalid_request() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    for body in [
        serde_json::json!({"version": 1, "source": {"key": "v.mp4"}, "output": {"key": "a\u{1b}[2J.zip"}}),
        serde_json::json!({"version": 1, "source": {"key": "a\nERROR forged\u{9b}31m.mp4"}}),
    ] {
        place.send(&body.to_string());
    }
    let mut worker = place.worker(&[], &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    let log = worker.log();
    assert!(
        is_clean(&log) && !log.lines().any(|line| line.starts_with("ERROR forged")),
        "{log:?}"
    );
    let jobs = place.jobs();
    assert_eq!(jobs.len(), 2);
    assert!(
        jobs.iter().all(|job| job["error_code"] == "INVALID_REQUEST"),
        "{jobs:?}"
    );
    for args in [&["jobs"][..], &["jobs", "--json"], &["notifications"]] {
        let printed = place.stdout(args);
        assert!(is_clean(&printed), "{args:?}: {printed:?}");
    }
}

#[test]
fn format_characters_of_a_key_reach_no_terminal_and_keep_their_value_in_json() {
    const NAME: &str = "evil\u{202e}4pm\u{2028}.mp4";
    let place = Place::sqlite();
    let named = place.folder.path().join(NAME);
    std::fs::copy(video::short(), &named).unwrap();
    let metadata = "\"\u{9b}31m\u{202e}\"";
    let id = place.submit(&named, &["-n", "1", "--client-metadata", metadata]);
    let mut worker = place.worker(&[("VF_LOG", "debug")], &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    assert!(is_clean(&worker.log()), "{:?}", worker.log());
    let mut json = place.worker(
        &[("VF_LOG", "debug"), ("VF_LOG_FORMAT", "json")],
        &["--until-idle"],
    );
    assert!(json.wait().success() && is_clean(&json.log()), "{:?}", json.log());
    for args in [
        &["jobs"][..],
        &["job", &id],
        &["jobs", "--json"],
        &["job", &id, "--json"],
        &["notifications"],
    ] {
        let printed = place.stdout(args);
        assert!(is_clean(&printed), "{args:?}: {printed:?}");
    }
    assert!(
        place
            .stdout(&["job", &id])
            .contains("evil\\u{202e}4pm\\u{2028}.mp4")
    );
    let job: serde_json::Value = serde_json::from_str(&place.stdout(&["job", &id, "--json"])).unwrap();
    assert!(job["source"]["key"].as_str().unwrap().ends_with(NAME), "{job}");
    let event: serde_json::Value = serde_json::from_str(place.stdout(&["notifications"]).trim()).unwrap();
    assert_eq!(event["data"]["client_metadata"], "\u{9b}31m\u{202e}");
}

#[test]
fn a_file_whose_name_holds_control_characters_is_submitted_under_a_clean_key() {
    let place = Place::sqlite();
    let named = place.folder.path().join("a\nb\u{1b}.mp4");
    std::fs::copy(video::short(), &named).unwrap();
    let id = place.submit(&named, &["-n", "1"]);
    let key = place.job(&id)["source"]["key"].as_str().unwrap().to_owned();
    assert!(key.ends_with("/a_b_.mp4"), "{key}");
}
