//! Layouts and manifests of the outputs of `vf extract`. Pure.

use std::num::NonZeroU64;

use videoframes_console::{Failure, exit};
use videoframes_core::archive::{Layout, ManifestFormat, ShardLimits};
use videoframes_core::extract::PictureFormat;

use crate::args::{ArchiveArgs, ArchiveType};
use crate::output::Output;

/// Size of a shard if no limit is given.
const SHARD_BYTES: NonZeroU64 = NonZeroU64::new(1 << 30).unwrap();

/// Returns the limits of a shard.
pub(crate) fn shard_limits(args: &ArchiveArgs) -> ShardLimits {
    let mut limits = ShardLimits::default();
    limits.pictures = args.shard_size;
    limits.bytes = args
        .shard_bytes
        .or_else(|| args.shard_size.is_none().then_some(SHARD_BYTES));
    limits
}

/// Returns the formats of the manifest; `None` for the default of the layout.
pub(crate) fn manifests(output: &Output, args: &ArchiveArgs) -> Option<Vec<ManifestFormat>> {
    if args.manifest.is_empty() {
        return matches!(output, Output::Shards(..)).then(|| vec![ManifestFormat::Json]);
    }
    Some(args.manifest.iter().copied().flatten().collect())
}

/// Fails if the output cannot have the layout, the manifests or the type that the arguments give.
///
/// # Errors
/// Fails with exit code 2 and the option to change.
pub(crate) fn check(
    output: &Output,
    args: &ArchiveArgs,
    format: Option<PictureFormat>,
) -> Result<(), Failure> {
    let usage = |text: String, hint: &str| Err(Failure::new(exit::USAGE, text).hint(hint));
    let name = output.name();
    if let (Output::Picture(..), Some(option)) = (output, args.needs_archive()) {
        return usage(
            format!("{option} has no effect on -o {name}, which is one picture"),
            &format!("omit {option}, or give an archive or a folder"),
        );
    }
    let is = match output {
        Output::Archive(_, archive) | Output::StdoutArchive(archive) => Some(*archive),
        Output::Object(_) => Some(ArchiveType::Zip),
        _ => None,
    };
    if let Some(archive) = args.archive.filter(|archive| is != Some(*archive)) {
        return usage(
            format!("--archive {} contradicts -o {name}", archive.extension()),
            "omit --archive, or change -o",
        );
    }
    if args.layout == Layout::WebDataset && is == Some(ArchiveType::Zip) {
        return usage(
            format!("--layout webdataset needs tar archives, not -o {name}"),
            "give a tar archive such as -o train.tar, or a folder such as -o train/",
        );
    }
    if args.layout == Layout::ImageFolder && format.is_some_and(PictureFormat::is_uncompressed) {
        return usage(
            "--layout imagefolder needs pictures".to_owned(),
            "use --format jpg, png or webp",
        );
    }
    if !matches!(output, Output::Shards(..)) && (args.shard_size.is_some() || args.shard_bytes.is_some()) {
        return usage(
            format!("-o {name} has no shards"),
            "give --layout webdataset and a folder such as -o train/",
        );
    }
    check_manifests(output, args, &name)
}

fn check_manifests(output: &Output, args: &ArchiveArgs, name: &str) -> Result<(), Failure> {
    let usage = |text: String, hint: &str| Err(Failure::new(exit::USAGE, text).hint(hint));
    let given = &args.manifest;
    if given.contains(&None) && given.iter().any(Option::is_some) {
        return usage(
            "--manifest none contradicts the other formats".to_owned(),
            "give 'none' alone, or omit it",
        );
    }
    if given.is_empty() {
        return Ok(());
    }
    match output {
        Output::Folder(_) | Output::Shards(..) if !given.contains(&Some(ManifestFormat::Json)) => usage(
            format!("-o {name} needs manifest.json, by which vf recognizes the folder as a result"),
            "add json to --manifest, as in --manifest json,csv",
        ),
        Output::Archive(..) | Output::StdoutArchive(_)
            if args.layout == Layout::WebDataset && !given.contains(&None) =>
        {
            usage(
                "a WebDataset tar cannot have a manifest, which would be a sample without a picture"
                    .to_owned(),
                "omit --manifest, or give a folder such as -o train/, which has a manifest next to its tar archives",
            )
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::ExtractArgs;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ExtractArgs,
    }

    /// Returns the output of a command line; the message if the command line is refused.
    fn output(line: &str) -> Result<Output, String> {
        let words = ["vf", "v.mp4"].into_iter().chain(line.split_whitespace());
        let args = Line::try_parse_from(words).unwrap().args;
        Output::from_args(&args, &args.files[0]).map_err(|failure| failure.to_string())
    }

    #[test]
    fn layouts_have_outputs() {
        let tar = |name: &str| Output::Archive(name.into(), ArchiveType::Tar);
        for (line, expected) in [
            ("-o a.tar", tar("a.tar")),
            ("-o a.TAR", tar("a.TAR")),
            ("--archive tar", tar("v.frames.tar")),
            ("--layout webdataset", tar("v.frames.tar")),
            (
                "--layout imagefolder",
                Output::Archive("v.frames.zip".into(), ArchiveType::Zip),
            ),
            ("-o - --archive tar", Output::StdoutArchive(ArchiveType::Tar)),
            (
                "-o - --layout webdataset",
                Output::StdoutArchive(ArchiveType::Tar),
            ),
            ("-o - -n 1 -f jpg", Output::StdoutPicture),
            (
                "-o - -n 1 -f jpg --manifest csv",
                Output::StdoutArchive(ArchiveType::Zip),
            ),
            (
                "-o - --all -f npy --archive tar",
                Output::StdoutArchive(ArchiveType::Tar),
            ),
            (
                "-o a/ --layout imagefolder --manifest csv,json",
                Output::Folder("a".into()),
            ),
            (
                "-o a/ --layout webdataset --shard-size 9",
                Output::Shards(
                    "a".into(),
                    ShardLimits::default().pictures(NonZeroU64::new(9).unwrap()),
                ),
            ),
            (
                "-o a/ --layout wds --manifest json",
                Output::Shards("a".into(), ShardLimits::default().bytes(SHARD_BYTES)),
            ),
        ] {
            assert_eq!(output(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn contradicting_outputs_are_refused() {
        for (line, expected) in [
            ("-o a.zip --archive tar", "--archive tar contradicts -o a.zip"),
            ("-o a/ --archive zip", "--archive zip contradicts -o a"),
            ("-o a.zip --layout webdataset", "needs tar archives"),
            ("-o - --archive zip --layout webdataset", "needs tar archives"),
            ("-o a.jpg --manifest csv", "--manifest has no effect on -o a.jpg"),
            ("-o a.tar --shard-size 5", "-o a.tar has no shards"),
            ("-o a/ --shard-bytes 5MB", "-o a has no shards"),
            (
                "-o a.tar --layout webdataset --manifest json",
                "without a picture",
            ),
            ("-o a/ --manifest csv", "needs manifest.json"),
            ("-o a/ --layout webdataset --manifest none", "needs manifest.json"),
            ("-o a.zip --manifest none,csv", "contradicts the other formats"),
            ("-o a/ --layout imagefolder -f npy", "needs pictures"),
        ] {
            let message = output(line).unwrap_err();
            assert!(message.contains(expected), "{line}: {message}");
        }
    }
}
