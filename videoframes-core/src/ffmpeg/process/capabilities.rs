//! Version, encoders, decoders and filters of the installed ffmpeg. Each is queried at most once.

use std::collections::HashSet;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::child::{ChildGroup, Stdin, for_each_line};
use super::program::Program;
use super::sandbox::SandboxMode;
use super::version::Version;
use super::watchdog::{Timeout, Watchdog};
use crate::extract::ExtractError;

/// Maximum time for a query of version or capabilities.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of lines of an answer.
const MAX_LINES: usize = 5000;

/// A kind of component that a build of ffmpeg may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// An encoder.
    Encoder,
    /// A decoder.
    Decoder,
    /// A filter.
    Filter,
}

impl Component {
    /// Returns the option that lists all components of the kind.
    fn option(self) -> &'static str {
        match self {
            Self::Encoder => "-encoders",
            Self::Decoder => "-decoders",
            Self::Filter => "-filters",
        }
    }
}

/// Names of components.
type Names = HashSet<String>;

/// Version and components of an ffmpeg. Failed queries are repeated.
#[derive(Debug)]
pub(crate) struct Capabilities {
    ffmpeg: Program,
    version: OnceCell<Version>,
    encoders: OnceCell<Names>,
    decoders: OnceCell<Names>,
    filters: OnceCell<Names>,
}

/// Reason why the names of components are not cached.
enum Uncached {
    Failed(ExtractError),
    /// The list of a program that did not succeed.
    Incomplete(Names),
}

impl Capabilities {
    /// Returns the capabilities of `ffmpeg`, which are queried on demand.
    pub(crate) fn of(ffmpeg: &Program) -> Self {
        Self {
            ffmpeg: ffmpeg.clone(),
            version: OnceCell::new(),
            encoders: OnceCell::new(),
            decoders: OnceCell::new(),
            filters: OnceCell::new(),
        }
    }

    /// Returns the version of ffmpeg.
    pub(crate) async fn version(&self, cancel: &CancellationToken) -> Result<Version, ExtractError> {
        let query = || async {
            let banner = ask(&self.ffmpeg, vec!["-version", "-nostdin"], cancel).await?;
            let version = banner.lines.first().and_then(|line| Version::parse(line));
            let version = version.ok_or_else(|| {
                let path = self.ffmpeg.path.display();
                let place = match self.ffmpeg.sandbox_status().mode {
                    SandboxMode::Off => "",
                    _ => " in the sandbox",
                };
                ExtractError::Unsupported(format!("'{path}' does not print its version{place}"))
            })?;
            version.supported()
        };
        self.version.get_or_try_init(query).await.cloned()
    }

    /// Returns the `names` of components that ffmpeg does not list.
    pub(crate) async fn missing(
        &self,
        component: Component,
        names: &[&'static str],
        cancel: &CancellationToken,
    ) -> Result<Vec<&'static str>, ExtractError> {
        let cell = match component {
            Component::Encoder => &self.encoders,
            Component::Decoder => &self.decoders,
            Component::Filter => &self.filters,
        };
        let query = || async {
            let question = vec!["-nostdin", "-hide_banner", component.option()];
            let answer = ask(&self.ffmpeg, question, cancel).await;
            let answer = answer.map_err(Uncached::Failed)?;
            let names = answer
                .lines
                .iter()
                .filter_map(|line| line.split_whitespace().nth(1));
            let names = names.map(str::to_owned).collect();
            match answer.complete {
                true => Ok(names),
                false => Err(Uncached::Incomplete(names)),
            }
        };
        let missing = |listed: &Names| {
            let names = names.iter().copied();
            names.filter(|&name| !listed.contains(name)).collect()
        };
        match cell.get_or_try_init(query).await {
            Ok(listed) => Ok(missing(listed)),
            Err(Uncached::Incomplete(listed)) => Ok(missing(&listed)),
            Err(Uncached::Failed(error)) => Err(error),
        }
    }
}

/// Returns whether `program` prints its version and succeeds.
pub(crate) async fn runs(program: &Program) -> bool {
    let answer = ask(program, vec!["-version"], &CancellationToken::new()).await;
    answer.is_ok_and(|answer| answer.complete)
}

/// Number of starts of which the fastest counts: a first start reads the program from the disk.
const TIMED_STARTS: usize = 3;

/// Returns the time that `program` takes to start and to end.
pub(crate) async fn start_time(program: &Program) -> Result<Duration, ExtractError> {
    let mut fastest = TIMEOUT;
    for _ in 0..TIMED_STARTS {
        let began = Instant::now();
        ask(program, vec!["-version"], &CancellationToken::new()).await?;
        fastest = fastest.min(began.elapsed());
    }
    Ok(fastest)
}

/// Answer of a program to a question.
struct Answer {
    lines: Vec<String>,
    /// Whether the program succeeded.
    complete: bool,
}

/// Runs a program with a short output, within a timeout.
async fn ask(
    program: &Program,
    question: Vec<&'static str>,
    cancel: &CancellationToken,
) -> Result<Answer, ExtractError> {
    let program = program.clone();
    blocking(cancel, move |cancel| {
        let mut child = ChildGroup::ffmpeg(&program, question.iter().map(Into::into).collect())?;
        if let Some(stderr) = child.take_stderr() {
            std::thread::spawn(move || for_each_line(stderr, |_| true));
        }
        let (sender, answer) = sync_channel(1);
        if let Some(stdout) = child.take_stdout() {
            std::thread::spawn(move || {
                let mut lines = Vec::new();
                for_each_line(stdout, |line| {
                    lines.push(line.to_owned());
                    lines.len() < MAX_LINES
                });
                let _ = sender.send(lines);
            });
        }
        let mut watchdog = Watchdog::new(child, Stdin::Empty, Timeout::Total(TIMEOUT), cancel);
        Ok(Answer {
            lines: watchdog.receive(&answer)?.unwrap_or_default(),
            complete: watchdog.wait().is_ok_and(|status| status.success()),
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    /// Writes a program that logs its arguments, and runs `script`.
    fn program(folder: &Path, script: &str) -> Program {
        let path = folder.join("ffmpeg");
        let log = folder.join("log");
        let script = format!("#!/bin/sh\necho \"$*\" >> '{}'\n{script}\n", log.display());
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // In the sandbox, the program could not write its log.
        Program::from(path).with_sandbox(SandboxMode::Off)
    }

    fn questions(folder: &Path) -> usize {
        std::fs::read_to_string(folder.join("log"))
            .unwrap()
            .lines()
            .count()
    }

    #[tokio::test]
    async fn asks_each_question_once() {
        let folder = tempfile::tempdir().unwrap();
        let script =
            "case \"$*\" in *-version*) echo 'ffmpeg version 7.1';; *) echo ' V..... libx264 H.264';; esac";
        let capabilities = Capabilities::of(&program(folder.path(), script));
        let cancel = CancellationToken::new();
        let (one, other) = tokio::join!(capabilities.version(&cancel), capabilities.version(&cancel));
        assert_eq!(one.unwrap(), other.unwrap());
        for _ in 0..2 {
            let names = ["libx264", "libx265"];
            let missing = capabilities.missing(Component::Encoder, &names, &cancel).await;
            assert_eq!(missing.unwrap(), ["libx265"]);
        }
        assert_eq!(questions(folder.path()), 2);
    }

    #[tokio::test]
    async fn caches_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let capabilities = Capabilities::of(&program(folder.path(), "exit 1"));
        let cancel = CancellationToken::new();
        for _ in 0..2 {
            let missing = capabilities
                .missing(Component::Filter, &["zscale"], &cancel)
                .await;
            assert_eq!(missing.unwrap(), ["zscale"]);
            let version = capabilities.version(&cancel).await;
            assert!(
                matches!(version, Err(ExtractError::Unsupported(_))),
                "{version:?}"
            );
        }
        assert_eq!(questions(folder.path()), 4);
    }
}
