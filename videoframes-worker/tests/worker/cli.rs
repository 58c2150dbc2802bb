//! Commands of an operator at a terminal.

use super::place::Place;
use super::video;

#[test]
fn a_job_produces_the_same_archive_as_vf() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &["--fps", "2"]);
    assert_eq!(id.len(), 36, "stdout has only the ID");
    place.finish();
    let archive = place.folder.path().join("frames.zip");
    let path = archive.to_str().unwrap();
    place.stdout(&["result", &id, "-o", path]);
    let expected = place.folder.path().join("expected.zip");
    super::place::extract(video::short(), 2, &expected);
    assert_eq!(
        std::fs::read(&archive).unwrap(),
        std::fs::read(&expected).unwrap()
    );
    // The file is only replaced on request, and the archive can go to stdout.
    assert_eq!(place.output(&["result", &id, "-o", path]).status.code(), Some(9));
    let link = place.folder.path().join("link");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    for device in ["/dev/null", link.to_str().unwrap()] {
        let refused = place.output(&["result", &id, "-o", device, "-y"]);
        assert_eq!(refused.status.code(), Some(11), "{device}");
    }
    place.stdout(&["result", &id, "-o", path, "-y"]);
    assert_eq!(
        place.output(&["result", &id, "-o", "-"]).stdout,
        std::fs::read(&expected).unwrap()
    );
}

#[test]
fn the_same_idempotency_key_is_the_same_job() {
    let place = Place::sqlite();
    let first = place.submit(video::short(), &["--idempotency-key", "k"]);
    assert_eq!(place.submit(video::short(), &["--idempotency-key", "k"]), first);
    let other = place.output(&[
        "submit",
        video::short().to_str().unwrap(),
        "--fps",
        "3",
        "--idempotency-key",
        "k",
    ]);
    assert_eq!(
        other.status.code(),
        Some(23),
        "{}",
        String::from_utf8_lossy(&other.stderr)
    );
    assert_ne!(
        place.submit(video::short(), &[]),
        place.submit(video::short(), &[])
    );
    assert_eq!(place.jobs().len(), 3);
    // The same bytes with another modification time are the same video.
    let copy = place.folder.path().join("copy.mp4");
    std::fs::copy(video::short(), &copy).unwrap();
    let first = place.submit(&copy, &["--idempotency-key", "c"]);
    std::fs::File::open(&copy)
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(place.submit(&copy, &["--idempotency-key", "c"]), first);
}

#[test]
fn invalid_arguments_are_rejected_before_anything_is_created() {
    let place = Place::sqlite();
    let video = video::short().to_str().unwrap();
    for args in [
        &["submit", video, "--fps", "fast"][..],
        &["submit", video, "-f", "bmp"],
        &["submit", video, "-q", "0"],
        &["submit", video, "--output-key", "../x.zip"],
        &["submit", video, "--max-frames", "0"],
        &["submit", video, "--fps", "1", "-n", "2"],
        &["submit", video, "--client-metadata", "{"],
        &["jobs", "--status", "done"],
        &["job", "7"],
    ] {
        let output = place.output(args);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(place.output(&["submit", "missing.mp4"]).status.code(), Some(3));
    assert_eq!(place.output(&["submit", "/dev/null"]).status.code(), Some(3));
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_configuration_is_an_error() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vf-worker"))
        .args(["jobs"])
        .env_remove("DATABASE_URL")
        .env_remove("VF_STORAGE")
        .env("AWS_REGION", "eu-west-1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for word in ["--local", "DATABASE_URL", "VF_STORAGE"] {
        assert!(stderr.contains(word), "{stderr}");
    }
}

#[test]
fn a_worker_survives_a_closed_log() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &["-n", "1"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = place
        .command(&["run", "--until-idle"])
        .stderr(full)
        .status()
        .unwrap();
    assert!(status.success(), "{status:?}");
    assert_eq!(place.job(&id)["status"], "completed");
}

#[test]
fn submit_wait_ends_with_the_job_and_fails_if_the_job_fails() {
    let place = Place::sqlite();
    let mut worker = place.worker(&[], &[]);
    let video = video::short().to_str().unwrap();
    assert!(place.output(&["submit", video, "--wait"]).status.success());
    let failed = place.output(&["submit", video, "--at", "1h", "--wait"]);
    assert_eq!(failed.status.code(), Some(20));
    let stderr = String::from_utf8_lossy(&failed.stderr);
    assert!(stderr.contains("SELECTION_OUT_OF_RANGE"), "{stderr}");
    worker.signal("TERM");
    assert!(worker.wait().success());
}

#[test]
fn migrations_can_be_applied_reverted_and_listed() {
    let place = Place::sqlite();
    assert!(place.stdout(&["migrate", "status"]).contains("pending"));
    let refused = place
        .command(&["jobs"])
        .env("VF_MIGRATE", "off")
        .output()
        .unwrap();
    assert_eq!(
        refused.status.code(),
        Some(22),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    assert!(place.stdout(&["migrate", "up"]).contains("applied"));
    assert!(place.stdout(&["migrate", "down"]).contains("pending"));
    place.stdout(&["migrate", "up"]);
    assert_eq!(place.stdout(&["jobs", "--json"]).trim(), "[]");
}

#[test]
fn read_only_commands_create_nothing() {
    let place = Place::sqlite();
    let id = "01a20df4-7bcf-71e9-9609-5b0498b3fea5";
    assert_eq!(place.stdout(&["jobs", "--json"]).trim(), "[]");
    assert_eq!(place.stdout(&["notifications"]), "");
    for args in [
        &["job", id][..],
        &["cancel", id],
        &["retry", id],
        &["result", id, "-o", "-"],
    ] {
        assert_eq!(place.output(args).status.code(), Some(3), "{args:?}");
    }
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0);
}
