//! Mistakes on the command line start no server and no worker.

use std::process::{Command, Output};

fn chaos(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_videoframes-chaos"))
        .args(args)
        .output()
        .expect("failed to start videoframes-chaos")
}

#[test]
fn mistakes_are_reported_before_a_server_starts() {
    let cases: [(&[&str], &str); 5] = [
        (&["--seeds", "1"], "--seed"),
        (&["--seed", "x"], "invalid value 'x'"),
        (&["--hours", "-1"], "-1"),
        (&["--hours", "nan"], "not a positive number of hours"),
        (&["--seed", "1", "--replay", "2"], "cannot be used with"),
    ];
    for (args, expected) in cases {
        let output = chaos(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(expected), "{args:?}: {text}");
    }
}

#[test]
fn a_missing_worker_is_named() {
    let output = chaos(&["--worker", "/nonexistent/vf-worker"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no worker '/nonexistent/vf-worker'"), "{text}");
}
