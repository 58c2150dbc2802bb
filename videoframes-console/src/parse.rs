//! Parsing of command lines, with more helpful errors than clap's for frequent mistakes.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Parser};

use crate::exit::USAGE;
use crate::{Failure, has_scheme};

/// Parses the command line of this process. If a video is given instead of a command, the error suggests
/// `video_command`.
///
/// # Errors
/// Prints the error or the requested help, and returns the exit code.
pub fn parse<T: Parser>(video_command: &str) -> Result<T, ExitCode> {
    let args: Vec<OsString> = std::env::args_os().collect();
    T::try_parse_from(&args).map_err(|error| {
        let root = T::command();
        match explain(error, &root, &args, video_command) {
            Explained::Failure(failure) => failure.report(),
            Explained::Clap(error) => {
                // There is no other place to report a closed stdout or stderr.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
            }
        }
    })
}

/// An error of clap, or its replacement.
enum Explained {
    Failure(Failure),
    Clap(clap::Error),
}

fn explain(mut error: clap::Error, root: &Command, args: &[OsString], video_command: &str) -> Explained {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let command = Named::find(root, args);
    match error.kind() {
        ErrorKind::InvalidSubcommand => match text(ContextKind::InvalidSubcommand) {
            Some(name) if looks_like_a_video(&name) => {
                let (program, shown) = (root.get_name(), shown(&name));
                let failure = Failure::new(USAGE, format!("{shown} is not a command of {program}"));
                return Explained::Failure(failure.hint(format!("try '{program} {video_command} VIDEO'")));
            }
            _ => {}
        },
        ErrorKind::UnknownArgument => {
            let argument = text(ContextKind::InvalidArg).unwrap_or_default();
            if !argument.starts_with('-') && command.takes_one_value() {
                let (shown, name) = (shown(&argument), &command.name);
                let failure = Failure::new(USAGE, format!("unexpected argument {shown}"));
                return Explained::Failure(failure.hint(format!(
                    "'{name}' takes one video: run the command once per video, and put options before their values"
                )));
            }
            if error.get(ContextKind::SuggestedArg).is_none()
                && let Some(option) = argument.strip_prefix("--").and_then(|name| command.similar(name))
            {
                error.insert(
                    ContextKind::SuggestedArg,
                    ContextValue::String(format!("--{option}")),
                );
            }
        }
        _ => {}
    }
    Explained::Clap(error)
}

/// Returns an argument as shown in a message. A URL may contain credentials and is not shown.
fn shown(text: &str) -> String {
    match has_scheme(text) {
        true => "the URL".to_owned(),
        false => format!("'{text}'"),
    }
}

/// Returns whether `text` is probably a file or a URL: has a scheme, a folder or an extension, or exists.
fn looks_like_a_video(text: &str) -> bool {
    let path = Path::new(text);
    has_scheme(text) || text.contains('/') || path.extension().is_some() || path.exists()
}

/// The command that the arguments select.
struct Named<'a> {
    /// The name, preceded by the names of the parent commands.
    name: String,
    command: &'a Command,
    /// Names of the long options of the command, and of global options.
    options: Vec<&'a str>,
}

impl<'a> Named<'a> {
    fn find(root: &'a Command, args: &[OsString]) -> Self {
        let longs = |command: &'a Command, global_only: bool| {
            let args = command.get_arguments();
            args.filter(move |arg| !global_only || arg.is_global_set())
                .filter_map(Arg::get_long)
        };
        let mut found = Self {
            name: root.get_name().to_owned(),
            command: root,
            options: Vec::new(),
        };
        for name in args.iter().skip(1).map(OsString::as_os_str) {
            let next = Some(name).and_then(OsStr::to_str);
            if let Some(next) = next.and_then(|name| found.command.find_subcommand(name)) {
                found.options.extend(longs(found.command, true));
                found.name = format!("{} {}", found.name, next.get_name());
                found.command = next;
            }
        }
        found.options.extend(longs(found.command, false));
        found.options.push("help");
        found
    }

    fn takes_one_value(&self) -> bool {
        self.command.get_positionals().count() == 1
            && self
                .command
                .get_positionals()
                .all(|arg| arg.get_num_args().is_none_or(|n| n.max_values() == 1))
    }

    /// Returns the option whose name is most similar to `name`, within a small edit distance. Clap compares
    /// letters by position, and so misses swapped letters in short names.
    fn similar(&self, name: &str) -> Option<&'a str> {
        let allowed = if name.chars().count() <= 4 { 1 } else { 2 };
        let distance = |option: &&str| strsim::osa_distance(name, option);
        let nearest = self.options.iter().copied().min_by_key(distance);
        nearest.filter(|option| distance(option) <= allowed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn root() -> Command {
        let verbose = Arg::new("verbose").long("verbose").global(true);
        let work = Command::new("work")
            .arg(Arg::new("file"))
            .arg(Arg::new("fps").long("fps"));
        Command::new("program").arg(verbose).subcommand(work)
    }

    fn message(args: &[&str]) -> String {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let error = root().try_get_matches_from(&args).unwrap_err();
        match explain(error, &root(), &args, "work") {
            Explained::Failure(failure) => failure.to_string(),
            Explained::Clap(error) => error.to_string(),
        }
    }

    #[test]
    fn frequent_mistakes_are_explained() {
        for (args, words) in [
            (&["program", "work", "--fsp", "2"][..], "--fps"),
            (&["program", "work", "--verbsoe"], "--verbose"),
            (&["program", "a.mp4"], "'a.mp4' is not a command of program"),
            (&["program", "work", "a", "b"], "unexpected argument 'b'"),
            (&["program", "wrok"], "a similar subcommand exists: 'work'"),
        ] {
            assert!(message(args).contains(words), "{args:?}: {}", message(args));
        }
        assert!(!message(&["program", "work", "--zzz"]).contains("similar"));
        assert!(!message(&["program", "https://u:secret@h/v"]).contains("secret"));
        assert!(!message(&["program", "work", "a", "https://u:secret@h/v"]).contains("secret"));
    }
}
