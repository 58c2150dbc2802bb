//! The scripts that start and stop servers.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

/// Exit code of a script whose server is not installed.
const NOT_INSTALLED: i32 = 3;

/// Returns the folder of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The server of a script is not installed.
#[derive(Debug)]
pub(crate) struct NotInstalled(pub(crate) String);

impl std::fmt::Display for NotInstalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server of scripts/{} is not installed", self.0)
    }
}

impl std::error::Error for NotInstalled {}

/// Runs a script and returns its output.
pub(crate) async fn script(name: &str, args: &[&str]) -> anyhow::Result<String> {
    script_with(name, args, &[]).await
}

/// Runs a script with these environment variables and returns its output.
pub(crate) async fn script_with(
    name: &str,
    args: &[&str],
    variables: &[(&str, &str)],
) -> anyhow::Result<String> {
    let mut command = Command::new(repository().join("scripts").join(name));
    // Ctrl-C must not stop a script that stops a server.
    command.envs(variables.iter().copied());
    command.args(args).process_group(0).stdin(Stdio::null());
    let output = command
        .output()
        .await
        .with_context(|| format!("failed to run scripts/{name}"))?;
    if output.status.code() == Some(NOT_INSTALLED) {
        return Err(NotInstalled(name.to_owned()).into());
    }
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("scripts/{name} {}: {}", args.join(" "), stderr.trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
