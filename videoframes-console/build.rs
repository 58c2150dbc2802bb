//! Records commit, target and compiler of a build, which `--version` prints.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=VF_BUILD_COMMIT");
    let suffix = match variable("PROFILE").as_str() {
        // Debug builds would be linked again after each commit.
        "debug" => " (debug build)".to_owned(),
        _ => commit().map_or_else(String::new, |commit| format!(" ({commit})")),
    };
    let compiler = output(Command::new(variable("RUSTC")).arg("--version")).unwrap_or_default();
    println!("cargo::rustc-env=VF_BUILD_SUFFIX={suffix}");
    println!("cargo::rustc-env=VF_BUILD_TARGET={}", variable("TARGET"));
    println!("cargo::rustc-env=VF_BUILD_COMPILER={compiler}");
}

/// Returns a variable that cargo sets for build scripts.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Returns the commit, with its date if there is a repository.
fn commit() -> Option<String> {
    given().or_else(packaged).or_else(repository)
}

/// Returns the commit that a build without repository gets, such as that of a container image.
fn given() -> Option<String> {
    shortened(&std::env::var("VF_BUILD_COMMIT").ok()?)
}

/// Returns the commit that `cargo package` has recorded.
fn packaged() -> Option<String> {
    let info = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    shortened(info.split_once("\"sha1\": \"")?.1)
}

/// Returns the commit of the workspace. A repository further outside is not that of this workspace.
fn repository() -> Option<String> {
    if !Path::new("../.git").exists() {
        return None;
    }
    let git = |args: &[&str]| output(Command::new("git").args(args));
    // The log of HEAD changes with each commit and checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = shortened(&git(&["rev-parse", "HEAD"])?)?;
    let date = git(&["log", "-1", "--format=%cs"])?;
    Some(format!("{commit} {date}"))
}

/// Returns the first 12 digits of a commit.
fn shortened(commit: &str) -> Option<String> {
    let digits = commit.get(..12)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| digits.to_owned())
}

/// Returns the first line that a successful command prints.
fn output(command: &mut Command) -> Option<String> {
    let done = command.output().ok().filter(|done| done.status.success())?;
    let text = String::from_utf8(done.stdout).ok()?;
    Some(text.lines().next()?.to_owned())
}
