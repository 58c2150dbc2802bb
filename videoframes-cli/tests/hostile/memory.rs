//! Small files that claim large data need at most 512 MiB for `vf` and its children together, and 20 s.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::boxes::{boxed, find, movies, replaced, words};
use super::{ffmpegs, vf};

const MOST_BYTES: u64 = 512 << 20;
const MOST_TIME: Duration = Duration::from_secs(20);
const DAMAGED: i32 = 6;
const LIMIT_EXCEEDED: i32 = 8;

const STBL: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];

/// The output of a run of `vf`, and the peak memory of the process and its children.
struct Ended {
    code: Option<i32>,
    stderr: String,
    memory: u64,
    time: Duration,
}

/// Returns the resident bytes of a process and all its descendants.
fn memory_of_tree(root: u32) -> u64 {
    let status = |pid: &str| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |status: &str, name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let (pid, status): (u64, _) = (name.parse().ok()?, status(&name));
        Some((pid, field(&status, "PPid:"), field(&status, "VmRSS:") << 10))
    });
    let processes: Vec<(u64, u64, u64)> = processes.collect();
    let mut tree = vec![u64::from(root)];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(
            processes
                .iter()
                .filter(|(_, of, _)| *of == parent)
                .map(|(pid, ..)| *pid),
        );
        next += 1;
    }
    processes
        .iter()
        .filter(|(pid, ..)| tree.contains(pid))
        .map(|(.., bytes)| bytes)
        .sum()
}

fn watched(command: &mut Command) -> Ended {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut memory = 0;
    let code = loop {
        memory = memory.max(memory_of_tree(child.id()));
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if began.elapsed() > 3 * MOST_TIME => child.kill().unwrap(),
            None => std::thread::yield_now(),
        }
    };
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    Ended {
        code,
        stderr,
        memory,
        time: began.elapsed(),
    }
}

/// Commands that read a video, without the path of the video.
const COMMANDS: [&[&str]; 4] = [
    &["extract", "--at", "0", "--progress", "none"],
    &["extract", "--all", "--progress", "none"],
    &["compress", "--progress", "none"],
    &["probe"],
];

/// Asserts the limits, the exit code and the error of every command for a file, with each ffmpeg.
fn is_refused(file: &Path, code: i32, expected: &str) {
    for command in COMMANDS {
        is_refused_by(command, file, code, expected);
    }
}

fn is_refused_by(arguments: &[&str], file: &Path, code: i32, expected: &str) {
    for ffmpeg in ffmpegs() {
        let ended = run(arguments, file, &ffmpeg);
        let name = file.file_name().unwrap();
        assert!(
            ended.code == Some(code) && ended.stderr.contains(expected),
            "{name:?} {arguments:?}: {:?} {}",
            ended.code,
            ended.stderr
        );
    }
}

/// Runs a command with a file, and asserts the limits.
fn run(arguments: &[&str], file: &Path, ffmpeg: &Path) -> Ended {
    let mut command = vf();
    command.args(arguments).arg("--ffmpeg").arg(ffmpeg);
    match arguments[0] {
        "extract" => _ = command.arg("-o").arg(file.with_extension("zip")),
        "compress" => _ = command.arg("-o").arg(file.with_extension("out.mp4")),
        _ => {}
    }
    let ended = watched(command.arg("--").arg(file));
    let name = file.file_name().unwrap();
    let (memory, time) = (ended.memory >> 20, ended.time);
    assert!(ended.memory < MOST_BYTES, "{name:?} {arguments:?}: {memory} MiB");
    assert!(time < MOST_TIME, "{name:?} {arguments:?}: {time:?}");
    ended
}

fn file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

/// Creates a file whose last box contains `hollow` further bytes, which are a hole in a sparse file.
fn with_hollow_end(folder: &Path, name: &str, content: &[u8], hollow: u64) -> PathBuf {
    let path = file(folder, name, content);
    let length = content.len() as u64 + hollow;
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length)
        .unwrap();
    path
}

/// Returns the start of a box that continues for `more` bytes after `content`.
fn hollow(kind: &[u8; 4], content: &[u8], more: u32) -> Vec<u8> {
    let mut whole = boxed(kind, content);
    let size = u32::try_from(whole.len()).unwrap() + more;
    whole[..4].copy_from_slice(&size.to_be_bytes());
    whole
}

#[test]
fn tables_that_claim_more_than_the_file_size_are_rejected_before_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = movies(folder.path());
    let with = |name: &str, table: &[u8; 4], content: &[u8]| {
        let path = [&STBL[..], &[table]].concat();
        file(
            folder.path(),
            name,
            &replaced(&whole, &path, &boxed(table, content)),
        )
    };
    let claims = "index claims";
    is_refused(
        &with("stsz.mp4", b"stsz", &words(&[0, 1, 80_000_000])),
        LIMIT_EXCEEDED,
        claims,
    );
    is_refused(
        &with("stsz_all.mp4", b"stsz", &words(&[0, 1, u32::MAX])),
        LIMIT_EXCEEDED,
        claims,
    );
    is_refused(
        &with("stsz_each.mp4", b"stsz", &words(&[0, 0, 1 << 30])),
        LIMIT_EXCEEDED,
        claims,
    );
    for table in [b"stts", b"ctts", b"stsc", b"stco"] {
        let name = format!("{}.mp4", table.escape_ascii());
        is_refused(
            &with(&name, table, &words(&[0, u32::MAX])),
            LIMIT_EXCEEDED,
            claims,
        );
    }
    // In a track that the extraction does not use.
    let second = find(&whole, &[b"moov", b"trak"]);
    let second = replaced(
        second,
        &[b"trak", b"mdia", b"minf", b"stbl", b"stsz"],
        &boxed(b"stsz", &words(&[0, 1, 80_000_000])),
    );
    let first = find(&whole, &[b"moov", b"trak"]);
    let both = replaced(&whole, &[b"moov", b"trak"], &[first, &second].concat());
    is_refused(&file(folder.path(), "second.mp4", &both), LIMIT_EXCEEDED, claims);
}

/// Creates a movie of `count` samples of one byte, which no decoder can decode, with as many bytes after them.
fn tiny_samples(folder: &Path, whole: &[u8], count: u32) -> PathBuf {
    let tables = [
        (b"stsz", words(&[0, 1, count])),
        (b"stsc", words(&[0, 1, 1, count, 1])),
        (b"stco", words(&[0, 1, 48])),
        (b"stts", words(&[0, 1, count, 512])),
        (b"ctts", words(&[0, 1, count, 0])),
    ];
    let movie = tables.iter().fold(whole.to_vec(), |movie, (table, content)| {
        let path = [&STBL[..], &[*table]].concat();
        replaced(&movie, &path, &boxed(table, content))
    });
    let movie = [movie, hollow(b"free", b"", count)].concat();
    with_hollow_end(folder, &format!("tiny{count}.mp4"), &movie, count.into())
}

#[test]
fn millions_of_tiny_samples_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = movies(folder.path());
    let path = tiny_samples(folder.path(), &whole, 15_900_000);
    is_refused(&path, LIMIT_EXCEEDED, "index claims");
}

#[test]
fn samples_below_the_limits_that_cannot_be_decoded_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = movies(folder.path());
    let path = tiny_samples(folder.path(), &whole, 1_140_000);
    for command in &COMMANDS[..3] {
        is_refused_by(command, &path, DAMAGED, "damaged");
    }
    for ffmpeg in ffmpegs() {
        run(COMMANDS[3], &path, &ffmpeg);
    }
}

#[test]
fn millions_of_edits_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = movies(folder.path());
    for count in [3_000, 5_000_000] {
        let edits = words(&[1000, 0, 1 << 16]).repeat(count);
        let list = boxed(b"elst", &[words(&[0, count as u32]), edits].concat());
        let movie = replaced(&whole, &[b"moov", b"trak", b"edts", b"elst"], &list);
        is_refused(&file(folder.path(), "edits.mp4", &movie), LIMIT_EXCEEDED, "edits");
    }
}

#[test]
fn oversized_indexes_are_rejected_compressed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, fragmented) = movies(folder.path());
    let compressed = |size: u32| {
        let data = boxed(b"cmvd", &[words(&[size]), vec![0; 100]].concat());
        let parts = [boxed(b"dcom", b"zlib"), data].concat();
        replaced(&whole, &[b"moov"], &boxed(b"moov", &boxed(b"cmov", &parts)))
    };
    is_refused(
        &file(folder.path(), "cmov.mp4", &compressed(1 << 30)),
        LIMIT_EXCEEDED,
        "compressed index",
    );
    // 30 million entries of a table, and 60 million of a run.
    let head = find(&whole, &[b"ftyp"]);
    let table = [head, &hollow(b"moov", b"", 240_000_000)].concat();
    let table = with_hollow_end(folder.path(), "ctts.mp4", &table, 240_000_000);
    is_refused(&table, LIMIT_EXCEEDED, "the index has");
    let head = [find(&fragmented, &[b"ftyp"]), find(&fragmented, &[b"moov"])].concat();
    let run = [&head[..], &hollow(b"moof", b"", 240_000_000)].concat();
    let run = with_hollow_end(folder.path(), "trun.mp4", &run, 240_000_000);
    is_refused(&run, LIMIT_EXCEEDED, "the index has");
}

#[test]
fn forged_fragments_and_millions_of_fragments_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let (_, fragmented) = movies(folder.path());
    let head = [find(&fragmented, &[b"ftyp"]), find(&fragmented, &[b"moov"])].concat();
    let moof = find(&fragmented, &[b"moof"]);
    // The entries of the run have no fields, so the run can claim any number of entries.
    let run = boxed(b"trun", &words(&[1, u32::MAX, 100]));
    let lying = replaced(moof, &[b"moof", b"traf", b"trun"], &run);
    let lying = [&head[..], &lying, &boxed(b"mdat", &[0; 100])].concat();
    is_refused(
        &file(folder.path(), "run.mp4", &lying),
        LIMIT_EXCEEDED,
        "index claims",
    );
    let empty = boxed(b"moof", &boxed(b"mfhd", &words(&[0, 1])));
    let pair = [empty, boxed(b"mdat", &[0; 16])].concat();
    let many = [head, pair.repeat(900_000)].concat();
    is_refused(
        &file(folder.path(), "fragments.mp4", &many),
        LIMIT_EXCEEDED,
        "fragments",
    );
}

/// Returns an animation with a large, mostly empty canvas, followed by `padding` bytes.
fn gif(side: u16, padding: usize) -> Vec<u8> {
    let side = side.to_le_bytes();
    let head = [b"GIF89a".as_slice(), &side, &side, &[0xf7, 0, 0], &[0; 768]].concat();
    let control = [0x21, 0xf9, 4, 0, 10, 0, 0, 0];
    let picture = [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0];
    [
        head,
        [&control[..], &picture].concat().repeat(8),
        vec![0; padding],
        vec![0x3b],
    ]
    .concat()
}

#[test]
fn a_large_canvas_in_a_small_file_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    for (name, padding) in [("large.gif", 0), ("padded.gif", 1 << 20)] {
        let path = file(folder.path(), name, &gif(11_585, padding));
        is_refused(&path, LIMIT_EXCEEDED, "canvas of 11585×11585");
    }
}

#[test]
fn pictures_with_high_bit_depth_stay_within_the_memory_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.mov");
    let source = ["-f", "lavfi", "-i", "color=gray:s=16384x8192:r=1:d=1"];
    super::ffmpeg(
        &[&source[..], &["-pix_fmt", "rgb48be", "-c:v", "png"]].concat(),
        &path,
    );
    for ffmpeg in ffmpegs() {
        let mut command = vf();
        command.args([
            "extract",
            "--at",
            "0",
            "--progress",
            "none",
            "--max-memory",
            "1GiB",
            "-o",
        ]);
        command
            .arg(folder.path().join("out.zip"))
            .arg("--ffmpeg")
            .arg(ffmpeg)
            .arg(&path);
        let ended = watched(&mut command);
        assert!(
            ended.memory < 1 << 30 && ended.time < MOST_TIME,
            "{} {:?}",
            ended.memory,
            ended.time
        );
        assert!(
            ended.code == Some(LIMIT_EXCEEDED) && ended.stderr.contains("memory"),
            "{:?} {}",
            ended.code,
            ended.stderr
        );
    }
}
