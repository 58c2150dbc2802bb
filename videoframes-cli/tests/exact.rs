//! `vf extract` picks exactly the frames of the selection rule, on every clip of the corpus.
//!
//! Expected frames come from the numbers in the pictures, a full decode and separate exact arithmetic in this
//! file. Set `VF_TEST_FFMPEG` to run everything with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::path::Path;

use corpus::barcode;
use corpus::clips::{Clip, Group};
use corpus::rational::Q;
use corpus::runner;
use corpus::truth::Truth;
use corpus::vf::{self, Archive};
use serde_json::Value;

/// A request for a clip, and the expected frames.
struct Case {
    args: Vec<&'static str>,
    /// Target in seconds and index of the frame in the truth.
    picks: Vec<(Q, usize)>,
}

fn grid(truth: &Truth, interval: Q, start: Q, end: Q) -> Vec<(Q, usize)> {
    (0..)
        .map(|k| start.plus(interval.times(Q::int(k))))
        .take_while(|target| *target < end)
        .map(|target| (target, truth.shown_at(target)))
        .collect()
}

fn cases(truth: &Truth) -> Vec<Case> {
    let end = truth.duration();
    let fps = |args: &[&'static str], num, den| Case {
        args: args.to_vec(),
        picks: grid(truth, Q::new(den, num), Q::ZERO, end),
    };
    let at = |list, times: Vec<Q>| Case {
        args: vec!["--at", list],
        picks: times.into_iter().map(|t| (t, truth.shown_at(t))).collect(),
    };
    // 100% is the end, at which the last frame is displayed.
    let (half, point_four) = (end.times(Q::new(1, 2)), Q::new(2, 5));
    let mut cases = vec![
        fps(&["--fps", "2"], 2, 1),
        fps(&["--fps", "7/3"], 7, 3),
        fps(&["--fps", "1/3", "-f", "png"], 1, 3),
        fps(&["--fps", "60"], 60, 1),
        Case {
            args: vec!["--count", "5"],
            picks: grid(truth, end.over(Q::int(5)), Q::ZERO, end),
        },
        Case {
            args: vec!["--all"],
            picks: (0..truth.frames.len()).map(|i| (truth.time(i), i)).collect(),
        },
        Case {
            args: vec!["--every-nth", "7"],
            picks: (0..truth.frames.len())
                .step_by(7)
                .map(|i| (truth.time(i), i))
                .collect(),
        },
    ];
    if truth.frames.len() > 5 {
        cases.push(Case {
            args: vec!["--frames", "5,0,3"],
            picks: [0, 3, 5].map(|i| (truth.time(i), i)).to_vec(),
        });
    }
    if point_four < end {
        let mut times = vec![Q::ZERO, point_four, half, end];
        times.sort();
        cases.push(at("0,0.4,50%,100%", times));
    } else {
        cases.push(at("0,50%,100%", vec![Q::ZERO, half, end]));
    }
    let (from, to) = (Q::new(3, 10), Q::new(9, 10));
    if to < end {
        cases.push(Case {
            args: vec!["--fps", "5", "-s", "0.3", "-e", "0.9"],
            picks: grid(truth, Q::new(1, 5), from, to),
        });
        cases.push(Case {
            args: vec!["--all", "-s", "0.3", "-e", "0.9", "-f", "png"],
            picks: (0..truth.frames.len())
                .map(|i| (truth.time(i), i))
                .filter(|(time, _)| (from..to).contains(time))
                .collect(),
        });
    }
    cases
}

/// Compares an archive with the request; the error names the first difference.
fn check(clip: &Clip, truth: &Truth, case: &Case, archive: &Archive) -> Result<(), String> {
    let entries = archive.manifest["frames"]
        .as_array()
        .ok_or("a manifest without frames")?;
    let numbers = archive.pictures.iter().map(|picture| {
        let image = picture.decode()?.to_luma8();
        let (w, h) = (image.width() as usize, image.height() as usize);
        if (w, h) != clip.shown {
            return Err(format!("{} is {w}x{h}, not {:?}", picture.name, clip.shown));
        }
        barcode::read(image.as_raw(), w, h).map_err(|e| format!("{}: {e}", picture.name))
    });
    let numbers = numbers.collect::<Result<Vec<_>, String>>()?;
    let expected: Vec<_> = case.picks.iter().map(|(_, i)| truth.frames[*i].number).collect();
    if numbers != expected {
        return Err(format!("shows {numbers:?}\n    instead of {expected:?}"));
    }
    if entries.len() != numbers.len() {
        return Err(format!(
            "{} pictures, {} in the manifest",
            numbers.len(),
            entries.len()
        ));
    }
    for (k, entry) in entries.iter().enumerate() {
        check_entry((clip, truth), case, archive, (k, entry))
            .map_err(|e| format!("manifest frame {k}: {e}\n    {entry}"))?;
    }
    Ok(())
}

fn check_entry(
    (clip, truth): (&Clip, &Truth),
    case: &Case,
    archive: &Archive,
    (k, entry): (usize, &Value),
) -> Result<(), String> {
    let (target, i) = case.picks[k];
    let demand = |holds: bool, what: String| if holds { Ok(()) } else { Err(what) };
    let rational = |key: &str| {
        entry[key]
            .as_str()
            .and_then(Q::parse)
            .ok_or_else(|| format!("{key} is no fraction in a string"))
    };
    demand(entry["index"] == k, format!("index is not {k}"))?;
    demand(
        entry["file"] == archive.pictures[k].name,
        format!("file is not {}", archive.pictures[k].name),
    )?;
    demand(entry["frame"] == i, format!("frame is not {i}"))?;
    demand(rational("target")? == target, format!("target is not {target}"))?;
    let pts = entry["pts"].as_i64().ok_or("pts is no integer")?;
    let pts = Q::int(pts.into()).times(rational("time_base")?);
    demand(
        pts == truth.frames[i].pts,
        format!("pts is {pts} s, not {} s", truth.frames[i].pts),
    )?;
    let stamp = entry["timestamp_s"].as_f64().ok_or("timestamp_s is no number")?;
    let time = truth.time(i).to_f64();
    demand((stamp - time).abs() < 1e-6, format!("timestamp_s is not {time}"))?;
    let repeated = k > 0 && case.picks[k - 1].1 == i;
    demand(
        entry["repeated"] == repeated,
        format!("repeated is not {repeated}"),
    )?;
    demand(
        entry["width"] == clip.shown.0 && entry["height"] == clip.shown.1,
        "width and height".into(),
    )?;
    demand(entry["bytes"] == archive.pictures[k].bytes.len(), "bytes".into())
}

/// Returns all failures of one clip, each with the request.
fn failures(clip: &Clip, ffmpeg: Option<&Path>) -> Vec<String> {
    let (path, truth) = match clip.ready() {
        Ok(ready) => ready,
        Err(e) => return vec![format!("cannot make {e}")],
    };
    let failure = |case: &Case| {
        let result =
            vf::extract(&path, &case.args, ffmpeg).and_then(|archive| check(clip, &truth, case, &archive));
        result
            .err()
            .map(|e| format!("{} {}: {e}", clip.name, case.args.join(" ")))
    };
    cases(&truth).iter().filter_map(failure).collect()
}

fn run(group: Group, ffmpeg: Option<&Path>) {
    runner::run(|clip| clip.group == group, |clip| failures(clip, ffmpeg));
}

/// Runs the group with the second ffmpeg, or reports that there is none.
fn run_other(group: Group) {
    if let Some(ffmpeg) = vf::other_ffmpeg() {
        run(group, Some(&ffmpeg));
    }
}

#[test]
fn picks_are_exact_in_every_container() {
    run(Group::Containers, None);
}

#[test]
fn picks_are_exact_in_every_container_with_another_ffmpeg() {
    run_other(Group::Containers);
}

#[test]
fn picks_are_exact_for_every_codec() {
    run(Group::Codecs, None);
}

#[test]
fn picks_are_exact_for_every_codec_with_another_ffmpeg() {
    run_other(Group::Codecs);
}

#[test]
fn picks_are_exact_for_irregular_times() {
    run(Group::Timing, None);
}

#[test]
fn picks_are_exact_for_irregular_times_with_another_ffmpeg() {
    run_other(Group::Timing);
}

#[test]
fn pictures_are_upright_square_and_whole() {
    run(Group::Geometry, None);
}

#[test]
fn pictures_are_upright_square_and_whole_with_another_ffmpeg() {
    run_other(Group::Geometry);
}

#[test]
fn the_bar_code_is_only_readable_upright() {
    use barcode::{Chroma, Rotation, draw, read};
    for number in 0..=barcode::MAX_NUMBER {
        let picture = draw(number, 160, 96, Rotation::None, Chroma::Quartered);
        assert_eq!(read(&picture[..160 * 96], 160, 96), Ok(number));
        for rotation in [Rotation::Quarter, Rotation::Half, Rotation::ThreeQuarters] {
            let picture = draw(number, 96, 96, rotation, Chroma::Full);
            assert!(
                read(&picture[..96 * 96], 96, 96).is_err(),
                "{number} {rotation:?}"
            );
        }
    }
}
